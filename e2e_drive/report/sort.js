// A click on a column's head sorts the table by it: numbers by data-v, words as they are; a second click turns it round.
document.querySelectorAll("th").forEach((head) => head.addEventListener("click", () => {
  const body = head.closest("table").tBodies[0];
  const column = head.cellIndex;
  const down = head.dataset.down !== "1";
  head.dataset.down = down ? "1" : "0";
  const key = (row) => row.cells[column].dataset.v ?? row.cells[column].textContent;
  const order = (a, b) => {
    const [x, y] = [key(a), key(b)];
    const [p, q] = [Number(x), Number(y)];
    return Number.isNaN(p) || Number.isNaN(q) ? x.localeCompare(y) : q - p;
  };
  [...body.rows].sort((a, b) => (down ? order(a, b) : order(b, a))).forEach((row) => body.append(row));
}));
