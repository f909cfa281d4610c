"use strict";
(() => {
  document.documentElement.classList.add("js");
  const words = new Intl.Collator("en", { numeric: true });
  const valueOf = (row, column, numeric) => {
    const cell = row.cells[column];
    if (!numeric) return cell.textContent.trim();
    return Number(cell.dataset.v ?? cell.textContent.replaceAll(",", ""));
  };
  const sort = (table, heading, headings) => {
    const column = headings.indexOf(heading);
    const numeric = heading.classList.contains("n");
    const before = heading.getAttribute("aria-sort");
    const down = before ? before === "ascending" : numeric;
    for (const other of headings) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", down ? "descending" : "ascending");
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [valueOf(row, column, numeric), row]);
    rows.sort(([a], [b]) => (numeric ? a - b : words.compare(a, b)) * (down ? -1 : 1));
    body.append(...rows.map(([, row]) => row));
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    const headings = [...table.tHead.rows[0].cells];
    for (const heading of headings) {
      heading.querySelector("button")?.addEventListener("click", () => sort(table, heading, headings));
    }
  }
  const tables = [...document.querySelectorAll(".hint + .wide")];
  const hints = () => {
    for (const wide of tables) {
      wide.previousElementSibling.classList.toggle("needed", wide.scrollWidth > wide.clientWidth + 1);
    }
  };
  hints();
  addEventListener("resize", hints);
  document.addEventListener("toggle", hints, true);
  for (const tools of document.querySelectorAll(".tools")) {
    const search = tools.querySelector("input[type=search]");
    const only = tools.querySelector("input[type=checkbox]");
    const told = tools.querySelector("output");
    const rows = [...document.querySelectorAll(`[data-of="${tools.dataset.for}"] tbody tr`)];
    const texts = rows.map((row) => row.textContent.toLowerCase());
    const filter = () => {
      const wanted = search.value.trim().toLowerCase();
      let left = 0;
      rows.forEach((row, index) => {
        const hidden = !texts[index].includes(wanted) || Boolean(only?.checked && !row.classList.contains("look"));
        row.hidden = hidden;
        left += hidden ? 0 : 1;
      });
      told.value = left === rows.length ? "" : `${left.toLocaleString("en")} of ${rows.length.toLocaleString("en")} shown`;
      if (wanted && tools.dataset.for === "problems") {
        for (const details of document.querySelectorAll('[data-of="problems"]')) details.open = true;
      }
    };
    search.addEventListener("input", filter);
    only?.addEventListener("change", filter);
  }
})();
