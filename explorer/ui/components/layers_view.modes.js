// The six views of a picture. Each turns a layer into a field: one value a patch, with the step it was quantised in.
// `S` is what the person chose, `D` what was received; both are made in layers_view.js.

const S = {
  mode: "pca", layer: null, from: null, patch: -1, head: -1, basis: "joint", opacity: 75, sharp: false, text: "",
  scale: { similar: "fixed", change: "fixed", text: "all", attention: "all", norm: "all" },
  kind: "token", over: "one", lrsScale: "fixed", difference: false, groups: "automatic", drawn: null,
};
let D = null;

function pairRow(i, j) {
  const [a, b] = i < j ? [i, j] : [j, i];
  return a * D.L - (a * (a + 1)) / 2 + (b - a - 1);
}

const packedField = (packed, row) => ({ values: packed.row(row), step: packed.step(row) });

function attentionField(layer) {
  if (layer === 0) return null; // the patch embedding has no attention
  const heads = D.encoder.heads;
  const chosen = S.head < 0 ? [...Array(heads).keys()] : [S.head];
  const rows = chosen.map((head) => packedField(D.attention, (layer - 1) * heads + head));
  const values = new Float32Array(D.P);
  for (const row of rows) row.values.forEach((value, k) => (values[k] += (100 * value) / rows.length));
  return { values, step: (100 * rows.reduce((sum, row) => sum + row.step, 0)) / rows.length };
}

const place = (patch) => `row ${Math.floor(patch / D.columns) + 1}, column ${(patch % D.columns) + 1}`;
const headName = () => (S.head < 0 ? `the mean of its ${D.encoder.heads} heads` : `head ${S.head + 1}`);

const MODES = {
  pca: {
    needs: null,
    short: () =>
      `Patches of one colour look alike to layer ${S.layer}. Click a patch to see what the encoder finds similar to it.`,
    long:
      "Each patch is a long vector. Its three main directions of variation (principal components) are shown as red, green and " +
      "blue. With one basis for all layers a colour means the same everywhere, so a change of colour along the strip is a change " +
      "of representation; with one basis for each layer more is visible, but colours do not compare across layers.",
    field: () => null,
    say: (patch) => `Patch in ${place(patch)}`,
  },
  similar: {
    needs: "patch",
    unit: "cosine with the chosen patch",
    fixed: [0, 1],
    short: () =>
      S.patch < 0
        ? "Click a patch of the picture: the brighter another patch becomes, the more the layer sees the same in both."
        : `Bright patches look to layer ${S.layer} like the chosen one (outlined). Click another patch.`,
    long:
      "The cosine of the angle between the vector of the chosen patch and that of every other patch, at the same layer: 1 is the " +
      "same direction, 0 is unrelated. Early layers find equal colours and edges, later ones equal things or, at last, the same " +
      "summary everywhere. The comparison runs over all layers at once, so the strip shows how the likeness grows and fades.",
    field: (layer) => packedField(D.patch, layer),
    say: (patch, value) => `Patch in ${place(patch)}: cosine ${value} with the chosen patch`,
  },
  change: {
    needs: null,
    unit: "change, 1 − cosine",
    fixed: [0, 1],
    short: () =>
      S.from === S.layer
        ? `A layer compared with itself: nothing changes. Choose another layer than ${S.layer}.`
        : `${changeSentence()} Bright patches change, dark ones stay.`,
    long:
      "One minus the cosine between a patch's vector at the first layer and at the second: 0 is unchanged, 1 unrelated, above 1 " +
      "turned round. Every block adds to the same running sum, so the vectors of two layers can be compared directly. The strip " +
      "shows the change from the layer compared with to each layer. A click into the matrix sets both layers.",
    field: (layer) => {
      if (layer === S.from) return { values: new Float32Array(D.P), step: 0 };
      const field = packedField(D.change, pairRow(S.from, layer));
      return { values: field.values.map((cosine) => 1 - cosine), step: field.step };
    },
    say: (patch, value) => `Patch in ${place(patch)}: change ${value} between layers ${S.from} and ${S.layer}`,
  },
  text: {
    needs: "text",
    unit: "cosine with the text",
    fixed: [-1, 1],
    short: () =>
      D.text
        ? `Bright patches match “${D.text.said}” best at layer ${S.layer}.`
        : "Type a word or a phrase and press Match: bright patches match it best.",
    long:
      "Each patch of the layer is put through the encoder's own final norm and projection and compared with the vector of the text. " +
      "Only the last layer was trained for this, and only through the CLS token; for earlier layers it asks what would be read " +
      "there if they were the last. Cosines are small by nature, so the scale usually runs over the values that occur.",
    field: (layer) => packedField(D.text, layer),
    say: (patch, value) => `Patch in ${place(patch)}: cosine ${value} with “${D.text.said}”`,
  },
  attention: {
    needs: "attention",
    unit: "% of the CLS token's attention",
    fixed: null,
    short: () =>
      S.layer === 0
        ? "Layer 0 is the patch embedding: nothing attends yet. Choose a later layer."
        : `Bright patches are where the CLS token reads from in block ${S.layer}, in ${headName()}.`,
    long:
      "In each block the CLS token, whose last state stands for the whole picture, collects from the patches with weights that sum " +
      "to at most 100 % for each head. Layer k shows the attention inside block k, whose output layer k is. Attention tells where " +
      "is read from, not how much it matters for the result.",
    field: attentionField,
    say: (patch, value) => `Patch in ${place(patch)}: ${value} % of the CLS token's attention in block ${S.layer}`,
  },
  norm: {
    needs: null,
    unit: "length of the vector (norm)",
    fixed: null,
    short: () => normSentence(),
    long:
      "The Euclidean length of each patch's vector. In large encoders a few patches, mostly on plain backgrounds, grow vectors many " +
      "times longer than the rest and serve as scratch memory (Darcet et al. 2024, “Vision transformers need registers”); such " +
      "patches say little about their place. Here more than twice the layer's median counts as an outlier.",
    field: (layer) => packedField(D.norm, layer),
    say: (patch, value) => `Patch in ${place(patch)}: norm ${value}`,
  },
};

const OUTLIER = 2; // times the median norm

function outliers(layer) {
  const values = [...D.norm.row(layer)];
  const median = [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
  return values.flatMap((value, patch) => (value > OUTLIER * median ? [patch] : []));
}

function normSentence() {
  const count = outliers(S.layer).length;
  const found = ["none is an outlier", "1 is an outlier (dashed)"][count] ?? `${count} are outliers (dashed)`;
  const special = D.special.map((token) => `${token.kind.toUpperCase()} ${shown(token.norm[S.layer], 1)}`);
  const beside = special.length ? ` Beside the patches: ${special.slice(0, 5).join(", ")}.` : "";
  return `Bright patches have long vectors at layer ${S.layer}; ${found}: longer than twice the median.${beside}`;
}

// What is drawn of a layer in the current view; null where there is nothing.
const fields = new Map();

function fieldOf(layer) {
  const mode = MODES[S.mode];
  if (mode.needs && !D[mode.needs]) return null;
  if (!fields.has(layer)) {
    const field = mode.field(layer);
    fields.set(layer, field && { ...field, ends: extent(field.values) });
  }
  return fields.get(layer);
}

// The range of the colour scale at a layer; of the fixed one, values may lie outside.
function rangeOf(layer) {
  const mode = MODES[S.mode];
  const choice = S.scale[S.mode];
  if (choice === "fixed") return mode.fixed;
  if (choice === "each") return fieldOf(layer)?.ends ?? [0, 0];
  return extent([...Array(D.L).keys()].flatMap((each) => fieldOf(each)?.ends ?? []));
}

// The map of a layer as ImageData [rows, columns], or null.
function imageOf(layer) {
  const image = new ImageData(D.columns, D.rows);
  if (S.mode === "pca") {
    const colours = D.pca[S.basis];
    for (let k = 0; k < D.P; k++) {
      const at = 3 * (layer * D.P + k);
      image.data.set([colours[at], colours[at + 1], colours[at + 2], 255], 4 * k);
    }
    return image;
  }
  const field = fieldOf(layer);
  return field && tint(image, field.values, rangeOf(layer), CIVIDIS);
}

// The patches that a view points out.
function pointedOut() {
  if (S.mode === "norm") return outliers(S.layer);
  return S.mode === "change" && S.from !== S.layer ? [mostChanged()] : [];
}

const mostChanged = () => fieldOf(S.layer).values.indexOf(fieldOf(S.layer).ends[1]);

function changeSentence() {
  const { values, step, ends } = fieldOf(S.layer);
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const [first, last] = [Math.min(S.from, S.layer), Math.max(S.from, S.layer)];
  return (
    `Between layer ${first} and ${last} the picture changes most here: ${place(mostChanged())} ` +
    `(dashed, ${shown(ends[1], step)}; mean ${shown(mean, step)}).`
  );
}
