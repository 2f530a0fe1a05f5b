// Charts as SVG at the width that there is: text keeps its size, a narrow chart has fewer ticks, not smaller ones.

const $ = (selector) => element.querySelector(selector);
const SVG_NAME = "http://www.w3.org/2000/svg";
const COLOURS = { any: "var(--any)", alone: "var(--alone)", other: "var(--other)", fourth: "var(--fourth)", fifth: "var(--fifth)" };

function shape(tag, attributes, text) {
  const made = document.createElementNS(SVG_NAME, tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (["fill", "stroke"].includes(name)) made.style[name] = value; // so that var() is understood
    else made.setAttribute(name, value);
  }
  if (text !== undefined) made.textContent = text;
  return made;
}

function make(tag, fields = {}, ...children) {
  const made = Object.assign(document.createElement(tag), fields);
  made.append(...children);
  return made;
}

const percent = (share, digits = 1) => (share === null || share === undefined ? "–" : `${(100 * share).toFixed(digits)} %`);
const count = (value) => value.toLocaleString("en");
const pText = (p) => (p < 0.0001 ? "p < 0.0001" : p < 0.1 ? `p = ${p.toFixed(4)}` : `p = ${p.toFixed(2)}`);
const points = (value) => `${value >= 0 ? "+" : "−"}${Math.abs(100 * value).toFixed(1)}`;

// A mark whose form tells the kind where colour does not: circle, diamond, square, triangle, cross.
const MARKS = {
  any: "M0 -4.5a4.5 4.5 0 1 0 .01 0z", alone: "M0 -6l6 6l-6 6l-6 -6z", other: "M-4.5 -4.5h9v9h-9z", fourth: "M0 -6l6 10h-12z",
  fifth: "M-5 -5l10 10M5 -5l-10 10",
};

function markAt(kind, x, y) {
  const colour = COLOURS[kind];
  const open = kind === "fifth";
  return shape("path", { d: MARKS[kind], transform: `translate(${x} ${y})`, fill: open ? "none" : colour, stroke: open ? colour : "var(--vle-float)", "stroke-width": open ? 2.5 : 1 });
}

const bar = (kind, x1, y1, x2, y2) => shape("path", { d: `M${x1} ${y1}L${x2} ${y2}`, stroke: COLOURS[kind], "stroke-width": 2, fill: "none" });

function keyEntry(kind, text, line = "") {
  const sample = shape("svg", { viewBox: "-13 -7 26 14", "aria-hidden": "true" });
  if (line) sample.append(shape("path", { d: "M-13 0h26", stroke: COLOURS[kind], "stroke-width": 2.5, "stroke-dasharray": line === "solid" ? "none" : line }));
  if (line !== "7 4") sample.append(markAt(kind, 0, 0));
  return make("span", {}, sample, text);
}

const widthOf = (svg) => Math.max(260, Math.floor(svg.parentElement.clientWidth));

function prepare(svg, height) {
  const width = widthOf(svg);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.style.height = `${height}px`;
  svg.replaceChildren();
  return width;
}

// Axes of a chart over layers; returns where a layer and a share stand.
function layerAxes(svg, { height, first, last, label, low = 0, high = 1, shown = (share) => `${Math.round(100 * share)}` }) {
  const width = prepare(svg, height);
  const pad = { left: 46, right: 12, top: 26, bottom: 42 };
  const inner = width - pad.left - pad.right;
  const x = (layer) => pad.left + ((layer - first + 0.5) / (last - first + 1)) * inner;
  const y = (share) => pad.top + (1 - (share - low) / (high - low)) * (height - pad.top - pad.bottom);
  for (let k = 0; k <= 4; k++) {
    const share = low + (k / 4) * (high - low);
    svg.append(shape("path", { d: `M${pad.left} ${y(share)}H${width - pad.right}`, class: "grid-line", "stroke-width": 1 }));
    svg.append(shape("text", { x: pad.left - 7, y: y(share) + 4, "text-anchor": "end" }, shown(share)));
  }
  const every = [1, 2, 3, 6, 12].find((step) => (inner / (last - first + 1)) * step >= 24) ?? 12;
  for (let layer = first; layer <= last; layer++) {
    if ((layer === 1 && every > 1) || layer % every) continue;
    svg.append(shape("text", { x: x(layer), y: height - pad.bottom + 18, "text-anchor": "middle" }, layer));
  }
  svg.append(shape("text", { x: pad.left, y: 15 }, label));
  svg.append(shape("text", { x: pad.left + inner / 2, y: height - 6, "text-anchor": "middle" }, "layer of the encoder that is read"));
  return { width, height, pad, x, y, first, last, per: inner / (last - first + 1) };
}

function bracketGroups(svg, axes, groups) {
  const edges = groups.slice(1).map(([, from]) => axes.x(from) - axes.per / 2);
  edges.forEach((edge) => svg.append(shape("path", { d: `M${edge} ${axes.pad.top}V${axes.height - axes.pad.bottom}`, class: "group" })));
  for (const [name, from, to] of groups) {
    const room = axes.per * (to - from + 1);
    if (room > 46) svg.append(shape("text", { x: (axes.x(from) + axes.x(to)) / 2, y: axes.height - axes.pad.bottom - 7, class: "faint", "text-anchor": "middle" }, name));
  }
}

// Go through the entries of a chart by pointer and by key; each is {at: [x, y], say: text}.
function explore(svg, readout, entries, across, extent) {
  svg.entries = { readout, entries, across, extent };
  if (svg.listens) return;
  svg.listens = true;
  let now = -1;
  const show = (k) => {
    const { readout: place, entries: known, across: sideways, extent: [from, to] } = svg.entries;
    now = Math.max(0, Math.min(known.length - 1, k));
    svg.querySelector(".cursor")?.remove();
    if (!known.length) return;
    const [x, y] = known[now].at;
    svg.append(shape("path", { d: sideways ? `M${x} ${from}V${to}` : `M${from} ${y + 12}H${to}`, class: "cursor", "pointer-events": "none" }));
    place.textContent = known[now].say;
  };
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const at = [event.clientX - box.left, event.clientY - box.top];
    const far = ({ at: [x, y] }) => (svg.entries.across ? Math.abs(x - at[0]) : Math.abs(y - at[1]));
    const known = svg.entries.entries;
    if (known.length) show(known.reduce((best, one, k) => (far(one) < far(known[best]) ? k : best), 0));
  });
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    show(now < 0 ? 0 : now + step);
  });
}

// Rows with a mark and an interval each: {name, values: [{kind, value, low, high}], say}; from `low` to `high`.
function rowChart(svg, readout, rows, { low, high, ticks, label, shown }) {
  const height = 34 + 28 * rows.length + 22;
  const width = prepare(svg, height);
  const narrow = width < 520;
  const longest = Math.max(...rows.map((row) => row.name.length));
  const left = Math.min(narrow ? width * 0.46 : 250, 14 + 7.6 * longest);
  const fits = Math.floor((left - 12) / 7.5);
  const x = (value) => left + ((value - low) / (high - low)) * (width - left - 22);
  for (const tick of ticks) {
    svg.append(shape("path", { d: `M${x(tick)} 24V${height - 20}`, class: tick === 0 && low < 0 ? "axis-line" : "grid-line" }));
    svg.append(shape("text", { x: x(tick), y: height - 4, "text-anchor": "middle" }, shown(tick)));
  }
  svg.append(shape("text", { x: narrow ? 0 : left, y: 14, class: "faint" }, label));
  const entries = rows.map((row, k) => {
    const y = 40 + 28 * k;
    const text = row.name.length > fits ? `${row.name.slice(0, fits - 1)}…` : row.name;
    const name = shape("text", { x: left - 10, y: y + 4, "text-anchor": "end" }, text);
    name.append(shape("title", {}, row.name));
    svg.append(name);
    row.values.forEach((one, at) => {
      const place = y + (row.values.length > 1 ? (at ? 6 : -6) : 0);
      if (one.low !== null) svg.append(bar(one.kind, x(Math.max(low, one.low)), place, x(Math.min(high, one.high)), place));
      svg.append(markAt(one.kind, x(one.value), place));
    });
    return { at: [x(row.values[0]?.value ?? 0), y], say: row.say };
  });
  explore(svg, readout, entries, false, [left, width - 22]);
}
