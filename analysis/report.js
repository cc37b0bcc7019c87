"use strict";
// Sorting, filtering, zooming, copying. The page is complete without it.

function made(tag, attributes) {
  return Object.assign(document.createElement(tag), attributes);
}

function onPress(element, act) {
  element.tabIndex = 0;
  element.addEventListener("click", act);
  element.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      act();
    }
  });
}

// A number sorts by its value, also if an interval follows; a dash sorts last.
function key(row, column) {
  const text = row.cells[column].textContent.trim();
  const number = parseFloat(text.replace(/\u2212/g, "-").replace(/,(?=\d{3})/g, ""));
  return { text, number, empty: text === "" || text === "\u2013" };
}

function compare(a, b, sign) {
  if (a.empty !== b.empty) return a.empty ? 1 : -1;
  if (isNaN(a.number) || isNaN(b.number)) return sign * a.text.localeCompare(b.text, "en", { numeric: true });
  return sign * (a.number - b.number);
}

function sortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    if (!head.textContent) return;
    head.dataset.sort = "";
    head.title = "sort";
    onPress(head, () => {
      const up = head.ariaSort !== "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const rows = [...table.tBodies[0].rows].map((row) => [key(row, column), row]);
      rows.sort(([a], [b]) => compare(a, b, up ? 1 : -1));
      table.tBodies[0].append(...rows.map(([, row]) => row));
    });
  });
}

// What is typed has to be there as it is; if that is nowhere, all of its words have to be.
function filterable(table) {
  const rows = [...table.tBodies[0].rows];
  if (rows.length < 8) return;
  const input = made("input", { type: "search", className: "filter", placeholder: `filter ${rows.length} rows` });
  input.setAttribute("aria-label", "filter the table");
  const texts = rows.map((row) => [...row.cells].map((cell) => cell.textContent).join(" ").toLowerCase());
  input.addEventListener("input", () => {
    const phrase = input.value.trim().toLowerCase().replace(/\s+/g, " ");
    const parts = texts.some((text) => text.includes(phrase)) ? [phrase] : phrase.split(" ");
    rows.forEach((row, i) => { row.hidden = !parts.every((part) => texts[i].includes(part)); });
  });
  table.closest(".scroll").before(input);
}

function zoomable(panel, dialog) {
  panel.classList.add("zooms");
  panel.setAttribute("role", "button");
  panel.setAttribute("aria-label", "enlarge");
  onPress(panel, () => {
    dialog.replaceChildren(panel.querySelector("svg").cloneNode(true));
    dialog.showModal();
  });
}

function copyable(code) {
  const button = made("button", { type: "button", textContent: "Copy" });
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code);
      button.textContent = "Selected";
    }
  });
  code.parentElement.before(button);
}

document.querySelectorAll("table.sorts").forEach((table) => { sortable(table); filterable(table); });
const dialog = document.body.appendChild(made("dialog"));
dialog.addEventListener("click", () => dialog.close());
document.querySelectorAll(".panels > div").forEach((panel) => zoomable(panel, dialog));
document.querySelectorAll("code.copies").forEach(copyable);
