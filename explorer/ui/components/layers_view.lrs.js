// The layer × layer matrix with its axes, and the groups of layers above it.

const PAD = { left: 44, top: 44, right: 10, bottom: 42 };
const MAX_MAP_PX = 400;
const SVG = "http://www.w3.org/2000/svg";
const axes = $(".axes");
let cell = null; // (row, column) under the keyboard
let over = null; // under the pointer
let side = 0; // of the matrix, in CSS pixels

function shape(tag, attributes, text) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

const lrsShown = () => (S.over === "all" && D.overall ? D.overall.lrs : D.lrs)[S.kind];

// The matrix on show: {values: Float32Array [L * L], range, table, unit, ends}.
function matrixShown() {
  const mean = lrsShown().mean;
  if (S.difference && D.paper) {
    const unit = "measured − digitised";
    return { values: differenceFromPaper(mean), range: [-1, 1], table: DIVERGING, unit, ends: ["−1.00", "1.00"] };
  }
  const [low, high] = extent(mean);
  const unit = S.kind === "cka" ? "linear CKA" : "cosine";
  if (S.lrsScale === "fixed") {
    return { values: mean, range: [0, 1], table: CIVIDIS, unit, ends: [low < 0 ? "≤ 0.00" : "0.00", "1.00"] };
  }
  return { values: mean, range: [low, high], table: CIVIDIS, unit, ends: [shown(low), shown(high)] };
}

// Mean of a block of the matrix without its diagonal; NaN for a single cell of the diagonal.
function blockMean(mean, [a, b], [c, d]) {
  let sum = 0;
  let count = 0;
  for (let i = a; i <= b; i++) {
    for (let j = c; j <= d; j++) {
      if (i === j) continue;
      sum += mean[i * D.L + j];
      count += 1;
    }
  }
  return sum / count;
}

// Where the paper's figure was read as block means, each cell of the block shows the difference of the means.
function differenceFromPaper(mean) {
  const values = new Float32Array(D.L * D.L).fill(NaN);
  D.paper.ranges.forEach((rows, a) =>
    D.paper.ranges.forEach((columns, b) => {
      const difference = blockMean(mean, rows, columns) - D.paper.blocks[a][b];
      for (let i = rows[0]; i <= rows[1]; i++) values.fill(difference, i * D.L + columns[0], i * D.L + columns[1] + 1);
    }),
  );
  for (const [i, j, read] of D.paper.pairs) values[i * D.L + j] = values[j * D.L + i] = mean[i * D.L + j] - read;
  return values;
}

function cellSentence(i, j) {
  const { values } = matrixShown();
  const value = values[i * D.L + j];
  const said = lrsShown();
  const error = said.stderr[i * D.L + j];
  const many = said.pictures > 1 ? ` (mean of ${said.pictures} pictures, standard error ${shown(error)})` : "";
  if (Number.isNaN(value)) return `Layers ${i} and ${j}: nothing to compare`;
  if (S.difference && D.paper) {
    const read = D.paper.pairs.some(([a, b]) => (a === i && b === j) || (a === j && b === i));
    return `Layers ${i} and ${j}: ${shown(value)} beside the paper's ${read ? "pair" : "mean of this block"} (digitised)`;
  }
  return `Layers ${i} and ${j}: ${S.kind === "cka" ? "CKA" : "cosine"} ${shown(value)}${many}`;
}

function paintMatrix() {
  const { values, range, table, unit, ends } = matrixShown();
  const heat = $(".heat");
  heat.width = heat.height = D.L;
  heat.getContext("2d").putImageData(tint(new ImageData(D.L, D.L), values, range, table), 0, 0);
  drawBar($(".lrs-bar"), table);
  $(".lrs-low").textContent = ends[0];
  $(".lrs-high").textContent = ends[1];
  $(".lrs-unit").textContent = unit;
  side = Math.max(120, Math.min($(".map").clientWidth - PAD.left - PAD.right, MAX_MAP_PX));
  Object.assign(heat.style, { left: `${PAD.left}px`, top: `${PAD.top}px`, width: `${side}px`, height: `${side}px` });
  axes.setAttribute("width", side + PAD.left + PAD.right);
  axes.setAttribute("height", side + PAD.top + PAD.bottom);
  paintAxes();
  paintMeans();
}

const layerX = (layer) => PAD.left + (layer * side) / D.L;
const layerY = (layer) => PAD.top + (layer * side) / D.L;

function paintAxes() {
  const focus = document.activeElement?.closest?.(".handle")?.dataset.boundary;
  const size = side / D.L;
  const every = [1, 2, 3, 4, 6, 8, 12].find((step) => step * size >= 22) ?? 24;
  const made = [];
  for (let layer = 0; layer < D.L; layer += every) {
    made.push(shape("text", { x: layerX(layer + 0.5), y: layerY(D.L) + 18, class: "tick", "text-anchor": "middle" }, layer));
    made.push(shape("text", { x: PAD.left - 9, y: layerY(layer + 0.5) + 4, class: "tick", "text-anchor": "end" }, layer));
  }
  const middle = side / 2;
  made.push(shape("text", { x: PAD.left + middle, y: layerY(D.L) + 36, class: "axis", "text-anchor": "middle" }, "layer"));
  const turned = `rotate(-90 13 ${PAD.top + middle})`;
  made.push(shape("text", { x: 13, y: PAD.top + middle, class: "axis", "text-anchor": "middle", transform: turned }, "layer"));
  made.push(...groupShapes(), ...layerMarks(size));
  for (const [at, name] of [[S.mode === "change" ? [S.from, S.layer] : null, "pair"], [over ?? focusedCell(), "cursor"]]) {
    if (!at) continue;
    for (const look of ["halo", name]) {
      made.push(shape("rect", { x: layerX(at[1]), y: layerY(at[0]), width: size, height: size, class: look }));
    }
  }
  axes.replaceChildren(...made);
  if (focus !== undefined) axes.querySelector(`.handle[data-boundary="${focus}"]`)?.focus();
  readMatrix();
}

const focusedCell = () => (document.activeElement === axes ? cell : null);

// Small triangles at both axes for the layer on the picture.
function layerMarks(size) {
  const [x, y] = [layerX(S.layer + 0.5), layerY(S.layer + 0.5)];
  const [below, left] = [layerY(D.L) + 1, PAD.left - 1];
  const half = Math.min(5, size / 2);
  return [
    shape("path", { d: `M${x} ${below}l${half} ${half}h${-2 * half}z`, class: "layer-mark" }),
    shape("path", { d: `M${left} ${y}l${-half} ${half}v${-2 * half}z`, class: "layer-mark" }),
  ];
}

function readMatrix() {
  const at = over ?? focusedCell() ?? (S.mode === "change" ? [S.from, S.layer] : null);
  $(".lrs-readout").textContent = at ? cellSentence(...at) : "Point at a square to read it; click it to see the change.";
  const mark = $(".lrs-mark");
  mark.hidden = !at;
  if (!at) return;
  const { values, range } = matrixShown();
  const value = values[at[0] * D.L + at[1]];
  mark.hidden = Number.isNaN(value);
  mark.style.left = `${100 * Math.min(1, Math.max(0, (value - range[0]) / (range[1] - range[0] || 1)))}%`;
}

function cellAt(event) {
  const box = axes.getBoundingClientRect();
  const column = Math.floor(((event.clientX - box.left - PAD.left) / side) * D.L);
  const row = Math.floor(((event.clientY - box.top - PAD.top) / side) * D.L);
  return column >= 0 && row >= 0 && column < D.L && row < D.L ? [row, column] : null;
}

function listenToMatrix(open) {
  axes.addEventListener("pointermove", (event) => {
    if (!D || dragged >= 0) return;
    const at = cellAt(event);
    axes.style.cursor = at ? "pointer" : "";
    if (String(at) === String(over)) return;
    over = at;
    paintAxes();
  });
  axes.addEventListener("pointerleave", () => {
    over = null;
    if (D) paintAxes();
  });
  axes.addEventListener("click", (event) => {
    const at = D && dragged < 0 && cellAt(event);
    if (at) open(...(cell = at));
  });
  axes.addEventListener("keydown", (event) => {
    if (!D || event.target !== axes || event.ctrlKey || event.metaKey || event.altKey) return;
    const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    cell ??= [Math.min(S.from, D.L - 1), S.layer];
    if (move) {
      event.preventDefault();
      over = null;
      cell = cell.map((at, axis) => Math.min(D.L - 1, Math.max(0, at + move[axis])));
      paintAxes();
      announce(cellSentence(...cell));
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      open(...cell);
    }
  });
  axes.addEventListener("focus", () => {
    if (!D) return;
    cell ??= [S.from, S.layer];
    paintAxes();
  });
  axes.addEventListener("blur", () => D && paintAxes());
}
