// Tables of the stored numbers, and what can be taken away of them.

function fillTable(table, columns, rows) {
  table.replaceChildren(
    make("thead", {}, make("tr", {}, ...columns.map((name) => make("th", { scope: "col", textContent: name })))),
    make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map((value) => make("td", { textContent: value === null ? "–" : value }))))),
  );
}

const interval = (row) => `${percent(row.accuracy)} (${percent(row.low)}–${percent(row.high)})`;

function drawAccuracyTable(rows) {
  fillTable($("table.accuracy"), ["checkpoint", "reads", "accuracy (95 %)", "questions", "pairs", "never trained", "count error"],
    rows.map((row) => [row.checkpoint, readsOf(row.checkpoint), interval(row), count(row.n), percent(row.pairs),
      row.held_out === null ? "–" : `${percent(row.held_out)} of ${count(row.held_out_n)}`, row.count_error === null ? "–" : row.count_error.toFixed(2)]));
}

function drawPairTable(rows) {
  fillTable($("table.paired"), ["task", "first", "second", "difference in points (95 %)", "only first right", "only second right", "questions", "McNemar, exact"],
    rows.map((row) => [row.task, percent(row.first), percent(row.second), `${points(row.difference)} (${points(row.low ?? 0)} to ${points(row.high ?? 0)})`,
      count(row.only_first), count(row.only_second), count(row.n), pText(row.p)]));
}

const two = (value) => (value === null ? "–" : value.toFixed(2));

function drawAgreementTable() {
  fillTable($("table.agreement"), ["task", "Spearman (95 %)", "checkpoints", "mean difference in points"],
    D.agreement.map((row) => [row.task, `${two(row.spearman)} (${two(row.low)} to ${two(row.high)})`, row.checkpoints,
      row.mean_difference === null ? "–" : (100 * row.mean_difference).toFixed(1)]));
}

function drawNoise() {
  $(".noise-said").textContent = D.noise.length
    ? "Checkpoints of the same layers, trained from different seeds, on the same questions: how far apart chance alone puts them."
    : "No checkpoint was trained from a second seed, so how much of a difference is noise of training is not known. The intervals above are about the choice of questions alone.";
  $(".take-noise").hidden = !D.noise.length;
  if (D.noise.length) {
    fillTable($("table.noise"), ["layers", "task", "checkpoints", "lowest", "mean", "highest", "standard deviation"],
      D.noise.map((row) => [row.layers, row.task, row.checkpoints, ...["lowest", "mean", "highest", "deviation"].map((name) => percent(row[name]))]));
  }
}

// ---- confusion of numbers ----------------------------------------------------------------------------------------------

function drawConfusion() {
  const rows = D.confusion.filter((row) => row.checkpoint === S.who && row.task === S.numberTask);
  const truths = [...new Set(rows.map((row) => row.truth))].sort((a, b) => a - b);
  const said = [...new Set([...truths.map(String), ...rows.map((row) => String(row.said))])];
  said.sort((a, b) => (a === "other") - (b === "other") || Number(a) - Number(b));
  const times = new Map(rows.map((row) => [`${row.truth} ${row.said}`, row.times]));
  const dark = document.body.classList.contains("dark");
  $(".confusion-said").textContent =
    `Rows are what is true, columns what ${readsOf(S.who)} said, to open questions (task ${S.numberTask}); the right answers are framed. A cell's shade is its share of the row.`;
  const head = make("tr", {}, make("th", { scope: "col", textContent: "true" }), ...said.map((number) => make("th", { scope: "col", textContent: number })));
  $("table.confusion").replaceChildren(
    make("thead", {}, head),
    make("tbody", {}, ...truths.map((truth) => {
      const whole = said.reduce((sum, number) => sum + (times.get(`${truth} ${number}`) ?? 0), 0);
      return make("tr", {}, make("th", { scope: "row", textContent: truth }), ...said.map((number) => {
        const here = times.get(`${truth} ${number}`) ?? 0;
        const cell = make("td", { textContent: here || "", className: String(truth) === number ? "truth" : "" });
        const strength = Math.round(62 * (here / whole));
        if (here) cell.style.background = `color-mix(in srgb, ${dark ? "#0072b2" : "#56b4e9"} ${strength + 6}%, transparent)`;
        return cell;
      }));
    })),
  );
}

// ---- what can be taken away ----------------------------------------------------------------------------------------------

function sourceSaid() {
  const { command, date, failures } = D.made;
  return `Precomputed on ${date}: ${failures.command}; ${command}.`;
}

// One row a finding and way of asking.
function findingsTable() {
  const columns = ["finding", "verdict", "paper", "way", "verdict of this way", "first", "second", "task", "questions", "first accuracy", "second accuracy"];
  columns.push("difference", "low", "high", "only first right", "only second right", "p", "p after Holm", "tasks ahead", "of tasks");
  const rows = D.findings.flatMap((finding) => {
    const about = [finding.sentence, finding.verdict, finding.paper];
    const ways = ["individual", "any"].filter((way) => finding[way]).map((way) => {
      const one = finding[way];
      return [
        ...about, way === "any" ? "any-layer" : "individual", one.verdict, one.first_id, one.second_id, one.task, one.n, one.first, one.second,
        one.difference, one.low, one.high, one.only_first, one.only_second, one.p, one.p_holm, one.ahead, one.of_tasks,
      ];
    });
    return ways.length ? ways : [about];
  });
  return { columns, rows };
}

function listenToTaking() {
  exportButton($(".take-findings"), {
    label: "the findings", name: () => "findings", parts: () => [$(".made"), $(".findings")], caption: sourceSaid, table: findingsTable,
  });
  exportButton($(".take-sweep"), {
    label: "accuracy by layer", name: () => `accuracy-${S.task}`, parts: () => [$(".curve-key"), $(".curve"), $(".dots")],
    caption: () => `Accuracy by layer, task ${S.task}, 95 % intervals. ${sourceSaid()}`, table: () => D.shared,
  });
  exportButton($(".take-pair"), {
    label: "the comparison", name: () => `${S.first}-against-${S.second}`, parts: () => [$(".pair-said"), $(".gaps")],
    caption: () => `${S.first} less ${S.second}, points of accuracy with 95 % bootstrap intervals. ${sourceSaid()}`, table: () => S.pair?.rows ?? [],
  });
  exportButton($(".take-agreement"), {
    label: "the agreement", name: () => `any-layer-against-individual-${S.task}`, parts: () => [$(".stand-in"), $(".against")],
    caption: () => `Task ${S.task}. ${sourceSaid()}`, table: () => D.agreement,
  });
  exportButton($(".take-confusion"), {
    label: "the numbers said", name: () => `numbers-${S.who}-${S.numberTask}`, parts: () => [$("table.confusion")],
    caption: () => `${$(".confusion-said").textContent} ${sourceSaid()}`, table: () => D.confusion,
  });
  exportButton($(".take-noise"), { label: "the noise of training", name: () => "noise-of-training", parts: () => [$("table.noise")], caption: sourceSaid, table: () => D.noise });
  exportButton($(".take-paper"), {
    label: "the paper's numbers", name: () => "paper-digitised", parts: () => [$(".paper-key"), $(".paper")],
    caption: () => $(".paper-said").textContent, table: paperRows,
  });
}

function paperRows() {
  const all = { ...paper.normalised, "TextVQA (%)": paper.textvqa_accuracy_percent, OCRBench: paper.ocrbench_score };
  return Object.entries(all).flatMap(([name, values]) => Object.entries(values).map(([layer, value]) => ({ name, layer: Number(layer), value, source: paper.source })));
}
