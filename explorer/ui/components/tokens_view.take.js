// What can be taken away of this view: the map with its legend, the charts of all layers.

function saidOf() {
  const fit = D.N > 1 ? `${D.N} pictures` : D.pictures[0].name;
  const map = shownMap();
  const [method] = $(`input[name="tk-method"][value="${map.method}"]`).parentElement.textContent.trim().split(" ");
  return `${method} of tokens, ${shownLayers().map((layer) => `layer ${layer}`).join(", ")} of ${D.encoder.title} (${D.encoder.id}), ${fit}, computed live.`;
}

// One row a point on the map.
function pointTable() {
  const map = shownMap();
  const rows = [];
  for (const layer of shownLayers()) {
    const from = map.layers.indexOf(layer) * D.count;
    for (let token = 0; token < D.count; token++) {
      const [x, y] = [0, 1].map((axis) => map.low[axis] + map.step * map.places[2 * (from + token) + axis]);
      const about = [layer, D.pictures[pictureOf(token)].name, rowOf(token) + 1, columnOf(token) + 1];
      rows.push([...about, x, y, colouring().say(layer, token), S.marked.has(token) ? 1 : 0]);
    }
  }
  return { columns: ["layer", "picture", "row", "column", ...axisTitles(map), "colour says", "marked"], rows };
}

// One row a layer, and the fall of likeness with distance beside.
function factsTable() {
  const R = F.distances.length;
  const columns = ["layer", "effective rank", "± standard error", "anisotropy", "± standard error", "R² row", "R² column"];
  columns.push(...F.distances.map((distance) => `mean cosine at distance ${distance}`), "pictures");
  const rows = [...Array(D.L).keys()].map((layer) => [
    layer, F.effective_rank.mean[layer], F.effective_rank.error[layer], F.anisotropy.mean[layer], F.anisotropy.error[layer],
    F.row.mean[layer], F.column.mean[layer], ...F.locality.mean.slice(layer * R, (layer + 1) * R), F.pictures,
  ]);
  return { columns, rows };
}

function listenToTaking() {
  exportButton($(".take-map"), {
    label: "the map of tokens",
    name: () => `tokens-${shownMap().method}-${D.encoder.id.split("/").pop()}-layer-${shownLayers().join("-")}`,
    parts: () => [cloud, $(".tk-legend")],
    caption: saidOf,
    table: pointTable,
  });
  exportButton($(".take-facts"), {
    label: "the facts of all layers",
    name: () => `layer-facts-${D.encoder.id.split("/").pop()}`,
    parts: () => [...element.querySelectorAll(".chart")],
    caption: () => `${D.encoder.title} (${D.encoder.id}). ${$(".facts-note").textContent}`,
    table: factsTable,
  });
}
