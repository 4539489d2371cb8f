// Sliders, search and sorting. Without scripts the page shows everything all the same.
for (const one of document.querySelectorAll("[data-script]")) one.hidden = false;

for (const slider of document.querySelectorAll("input[type=range]")) {
  slider.addEventListener("input", () => {
    document.documentElement.style.setProperty(`--${slider.name}`, slider.value / 100);
  });
}

const table = document.querySelector("#region-rows");
if (table) {
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const words = rows.map((row) => row.textContent.toLowerCase());
  const said = document.querySelector("#region-count");
  document.querySelector("#region-search").addEventListener("input", (event) => {
    const wanted = event.target.value.trim().toLowerCase();
    let shown = 0;
    rows.forEach((row, place) => {
      row.hidden = !words[place].includes(wanted);
      shown += !row.hidden;
    });
    said.textContent = wanted ? `${shown} of ${rows.length}` : "";
  });
  const value = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.value === undefined ? cell.textContent.trim().toLowerCase() : +cell.dataset.value;
  };
  table.tHead.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const head = button.parentElement;
    const column = head.cellIndex;
    const numbers = head.classList.contains("number");
    const before = head.getAttribute("aria-sort");
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    const first = numbers ? "descending" : "ascending";
    const second = numbers ? "ascending" : "descending";
    const next = before === first ? second : before === second ? null : first;
    let order = rows;
    if (next) {
      head.setAttribute("aria-sort", next);
      const sign = next === "ascending" ? 1 : -1;
      order = [...rows].sort((a, b) => {
        const [x, y] = [value(a, column), value(b, column)];
        return (x < y ? -1 : x > y ? 1 : 0) * sign;
      });
    }
    body.append(...order);
  });
}
