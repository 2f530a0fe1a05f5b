// Shared by all parts of the view: its elements, what is chosen, small tools.

const SVG = "http://www.w3.org/2000/svg";
const MOST_CHECKPOINTS = 6;
const LIGHT = ["#0072b2", "#c65200", "#00845f", "#a8487f", "#8a6500", "#3d4650"];
const DARK = ["#56b4e9", "#ff9d5c", "#35c79a", "#e29ac4", "#f0e442", "#d9dde2"];
const DASHES = ["", "8 4", "2 4", "10 4 2 4", "5 3", "14 4"];
const MARKS = ["circle", "square", "triangle", "diamond", "cross", "ring"];

const $ = (selector) => element.querySelector(selector);
const all = (selector) => [...element.querySelectorAll(selector)];
const root = $(".sx");
const plain = (value) => (value == null ? null : JSON.parse(JSON.stringify(value))); // the proxy is slow
const on = (selector, kind, act) => all(selector).forEach((one) => one.addEventListener(kind, act));
const announce = (text) => ($(".live").textContent = text);
const dark = () => document.body.classList.contains("dark");
const colourOf = (k) => (dark() ? DARK : LIGHT)[k % LIGHT.length];

const S = {
  view: "build",
  scene: null, // the record as the server reads it
  selected: -1, // index of a thing, "sign", or -1
  question: "",
  chosen: [], // ids of checkpoints
  undo: [],
  redo: [],
  number: 0, // of the scene, from ``tick``
  layer: 18,
};
let tick = 0; // numbers scenes and questions in the order they were made
let palette = null; // what a scene can hold
let known = []; // checkpoints
let current = {}; // the picture on show in the page

function make(tag, attributes = {}, ...children) {
  const made = Object.assign(document.createElement(tag), attributes);
  made.append(...children);
  return made;
}

function shape(tag, attributes, text) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function problem(text) {
  $(".problem").textContent = text || "";
  $(".problem").hidden = !text;
}

// A number for people; null is what was not measured.
function shown(value, digits = 2) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const text = value.toFixed(digits);
  return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "−");
}

const percent = (value) => (value === null || value === undefined ? "–" : `${Math.round(100 * value)} %`);
const titleOf = (id) => known.find((one) => one.id === id)?.title ?? id;
const readsOf = (id) => known.find((one) => one.id === id)?.reads ?? "";
const nameOf = (id) => [titleOf(id), readsOf(id)].filter(Boolean).join(" · ");

function fillTable(table, [head, ...rows]) {
  const line = (cells, tag) =>
    make("tr", {}, ...cells.map((cell, k) => make(k === 0 ? "th" : tag, { textContent: cell ?? "–", scope: k === 0 ? "row" : "" })));
  table.tHead.replaceChildren(make("tr", {}, ...head.map((cell) => make("th", { textContent: cell, scope: "col" }))));
  table.tBodies[0].replaceChildren(...rows.map((row) => line(row, "td")));
}

// ---- checkpoints ---------------------------------------------------------------------------------------------------

// A short piece of the checkpoint's line with its mark.
function sample(k) {
  const svg = shape("svg", { width: 34, height: 14, "aria-hidden": "true" });
  svg.append(
    shape("line", { x1: 1, x2: 33, y1: 7, y2: 7, stroke: colourOf(k), "stroke-width": 2.2, "stroke-dasharray": DASHES[k] }),
    mark(k, 17, 7),
  );
  return svg;
}

function mark(k, x, y, r = 4.2) {
  const fill = { fill: colourOf(k) };
  const line = { fill: "none", stroke: colourOf(k), "stroke-width": 2 };
  const draw = {
    circle: () => shape("circle", { cx: x, cy: y, r, ...fill }),
    square: () => shape("rect", { x: x - r, y: y - r, width: 2 * r, height: 2 * r, ...fill }),
    triangle: () => shape("path", { d: `M${x} ${y - r - 1}l${r + 1} ${2 * r}h${-2 * r - 2}z`, ...fill }),
    diamond: () => shape("path", { d: `M${x} ${y - r - 1.5}l${r + 1} ${r + 1.5}l${-r - 1} ${r + 1.5}l${-r - 1} ${-r - 1.5}z`, ...fill }),
    cross: () => shape("path", { d: `M${x - r} ${y - r}l${2 * r} ${2 * r}m0 ${-2 * r}l${-2 * r} ${2 * r}`, ...line }),
    ring: () => shape("circle", { cx: x, cy: y, r, ...line }),
  };
  return draw[MARKS[k % MARKS.length]]();
}

// One behind a server is on another machine, and answers where somebody chose it.
const canAnswer = (one) => one.here || (current.checkpoints ?? []).includes(one.id);

function paintChips() {
  $(".nobody").hidden = !palette || known.length > 0;
  $(".chips").replaceChildren(
    ...known.map((one) => {
      const at = S.chosen.indexOf(one.id);
      const chip = make(
        "button", { type: "button", className: "chip", disabled: !canAnswer(one), title: [one.id, one.knows].filter(Boolean).join("\n") },
        ...(at >= 0 ? [sample(at)] : []),
        make("span", { textContent: one.title }),
        make("small", { textContent: one.swap ? `${one.reads}, untrained swap` : canAnswer(one) ? one.reads : "not on this machine" }),
      );
      chip.dataset.id = one.id;
      chip.setAttribute("aria-pressed", at >= 0);
      return chip;
    }),
  );
}

function chooseCheckpoint(id) {
  const chosen = S.chosen.includes(id) ? S.chosen.filter((one) => one !== id) : [...S.chosen, id];
  if (chosen.length > MOST_CHECKPOINTS) return problem(`At most ${MOST_CHECKPOINTS} checkpoints answer side by side: take one away first.`);
  problem("");
  S.chosen = known.map((one) => one.id).filter((one) => chosen.includes(one));
  paintChips();
  element.querySelector(`.chip[data-id="${CSS.escape(id)}"]`)?.focus();
  trigger("checkpoints_chosen", { checkpoints: S.chosen });
  askAgain();
}
