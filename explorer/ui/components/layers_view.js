// The Layers view: receives an analysis, asks for what is computed on demand, and keeps all parts in step.

const ASKED = { patch: "patch_chosen", text: "text_typed", attention: "attention_asked", overall: "overall_asked" };
const latest = {}; // kind -> number of the newest question; an older answer is dropped
let asked = 0;
const open = new Set(); // kinds that wait for an answer
let playing = 0;

const announce = (text) => ($(".live").textContent = text);
const hide = (selector, hidden) => element.querySelectorAll(selector).forEach((one) => (one.hidden = hidden));
const reduced = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

function problem(text) {
  $(".problem").textContent = text;
  $(".problem").hidden = !text;
}

// ---- drawing -------------------------------------------------------------------------------------------------------

// After a change of the view or its data: everything.
function drawAll() {
  if (!D) return;
  fields.clear();
  film.style.gridTemplateColumns = film.clientWidth / D.L >= 38 ? `repeat(${D.L}, minmax(0, 1fr))` : "";
  layOut();
  paintControls();
  paintFilm();
  paintMatrix();
  paintUnlike();
  drawLayer();
}

// After a change of the layer: what does not depend on it stays.
function drawLayer() {
  $(".layer").value = S.layer;
  $(".layer").setAttribute("aria-valuetext", layerTitle(S.layer));
  $(".layer-out").textContent = layerTitle(S.layer);
  $(".short").textContent = MODES[S.mode].short();
  $(".from").value = S.from;
  $(".from-out").textContent = S.from;
  paintPicture();
  paintLegend();
  readOut();
  markFilm();
  paintAxes();
  window.vle = { ...window.vle, layer: S.layer, patch: S.patch, compared: S.from, mode: S.mode, basis: S.basis, head: S.head, text: D.text?.said };
}

function paintLegend() {
  const colours = S.mode === "pca";
  const field = colours ? null : fieldOf(S.layer);
  hide(".left .legend .scale, .left .legend .ends", colours || !field);
  $(".swatch-note").hidden = !colours;
  if (!field) return;
  const mode = MODES[S.mode];
  const [low, high] = rangeOf(S.layer);
  const [least, most] = field.ends;
  drawBar($(".bar"), CIVIDIS);
  $(".unit").textContent = mode.unit;
  $(".low").textContent = (least < low - 1e-6 ? "≤ " : "") + shown(low, field.step);
  $(".high").textContent = (most > high + 1e-6 ? "≥ " : "") + shown(high, field.step);
}

function paintControls() {
  const mode = MODES[S.mode];
  for (const each of ["pca", "change", "text", "attention"]) hide(`.for-${each}`, S.mode !== each);
  hide(".scale-control", S.mode === "pca");
  $(".long").textContent = mode.long;
  element.querySelector(`input[name="lv-mode"][value="${S.mode}"]`).checked = true;
  element.querySelector(`input[name="lv-groups"][value="${S.groups}"]`).checked = true;
  const scales = [
    ...(mode.fixed ? [["fixed", `fixed ${shown(mode.fixed[0])} … ${shown(mode.fixed[1])}`]] : []),
    ["all", "same for all layers"],
    ["each", "stretched per layer"],
  ];
  $(".scale-choice").replaceChildren(...scales.map(([value, text]) => new Option(text, value)));
  $(".scale-choice").value = S.scale[S.mode];
  $(".opacity-out").textContent = `${S.opacity} %`;
  $(".lrs-scale").disabled = S.difference && Boolean(D.paper);
  $(".lrs-what").textContent =
    "Each square compares two layers: yellow alike, blue different. Click one to see where the picture changes.";
}

function paintWaiting() {
  const needs = D && MODES[S.mode].needs;
  const waiting = Boolean(needs) && open.has(needs);
  $(".wait").hidden = !waiting;
  $(".wait-text").textContent = D?.live ? "Asking the encoder…" : "Waiting for the encoder to load…";
  if (!open.has("overall")) $(".map-wait-text").textContent = "Looking at all pictures…";
  $(".map-wait").hidden = !open.has("overall");
}

// ---- choosing ------------------------------------------------------------------------------------------------------

function setLayer(layer) {
  if (!D || layer < 0 || layer >= D.L) return;
  S.layer = layer;
  drawLayer();
  announce(layerTitle(layer));
  publish();
}

// Other tabs follow the choice of layer and patch, and this one follows theirs.
function publish() {
  window.vle = { ...window.vle, layer: S.layer, patch: S.patch };
  document.dispatchEvent(new CustomEvent("vle-choice", { detail: { ...window.vle, from: "layers" } }));
}

function takeOver({ layer, patch, from }) {
  if (from === "layers" || !D) return;
  if (Number.isInteger(layer) && layer >= 0 && layer < D.L) S.layer = layer;
  if (Number.isInteger(patch) && patch >= 0 && patch < D.P && patch !== S.patch) {
    cursor = S.patch = patch;
    if (S.mode === "similar") ask("patch");
    else D.patch = null;
  }
  drawLayer();
}

function setMode(mode) {
  S.mode = mode;
  problem("");
  drawAll();
  ensure();
  announce(MODES[mode].short());
}

function choosePatch(patch) {
  cursor = S.patch = patch;
  if (S.mode === "similar") {
    ask("patch"); // the map of the patch before stays until the answer is here
  } else {
    D.patch = null;
    if (S.mode === "pca") {
      publish();
      return setMode("similar");
    }
  }
  drawLayer();
  announce(sentenceOf(patch));
  publish();
}

function openCell(i, j) {
  if (i !== j) [S.from, S.layer] = [Math.min(i, j), Math.max(i, j)];
  else S.layer = i;
  if (i !== j && S.mode !== "change") setMode("change");
  else { fields.clear(); paintFilm(); drawLayer(); }
  const stage = $(".stage").getBoundingClientRect();
  if (stage.top < 0 || stage.bottom > innerHeight + stage.height / 2) {
    $(".what").scrollIntoView({ behavior: reduced() ? "auto" : "smooth", block: "start" });
  }
  announce(i === j ? `Layer ${i} with itself` : MODES.change.short());
}

// ---- questions to Python -------------------------------------------------------------------------------------------

// Ask for what the current view needs and does not have; a precomputed analysis waits for the live one.
function ensure() {
  if (!D) return;
  const needs = MODES[S.mode].needs;
  if (needs && !D[needs]) ask(needs);
  if (S.over === "all" && !D.overall && !open.has("overall")) ask("overall");
}

function ask(kind) {
  const about = { patch: S.patch, text: S.text }[kind];
  if ((kind === "patch" && S.patch < 0) || (kind === "text" && !S.text)) return;
  open.add(kind);
  paintWaiting();
  if (!D.live) return;
  latest[kind] = ++asked;
  trigger(ASKED[kind], { id: D.id, question: asked, about: about ?? null });
}

function answered(kind) {
  const said = props[kind];
  if (!said || !D || said.question !== latest[kind]) return;
  if (kind === "overall" ? said.over !== D.over.id : said.id !== D.id) return;
  if (said.progress) return void ($(".map-wait-text").textContent = `Looked at ${said.progress[0]} of ${said.progress[1]} pictures…`);
  open.delete(kind);
  paintWaiting();
  if (said.problem) {
    problem(said.problem);
    if (kind === "overall") { S.over = "one"; $(".over").value = "one"; }
    if (said.outdated) inTurn("outdated", {});
    return;
  }
  problem("");
  if (kind === "overall") D.overall = { lrs: matrices(said.lrs), unlike: said.unlike };
  else D[kind] = Object.assign(new Packed(said.map), { said: said.about });
  drawAll();
  announce(MODES[S.mode].short());
}

// ---- receiving -----------------------------------------------------------------------------------------------------

function matrices(lrs) {
  return Object.fromEntries(
    Object.entries(lrs).map(([kind, one]) => [kind, { ...one, mean: floats(one.mean), stderr: floats(one.stderr) }]),
  );
}

async function picture(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  return image;
}

async function receive() {
  const said = props.value && JSON.parse(JSON.stringify(props.value)); // a plain copy: the proxy is slow
  if (said?.waiting) {
    $(".empty-text").textContent = said.waiting;
    $(".empty").hidden = false;
  }
  if (!said?.id) return;
  const [whole, view] = await Promise.all([picture(said.picture), picture(said.view)]);
  if (props.value.id !== said.id) return; // a newer one came meanwhile
  const before = D;
  D = {
    ...said, whole, view,
    L: said.encoder.blocks + 1, rows: said.grid[0], columns: said.grid[1], P: said.grid[0] * said.grid[1],
    change: new Packed(said.change), norm: new Packed(said.norm),
    special: said.special.map((token) => ({ kind: token.kind, norm: floats(token.norm) })),
    pca: { joint: bytes(said.pca.joint), each: bytes(said.pca.each) },
    lrs: matrices(said.lrs), patch: null, text: null, attention: null,
    overall: before?.over.id === said.over.id ? before.overall : null,
  };
  keepChoices(before);
  const comparing = open.has("overall") && before?.live && before.over.id === D.over.id; // that answer is still good
  open.clear();
  if (comparing) open.add("overall");
  element.querySelector(".lv").classList.remove("busy");
  $(".empty").hidden = true;
  tell();
  paintWaiting();
  drawAll();
  ensure();
}

// Keep layer, patch and groups where they exist in the new analysis.
function keepChoices(before) {
  if (!before || before.L !== D.L) {
    S.layer = Math.round(0.75 * (D.L - 1));
    S.from = Math.max(1, Math.round(0.125 * (D.L - 1)));
    S.drawn = null;
    cell = over = null;
    buildFilm();
    for (const selector of [".layer", ".from"]) $(selector).max = D.L - 1;
  }
  if (!before || before.P !== D.P) { S.patch = -1; cursor = 0; }
  hovered = -1;
  takeFromLink();
  if (S.groups !== "drawn" && !D.groups[S.groups]) S.groups = "automatic";
  if (before?.encoder.heads !== D.encoder.heads) S.head = -1;
  const heads = [...Array(D.encoder.heads).keys()].map((head) => new Option(`head ${head + 1}`, head));
  $(".head").replaceChildren(new Option("mean of all heads", -1), ...heads);
  $(".head").value = S.head;
  available("attention", D.encoder.has_cls, "This encoder has no CLS token");
  available("text", D.encoder.reads_text, "This encoder reads no text");
  $(".kind option[value=cls]").disabled = !D.encoder.has_cls;
  if (S.kind === "cls" && !D.encoder.has_cls) $(".kind").value = S.kind = "token";
  $(".over option[value=all]").textContent = D.over.label;
  hide(".paper-only", !D.paper);
  hide(".papers", !D.groups.paper);
}

function available(mode, is, why) {
  const input = element.querySelector(`input[name="lv-mode"][value="${mode}"]`);
  const label = input.closest("label");
  label.dataset.title ??= label.title;
  label.title = is ? label.dataset.title : why;
  input.disabled = !is;
  if (!is && S.mode === mode) S.mode = "pca";
}

// What the picture is, how it was fitted and how the numbers were made.
function tell() {
  const [left, top, right, bottom] = D.box;
  const cut = left > 0.5 || top > 0.5 || right < D.size[0] - 0.5 || bottom < D.size[1] - 0.5;
  const fits = {
    crop: cut ? ", cropped to the encoder's square: the dimmed part was not seen" : "",
    pad: ", padded with grey to a square", squash: ", squashed to a square",
  };
  const [width, height] = D.view_px;
  const seconds = D.seconds.map((each) => (each === null ? null : `${Math.round(1000 * each)} ms`));
  const times = seconds[0] ? ` · forward ${seconds[0]}${seconds[1] ? `, analysis ${seconds[1]}` : ""}` : "";
  $(".badge").textContent = D.live ? `live${times}` : "precomputed";
  $(".badge").dataset.live = D.live;
  $(".badge").title = `${D.encoder.title} on ${D.encoder.device}, ${D.encoder.dtype}. ${D.encoder.layer_note}`;
  const seen = `${apart(D.name)}: seen as ${width} × ${height} px in ${D.rows} × ${D.columns} patches${fits[D.fit] ?? ""}.`;
  $(".notes").textContent = [seen, ...D.notes.map((note) => `Note: ${note}.`.replace("..", ".")), D.encoder.knows, D.credit]
    .filter(Boolean)
    .join(" ");
}

// ---- listening -----------------------------------------------------------------------------------------------------

const on = (selector, kind, act) => element.querySelectorAll(selector).forEach((one) => one.addEventListener(kind, act));

on('input[name="lv-mode"]', "change", (event) => D && setMode(event.target.value));
on('input[name="lv-basis"]', "change", (event) => { S.basis = event.target.value; drawAll(); });
on('input[name="lv-groups"]', "change", (event) => {
  if (event.target.value === "drawn" && !S.drawn) draw([...groupsShown().starts]);
  S.groups = event.target.value;
  groupsChanged();
});
on(".layer", "input", (event) => setLayer(Number(event.target.value)));
on(".from", "input", (event) => { S.from = Number(event.target.value); fields.clear(); paintFilm(); drawLayer(); });
on(".opacity", "input", (event) => {
  S.opacity = Number(event.target.value);
  $(".opacity-out").textContent = `${S.opacity} %`;
  if (D) paintPicture();
});
on(".scale-choice", "change", (event) => { S.scale[S.mode] = event.target.value; drawAll(); });
on(".sharp", "change", (event) => { S.sharp = event.target.checked; if (D) paintPicture(); });
on(".head", "change", (event) => { S.head = Number(event.target.value); drawAll(); });
on(".for-text", "submit", (event) => {
  event.preventDefault();
  S.text = $(".text").value.trim();
  if (D && S.text) ask("text");
});
on(".kind", "change", (event) => { S.kind = event.target.value; drawAll(); });
on(".over", "change", (event) => { S.over = event.target.value; if (S.over === "one") stopComparing(); ensure(); drawAll(); });
on(".lrs-scale", "change", (event) => { S.lrsScale = event.target.value; drawAll(); });
on(".difference", "change", (event) => { S.difference = event.target.checked; drawAll(); });
on(".play", "click", () => {
  const start = !playing;
  clearInterval(playing);
  playing = start && D ? setInterval(() => setLayer((S.layer + 1) % D.L), reduced() ? 1200 : 350) : 0;
  $(".play").textContent = playing ? "❚❚ Stop" : "▶ Play";
  $(".play").setAttribute("aria-pressed", Boolean(playing));
});

function groupsChanged() {
  if (!D) return;
  element.querySelector(`input[name="lv-groups"][value="${S.groups}"]`).checked = true;
  markFilm();
  paintAxes();
  paintMeans();
  $(".layer-out").textContent = layerTitle(S.layer);
}

function byKey(event) {
  const step = layerStep(event);
  if (!step || !D || !element.offsetParent) return;
  event.preventDefault();
  setLayer(S.layer + step);
}

listenToPicture(choosePatch);
listenToMatrix(openCell);
listenToGroups();
listenToFilm(setLayer);
listenToTaking();
listenToUnlike();
follow(document, "keydown", byKey);
follow(document, "vle-choice", (event) => takeOver(event.detail));
follow(document, "vle-busy", () => element.querySelector(".lv").classList.add("busy"));
follow(document, "vle-settled", () => element.querySelector(".lv").classList.remove("busy"));
follow(document, "vle-unanswered", () => { open.clear(); paintWaiting(); });
new MutationObserver(() => D && drawAll()).observe(document.body, { attributes: true, attributeFilter: ["class"] });
let width = 0;
new ResizeObserver(() => requestAnimationFrame(() => {
  if (!D || element.clientWidth === width) return;
  width = element.clientWidth; // 0 while another tab is open
  if (width) drawAll();
})).observe(element);
watch("value", receive);
for (const kind of Object.keys(ASKED)) watch(kind, () => answered(kind));
watch("encoder_state", () => {
  const { phase, message } = props.encoder_state ?? {};
  if (!$(".empty").hidden && message) $(".empty-text").textContent = message;
  $(".empty .spinner").hidden = phase === "failed";
  if (phase === "failed" && D && !D.live && open.size) { open.clear(); paintWaiting(); problem(message); }
});
receive();
