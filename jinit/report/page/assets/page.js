"use strict";
(() => {
  const root = document.documentElement;
  const all = (selector, parent = document) => [...parent.querySelectorAll(selector)];
  const charts = JSON.parse(document.getElementById("charts").textContent);

  // Theme

  const variable = (name) => getComputedStyle(root).getPropertyValue(name).trim();

  function template() {
    const axis = {
      gridcolor: variable("--line"), zerolinecolor: variable("--line"), linecolor: variable("--quiet"),
      automargin: true, ticks: "outside", tickcolor: variable("--line"),
      title: { standoff: 10 },
    };
    return {
      layout: {
        paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
        font: { color: variable("--text"), family: getComputedStyle(document.body).fontFamily, size: 13 },
        hoverlabel: { bgcolor: variable("--raised"), font: { color: variable("--text") }, namelength: -1 },
        xaxis: axis, yaxis: axis, legend: { bgcolor: "rgba(0,0,0,0)" },
        margin: { l: 60, r: 20, t: 30, b: 50 },
      },
    };
  }

  function setTheme(name) {
    root.dataset.theme = name;
    const button = document.getElementById("theme");
    button.setAttribute("aria-pressed", String(name === "dark"));
    for (const place of all(".chart.drawn")) Plotly.relayout(place, { template: template() });
  }

  document.getElementById("theme").addEventListener("click", () => {
    const name = root.dataset.theme === "dark" ? "light" : "dark";
    setTheme(name);
    try {
      localStorage.setItem("jinit-theme", name);
    } catch {
      // The choice then lasts as long as the page.
    }
  });
  document.getElementById("theme").setAttribute("aria-pressed", String(root.dataset.theme === "dark"));

  // Charts

  const config = {
    displaylogo: false, responsive: true,
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
  };

  const narrow = 560; // pixels below which a legend stands above its chart

  function draw(place, frame) {
    const chart = charts[place.dataset.chart];
    const shown = chart.frames[frame];
    const layout = { ...chart.layout, ...shown.layout, template: template() };
    if (place.clientWidth < narrow) layout.legend = { ...layout.legend, orientation: "h", x: 0, y: 1, yanchor: "bottom" };
    Plotly.react(place, shown.traces, layout, config);
    place.classList.add("drawn");
  }

  function drawNext(places) {
    const place = places.shift();
    if (!place) {
      root.dataset.ready = "true";
      return;
    }
    draw(place, charts[place.dataset.chart].first ?? 0);
    setTimeout(() => drawNext(places));
  }
  drawNext(all(".chart"));

  for (const control of all(".control [data-chart]")) {
    const number = control.dataset.chart;
    const place = document.querySelector(`.chart[data-chart="${number}"]`);
    const box = control.parentElement;
    control.addEventListener("input", () => {
      const frame = charts[number].frames[control.value];
      const output = box.querySelector("output");
      if (output) output.textContent = frame.name;
      if (control.type === "range") control.setAttribute("aria-valuetext", frame.name);
      box.querySelector(".says").textContent = frame.says;
      draw(place, control.value);
    });
  }

  // Details whose charts were drawn while hidden have no width.
  for (const details of all("details")) {
    details.addEventListener("toggle", () => all(".chart.drawn", details).forEach((place) => Plotly.Plots.resize(place)));
  }

  // Tables

  // Cells without a number come last in either direction, empty ones at the end.
  function compare(a, b, sign) {
    const left = a.dataset.value, right = b.dataset.value;
    if (left !== undefined && right !== undefined) return sign * (Number(left) - Number(right));
    if (left !== undefined || right !== undefined) return left !== undefined ? -1 : 1;
    if (!a.textContent || !b.textContent) return Number(!a.textContent) - Number(!b.textContent);
    return sign * a.textContent.localeCompare(b.textContent, undefined, { numeric: true });
  }

  for (const table of all(".table")) {
    const body = table.querySelector("tbody");
    const heads = all("th", table);
    const rows = [...body.rows];
    heads.forEach((head, column) => {
      head.querySelector("button").addEventListener("click", () => {
        const order = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
        heads.forEach((each) => each.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", order);
        const sign = order === "ascending" ? 1 : -1;
        rows.sort((a, b) => compare(a.cells[column], b.cells[column], sign));
        body.append(...rows);
      });
    });
    const search = table.querySelector("input");
    search?.addEventListener("input", () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of rows) {
        const text = row.textContent.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
        shown += row.hidden ? 0 : 1;
      }
      table.querySelector("output").textContent =
        shown === rows.length ? `${shown} rows` : `${shown} of ${rows.length} rows`;
    });
  }

  // Code

  for (const button of all(".copy")) {
    button.addEventListener("click", async () => {
      const code = button.parentElement.querySelector("code");
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(code);
        button.textContent = "Selected";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
  }

  // Print: on white, with everything unfolded.

  let before = null;
  addEventListener("beforeprint", () => {
    const closed = all("details:not([open])");
    before = { theme: root.dataset.theme, closed };
    closed.forEach((details) => { details.open = true; });
    setTheme("light");
  });
  addEventListener("afterprint", () => {
    before.closed.forEach((details) => { details.open = false; });
    setTheme(before.theme);
  });
})();
