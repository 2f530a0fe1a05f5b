// The stored sweep: curves, paired tests, findings; and, apart from them, the paper's numbers.

const root = $(".rv");
const S = { task: "all", first: "", second: "", who: "", numberTask: "count", pair: null };
const VERDICTS = { "as in the paper": ["as", "✓ as in the paper"], "the other way round": ["other", "✗ the other way round"] };
const PAPER_GROUPS = [["shallow", 1, 12], ["middle", 13, 20], ["deep", 21, 24]];
let D = null;
let paper = null;
let asked = false;
let number = 0;
let width = 0;

const isSingle = (row) => /^\d+$/.test(row.layers);
const readsOf = (id) => D.columns.find((one) => one.id === id)?.reads ?? id;
const ofTask = (task) => D.accuracy.filter((row) => row.task === task);
const sharedOf = (task) => D.shared.filter((row) => row.task === task); // on the questions that all were asked
const subject = (task) => (task === "all" ? "all tasks" : `task ${task}`);

function receive() {
  if (!props.value) return;
  const value = JSON.parse(props.value);
  root.classList.remove("empty-yet");
  $(".empty").hidden = !value.problem;
  $(".empty .spinner").hidden = $(".again").hidden = true;
  $(".empty-text").textContent = value.problem ?? "";
  root.classList.toggle("nothing", Boolean(value.problem));
  D = value.problem ? null : value;
  paper = value.paper;
  $(".paper-part").hidden = !paper;
  if (D) {
    const ids = D.columns.map((one) => one.id);
    const has = (id, other) => (ids.includes(id) ? id : other);
    S.first = has("mini-l18", ids[0]);
    S.second = has("mini-l23", ids[Math.min(1, ids.length - 1)]);
    const counted = [...new Set(D.confusion.map((row) => row.checkpoint))];
    S.who = counted.includes("mini-l23") ? "mini-l23" : counted[0];
    fillChoices(ids, counted);
    drawFindings();
    drawNoise();
    drawAgreementTable();
    comparePair();
  }
  drawAll();
}

function fillChoices(ids, counted) {
  const options = (list, text) => list.map((value) => make("option", { value, textContent: text(value) }));
  const named = (id) => `${readsOf(id)} (${id})`;
  $(".task").replaceChildren(...options(D.tasks, (task) => (task === "all" ? "all tasks" : task)));
  for (const name of ["first", "second"]) {
    $(`.${name}`).replaceChildren(...options(ids, named));
    $(`.${name}`).value = S[name];
  }
  $(".who").replaceChildren(...options(counted, named));
  $(".who").value = S.who;
  $(".number-task").replaceChildren(...options([...new Set(D.confusion.map((row) => row.task))], (task) => task));
  S.numberTask = $(".number-task").value;
  $(".confusion-part").hidden = !counted.length;
}

function drawAll() {
  if (!element.clientWidth) return;
  if (D) {
    drawCurve();
    drawDots();
    drawAccuracyTable(ofTask(S.task));
    drawGaps();
    drawAgainst();
    if (S.who) drawConfusion();
  }
  if (paper) drawPaper();
}

// ---- findings ---------------------------------------------------------------------------------------------------------------

function drawFindings() {
  const { command, date, failures, questions, questions_of_the_sweep: some, pictures_of_the_sweep: drawn } = D.made;
  $(".made").textContent =
    `Precomputed on ${date}: ${count(questions)} held-out questions about generated scenes (“${failures.command}”), of which ${count(some)} about ` +
    `${count(drawn)} scenes went through every layer of the any-layer checkpoint (“${command}”). Differences are in the direction of the paper's claim; ` +
    "p is McNemar's exact one; a verdict needs p < 0.05 after Holm's correction. This is the mini family, not the paper's models: its encoder was taught to name things from the patches of its last layer, which favours deep layers.";
  $(".findings").replaceChildren(
    ...D.findings.map((finding) => {
      const [kind, text] = VERDICTS[finding.verdict] ?? ["none", `○ ${finding.verdict}`];
      const verdict = make("p", { className: "verdict", textContent: text });
      verdict.dataset.verdict = kind;
      const said = [["individual", "Individually trained"], ["any", "Any-layer checkpoint"]].flatMap(([way, name]) => {
        const found = finding[way];
        if (!found) return [];
        const ahead = found.of_tasks > 1 ? ` Ahead on ${found.ahead} of ${found.of_tasks} tasks.` : "";
        return [make("p", {}, make("b", { textContent: `${name}${way === "any" ? ` (${found.verdict})` : ""}: ` }), `${found.sentence}${ahead}`)];
      });
      if (!said.length) said.push(make("p", { textContent: "Checkpoints of these layers are not among the stored ones." }));
      return make("li", { className: "finding" }, make("p", { className: "claim", textContent: finding.sentence }), verdict, ...said,
        make("p", { className: "source", textContent: `Paper: ${finding.paper}` }));
    }),
  );
}

// ---- the sweep ----------------------------------------------------------------------------------------------------------------

function drawCurve() {
  const all = sharedOf(S.task);
  const rows = all.filter(isSingle).map((row) => ({ ...row, layer: Number(row.layers) }));
  const swept = rows.filter((row) => row.kind === "any-layer").sort((a, b) => a.layer - b.layer);
  const alone = rows.filter((row) => row.kind === "individual").sort((a, b) => a.layer - b.layer);
  const last = Math.max(4, ...rows.map((row) => row.layer));
  const svg = $(".curve");
  const axes = layerAxes(svg, { height: widthOf(svg) < 520 ? 300 : 360, first: 1, last, label: `accuracy in %, ${subject(S.task)}` });
  if (last === 24) bracketGroups(svg, axes, PAPER_GROUPS);
  const fused = all.find((row) => row.kind === "individual" && row.layers === "3+18+23");
  const words = all.find((row) => row.checkpoint === "words only");
  const level = (row, kind, dashes) => svg.append(shape("path", { d: `M${axes.pad.left} ${axes.y(row.accuracy)}H${axes.width - axes.pad.right}`, stroke: COLOURS[kind], "stroke-width": 2, "stroke-dasharray": dashes }));
  if (words) level(words, "fourth", "2 4");
  if (fused) level(fused, "other", "7 4");
  if (swept.length) {
    const edge = [...swept.map((row) => [axes.x(row.layer), axes.y(row.high)]), ...swept.toReversed().map((row) => [axes.x(row.layer), axes.y(row.low)])];
    svg.append(shape("path", { d: `M${edge.map((at) => at.join(" ")).join("L")}z`, fill: COLOURS.any, "fill-opacity": 0.2 }));
    svg.append(shape("path", { d: `M${swept.map((row) => `${axes.x(row.layer)} ${axes.y(row.accuracy)}`).join("L")}`, stroke: COLOURS.any, "stroke-width": 2.5, fill: "none" }));
    swept.forEach((row) => svg.append(markAt("any", axes.x(row.layer), axes.y(row.accuracy))));
  }
  for (const row of alone) {
    svg.append(bar("alone", axes.x(row.layer), axes.y(row.low), axes.x(row.layer), axes.y(row.high)));
    svg.append(markAt("alone", axes.x(row.layer), axes.y(row.accuracy)));
  }
  $(".curve-key").replaceChildren(
    ...(swept.length ? [keyEntry("any", "any-layer checkpoint, reading one layer (band 95 %)", "solid")] : []),
    ...(alone.length ? [keyEntry("alone", "trained on that layer (bar 95 %)")] : []),
    ...(fused ? [keyEntry("other", "trained on 3 + 18 + 23", "7 4")] : []),
    ...(words ? [keyEntry("fourth", "words of the question alone", "2 4")] : []),
    ...(all.length ? [make("span", { textContent: `${count(all[0].n)} questions, the same for all` })] : []),
  );
  const layers = [...new Set(rows.map((row) => row.layer))].sort((a, b) => a - b);
  const entries = layers.map((layer) => {
    const said = [["any-layer", swept], ["trained on it", alone]].map(([name, list]) => [name, list.find((row) => row.layer === layer)]).filter(([, row]) => row);
    const first = said[0][1];
    return { at: [axes.x(layer), axes.y(first.accuracy)], say: `Layer ${layer}: ${said.map(([name, row]) => `${name} ${interval(row)}`).join("; ")}` };
  });
  explore(svg, $(".curve-readout"), entries, true, [axes.pad.top, axes.height - axes.pad.bottom]);
  if (!$(".curve-readout").textContent) $(".curve-readout").textContent = "Point at a layer, or use the arrow keys, to read it.";
}

function drawDots() {
  const rows = sharedOf(S.task).filter((row) => !isSingle(row));
  const kinds = { individual: "alone", "any-layer": "any", baseline: "fourth", "another seed": "other" };
  const list = rows.map((row) => ({
    name: row.kind === "baseline" ? row.checkpoint : `${row.layers.replaceAll("+", " + ")} ${row.kind === "individual" ? "trained" : row.kind === "any-layer" ? "any-layer" : "other seed"}`,
    values: [{ kind: kinds[row.kind], value: row.accuracy, low: row.low, high: row.high }],
    say: `${row.checkpoint}: ${interval(row)} of ${count(row.n)} questions, ${subject(S.task)}`,
  }));
  $(".dots").style.display = list.length ? "" : "none";
  if (list.length) rowChart($(".dots"), $(".dots-readout"), list, { low: 0, high: 1, ticks: [0, 0.25, 0.5, 0.75, 1], label: "accuracy in %", shown: (tick) => Math.round(100 * tick) });
}

// ---- two checkpoints ---------------------------------------------------------------------------------------------------------

function comparePair() {
  number += 1;
  trigger("pair_chosen", { first: S.first, second: S.second, number });
}

function pairProblem(text) {
  $(".rv-problem").hidden = !text;
  $(".rv-problem").textContent = text;
}

function receivePair() {
  const pair = props.paired;
  if (!pair || !D || pair.number !== number) return;
  pairProblem(pair.problem ?? "");
  if (pair.problem) return;
  S.pair = pair;
  drawGaps();
}

function drawGaps() {
  if (!S.pair) return;
  const { rows, first, second } = S.pair;
  const known = rows.filter((row) => row.n > 0);
  const whole = known[0];
  const sentence = (row) =>
    `${row.task === "all" ? "All tasks" : row.task}: ${percent(row.first)} against ${percent(row.second)} of ${count(row.n)} questions, ${points(row.difference)} points ` +
    `(95 % interval ${points(row.low ?? row.difference)} to ${points(row.high ?? row.difference)}), alone right ${count(row.only_first)} and ${count(row.only_second)} times, ${pText(row.p)}.`;
  $(".pair-said").textContent = whole
    ? `${readsOf(first)} (${first}) less ${readsOf(second)} (${second}). ${sentence(whole)} Computed now from the stored answers; intervals by bootstrap, McNemar's exact test.`
    : "These two were not asked the same questions.";
  if (!whole) return $(".gaps").replaceChildren();
  const most = Math.max(0.02, ...known.flatMap((row) => [Math.abs(row.low ?? 0), Math.abs(row.high ?? 0), Math.abs(row.difference)]));
  const end = [0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1].find((each) => each >= most) ?? 1;
  rowChart($(".gaps"), $(".gaps-readout"), known.map((row) => ({
    name: row.task === "all" ? "all tasks" : row.task,
    values: [{ kind: row.p < 0.05 ? (row.difference > 0 ? "any" : "alone") : "other", value: row.difference, low: row.low, high: row.high }],
    say: sentence(row),
  })), { low: -end, high: end, ticks: [-end, -end / 2, 0, end / 2, end], label: "points: ● first ahead ◆ second ahead ■ p ≥ 0.05", shown: (tick) => `${tick > 0 ? "+" : tick < 0 ? "−" : ""}${Math.abs(100 * tick)}` });
  drawPairTable(known);
}

// ---- any-layer against individually trained ----------------------------------------------------------------------------------

function drawAgainst() {
  const rows = sharedOf(S.task);
  const pairs = rows.filter((row) => row.kind === "individual").map((row) => [row, rows.find((other) => other.kind === "any-layer" && other.layers === row.layers)]).filter(([, other]) => other);
  const found = D.agreement.find((row) => row.task === S.task);
  $(".stand-in-part").hidden = !pairs.length;
  if (!pairs.length) return;
  const rho = found?.spearman === null || !found ? "Spearman's correlation cannot be had" : `Spearman's correlation ${two(found.spearman)} (95 % interval ${two(found.low)} to ${two(found.high)})`;
  $(".stand-in").textContent =
    `${S.task === "all" ? "All tasks" : `Task ${S.task}`}: ${rho} over ${pairs.length} sets of layers that were trained both ways; mean difference ${found ? (100 * found.mean_difference).toFixed(1) : "–"} points. ` +
    "Circles: the any-layer checkpoint reading those layers; diamonds: trained on them. So few leave the correlation uncertain.";
  rowChart($(".against"), $(".against-readout"), pairs.map(([alone, any]) => ({
    name: readsOf(alone.checkpoint), values: [{ kind: "any", value: any.accuracy, low: any.low, high: any.high }, { kind: "alone", value: alone.accuracy, low: alone.low, high: alone.high }],
    say: `${readsOf(alone.checkpoint)}: trained on it ${interval(alone)}, any-layer ${interval(any)}`,
  })), { low: 0, high: 1, ticks: [0, 0.25, 0.5, 0.75, 1], label: "accuracy in %", shown: (tick) => Math.round(100 * tick) });
}

// ---- the paper -----------------------------------------------------------------------------------------------------------------

function drawPaper() {
  const { normalised, source, how } = paper;
  $(".paper-said").textContent = `From ${source}; ${how}. Normalised so that the best layer of each group of benchmarks has 100. The paper's models are large and read CLIP ViT-L/14-336: compare the shapes of curves, not their heights.`;
  const svg = $(".paper");
  const axes = layerAxes(svg, { height: widthOf(svg) < 520 ? 300 : 320, first: 1, last: 24, label: "normalised score, digitised" });
  bracketGroups(svg, axes, PAPER_GROUPS);
  const kinds = Object.keys(MARKS);
  const dashes = ["solid", "9 4", "3 3", "12 3 3 3", "1 5"];
  Object.values(normalised).forEach((values, k) => {
    const list = Object.entries(values).map(([layer, value]) => [axes.x(Number(layer)), axes.y(value)]);
    svg.append(shape("path", { d: `M${list.map((at) => at.join(" ")).join("L")}`, stroke: COLOURS[kinds[k]], "stroke-width": 2, fill: "none", "stroke-dasharray": dashes[k] === "solid" ? "none" : dashes[k], "stroke-linecap": "round" }));
    list.forEach(([x, y]) => svg.append(markAt(kinds[k], x, y)));
  });
  $(".paper-key").replaceChildren(...Object.keys(normalised).map((name, k) => keyEntry(kinds[k], name, dashes[k])));
  const layers = [...new Set(Object.values(normalised).flatMap((values) => Object.keys(values).map(Number)))].sort((a, b) => a - b);
  explore(svg, $(".paper-readout"), layers.map((layer) => ({
    at: [axes.x(layer), 0], say: `Layer ${layer}: ${Object.entries(normalised).filter(([, values]) => layer in values).map(([name, values]) => `${name} ${values[layer].toFixed(2)}`).join(", ")}`,
  })), true, [axes.pad.top, axes.height - axes.pad.bottom]);
  fillTable($(".paper-table"), ["benchmarks", "layer", "value"], paperRows().map((row) => [row.name, row.layer, row.value]));
}

// ---- listening ------------------------------------------------------------------------------------------------------------------

for (const [selector, name, then] of [[".task", "task", drawAll], [".who", "who", drawConfusion], [".number-task", "numberTask", drawConfusion], [".first", "first", comparePair], [".second", "second", comparePair]]) {
  $(selector).addEventListener("change", (event) => {
    S[name] = event.target.value;
    then();
  });
}

function askResults() {
  asked = true;
  $(".empty .spinner").hidden = false;
  $(".again").hidden = true;
  $(".empty-text").textContent = "Reading the stored results …";
  trigger("results_asked", {});
}

function unanswered() {
  $(".empty .spinner").hidden = true;
  $(".again").hidden = false;
  $(".empty-text").textContent = "The stored results could not be read just now: try again.";
}

$(".again").addEventListener("click", askResults);
root.classList.add("empty-yet");
new ResizeObserver(() => requestAnimationFrame(() => {
  if (element.clientWidth && !asked && !props.value) askResults();
  if (element.clientWidth === width) return;
  width = element.clientWidth; // 0 while another tab is open
  if (width) drawAll();
})).observe(element);
new MutationObserver(() => D && S.who && element.clientWidth && drawConfusion()).observe(document.body, { attributes: true, attributeFilter: ["class"] });
listenToTaking();
follow(document, "vle-results-unanswered", unanswered);
follow(document, "vle-pair-unanswered", () => pairProblem("The two could not be compared just now: choose them again."));
watch("value", receive);
watch("paired", receivePair);
receive();
