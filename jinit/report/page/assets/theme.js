"use strict";
// The theme is set before anything is painted: the reader's choice, or that of the system.
(() => {
  let theme = null;
  try {
    theme = localStorage.getItem("jinit-theme");
  } catch {
    // A browser may keep no storage for files.
  }
  const isDark = theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = isDark ? "dark" : "light";
})();
