// What can be taken away of this view: the picture with its map, the strip of all layers, the matrix.

// Which encoder, picture and settings a figure shows.
function settingsSaid() {
  const made = D.live ? "computed live" : "precomputed";
  return `${D.encoder.title} (${D.encoder.id}), ${D.rows} × ${D.columns} patches, fit ${D.fit}, ${made}.`;
}

// What the map shows, without the advice that stands on the page.
function mapSaid() {
  if (S.mode === "change" && S.from !== S.layer) return changeSentence();
  const unit = MODES[S.mode].unit ?? `main directions of the patches' vectors as red, green and blue (${S.basis === "joint" ? "one basis for all layers" : "a basis for each layer"})`;
  const about = { text: `, “${D.text?.said}”`, attention: `, ${headName()}`, similar: `, ${place(Math.max(0, S.patch))}` }[S.mode] ?? "";
  return `Shown: ${unit}${about}.`;
}

// One row a patch of the given layers: its place, and its value or its colour.
function patchTable(layers) {
  const colours = S.mode === "pca";
  const columns = ["layer", "row", "column", ...(colours ? ["red", "green", "blue"] : [MODES[S.mode].unit])];
  const rows = [];
  for (const layer of layers) {
    const values = colours ? D.pca[S.basis] : fieldOf(layer)?.values;
    if (!values) continue;
    for (let patch = 0; patch < D.P; patch++) {
      const at = 3 * (layer * D.P + patch);
      const found = colours ? [values[at], values[at + 1], values[at + 2]] : [values[patch]];
      rows.push([layer, Math.floor(patch / D.columns) + 1, (patch % D.columns) + 1, ...found]);
    }
  }
  return { columns, rows };
}

// One row a pair of layers, as on show: one picture or all, the kind of comparison, the difference from the paper.
function lrsTable() {
  const { values, unit } = matrixShown();
  const { stderr, pictures } = lrsShown();
  const rows = [];
  for (let i = 0; i < D.L; i++) {
    for (let j = 0; j < D.L; j++) rows.push([i, j, values[i * D.L + j], stderr[i * D.L + j], pictures]);
  }
  return { columns: ["layer 1", "layer 2", unit, "standard error over pictures", "pictures"], rows };
}

function lrsCaption() {
  const what = $(".kind").selectedOptions[0].textContent;
  const over = S.over === "all" && D.overall ? `mean over ${lrsShown().pictures} pictures` : apart(D.name);
  return `Likeness of layers, ${what}, ${matrixShown().unit}, ${over}. ${settingsSaid()}`;
}

function listenToTaking() {
  const named = (what) => `${what}-${D.encoder.id.split("/").pop()}-${D.name}`;
  exportButton($(".take-picture"), {
    label: "the picture with its map",
    name: () => named(`${S.mode}-layer-${S.layer}`),
    parts: () => [$(".stage"), $(".left .legend")],
    caption: () => `${apart(D.name)}, ${layerTitle(S.layer)}. ${mapSaid()} ${settingsSaid()}`,
    table: () => patchTable([S.layer]),
  });
  exportButton($(".take-film"), {
    label: "the strip of all layers",
    name: () => named(`${S.mode}-all-layers`),
    parts: () => [film],
    caption: () => `${apart(D.name)}, all layers. ${mapSaid()} ${settingsSaid()}`,
    table: () => patchTable([...Array(D.L).keys()]),
  });
  exportButton($(".take-lrs"), {
    label: "the likeness of layers",
    name: () => named(`layers-${S.kind}`),
    parts: () => [element.querySelector(".map"), element.querySelector(".lrs-legend")],
    caption: lrsCaption,
    table: lrsTable,
  });
}
