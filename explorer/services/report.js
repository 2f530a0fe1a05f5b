// The interactive part of a report: one picture at a time, all from the arrays in the page; nothing is asked of anybody.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const bytes = (text) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
const floats = (text) => new Float32Array(bytes(text).buffer);
const cosine = (code) => (2 * code) / 254 - 1;
const SVG = "http://www.w3.org/2000/svg";

function make(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function drawn(tag, attributes, text) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function shade(share) {
  const at = Math.min(1, Math.max(0, share)) * (data.colours.length - 1);
  const below = Math.min(Math.floor(at), data.colours.length - 2);
  return data.colours[below].map((from, c) => from + (at - below) * (data.colours[below + 1][c] - from));
}

// ---- one picture ---------------------------------------------------------------------------------------------------

function unpack(said) {
  const [rows, columns] = said.grid;
  return {
    ...said, rows, columns, P: rows * columns, L: said.layers, change: bytes(said.change),
    norm: floats(said.norm), joint: bytes(said.joint), each: bytes(said.each),
    maps: said.maps.map((map) => ({ ...map, places: new Int16Array(bytes(map.places).buffer) })), sketch: new Int8Array(bytes(said.sketch).buffer),
    scale: floats(said.scale),
    attention: said.attention && { ...said.attention, mean: floats(said.attention.mean), codes: bytes(said.attention.codes), tops: floats(said.attention.tops) },
    match: said.text && floats(said.text.cosines),
  };
}

const pair = (i, j, count) => {
  const [a, b] = i < j ? [i, j] : [j, i];
  return a * count - (a * (a + 1)) / 2 + (b - a - 1);
};

// Cosines of the chosen patch with all: inner products of the short vectors, sums of code · code · scale².
function alike(D, layer, patch) {
  const K = D.scale.length / D.L;
  const from = (layer * D.P + patch) * K;
  const chosen = Float32Array.from({ length: K }, (_, k) => D.sketch[from + k] * D.scale[layer * K + k] ** 2);
  return Float32Array.from({ length: D.P }, (_, other) => {
    if (other === patch) return 1;
    let sum = 0;
    for (let k = 0, at = (layer * D.P + other) * K; k < K; k++) sum += chosen[k] * D.sketch[at + k];
    return sum;
  });
}

function howAlike(D) {
  const K = D.scale.length / D.L;
  return ` From the ${K} main directions of each layer, which hold at least ${(Math.floor(1000 * D.held) / 10).toFixed(1)} % ` +
    `of the vectors' squared length: no cosine is off by more than ${(Math.ceil(1000 * D.off) / 1000).toFixed(3)}.`;
}

// The CLS token's attention in a block, in percent: the mean of all heads, or one head.
function attended(D, layer, head) {
  const { mean, heads, codes, tops } = D.attention;
  const row = (layer - 1) * heads + head;
  const [shares, unit] = head < 0 ? [mean.subarray((layer - 1) * D.P, layer * D.P), 100] : [codes.subarray(row * D.P, (row + 1) * D.P), (100 * tops[row]) / 255];
  return Float32Array.from(shares, (share) => share * unit);
}

// Each view gives the values of a layer, or colours; null where there is nothing.
const MODES = {
  pca: { unit: "no unit: equal colours are alike", colours: (D) => D.joint },
  each: { unit: "no unit: equal colours are alike", colours: (D) => D.each },
  change: {
    unit: "1 − cosine", range: [0, 1],
    values: (D, layer, S) => Float32Array.from({ length: D.P }, (_, k) =>
      layer === S.from ? 0 : 1 - cosine(D.change[pair(layer, S.from, D.L) * D.P + k])),
  },
  similar: {
    unit: "cosine with the chosen patch", range: [0, 1], more: howAlike,
    values: (D, layer, S) => alike(D, layer, S.patch),
  },
  text: {
    unit: "cosine with the text", needs: "match", more: (D) => ` The text: “${D.text.said}”.`,
    values: (D, layer) => D.match.slice(layer * D.P, (layer + 1) * D.P),
  },
  attention: {
    unit: "% of the CLS token's attention", needs: "attention",
    more: (D, S) => ` ${S.head < 0 ? `Mean of the ${D.attention.heads} heads` : `Head ${S.head + 1}`}; layer k shows block k.`,
    values: (D, layer, S) => layer && attended(D, layer, S.head),
  },
  norm: { unit: "length of the vector", values: (D, layer) => D.norm.slice(layer * D.P, (layer + 1) * D.P) },
};

class Look {
  constructor(host, said, picture) {
    this.D = unpack(said);
    const middle = Math.round(0.75 * (this.D.L - 1));
    this.S = { mode: "pca", layer: middle, from: Math.max(1, Math.round(middle / 6)), head: -1, map: 0, patch: Math.floor(this.D.P / 2), ...data.opened };
    this.picture = picture;
    this.build(host);
    this.draw();
  }

  build(host) {
    const { D, S } = this;
    const number = Number(host.dataset.look);
    const modes = Object.entries(data.views).filter(([id]) => !MODES[id].needs || D[MODES[id].needs]);
    this.mode = make("select", { onchange: () => this.set({ mode: this.mode.value }) }, ...modes.map(([id, name]) => new Option(name, id)));
    this.layer = make("input", { type: "range", min: 0, max: D.L - 1, value: S.layer, oninput: () => this.set({ layer: Number(this.layer.value) }) });
    this.from = make("input", { type: "range", min: 0, max: D.L - 1, value: S.from, oninput: () => this.set({ from: Number(this.from.value) }) });
    this.layerOut = make("output");
    this.fromOut = make("output");
    this.head = make("select", { onchange: () => this.set({ head: Number(this.head.value) }) }, new Option("mean of all heads", -1),
      ...Array.from({ length: D.attention?.heads ?? 0 }, (_, head) => new Option(`head ${head + 1}`, head)));
    this.headLabel = make("label", {}, "Heads ", this.head);
    this.fromLabel = make("label", {}, "compared with layer ", this.from, this.fromOut);
    this.big = make("canvas", { className: "big", tabIndex: 0 });
    this.big.setAttribute("role", "application");
    this.big.setAttribute("aria-label", `Picture ${number + 1} as patches: arrow keys move, [ and ] change the layer`);
    this.said = make("p", { className: "said" });
    this.said.setAttribute("aria-live", "polite");
    this.strip = make("div", { className: "strip live" });
    for (let layer = 0; layer < D.L; layer++) {
      const frame = make("button", { type: "button", onclick: () => this.set({ layer }) }, make("canvas", { width: D.columns, height: D.rows }), String(layer));
      frame.setAttribute("aria-label", `layer ${layer}`);
      this.strip.append(frame);
    }
    this.map = make("canvas", { className: "map", width: 640, height: 640 });
    this.map.setAttribute("role", "img");
    this.map.setAttribute("aria-label", "Map of the tokens of this layer, laid out together with other layers");
    this.mapChoice = make("select", { onchange: () => this.set({ map: Number(this.mapChoice.value) }) }, ...D.maps.map(({ name }, k) => new Option(name, k)));
    this.mapSaid = make("p", { className: "quiet" });
    this.facts = make("div", { className: "facts" });
    host.replaceChildren(
      make("h3", { textContent: "Layer by layer" }),
      make("div", { className: "controls" }, make("label", {}, "Show ", this.mode), make("label", {}, "Layer ", this.layer, this.layerOut), this.fromLabel, this.headLabel),
      this.strip,
      make("div", { className: "pair" }, make("figure", {}, this.big, make("figcaption", {}, this.said)), make("figure", {}, make("label", {}, "Map of the tokens by ", this.mapChoice), this.map, make("figcaption", {}, this.mapSaid))),
      make("h3", { textContent: "Facts of each layer, of this picture alone" }), this.facts,
    );
    this.big.addEventListener("click", (event) => this.choose(this.under(event, this.big, D.columns, D.rows)));
    this.map.addEventListener("click", (event) => this.choose(this.nearest(event)));
    this.big.addEventListener("keydown", (event) => this.key(event));
  }

  under(event, canvas, columns, rows) {
    const box = canvas.getBoundingClientRect();
    const [x, y] = [Math.floor(((event.clientX - box.left) / box.width) * columns), Math.floor(((event.clientY - box.top) / box.height) * rows)];
    return Math.min(rows - 1, Math.max(0, y)) * columns + Math.min(columns - 1, Math.max(0, x));
  }

  nearest(event) {
    const box = this.map.getBoundingClientRect();
    const at = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    if (!this.spot(0)) return this.S.patch;
    const far = (patch) => Math.hypot(...this.spot(patch).map((value, axis) => value - at[axis]));
    return [...Array(this.D.P).keys()].reduce((best, patch) => (far(patch) < far(best) ? patch : best), 0);
  }

  // Where a patch lies on the chosen map, as shares of its side; null where the map does not hold the layer.
  spot(patch) {
    const { layers, places } = this.D.maps[this.S.map];
    const row = layers.indexOf(this.S.layer);
    const at = 2 * (row * this.D.P + patch);
    return row < 0 ? null : [0.5 + (0.46 * places[at]) / 32767, 0.5 - (0.46 * places[at + 1]) / 32767];
  }

  choose(patch) {
    this.set({ patch, mode: MODES[this.S.mode].colours ? "similar" : this.S.mode });
  }

  key(event) {
    const { D, S } = this;
    const step = { "[": -1, "]": 1 }[event.key];
    const move = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -D.columns, ArrowDown: D.columns }[event.key];
    if (step === undefined && move === undefined) return;
    event.preventDefault();
    if (step) this.set({ layer: Math.min(D.L - 1, Math.max(0, S.layer + step)) });
    else if (S.patch + move >= 0 && S.patch + move < D.P) this.choose(S.patch + move);
  }

  set(change) {
    Object.assign(this.S, change);
    this.draw();
  }

  range() {
    const mode = MODES[this.S.mode];
    if (mode.range || mode.colours) return mode.range;
    let [low, high] = [Infinity, -Infinity];
    for (let layer = 0; layer < this.D.L; layer++) {
      for (const value of mode.values(this.D, layer, this.S) || []) [low, high] = [Math.min(low, value), Math.max(high, value)];
    }
    return [low, high];
  }

  image(layer, range) {
    const { D, S } = this;
    const image = new ImageData(D.columns, D.rows);
    const colours = MODES[S.mode].colours?.(D);
    const values = colours ? null : MODES[S.mode].values(D, layer, S);
    if (!colours && !values) return image;
    for (let k = 0; k < D.P; k++) {
      const at = 3 * (layer * D.P + k);
      const colour = colours ? colours.subarray(at, at + 3) : shade((values[k] - range[0]) / (range[1] - range[0] || 1));
      image.data.set([...colour, 255], 4 * k);
    }
    return image;
  }

  draw() {
    const { D, S } = this;
    const range = this.range();
    this.mode.value = S.mode;
    this.layer.value = S.layer;
    this.from.value = S.from;
    this.layerOut.textContent = ` ${S.layer}`;
    this.fromOut.textContent = ` ${S.from}`;
    this.fromLabel.hidden = S.mode !== "change";
    this.headLabel.hidden = S.mode !== "attention";
    this.head.value = S.head;
    [...this.strip.children].forEach((frame, layer) => {
      frame.setAttribute("aria-pressed", layer === S.layer);
      frame.firstChild.getContext("2d").putImageData(this.image(layer, range), 0, 0);
    });
    this.drawBig(range);
    this.drawMap();
    this.drawFacts();
    const mode = MODES[S.mode];
    const value = mode.colours ? "" : mode.values(D, S.layer, S)?.[S.patch];
    const place = `row ${Math.floor(S.patch / D.columns) + 1}, column ${(S.patch % D.columns) + 1}`;
    const ends = range ? ` Dark ${range[0].toFixed(2)}, bright ${range[1].toFixed(2)}.` : "";
    this.said.textContent = `Layer ${S.layer}, ${data.views[S.mode]}: ${mode.unit}.${ends}${mode.more?.(D, S) ?? ""} Chosen patch (outlined): ${place}` +
      (typeof value === "number" ? `, ${value.toFixed(2)}.` : ".") + " Click another.";
    const { name, layers, span } = D.maps[S.map];
    const axes = name === "PCA"
      ? `Two principal components shared by all layers, axes from −${span.toFixed(2)} to ${span.toFixed(2)}.`
      : `${name} lays layers ${layers.length === D.L ? `0 to ${D.L - 1}` : layers.join(", ")} out together; its axes have no unit, near dots are alike.`;
    this.mapSaid.textContent = (layers.includes(S.layer) ? `Tokens of layer ${S.layer}: each dot is a patch, coloured by its place in the picture; ` +
      "the ring is the chosen one. " : `This map does not hold layer ${S.layer}. `) + axes;
  }

  drawBig(range) {
    const { D, S } = this;
    const [width, height] = [this.picture.naturalWidth || D.columns, this.picture.naturalHeight || D.rows];
    const scale = 640 / width;
    [this.big.width, this.big.height] = [640, Math.round(height * scale)];
    const context = this.big.getContext("2d");
    context.drawImage(this.picture, 0, 0, this.big.width, this.big.height);
    const small = make("canvas", { width: D.columns, height: D.rows });
    small.getContext("2d").putImageData(this.image(S.layer, range), 0, 0);
    context.imageSmoothingEnabled = false;
    context.globalAlpha = 0.75;
    context.drawImage(small, 0, 0, this.big.width, this.big.height);
    context.globalAlpha = 1;
    const [w, h] = [this.big.width / D.columns, this.big.height / D.rows];
    const box = [(S.patch % D.columns) * w, Math.floor(S.patch / D.columns) * h, w, h];
    for (const [colour, line] of [["#fff", 7], ["#b3123f", 3.5]]) {
      Object.assign(context, { strokeStyle: colour, lineWidth: line });
      context.strokeRect(...box);
    }
  }

  drawMap() {
    const { D, S } = this;
    const context = this.map.getContext("2d");
    const size = this.map.width;
    context.clearRect(0, 0, size, size);
    if (!this.spot(0)) return;
    for (let k = 0; k < D.P; k++) {
      const [x, y] = this.spot(k).map((share) => share * size);
      const hue = (360 * (k % D.columns)) / D.columns;
      context.fillStyle = `hsl(${hue} 70% ${35 + (30 * Math.floor(k / D.columns)) / D.rows}%)`;
      context.beginPath();
      context.arc(x, y, 6, 0, 7);
      context.fill();
    }
    const [x, y] = this.spot(S.patch).map((share) => share * size);
    for (const [colour, line] of [["#fff", 6], ["#b3123f", 3]]) {
      Object.assign(context, { strokeStyle: colour, lineWidth: line });
      context.beginPath();
      context.arc(x, y, 11, 0, 7);
      context.stroke();
    }
  }

  drawFacts() {
    const { facts } = this.D;
    this.facts.replaceChildren(
      chart("Effective rank", "how many directions the patches use (Roy and Vetterli 2007)", { rank: facts.rank }, this.S.layer),
      chart("Anisotropy", "mean cosine of two patches: 1 says that all look the same", { anisotropy: facts.anisotropy }, this.S.layer),
      chart("Locality", `mean cosine of neighbours and of patches ${facts.apart} apart`, { neighbours: facts.near, [`${facts.apart} apart`]: facts.far }, this.S.layer),
      chart("Place", "how well a line reads row and column (cross-validated R²)", { row: facts.row, column: facts.column }, this.S.layer),
    );
  }
}

// ---- charts and the matrix -----------------------------------------------------------------------------------------

function chart(title, meaning, lines, layer) {
  const known = Object.values(lines).flat().filter((value) => value !== null);
  const [low, high] = [Math.min(0, ...known), Math.max(1e-9, ...known)];
  const count = Object.values(lines)[0].length;
  const x = (k) => 34 + (k * 250) / Math.max(1, count - 1);
  const y = (value) => 100 - (90 * (value - low)) / (high - low || 1);
  const svg = drawn("svg", { viewBox: "0 0 300 124", role: "img", "aria-label": `${title} of layers 0 to ${count - 1}` });
  svg.append(
    drawn("line", { x1: 34, x2: 284, y1: y(low), y2: y(low), class: "bracket" }),
    drawn("line", { x1: x(layer), x2: x(layer), y1: 8, y2: 100, class: "here" }),
    drawn("text", { x: 30, y: y(low) + 3, "text-anchor": "end" }, low.toFixed(1)), drawn("text", { x: 30, y: y(high) + 6, "text-anchor": "end" }, high.toFixed(1)),
    drawn("text", { x: 34, y: 116, "text-anchor": "middle" }, 0), drawn("text", { x: 284, y: 116, "text-anchor": "middle" }, count - 1),
    drawn("text", { x: 159, y: 120, "text-anchor": "middle" }, "layer"),
  );
  const told = Object.entries(lines).map(([name, values], number) => {
    const points = values.flatMap((value, k) => (value === null ? [] : [`${x(k).toFixed(1)},${y(value).toFixed(1)}`])).join(" ");
    svg.append(drawn("polyline", { points, class: `line line-${number}` }));
    return `${name}${number ? " (dashed)" : ""} ${values[layer] === null ? "–" : values[layer].toFixed(2)}`;
  });
  return make("figure", {}, make("b", { textContent: title }), svg, make("figcaption", { textContent: `${meaning}. Layer ${layer}: ${told.join(", ")}.` }));
}

async function start() {
  const looks = [];
  for (const host of document.querySelectorAll(".look")) {
    const picture = host.closest("section").querySelector("img");
    await picture.decode().catch(() => {});
    looks.push(new Look(host, data.looks[Number(host.dataset.look)], picture));
  }
  const cells = [...document.querySelectorAll("figure.main svg.lrs > rect:not(.frame)")];
  const L = Math.round(Math.sqrt(cells.length));
  cells.forEach((cell, k) => cell.addEventListener("click", () => {
    const [i, j] = [Math.floor(k / L), k % L];
    for (const look of looks) look.set({ from: Math.min(i, j), layer: Math.max(i, j), mode: i === j ? look.S.mode : "change" });
    document.querySelector(".look")?.scrollIntoView({ block: "start" });
  }));
}

start();
