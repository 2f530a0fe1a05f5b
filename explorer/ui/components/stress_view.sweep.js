// The two sweeps: their settings, how far they are, the chart and the table.

const SWEEPS = {
  staircase: { title: "What number does it say?", file: "counting-staircase", layouts: 6 },
  crossing: { title: "How sure is it of left?", file: "position-sweep", layouts: 4 },
};
const sweeps = {}; // which -> {asked, said, settings}: the newest of each
const sweepChart = new LineChart($(".sweep-chart"), $(".readout"), tellSweep);
const isSweep = () => S.view in SWEEPS;

function runSweep() {
  if (!palette) return;
  if (!S.chosen.length) return problem(known.length ? "Choose at least one checkpoint above." : "No checkpoint is on this machine, so nothing can answer.");
  const layouts = Number($(".layouts").value);
  const seed = Number($(".seed").value);
  const settings = { which: S.view, kind: $(".kind").value, other: $(".other").value, layouts, seed, ground: $(".sweep-ground").value, scene: S.scene, colour: "" };
  const number = ++tick;
  problem("");
  sweeps[S.view] = { number, said: null, settings, chosen: [...S.chosen] };
  sweepChart.clear();
  paintSweep();
  trigger("sweep_asked", { ...settings, number, checkpoints: S.chosen });
}

function cancelSweep() {
  trigger("stop_asked", { what: "sweep", number: tick });
  $(".progress-text").textContent = "Stopping …";
}

function receiveSweep() {
  const said = plain(props.sweep);
  const asked = said && sweeps[said.which];
  if (!asked || said.number !== asked.number) return;
  asked.said = said;
  if (said.problem) problem(said.problem);
  if (said.over && !said.problem) announce(said.stopped ? "The sweep was stopped." : "The sweep is done.");
  if (S.view === said.which) paintSweep();
}

function paintSweep() {
  if (!isSweep() || !palette) return;
  const asked = sweeps[S.view];
  const said = asked?.said;
  const running = Boolean(asked) && !said?.over;
  $(".kind-name").textContent = S.view === "crossing" ? "This thing" : "Things to count";
  $(".run").disabled = running;
  $(".cancel").disabled = !running;
  $(".progress").hidden = !asked;
  const share = said ? said.done / Math.max(1, said.total) : 0;
  $(".bar").value = share;
  $(".progress-text").textContent = !asked ? "" : said?.over
    ? `${said.done} of ${said.total} answers${said.stopped && said.done < said.total ? ", stopped" : ""}`
    : said?.place ? `Place ${said.place} in line: another sweep is running.`
    : said ? `${said.done} of ${said.total} answers` : "Drawing the pictures …";
  $(".chart-title").textContent = SWEEPS[S.view].title;
  const ready = Boolean(said?.lines?.length && said.done);
  $(".numbers").hidden = $(".take-sweep").hidden = !ready;
  paintThumbs(said);
  $(".sweep-about").textContent = said?.question ? `Asked of each picture: “${said.question}”` : "";
  if (!ready) {
    $(".chart-about").textContent = running ? "" : "Press Run: the lines grow as the answers come in.";
    $(".legend").replaceChildren();
    return sweepChart.clear();
  }
  sweepChart.draw(chartOf(asked));
  legend($(".legend"), asked.chosen.map((id, k) => ({ style: k, name: nameOf(id), note: noteOf(said, id) })));
  $(".chart-about").textContent = aboutOf(asked);
  fillTable($(".numbers table"), tableOf(asked).map((row) => row.map((cell) => (typeof cell === "number" ? shown(cell, Number.isInteger(cell) ? 0 : 2) : cell))));
}

function paintThumbs(said) {
  const key = said?.thumbs ? `${said.which}${said.number}` : "";
  if ($(".thumbs").dataset.key === key) return;
  $(".thumbs").dataset.key = key;
  $(".thumbs").replaceChildren(...(said?.thumbs ?? []).map((src, k) => make("img", { src, alt: "", title: `${said.xs[k]}` })));
}

const lineOf = (said, id) => said.lines.find((line) => line.checkpoint === id);

function noteOf(said, id) {
  const line = lineOf(said, id);
  if (line.failed) return `gave up: ${line.failed}`;
  const right = line.n ? `${line.right} of ${line.n} right` : "";
  if (said.which !== "crossing") return right;
  return `${right}; ${line.switch === null ? "no single switch" : `switches at ${shown(line.switch)}`}`;
}

function chartOf({ said, chosen }) {
  const counting = said.which === "staircase";
  const expected = counting && $(".expected").checked;
  const spread = $(".spread").checked && !expected;
  const lines = chosen.map((id, style) => ({
    style,
    points: lineOf(said, id).points.map((point) => {
      const y = expected ? point.expected : point.mean;
      const wide = spread && y !== null && point.spread !== null;
      return { x: point.x, y, low: wide ? y - point.spread : null, high: wide ? y + point.spread : null };
    }),
  }));
  const xs = said.xs;
  if (counting) {
    const ticks = [0, 2, 4, 6, 8, 10].map((at) => ({ at }));
    return {
      xs, lines,
      x: { title: "true number (bold: never trained with this kind)", low: 0.5, high: 10.5, ticks: xs.map((at) => ({ at, bold: said.unseen.includes(at) })) },
      y: { title: expected ? "expected number" : "mean number said", low: 0, high: 10.5, ticks },
      guides: [{ from: [0.5, 0.5], to: [10.5, 10.5], label: "right", anchor: "end", dx: -22, dy: 10 }],
    };
  }
  return {
    xs, lines,
    x: { title: "how far right of the other, in picture widths", low: -0.32, high: 0.32, ticks: [-0.3, -0.2, -0.1, 0, 0.1, 0.2, 0.3].map((at) => ({ at, label: shown(at, 1) })) },
    y: { title: "P(left), left against right", low: 0, high: 1, ticks: [0, 0.25, 0.5, 0.75, 1].map((at) => ({ at, label: at.toFixed(2) })) },
    bands: [{ from: -said.doubtful, to: said.doubtful, label: "" }],
    guides: [{ from: [0, 0], to: [0, 1], label: "true switch", anchor: "start", dx: 5, dy: 10 }],
  };
}

function aboutOf({ said, chosen }) {
  const bars = $(".spread").checked && !(said.which === "staircase" && $(".expected").checked);
  const spread = bars ? " Bars: standard deviation over the layouts." : "";
  const n = Math.max(0, ...chosen.flatMap((id) => lineOf(said, id).points.map((point) => point.n)));
  const unread = chosen.reduce((sum, id) => sum + lineOf(said, id).points.reduce((all, point) => all + point.unread, 0), 0);
  const doubt = said.which === "crossing" ? " Shaded: the things overlap sideways, which training never asks about." : "";
  const unseen = said.which === "crossing" && said.unseen.length ? " These two are never asked about side by side in training." : "";
  const lost = unread ? ` ${unread} answers without a number or probability are in no mean.` : "";
  return `Live, ${said.over && !said.stopped ? "" : "up to "}n = ${n} layout${n === 1 ? "" : "s"} a point${said.over ? "" : " so far"}.${spread}${doubt}${unseen}${lost}`;
}

function tableOf({ said, chosen }) {
  const counting = said.which === "staircase";
  const head = counting
    ? ["true number", "checkpoint", "n", "mean said", "standard deviation", "expected", "right", "no number"]
    : ["offset", "checkpoint", "n", "mean P(left)", "standard deviation", "right", "no probability"];
  const rows = said.xs.flatMap((x) =>
    chosen.flatMap((id) =>
      lineOf(said, id).points.filter((point) => point.x === x).map((point) => [
        x, nameOf(id), point.n, point.mean, point.spread, ...(counting ? [point.expected] : []), point.right, point.unread,
      ]),
    ),
  );
  return [head, ...rows];
}

function tellSweep(k) {
  const { said, chosen } = sweeps[S.view];
  const x = said.xs[k];
  const expected = said.which === "staircase" && $(".expected").checked;
  const parts = chosen.map((id) => {
    const point = lineOf(said, id).points.find((one) => one.x === x);
    if (!point) return `${titleOf(id)} –`;
    const spread = point.spread === null || expected ? "" : ` ± ${shown(point.spread)}`;
    return `${titleOf(id)} ${shown(expected ? point.expected : point.mean)}${spread}`;
  });
  return `${said.which === "staircase" ? `${x} there` : `Offset ${shown(x)}`}: ${parts.join(", ")}`;
}

function listenToSweep() {
  on(".run", "click", runSweep);
  on(".cancel", "click", cancelSweep);
  on(".expected", "change", paintSweep);
  on(".spread", "change", paintSweep);
}
