"use strict";
// Verdicts are filtered by the style sheet alone; this adds the search for words and counts what is left.
(() => {
  const form = document.querySelector(".filter");
  const search = document.getElementById("search");
  const shown = form.querySelector(".shown");
  const empty = document.querySelector(".empty");
  const parts = [...document.querySelectorAll("table.ledger tbody")].map((body) => ({
    body,
    rows: [...body.querySelectorAll("tr[data-printed]")].map((row) => ({
      row,
      text: (row.cells[0].textContent + " " + row.cells[1].textContent + " " +
             row.querySelector("a").hash.slice(1).replaceAll("_", " ")).toLowerCase(),
    })),
  }));
  const total = parts.reduce((sum, part) => sum + part.rows.length, 0);

  function update() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let left = 0;
    for (const part of parts) {
      part.body.hidden = false;
      let here = 0;
      for (const { row, text } of part.rows) {
        row.hidden = !words.every((word) => text.includes(word));
        here += getComputedStyle(row).display !== "none";
      }
      part.body.hidden = here === 0;
      left += here;
    }
    shown.textContent = left === total ? `${total} statements` : `${left} of ${total} statements`;
    empty.hidden = left > 0;
  }

  search.parentElement.hidden = false;
  shown.hidden = false;
  form.addEventListener("input", update);
  search.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && search.value) {
      search.value = "";
      update();
      event.preventDefault();
    }
  });
  window.addEventListener("pageshow", update);
  update();
})();
