// Facts of each layer as small charts; a click on one chooses the layer.

const SVG = "http://www.w3.org/2000/svg";
const CHART = { width: 300, height: 178, left: 42, right: 10, top: 10, bottom: 36 };
let F = null; // facts as received
let factsOf = ""; // what they are about

const CHARTS = [
  {
    id: "effective_rank", title: "Directions in use (effective rank)", axis: "directions", from: 0,
    lines: () => [F.effective_rank],
    value: (layer) => `Layer ${layer}: ${told(F.effective_rank, layer, 1)} of at most ${Math.min(F.patches - 1, D.encoder.width)} directions`,
    means: "How many directions the patches of a layer spread over: 1 if all lie on one line, more the more different they are.",
    source: "Measure: Roy and Vetterli 2007, effective rank; the mean patch is taken away first.",
  },
  {
    id: "anisotropy", title: "All patches alike? (anisotropy)", axis: "mean cosine", from: 0, to: 1,
    lines: () => [F.anisotropy],
    value: (layer) => `Layer ${layer}: mean cosine ${told(F.anisotropy, layer, 2)}`,
    means: "Mean cosine of two different patches: near 0 they point in all directions, near 1 all point the same way and differ little.",
    source: "Measure: Ethayarajh 2019, there for words in language models.",
  },
  {
    id: "place", title: "Does a patch know its place?", axis: "R² of row and column", from: 0, to: 1,
    lines: () => [F.row, F.column], names: ["row", "column"],
    value: (layer) => `Layer ${layer}: R² of the row ${told(F.row, layer, 2)}, of the column ${told(F.column, layer, 2)}`,
    means: "How well ridge regression reads row and column off a patch's vector, on patches held out: 1 is perfect, 0 no better than the middle.",
    source: "Way of asking: linear probes, Alain and Bengio 2016; of place: Islam, Jia and Bruce 2020.",
  },
  {
    id: "locality", title: "Are neighbours alike? (locality)", axis: "mean cosine", to: 1,
    means: "Mean cosine of two patches by how far apart they lie: a steep fall means that neighbours look alike and far patches do not.",
    source: "In the spirit of Raghu et al. 2021, who compare how local layers of vision transformers are.",
  },
];

const told = ({ mean, error }, k, digits) => {
  const text = (value) => value.toFixed(digits).replace("-", "−");
  if (Number.isNaN(mean[k])) return "not known";
  return text(mean[k]) + (error && !Number.isNaN(error[k]) ? ` ± ${text(error[k])}` : "");
};

function takeFacts(said) {
  const half = (text) => {
    const all = floats(text);
    return { mean: all.slice(0, all.length / 2), error: all.slice(all.length / 2) };
  };
  const place = floats(said.place);
  F = {
    ...said, effective_rank: half(said.effective_rank), anisotropy: half(said.anisotropy), locality: half(said.locality),
    row: { mean: place.filter((_, k) => k % 2 === 0) }, column: { mean: place.filter((_, k) => k % 2 === 1) },
  };
  const read = F.by_picture
    ? "Place is read on pictures that the regression was not fitted to"
    : "Place is read on held-out patches of the same pictures, so that smooth content helps it too";
  const of = F.pictures > 1
    ? `Means over ${F.pictures} pictures with their standard errors (shaded, ±; none for place)`
    : "One picture, so no interval";
  $(".facts-note").textContent = `Live, ${F.patches} patches a picture. ${of}. ${read}. A click chooses the layer.`;
  buildCharts();
}

function node(tag, attributes, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function buildCharts() {
  $(".charts").replaceChildren(
    ...CHARTS.map((chart) => {
      const svg = node("svg", { viewBox: `0 0 ${CHART.width} ${CHART.height}`, role: "img", class: `figure-${chart.id}` });
      if (chart.id !== "locality") {
        svg.addEventListener("click", (event) => {
          const box = svg.getBoundingClientRect();
          const x = ((event.clientX - box.left) / box.width) * CHART.width;
          const share = (x - CHART.left) / (CHART.width - CHART.left - CHART.right);
          setLayer(Math.min(D.L - 1, Math.max(0, Math.round(share * (D.L - 1)))));
        });
      } else svg.style.cursor = "default";
      const parts = [["h3", chart.title], ["p", chart.means], ["p", ""], ["p", chart.source]].map(([tag, text]) => make(tag, { textContent: text }));
      parts[2].className = "value";
      parts[3].className = "source";
      const box = make("div", { className: "chart" }, parts[0], svg, parts[2], parts[1], parts[3]);
      box.dataset.chart = chart.id;
      return box;
    }),
  );
  paintFacts();
}

function paintFacts() {
  if (!F || factsOf !== boardKey()) return;
  for (const chart of CHARTS) {
    const box = element.querySelector(`[data-chart="${chart.id}"]`);
    const svg = box.querySelector("svg");
    const local = chart.id === "locality";
    const value = local ? localitySentence() : chart.value(S.layer);
    svg.setAttribute("aria-label", `${chart.title}. ${value}`);
    box.querySelector(".value").textContent = value;
    svg.replaceChildren(...(local ? localityParts(chart) : chartParts(chart)));
  }
}

// ---- drawing -------------------------------------------------------------------------------------------------------

function scales(last, low, high, first = 0) {
  const { width, height, left, right, top, bottom } = CHART;
  return {
    x: (value) => left + ((value - first) / Math.max(1e-9, last - first)) * (width - left - right),
    y: (value) => height - bottom - ((value - low) / Math.max(1e-9, high - low)) * (height - top - bottom),
  };
}

function axesParts({ x, y }, ticksX, low, high, titleX, titleY) {
  const { width, height, left, right, top, bottom } = CHART;
  const parts = [];
  const step = niceStep((high - low) / 4);
  for (let value = Math.ceil(low / step - 1e-6) * step; value <= high + 1e-9; value += step) {
    const text = Math.abs(value) < step / 2 ? "0" : value.toFixed(step < 0.1 ? 2 : step < 1 ? 1 : 0).replace("-", "−");
    parts.push(node("line", { x1: left, x2: width - right, y1: y(value), y2: y(value), class: "grid" }));
    parts.push(node("text", { x: left - 5, y: y(value) + 4, "text-anchor": "end", class: "tick" }, text));
  }
  for (const tick of ticksX) {
    parts.push(node("text", { x: x(tick), y: height - bottom + 14, "text-anchor": "middle", class: "tick" }, String(tick)));
  }
  parts.push(node("text", { x: (left + width - right) / 2, y: height - 5, "text-anchor": "middle", class: "axis" }, titleX));
  const turned = `translate(11 ${(top + height - bottom) / 2}) rotate(-90)`;
  parts.push(node("text", { transform: turned, "text-anchor": "middle", class: "axis" }, titleY));
  return parts;
}

const ticksTo = (last, first = 0) => {
  const step = Math.max(1, niceStep((last - first) / 6));
  return [...Array(Math.floor((last - first) / step) + 1).keys()].map((k) => first + Math.round(k * step));
};

function curve(mean, { x, y }, first = 0) {
  let pen = "M";
  return [...mean].map((value, k) => (Number.isNaN(value) ? ((pen = "M"), "") : `${pen === "M" ? ((pen = "L"), "M") : "L"}${x(first + k).toFixed(1)} ${y(value).toFixed(1)}`)).join("");
}

function band({ mean, error }, { x, y }) {
  if (!error || Number.isNaN(error[0])) return [];
  const edge = (sign) => [...mean].map((value, k) => `${x(k).toFixed(1)} ${y(value + sign * error[k]).toFixed(1)}`);
  return [node("path", { d: `M${edge(1).join("L")}L${edge(-1).reverse().join("L")}Z`, class: "band" })];
}

function chartParts(chart) {
  const lines = chart.lines();
  const known = lines.flatMap(({ mean }) => [...mean].filter((value) => !Number.isNaN(value)));
  const low = Math.min(chart.from, ...known);
  const high = chart.to ?? 1.05 * Math.max(...known, 1e-6);
  const at = scales(D.L - 1, low, high);
  const parts = axesParts(at, ticksTo(D.L - 1), low, high, "layer", chart.axis);
  parts.push(node("line", { x1: at.x(S.layer), x2: at.x(S.layer), y1: CHART.top, y2: CHART.height - CHART.bottom, class: "now" }));
  lines.forEach((line, k) => {
    const second = k ? " second" : "";
    parts.push(...band(line, at), node("path", { d: curve(line.mean, at), class: `line${second}` }));
    const [x, y] = [at.x(S.layer), at.y(line.mean[S.layer])];
    if (!Number.isNaN(y)) {
      parts.push(k ? node("rect", { x: x - 4, y: y - 4, width: 8, height: 8, class: "dot second" }) : node("circle", { cx: x, cy: y, r: 4.5, class: "dot" }));
    }
  });
  (chart.names ?? []).forEach((name, k) => {
    const [x, y] = [CHART.width - 120 + 58 * k, CHART.top + 8];
    parts.push(node("path", { d: `M${x} ${y - 4}h14`, class: `line${k ? " second" : ""}` }), node("text", { x: x + 17, y, class: "tick" }, name));
  });
  return parts;
}

function localitySentence() {
  const R = F.distances.length;
  const line = { mean: F.locality.mean.slice(S.layer * R, (S.layer + 1) * R), error: F.locality.error.slice(S.layer * R, (S.layer + 1) * R) };
  const far = Math.min(R - 1, Math.floor(Math.min(D.fullRows, D.fullCols) / 2) - 1);
  return `Layer ${S.layer}: cosine ${told(line, 0, 2)} of neighbours, ${told(line, far, 2)} at distance ${F.distances[far]}`;
}

// The chosen layer's curve over those of the first and the last layer.
function localityParts(chart) {
  const R = F.distances.length;
  const of = (layer) => F.locality.mean.slice(layer * R, (layer + 1) * R);
  const low = Math.min(0, ...F.locality.mean);
  const at = scales(F.distances[R - 1], low, chart.to, F.distances[0]);
  const parts = axesParts(at, ticksTo(F.distances[R - 1], F.distances[0]), low, chart.to, "distance in patches", chart.axis);
  for (const layer of [0, D.L - 1]) {
    const mean = of(layer);
    parts.push(node("path", { d: curve(mean, at, 1), class: "line second faint" }));
    const k = Math.floor(R * (layer ? 0.55 : 0.8));
    parts.push(node("text", { x: at.x(F.distances[k]), y: at.y(mean[k]) - 4, class: "tick", "text-anchor": "middle" }, `layer ${layer}`));
  }
  parts.push(node("path", { d: curve(of(S.layer), at, 1), class: "line" }));
  parts.push(node("text", { x: CHART.width - CHART.right, y: CHART.top + 8, class: "tick", "text-anchor": "end" }, `solid: layer ${S.layer}`));
  return parts;
}
