// A click on a column's head sorts its table by it; another one the other way round.
for (const head of document.querySelectorAll("th")) {
  head.addEventListener("click", () => {
    const body = head.closest("table").tBodies[0];
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const text = (row) => row.cells[head.cellIndex].textContent;
    // A difference of words is not a number, so they are compared as words.
    const order = (a, b) => a - b || a.localeCompare(b, "en", { numeric: true });
    const rows = [...body.rows].sort((a, b) => order(text(a), text(b)));
    body.append(...(down ? rows.reverse() : rows));
  });
}
