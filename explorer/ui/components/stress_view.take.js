// What can be taken away of this view: the chart of a sweep, two scenes, where their layers part, whose answer flips.

// What was asked, of which pictures.
function sweepSaid({ said, settings }) {
  const { kind, other, layouts, seed, ground } = settings;
  const what = said.which === "crossing" ? `${kind} passes ${other}` : `1 to 10 of ${kind}`;
  return `${SWEEPS[said.which].title} “${said.question}” ${what}, ${layouts} layouts of each, seed ${seed}, ground ${ground === "scene" ? "of the scene" : "invented"}. ${$(".chart-about").textContent}`;
}

const changeSaid = () => [$(".difference").textContent, told.parting && `Encoder: ${told.parting.encoder}.`, "Live, one pair of scenes."].filter(Boolean).join(" ");

// One row a patch of the layer on show.
function patchesTable() {
  const { grid: [, columns], within } = told.parting;
  const { values } = layerMap(told.parting, S.layer);
  const rows = values.map((value, patch) => [S.layer, Math.floor(patch / columns) + 1, (patch % columns) + 1, value, within[patch]]);
  return { columns: ["layer", "row", "column", "cosine distance", "at what changed"], rows };
}

function partingTable() {
  const { here, elsewhere } = told.parting;
  return { columns: ["layer", "at what changed", "elsewhere"], rows: here.map((value, layer) => [layer, value, elsewhere[layer]]) };
}

function flipsTable() {
  const [before, after] = told.rows;
  const cells = (row) => (row ? [row.error || row.answer, row.probability, row.right] : ["", "", ""]);
  const columns = ["checkpoint", "reads", "question", ...["before", "after"].flatMap((when) => [`answer ${when}`, `probability ${when}`, `right ${when}`])];
  const rows = before.map((row, k) => [row.checkpoint, row.reads, told.question, ...cells(row), ...cells(after?.[k])]);
  return { columns, rows };
}

function listenToTaking() {
  exportButton($(".take-sweep"), {
    label: "the sweep",
    name: () => `${SWEEPS[S.view].file}-${sweeps[S.view].settings.kind}`,
    parts: () => [$(".sweep-chart"), $(".legend")],
    caption: () => sweepSaid(sweeps[S.view]),
    table: () => {
      const [columns, ...rows] = tableOf(sweeps[S.view]);
      return { columns, rows };
    },
  });
  exportButton($(".take-pair"), {
    label: "the two scenes",
    name: () => `change-layer-${S.layer}`,
    parts: () => [$(".pair")],
    caption: changeSaid,
    table: patchesTable,
  });
  exportButton($(".take-parting"), {
    label: "where the layers part",
    name: () => "layers-part",
    parts: () => [$(".parting-chart"), $(".parting-legend")],
    caption: () => `${$(".parting-said").textContent} ${changeSaid()}`,
    table: partingTable,
  });
  exportButton($(".take-flips"), {
    label: "whose answer flips",
    name: () => "flips",
    parts: () => [$(".change-question"), $(".flips")],
    caption: changeSaid,
    table: flipsTable,
  });
}
