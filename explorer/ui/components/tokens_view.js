// The Tokens view: asks for what it shows once it is looked at, and keeps map, pictures and charts in step.

const ASKED = { map: "map_asked", colour: "colour_asked", facts: "facts_asked" };
const latest = {}; // kind -> number of the newest question; an older answer is dropped
const open = new Set(); // kinds that wait for an answer
let asked = 0;
let playing = 0;
let underway = null; // [share, sentence] of the map being made

const announce = (text) => ($(".tk-live").textContent = text);
const visible = () => element.offsetParent !== null && element.clientWidth > 0;
const boardKey = () => (D ? `${D.id}/${D.scope}` : "");

function problem(text) {
  $(".tk-problem").textContent = text;
  $(".tk-problem").hidden = !text;
}

// ---- drawing -------------------------------------------------------------------------------------------------------

function drawAll(animate = false) {
  if (!D || !visible() || !sizeCloud()) return;
  sizeViews();
  arrange(animate);
  drawChoices();
}

// After a change of what is chosen, when no point moves.
function drawChoices() {
  if (!D) return;
  $(".tk-layer").value = S.layer;
  $(".tk-layer").setAttribute("aria-valuetext", layerTitle(S.layer));
  $(".tk-layer-out").textContent = S.several ? `layers ${shownLayers().join(", ")}` : layerTitle(S.layer);
  $(".strip").hidden = !S.several;
  for (const button of $(".strip").children) button.setAttribute("aria-pressed", S.layers.includes(Number(button.dataset.layer)));
  $(".for-cluster").hidden = S.colour !== "cluster";
  $(".tk-opacity-out").textContent = `${S.opacity} %`;
  paintLegend();
  paintViews();
  paintMarked();
  paintFacts();
  readOut();
  tell();
  redraw();
}

function tell() {
  const map = shownMap();
  const name = { pca: "PCA", umap: "UMAP", tsne: "t-SNE" }[map.method];
  const time = map.seconds < 1 ? `${Math.max(1, Math.round(1000 * map.seconds))} ms` : `${map.seconds.toFixed(1)} s`;
  $(".tk-badge").textContent = `live · ${name} ${time}`;
  const trust = map.trust[map.layers.indexOf(S.layer)];
  const sure = Number.isNaN(trust) ? "" : `Trustworthiness at layer ${S.layer}: ${trust.toFixed(2)} (15 neighbours).`;
  const taken = D.stride > 1 ? `Every ${D.stride === 2 ? "second" : `${D.stride}th`} row and column of patches is shown, since all would be too many.` : "";
  const together = map.method === "tsne" ? "Fitted to the layers on show." : "One map for all layers.";
  const tokens = `${D.count * map.layers.length} tokens of ${D.encoder.title}.`;
  const pending = S.method !== map.method ? `Shown is PCA until ${{ umap: "UMAP", tsne: "t-SNE" }[S.method]} is there.` : "";
  $(".tk-notes").textContent = [pending, tokens, together, sure, taken, D.encoder.knows].filter(Boolean).join(" ");
}

function readOut() {
  const slot = hoveredSlot >= 0 ? hoveredSlot : -1;
  const token = slot >= 0 ? tokenAt(slot) : hoveredToken >= 0 ? hoveredToken : S.token;
  $(".tk-readout").textContent = token >= 0 ? sentenceOf(slot >= 0 ? layerOf(slot) : S.layer, token) : "Point at a point to see its patch; click to choose it.";
}

function paintWaiting() {
  const waits = open.has("map");
  $(".tk-wait").hidden = !waits;
  const [share, sentence] = underway ?? [null, "Asking the encoder…"];
  $(".tk-wait-text").textContent = sentence;
  $(".wait-bar").hidden = !share;
  $(".wait-bar").value = share ?? 0;
  $(".stop").hidden = !maps.pca || S.method === "pca";
  $(".facts-wait").hidden = !open.has("facts");
}

// ---- pointing and choosing -----------------------------------------------------------------------------------------

function pointAtSlot(slot, event) {
  const same = slot === hoveredSlot;
  hoveredSlot = slot;
  const token = slot >= 0 ? tokenAt(slot) : -1;
  const tip = $(".tip");
  tip.hidden = slot < 0;
  if (slot >= 0) {
    if (!same || !event) {
      paintCrop($(".crop"), token);
      $(".tip-text").textContent = [`layer ${layerOf(slot)}`, nameOf(token).replace(", ", ",\n"), colouring().say(layerOf(slot), token)].filter(Boolean).join("\n");
    }
    const [x, y] = [slots[2 * slot], slots[2 * slot + 1]];
    const [width, height] = [tip.offsetWidth, tip.offsetHeight];
    tip.style.left = `${x + 16 + width > cloud.clientWidth ? Math.max(0, x - 16 - width) : x + 16}px`;
    tip.style.top = `${Math.min(Math.max(0, y - height / 2), Math.max(0, cloud.clientHeight - height))}px`;
    if (!event) announce(sentenceOf(layerOf(slot), token));
  }
  if (same) return;
  hoveredToken = token;
  paintViews();
  readOut();
  redraw();
}

function pointAtToken(token) {
  if (token === hoveredToken) return;
  hoveredToken = token;
  hoveredSlot = token < 0 ? -1 : Math.max(0, shownLayers().indexOf(S.layer)) * D.count + token;
  paintViews();
  readOut();
  redraw();
}

function chooseSlot(slot) {
  cursorSlot = slot;
  if (S.several) S.layer = layerOf(slot);
  chooseToken(tokenAt(slot));
}

function chooseToken(token) {
  S.token = token;
  ensure();
  drawChoices();
  announce(`Chosen: ${sentenceOf(S.layer, token)}`);
  publish();
}

function mark(tokens, more = false) {
  S.marked = more ? new Set([...S.marked, ...tokens]) : new Set(tokens);
  drawChoices();
  announce($(".marked-said").textContent);
}

function setLayer(layer) {
  if (!D || layer < 0 || layer >= D.L || !Number.isInteger(layer)) return;
  S.layer = layer;
  if (S.several && !S.layers.includes(layer)) S.layers = [...S.layers, layer].sort((a, b) => a - b);
  cursorSlot = hoveredSlot = -1;
  $(".tip").hidden = true;
  ensure();
  if (visible()) arrange();
  drawChoices();
  announce(layerTitle(layer));
  publish();
}

function toggleLayer(layer) {
  const others = S.layers.filter((each) => each !== layer);
  if (S.layers.includes(layer) && !others.length) return;
  S.layers = others.length === S.layers.length ? [...others, layer].sort((a, b) => a - b) : others;
  S.layer = S.layers.includes(layer) ? layer : S.layers[0];
  cursorSlot = hoveredSlot = -1;
  ensure();
  drawAll();
}

// Other tabs follow the choice of layer and patch, and this one follows theirs.
function publish() {
  const patch = S.token >= 0 && pictureOf(S.token) === 0 ? patchOf(S.token) : -1;
  window.vle = { ...window.vle, layer: S.layer, patch };
  document.dispatchEvent(new CustomEvent("vle-choice", { detail: { ...window.vle, from: "tokens" } }));
}

function takeOver({ layer, patch, from }) {
  if (from === "tokens" || !D) return;
  if (Number.isInteger(patch) && patch >= 0 && patch < D.fullRows * D.fullCols) S.token = tokenOf(patch);
  if (Number.isInteger(layer) && layer >= 0 && layer < D.L && !S.several) S.layer = layer;
  if (!visible()) return;
  ensure();
  drawAll(true);
}

// ---- questions to Python -------------------------------------------------------------------------------------------

function ask(kind, about) {
  open.add(kind);
  latest[kind] = ++asked;
  if (kind === "map") underway = null;
  paintWaiting();
  trigger(ASKED[kind], { id: props.value.id, question: asked, about: { ...about, pictures: S.pictures } });
}

// Ask for what the view needs and does not have.
function ensure() {
  if (!props.value?.id || !visible()) return;
  if (boardKey() !== `${props.value.id}/${S.pictures}`) {
    if (!open.has("map") || latest.about !== `${props.value.id}/${S.pictures}`) {
      latest.about = `${props.value.id}/${S.pictures}`;
      ask("map", { method: "pca" });
    }
    return;
  }
  if (shownMap().method !== S.method) {
    const about = S.method === "tsne" ? `tsne/${shownLayers()}` : S.method;
    if (!open.has("map") || latest.about !== about) {
      latest.about = about;
      ask("map", { method: S.method, layers: shownLayers() });
    }
  }
  const needs = COLOURS[S.colour].needs?.();
  if (needs && (!open.has("colour") || latest.needs !== JSON.stringify(needs))) {
    latest.needs = JSON.stringify(needs);
    ask("colour", needs);
  }
  if (factsOf !== boardKey() && !open.has("facts")) ask("facts", {});
}

function current(kind) {
  const said = props[kind] && JSON.parse(JSON.stringify(props[kind]));
  return said && said.question === latest[kind] && said.id === props.value?.id && open.has(kind) ? said : null;
}

function closed(kind, said) {
  open.delete(kind);
  paintWaiting();
  problem(said.problem ?? "");
  return !said.problem;
}

async function takeMap() {
  const said = current("map");
  if (!said) return;
  if (said.progress) {
    underway = said.progress;
    return paintWaiting();
  }
  if (said.board) {
    const images = await Promise.all(said.board.pictures.map(({ view }) => decoded(view)));
    if (said.question !== latest.map || said.id !== props.value?.id) return;
    takeBoard(said, images);
  }
  underway = null;
  if (!closed("map", said)) {
    setMethod("pca");
    return;
  }
  const places = new Uint16Array(bytes(said.map.places).buffer);
  const most = [0, 0];
  places.forEach((code, k) => { if (code > most[k % 2]) most[k % 2] = code; });
  maps[said.map.method] = { ...said.map, places, most, trust: floats(said.map.trust) };
  if (said.board) $(".tk-empty").hidden = true;
  drawAll(true);
  ensure();
}

async function decoded(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  return image;
}

function takeBoard({ id, about, board }, images) {
  const before = D;
  for (const method of Object.keys(maps)) delete maps[method];
  const [rows, cols] = board.grid;
  D = {
    id, scope: about.pictures, encoder: board.encoder, L: board.encoder.blocks + 1, rows, cols, T: rows * cols,
    fullRows: board.full_grid[0], fullCols: board.full_grid[1], stride: board.stride, N: images.length,
    count: rows * cols * images.length, things: board.things ?? null,
    pictures: board.pictures.map(({ name }, k) => ({ name, image: images[k] })),
    clusters: null, clustersOf: 0, similar: null, similarOf: -1,
  };
  keepChoices(before);
  slots = null;
  buildViews();
  element.querySelector(".tk").classList.remove("busy");
}

// Keep layer, patch and colours where they exist in the new board.
function keepChoices(before) {
  if (!before || before.L !== D.L) {
    const other = window.vle?.layer;
    S.layer = Number.isInteger(other) && other < D.L ? other : Math.round(0.75 * (D.L - 1));
    S.layers = [...new Set([0.125, 0.75, 0.96].map((share) => Math.round(share * (D.L - 1))))];
    $(".tk-layer").max = D.L - 1;
    $(".strip").replaceChildren(
      ...[...Array(D.L).keys()].map((layer) => {
        const button = make("button", { type: "button", textContent: layer });
        button.dataset.layer = layer;
        button.setAttribute("aria-label", `Layer ${layer}`);
        button.addEventListener("click", () => toggleLayer(layer));
        return button;
      }),
    );
  }
  S.marked = new Set();
  if (!before) S.token = window.vle?.patch >= 0 && window.vle.patch < D.fullRows * D.fullCols ? tokenOf(window.vle.patch) : -1;
  else if (before.T !== D.T || before.id !== D.id) S.token = -1;
  hoveredSlot = hoveredToken = cursorSlot = -1;
  $(".tip").hidden = true;
  offerColours();
}

function offerColours() {
  const offered = { thing: D.things !== null, picture: D.N > 1, layer: S.several };
  for (const [kind, is] of Object.entries(offered)) {
    $(`.colour-choice option[value=${kind}]`).hidden = $(`.colour-choice option[value=${kind}]`).disabled = !is;
    if (!is && S.colour === kind) S.colour = "place";
  }
  $(".colour-choice").value = S.colour;
}

function takeColour() {
  const said = current("colour");
  if (!said || !closed("colour", said) || boardKey() !== `${said.id}/${said.about.pictures}`) return;
  if (said.numbers) [D.clusters, D.clustersOf] = [bytes(said.numbers), said.about.number];
  if (said.map) [D.similar, D.similarOf] = [new Packed(said.map), said.about.number];
  drawChoices();
  ensure();
}

function takeAllFacts() {
  const said = current("facts");
  if (!said || !closed("facts", said)) return;
  factsOf = boardKey();
  takeFacts(said.facts);
}

function setMethod(method) {
  S.method = method;
  element.querySelector(`input[name="tk-method"][value="${method}"]`).checked = true;
  ensure();
  drawAll(true);
}

// What the view is about has changed: what is shown stays until the new is there.
function receive() {
  const said = props.value;
  $(".many").hidden = !(said?.pictures > 1);
  $(".pictures-choice option[value=all]").textContent = said?.label ?? "all";
  if (said?.pictures === 1 && S.pictures === "all") $(".pictures-choice").value = S.pictures = "one";
  if (said?.waiting && !D) {
    $(".tk-empty-text").textContent = said.waiting;
    $(".tk-empty").hidden = false;
  }
  if (said?.id && !D) $(".tk-empty-text").textContent = "Looking…";
  if (said?.id && said.id !== D?.id) open.clear();
  ensure();
}
