(() => {
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const root = document.documentElement;

/** An element; texts go through textContent alone, so that markup in them stays text. */
function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "text") made.textContent = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

// Plots: drawn when they come near the window, and anew when colours change.

const probe = document.body.appendChild(element("span", { hidden: true }));

function colour(name) {
  probe.style.color = `var(--${name})`;
  return getComputedStyle(probe).color;
}

function look() {
  const ink = colour("ink"), muted = colour("muted"), line = colour("line");
  const font = getComputedStyle(document.body).fontFamily;
  return {
    background: "transparent",
    font,
    range: { category: [colour("accent"), colour("second"), colour("third"), colour("gold"),
      colour("wrong"), colour("muted")] },
    mark: { color: colour("accent") },
    line: { color: colour("accent") },
    bar: { color: colour("accent") },
    point: { color: colour("accent") },
    view: { stroke: null },
    axis: { labelColor: muted, titleColor: muted, gridColor: line, domainColor: line,
      tickColor: line, labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal",
      labelLimit: innerWidth < 600 ? 130 : 260, titlePadding: 8 },
    axisY: { domain: false, ticks: false, labelPadding: 8 },
    axisX: { tickCount: 6 },
    legend: { labelColor: ink, titleColor: muted, labelFontSize: 12, symbolStrokeWidth: 2,
      columns: innerWidth < 600 ? 2 : 0 },
  };
}

const tip = document.body.appendChild(element("div", { id: "tip", hidden: true }));

function showTip(_handler, event, _item, value) {
  tip.hidden = value == null || value === "";
  if (tip.hidden) return;
  tip.textContent = typeof value === "object"
    ? Object.entries(value).map(([name, text]) => `${name}: ${text}`).join("\n") : String(value);
  const box = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(4, Math.min(event.clientX + 12, innerWidth - box.width - 4))}px`;
  tip.style.top = `${Math.max(4, Math.min(event.clientY + 12, innerHeight - box.height - 4))}px`;
}

const drawn = new Map();

async function draw(place) {
  const spec = data.plots[place.dataset.plot];
  drawn.get(place)?.finalize();
  // `ast` lets Vega walk its expressions: the page forbids eval.
  const result = await vegaEmbed(place, spec, {
    ast: true, actions: false, renderer: "svg", defaultStyle: false, tooltip: showTip,
    config: look(),
  });
  drawn.set(place, result);
}

const places = [...document.querySelectorAll(".plot")];
const near = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    near.unobserve(target);
    draw(target);
  }
}, { rootMargin: "400px" });
places.forEach((place) => near.observe(place));
addEventListener("beforeprint", () => places.filter((place) => !drawn.has(place)).forEach(draw));

// Theme: the system's, or the reader's choice.

const THEMES = ["as the system", "light", "dark"];
const theme = document.getElementById("theme");
theme.hidden = false;

function setTheme(name) {
  if (name === THEMES[0]) delete root.dataset.theme;
  else root.dataset.theme = name;
  theme.textContent = `Theme: ${name}`;
  drawn.forEach((_, place) => draw(place));
}

theme.addEventListener("click", () => {
  const next = THEMES[(THEMES.indexOf(root.dataset.theme ?? THEMES[0]) + 1) % THEMES.length];
  setTheme(next);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  drawn.forEach((_, place) => draw(place));
});

// Tables: a click on a column's title sorts by it, a second one the other way.

function compare(one, other) {
  const [a, b] = [one, other].map(Number);
  if (!Number.isNaN(a) && !Number.isNaN(b)) return a - b;
  return one < other ? -1 : Number(one > other);
}

function sortBy(table, column) {
  const headers = [...table.tHead.rows[0].cells];
  const own = headers[column];
  // Numbers begin with the largest, which is what one looks for.
  const first = own.classList.contains("number") ? "descending" : "ascending";
  const before = own.getAttribute("aria-sort");
  const order = before === null ? first : before === "ascending" ? "descending" : "ascending";
  headers.forEach((header) => header.removeAttribute("aria-sort"));
  own.setAttribute("aria-sort", order);
  const sign = order === "ascending" ? 1 : -1;
  const key = (row) => row.cells[column].dataset.sort;
  const rows = [...table.tBodies[0].rows].sort((one, other) => {
    const [a, b] = [key(one), key(other)];
    if (a === "" || b === "") return Number(a === "") - Number(b === ""); // what is undefined, last
    return sign * compare(a, b);
  });
  table.tBodies[0].append(...rows);
}

for (const table of document.querySelectorAll(".sortable")) {
  [...table.tHead.rows[0].cells].forEach((header, column) => {
    const title = header.textContent;
    header.replaceChildren(
      element("button", { type: "button", text: title, onclick: () => sortBy(table, column) }));
  });
}

// Examples of a head: filtered, sorted, ten at a time.

const PAGE = 10;

function segment(piece) {
  const [text, gold = null, said = null, flags = ""] = piece;
  if (piece.length === 1) return document.createTextNode(`${text} `);
  const right = flags.includes("r");
  const kinds = ["seg", right ? "r" : "", !right && gold !== null ? "g" : "",
    !right && said !== null ? "p" : "", flags.includes("u") ? "u" : ""];
  const made = element("span", { class: kinds.filter(Boolean).join(" ") }, element("bdi", { text }));
  const tag = (kind, name, what) =>
    made.append(element("span", { class: `tag ${kind}`, title: what }, element("bdi", { text: name })));
  if (right && flags.includes("g")) tag("both", gold, "true, and said");
  if (!right && flags.includes("g")) tag("gold", gold, "true");
  if (!right && flags.includes("p")) tag("said", said, "said");
  const fragment = document.createDocumentFragment();
  fragment.append(made, " ");
  return fragment;
}

function verdict(row) {
  const list = (names) => names.length ? names.join(", ") : "nothing";
  const says = element("span", { class: row.right ? "says agrees" : "says" });
  if (row.right) says.append("right: ", element("em", {}, element("bdi", { text: list(row.gold) })));
  else says.append("true: ", element("bdi", { text: list(row.gold) }), " · said: ",
    element("em", {}, element("bdi", { text: list(row.predicted) })));
  return says;
}

function example(head, row) {
  const sure = row.sure === null ? "" : head.numeric
    ? `off by ${row.sure.toPrecision(3)}` : row.sure > .999 ? "over 99.9% sure"
      : `${(100 * row.sure).toFixed(1)}% sure`;
  const about = element("p", { class: "about" }, verdict(row),
    element("span", { text: sure }), element("span", { text: row.split }),
    element("code", { text: row.id, title: row.id }));
  const item = element("li", {}, about);
  if (row.segments.length) {
    item.append(element("p", { class: "tagged", dir: "auto" }, ...row.segments.map(segment)));
    if (row.more) item.append(element("p", { class: "hint", text: `… and ${row.more} more words` }));
  }
  (data.texts[head.corpus]?.[row.id] ?? []).forEach((text, place) => {
    if (!row.segments.length) {
      item.append(element("p", { text, dir: "auto", ...(place ? { class: "second" } : {}) }));
    }
  });
  return item;
}

function words(head, row) {
  const texts = row.segments.length ? row.segments.map((piece) => piece[0])
    : data.texts[head.corpus]?.[row.id] ?? [];
  return [row.id, ...texts, ...row.gold, ...row.predicted].join(" ").toLowerCase();
}

function choice(title, options, change) {
  const select = element("select", { onchange: change },
    ...options.map(([value, text]) => element("option", { value, text })));
  return [element("label", { text: title }, select), select];
}

function browser(place) {
  const head = data.heads[place.dataset.head];
  const far = head.numeric ? ["furthest off first", "nearest first"]
    : ["surest first", "least sure first"];
  let cell = null, page = 0;
  const anew = () => { page = 0; show(); };
  const [splitLabel, split] = choice("split", [["test", "test"], ["dev", "dev"], ["", "both"]], anew);
  const [whichLabel, which] = choice("rows", [["wrong", "wrong"], ["right", "right"], ["", "all"]], anew);
  const [orderLabel, order] = choice("order", [["down", far[0]], ["up", far[1]]], anew);
  const find = element("input", { type: "search", oninput: anew });
  const clear = element("button", { type: "button", hidden: true, onclick: () => choose(null) });
  const count = element("span", { "aria-live": "polite" });
  const list = element("ol", { class: "rows" });
  const turn = (by) => () => {
    page += by;
    show();
    place.scrollIntoView({ block: "start" });
  };
  const back = element("button", { type: "button", text: "Previous", onclick: turn(-1) });
  const on = element("button", { type: "button", text: "Next", onclick: turn(1) });
  place.append(
    element("div", { class: "controls" }, splitLabel, whichLabel, orderLabel,
      element("label", { text: "find" }, find), clear),
    list, element("div", { class: "pages" }, back, on, count));
  const matrix = document.querySelector(`.matrix[data-head="${CSS.escape(place.dataset.head)}"]`);

  function choose(next) {
    cell = next;
    matrix?.querySelectorAll("button").forEach((button) =>
      button.setAttribute("aria-pressed", String(button.dataset.cell === cell)));
    clear.hidden = cell === null;
    if (cell !== null) {
      const [actual, said] = cell.split(":").map((index) => head.labels[index]);
      clear.textContent = `true: ${actual} · said: ${said} ×`;
      split.value = "test";
      which.value = "";
      find.value = "";
    } else which.value = "wrong";
    anew();
  }

  function show() {
    const sought = find.value.trim().toLowerCase();
    const found = head.rows.filter((row) =>
      (!split.value || row.split === split.value)
      && (!which.value || row.right === (which.value === "right"))
      && (cell === null || row.cells.includes(cell))
      && (!sought || words(head, row).includes(sought)));
    const sign = order.value === "down" ? -1 : 1;
    found.sort((one, other) => sign * ((one.sure ?? 0) - (other.sure ?? 0)));
    const begin = page * PAGE, end = Math.min(found.length, begin + PAGE);
    list.replaceChildren(...found.slice(begin, end).map((row) => example(head, row)));
    if (!found.length) list.append(element("li", { class: "none", text: "There are none." }));
    count.textContent = found.length ? `${begin + 1} to ${end} of ${found.length}` : "";
    back.disabled = page === 0;
    on.disabled = end >= found.length;
  }

  matrix?.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    choose(button.dataset.cell);
    const title = document.getElementById(`head-${place.dataset.head}-examples`);
    title.focus({ preventScroll: true });
    title.scrollIntoView({ block: "start" });
  });
  show();
}

document.querySelectorAll(".examples").forEach(browser);
})();
