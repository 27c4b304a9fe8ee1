"use strict";
// Calculators: variance = factor / fan, and what follows from it.
for (const box of document.querySelectorAll(".calculator")) {
  const fanIn = box.querySelector(".fan-in"), fanOut = box.querySelector(".fan-out");
  const activation = box.querySelector(".activation");
  const show = (value) => (Number.isFinite(value) ? String(Number(value.toPrecision(5))) : "–");
  const size = (input) => (Number.isInteger(input.valueAsNumber) && input.valueAsNumber > 0 ? input.valueAsNumber : NaN);

  function calculate() {
    const fans = { in: size(fanIn), out: size(fanOut), average: (size(fanIn) + size(fanOut)) / 2 };
    for (const row of box.querySelectorAll("tbody tr")) {
      const variance = Number(row.dataset.factor ?? activation.value) / fans[row.dataset.fan];
      const std = Math.sqrt(variance);
      const cells = {
        variance, std, bound: Math.sqrt(3 * variance), untruncated: std / Number(box.dataset.truncatedStd),
      };
      for (const [name, value] of Object.entries(cells)) row.querySelector(`[data-cell="${name}"]`).textContent = show(value);
    }
    box.querySelector(".advice").textContent = Number.isNaN(fans.average)
      ? "Both sizes must be whole numbers from 1 on."
      : activation.selectedOptions[0].dataset.advice;
  }
  box.addEventListener("input", calculate);
  calculate();
}
