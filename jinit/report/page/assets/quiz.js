"use strict";
// Quizzes: answers are checked in the page and kept by the browser.
for (const quiz of document.querySelectorAll(".quiz")) {
  const key = `jinit-quiz-${quiz.dataset.quiz}`;
  const forms = [...quiz.querySelectorAll(".question")];
  let given = {};
  try {
    given = JSON.parse(localStorage.getItem(key)) ?? {};
  } catch {
    // A browser may keep no storage for files; answers then last as long as the page.
  }

  function save() {
    try {
      localStorage.setItem(key, JSON.stringify(given));
    } catch {
      // See above.
    }
  }

  const read = (text) => (text.trim() ? Number(text.trim().replace(",", ".")) : NaN);

  function isRight(form, text) {
    return Math.abs(read(text) - Number(form.dataset.right)) <= Number(form.dataset.tolerance);
  }

  function show(form) {
    const text = given[form.dataset.name];
    const isAnswered = text !== undefined;
    const right = isAnswered && isRight(form, text);
    form.querySelector(".mark").textContent = !isAnswered ? "" : right ? "✓ Correct." : "✗ Not correct.";
    form.querySelector(".worked").hidden = !isAnswered;
    form.classList.toggle("right", right);
    form.classList.toggle("wrong", isAnswered && !right);
  }

  function showScore() {
    const answered = forms.filter((form) => given[form.dataset.name] !== undefined);
    const right = answered.filter((form) => isRight(form, given[form.dataset.name]));
    quiz.querySelector(".score").textContent =
      `${answered.length} of ${forms.length} questions answered, ${right.length} correct.`;
  }

  function restore(form) {
    const text = given[form.dataset.name];
    for (const input of form.querySelectorAll("input")) {
      if (input.type === "radio") input.checked = input.value === text;
      else input.value = text ?? "";
    }
    show(form);
  }

  for (const form of forms) {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const input = form.querySelector("input[type=radio]:checked") ?? form.querySelector("input[type=text]");
      if (!input || Number.isNaN(read(input.value))) {
        form.querySelector(".mark").textContent = input ? "Type a number, such as 0.5." : "Choose an answer first.";
        return;
      }
      given[form.dataset.name] = input.value;
      save();
      show(form);
      showScore();
    });
    restore(form);
  }

  quiz.querySelector(".reset").addEventListener("click", () => {
    given = {};
    save();
    forms.forEach(restore);
    showScore();
  });
  showScore();
}
