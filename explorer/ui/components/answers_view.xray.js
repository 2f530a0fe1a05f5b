// The X-ray: columns are layers, rows possible answers, shade is probability; drawn while the layers come in.

const SVG = "http://www.w3.org/2000/svg";
const MOST_ROWS = 12;
const ROW_PX = 24;
const xrayMap = $(".xray-map");
let spot = null; // {column, row} under the pointer or the keyboard
let plan = null; // geometry and rows of what is drawn

function shape(tag, attributes, text) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

const setName = (layers) => layers.join("+");
const isMost = (shares, at) => shares[at] === Math.max(...shares);

// Which candidates get a row: all, or the likeliest and the true one, the rest together in a last row.
function rowsOf(said) {
  const wanted = said.truth?.gist;
  const rows = said.candidates.map((name, at) => ({ name, at: [at], isTrue: wanted !== undefined && said.gists[at] === wanted }));
  if (rows.length <= MOST_ROWS) return rows;
  const best = (row) => Math.max(...said.probabilities.map((shares) => (shares ? shares[row.at[0]] : 0)));
  const kept = new Set([...rows].sort((a, b) => b.isTrue - a.isTrue || best(b) - best(a)).slice(0, MOST_ROWS - 1));
  const rest = rows.filter((row) => !kept.has(row));
  return [...rows.filter((row) => kept.has(row)), { name: `${rest.length} others`, at: rest.map((row) => row.at[0]), isTrue: false }];
}

function layOutXray(said) {
  const rows = rowsOf(said);
  const longest = Math.max(3, ...rows.map((row) => row.name.length));
  const left = Math.min(150, 30 + 7.4 * longest);
  const singles = said.columns.filter((layers) => layers.length === 1).length;
  const fused = said.columns.length - singles;
  const gap = fused ? 12 : 0;
  const room = ($(".xray-scroll").clientWidth || 900) - left - gap - 14;
  const cell = Math.max(12, Math.min(42, Math.floor(room / said.columns.length)));
  const labels = Math.max(0, ...said.columns.filter((layers) => layers.length > 1).map((layers) => setName(layers).length));
  const foot = Math.max(44, fused ? 22 + 7.4 * labels : 0);
  return {
    rows, left, top: 36, cell, foot, singles, gap,
    width: left + cell * said.columns.length + gap + 14, height: 36 + rows.length * ROW_PX + foot,
    x: (column) => left + cell * column + (column >= singles ? gap : 0), y: (row) => 36 + ROW_PX * row,
    share: (column, row) => {
      const shares = said.probabilities[column];
      return shares ? rows[row].at.reduce((sum, at) => sum + shares[at], 0) : NaN;
    },
  };
}

function paintXray() {
  const said = S.xray;
  const any = anyLayer();
  $(".xray").hidden = $(".dial").hidden = !D || Boolean(D.empty);
  $(".xray-go").disabled = !any || !D?.picture;
  tell(".xray-what", !D ? "" : any
    ? `Live with ${any.id}, one model that reads any layer: columns are the layers it is given, one after the other, and some fusions; rows are the possible answers. Nothing else changes from column to column.`
    : "The X-ray needs a model that reads any layer (mini-any); it is not on this machine.");
  $(".xray-body").hidden = $(".take-xray").hidden = !said?.candidates?.length;
  if (!said?.candidates?.length) return;
  plan = layOutXray(said);
  const { rows, left, cell, width, height, x, y } = plan;
  xrayMap.setAttribute("width", width);
  xrayMap.setAttribute("height", height);
  const made = [];
  rows.forEach((row, at) => {
    const text = `${row.isTrue ? "▶ " : ""}${apart(row.name.length > 18 ? `${row.name.slice(0, 17)}…` : row.name)}`;
    made.push(shape("text", { x: left - 8, y: y(at) + 16, class: `row-name${row.isTrue ? " true" : ""}`, "text-anchor": "end" }, text));
  });
  said.columns.forEach((layers, column) => rows.forEach((_, row) => made.push(...cellShapes(said, column, row))));
  made.push(...bandOfTruth(), ...columnNames(said), ...groupBrackets(said), ...trainedMarks(said));
  if (spot) {
    for (const look of ["halo", "cursor"]) {
      made.push(shape("rect", { x: x(spot.column), y: y(spot.row), width: cell, height: ROW_PX, class: look }));
    }
  }
  xrayMap.replaceChildren(...made);
  drawBar($(".xray-scale"), CIVIDIS);
  $(".for-truth").hidden = !rows.some((row) => row.isTrue);
  $(".for-trained").hidden = !(said.trained ?? []).some((one) => one.row >= 0);
  readXray();
  tell(".xray-sum", xraySummary(said));
}

function cellShapes(said, column, row) {
  const share = plan.share(column, row);
  const box = { x: plan.x(column), y: plan.y(row), width: plan.cell - 1, height: ROW_PX - 1 };
  if (Number.isNaN(share)) return [shape("rect", { ...box, class: "pending" })];
  const at = 3 * Math.round(255 * Math.min(1, share));
  const made = [shape("rect", { ...box, fill: `rgb(${CIVIDIS[at]}, ${CIVIDIS[at + 1]}, ${CIVIDIS[at + 2]})` })];
  const one = plan.rows[row].at;
  if (one.length === 1 && isMost(said.probabilities[column], one[0])) {
    made.push(shape("rect", { x: box.x + 1.5, y: box.y + 1.5, width: box.width - 3, height: box.height - 3, class: "likeliest", stroke: share > 0.55 ? "#000" : "#fff" }));
  }
  return made;
}

function bandOfTruth() {
  const row = plan.rows.findIndex((one) => one.isTrue);
  if (row < 0) return [];
  return [shape("rect", { x: plan.left - 4, y: plan.y(row) - 2.5, width: plan.width - plan.left - 6, height: ROW_PX + 4, class: "true-band" })];
}

function columnNames(said) {
  const every = [1, 2, 3, 4, 6].find((step) => step * plan.cell >= 22) ?? 8;
  const bottom = plan.y(plan.rows.length);
  const made = [];
  said.columns.forEach((layers, column) => {
    const middle = plan.x(column) + plan.cell / 2;
    const on = anyLayer() && S.chosen.includes(anyId(layers)) ? " on" : "";
    if (layers.length > 1) {
      const turned = `rotate(-90 ${middle + 4} ${bottom + 8})`;
      made.push(shape("text", { x: middle + 4, y: bottom + 8, class: `tick${on}`, "text-anchor": "end", transform: turned }, setName(layers)));
    } else if (layers[0] % every === 0 || every === 1) {
      made.push(shape("text", { x: middle, y: bottom + 17, class: `tick${on}`, "text-anchor": "middle" }, layers[0]));
    }
    if (on) made.push(shape("path", { d: `M${middle} ${bottom + 1}l4 4h-8z`, class: "chosen-mark" }));
  });
  const centre = plan.left + (plan.singles * plan.cell) / 2;
  made.push(shape("text", { x: centre, y: bottom + 36, class: "axis", "text-anchor": "middle" }, "layer that is read"));
  return made;
}

// Brackets above the columns: the paper's groups, and the fusions.
function groupBrackets(said) {
  const spans = (D.groups ?? []).map((group) => [group.name, groupColour(group.name), (layers) => layers.length === 1 && layers[0] >= group.first && layers[0] <= group.last]);
  spans.push(["fused", GROUP_COLOURS[3], (layers) => layers.length > 1]);
  const made = [];
  for (const [name, colour, inside] of spans) {
    const columns = said.columns.map((layers, column) => (inside(layers) ? column : -1)).filter((column) => column >= 0);
    if (!columns.length) continue;
    const [first, last] = [plan.x(columns[0]) + 1, plan.x(columns.at(-1)) + plan.cell - 2];
    made.push(shape("path", { d: `M${first} 31v-6H${last}v6`, class: "bracket", stroke: colour }));
    if (last - first > 7 * name.length - 8) made.push(shape("text", { x: (first + last) / 2, y: 18, class: "group-name", "text-anchor": "middle" }, name));
  }
  return made;
}

function trainedMarks(said) {
  return (said.trained ?? []).flatMap((one) => {
    const row = plan.rows.findIndex((each) => each.at.includes(one.row));
    if (row < 0) return [];
    const [x, y] = [plan.x(one.column) + plan.cell / 2 - 0.5, plan.y(row) + ROW_PX / 2 - 0.5];
    const half = Math.min(5, plan.cell / 2 - 1);
    return [shape("path", { d: `M${x} ${y - half}l${half} ${half}-${half} ${half}-${half}-${half}z`, class: "trained" })];
  });
}

function xraySentence({ column, row }) {
  const said = S.xray;
  const layers = said.columns[column];
  const share = plan.share(column, row);
  const own = (said.trained ?? []).filter((one) => one.column === column).map((one) => `; ${one.checkpoint}, trained for it alone: “${short(one.answer)}”`);
  const value = Number.isNaN(share) ? "not computed yet" : percent(share);
  return `${titleOf(layers)}: “${apart(plan.rows[row].name)}” ${value}${plan.rows[row].isTrue ? " (the right answer)" : ""}${said.answers[column] ? `; it answers “${short(said.answers[column])}”` : ""}${own.join("")}`;
}

function readXray() {
  $(".xray-readout").textContent = spot ? xraySentence(spot) : "Point at a square to read it; click it to add that layer as a card.";
}

// "3, 5–9, 12"
function runs(layers) {
  const found = [];
  for (const layer of layers) {
    if (found.length && found.at(-1)[1] === layer - 1) found.at(-1)[1] = layer;
    else found.push([layer, layer]);
  }
  return found.map(([first, last]) => (first === last ? first : last === first + 1 ? `${first}, ${last}` : `${first}–${last}`)).join(", ");
}

function xraySummary(said) {
  if (!said.over) return "";
  const there = said.columns.map((layers, column) => ({ layers, shares: said.probabilities[column] })).filter((one) => one.shares);
  const singles = there.filter((one) => one.layers.length === 1);
  const fused = there.filter((one) => one.layers.length > 1);
  const took = said.seconds === null ? "" : ` Live, ${said.seconds.toFixed(1)} s for ${there.length} columns; one picture, so an anecdote.`;
  const wanted = said.truth ? said.gists.indexOf(said.truth.gist) : -1;
  if (!singles.length) return said.stopped ? "Stopped." : "";
  if (wanted < 0) {
    const counted = new Map();
    for (const { shares } of singles) {
      const name = said.candidates[shares.indexOf(Math.max(...shares))];
      counted.set(name, (counted.get(name) ?? 0) + 1);
    }
    const parts = [...counted].sort((a, b) => b[1] - a[1]).slice(0, 4).map(([name, count]) => `“${short(name)}” at ${count}`);
    return `Likeliest answer, of ${singles.length} layers: ${parts.join(", ")}.${took}`;
  }
  const right = ({ shares }) => isMost(shares, wanted);
  const good = singles.filter(right).map((one) => one.layers[0]);
  const best = singles.reduce((a, b) => (b.shares[wanted] > a.shares[wanted] ? b : a));
  const where = good.length ? `likeliest at ${good.length} of ${singles.length} layers: ${runs(good)}` : `the likeliest answer at none of ${singles.length} layers`;
  const joined = fused.length ? ` Of ${fused.length} ${fused.length === 1 ? "fusion" : "fusions"}, ${fused.filter(right).length} ${fused.filter(right).length === 1 ? "has" : "have"} it.` : "";
  return `The right answer, “${short(said.truth.answer)}”, is ${where}; most probable at layer ${best.layers[0]} (${percent(best.shares[wanted])}).${joined}${took}`;
}

function xrayAt(event) {
  if (!plan || !S.xray) return null;
  const box = xrayMap.getBoundingClientRect();
  const [px, py] = [event.clientX - box.left, event.clientY - box.top];
  const column = S.xray.columns.findIndex((_, k) => px >= plan.x(k) && px < plan.x(k) + plan.cell);
  const row = Math.floor((py - plan.top) / ROW_PX);
  return column >= 0 && row >= 0 && row < plan.rows.length ? { column, row } : null;
}

function listenToXray(add) {
  const move = (to) => {
    if (JSON.stringify(to) === JSON.stringify(spot)) return;
    spot = to;
    paintXray();
  };
  xrayMap.addEventListener("pointermove", (event) => {
    const at = xrayAt(event);
    xrayMap.style.cursor = at ? "pointer" : "";
    move(at);
  });
  xrayMap.addEventListener("pointerleave", () => move(null));
  xrayMap.addEventListener("click", (event) => {
    const at = xrayAt(event);
    if (at) add(S.xray.columns[at.column]);
  });
  xrayMap.addEventListener("focus", () => S.xray && plan && !spot && move({ column: 0, row: Math.max(0, plan.rows.findIndex((row) => row.isTrue)) }));
  xrayMap.addEventListener("blur", () => move(null));
  xrayMap.addEventListener("keydown", (event) => {
    if (!S.xray || !plan || event.ctrlKey || event.metaKey || event.altKey) return;
    spot ??= { column: 0, row: 0 };
    const step = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0], Home: [-99, 0], End: [99, 0] }[event.key];
    if (step) {
      event.preventDefault();
      const clamp = (value, most) => Math.min(most, Math.max(0, value));
      move({ column: clamp(spot.column + step[0], S.xray.columns.length - 1), row: clamp(spot.row + step[1], plan.rows.length - 1) });
      announce(xraySentence(spot));
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      add(S.xray.columns[spot.column]);
    }
  });
}
