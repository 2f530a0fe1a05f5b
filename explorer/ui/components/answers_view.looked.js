// Where each answer looked: one measure and one scale for all cards, so that they compare.

const maps = new Map(); // checkpoint -> {rows, columns, blocks, heads, attention, rollout, gradient} or {problem}
let lookedFor = ""; // the question that the maps belong to

const lookKey = () => (S.asked ? `${S.asked.picture}/${S.asked.question}` : "");

// The map that the choices name, float [P]; null where there is none.
function mapOf(found) {
  if (!found || found.problem) return null;
  if (S.method !== "attention") return found[S.method].row(0);
  const block = S.block < 0 || S.block >= found.blocks ? found.blocks - 1 : S.block;
  if (S.head >= 0 && S.head < found.heads) return found.attention.row(block * found.heads + S.head);
  const mean = new Float32Array(found.rows * found.columns);
  for (let head = 0; head < found.heads; head++) {
    found.attention.row(block * found.heads + head).forEach((value, k) => (mean[k] += value / found.heads));
  }
  return mean;
}

function receiveLooked() {
  const said = props.looked && JSON.parse(JSON.stringify(props.looked));
  if (!said || said.number !== newest.look) return;
  for (const [id, one] of Object.entries(said.maps ?? {})) {
    maps.set(id, one.problem ? one : {
      ...one, columns: one.cols, attention: new Packed(one.attention), rollout: new Packed(one.rollout), gradient: new Packed(one.gradient),
    });
  }
  if (said.problem) $(".look-note").textContent = said.problem;
  paintLooking();
}

// Ask for what is missing once the answers are there.
function ensureLooked() {
  if (!S.looking || !S.said?.over) return;
  if (lookedFor !== lookKey()) { maps.clear(); lookedFor = lookKey(); }
  const missing = S.said.replies.filter((reply) => !reply.error && !maps.has(reply.checkpoint)).map((reply) => reply.checkpoint);
  if (!missing.length) return;
  newest.look = ++counter;
  for (const id of missing) maps.set(id, null);
  trigger("look_asked", { number: newest.look, picture: D.id, question: S.asked.question, checkpoints: missing });
}

function paintLooking() {
  $(".look").setAttribute("aria-pressed", S.looking);
  $(".look-bar").hidden = !S.looking;
  const there = S.said ? S.said.replies.map((reply) => maps.get(reply.checkpoint)).filter((found) => found && !found.problem) : [];
  const values = there.map(mapOf);
  const most = Math.max(0, ...values.map((one) => extent(one)[1]));
  if (S.looking) paintLookBar(there, most);
  for (const [id, card] of cards) {
    const found = lookedFor === lookKey() ? maps.get(id) : undefined;
    const canvas = card.querySelector(".looked-map");
    const note = card.querySelector(".look-said");
    if (!canvas) continue;
    canvas.hidden = !S.looking || !found || Boolean(found.problem);
    note.hidden = !S.looking || (found !== null && !found?.problem);
    note.textContent = found?.problem ?? "Looking where it looked …";
    if (!canvas.hidden) requestAnimationFrame(() => paintLooked(canvas, found, most));
  }
}

function paintLookBar(there, most) {
  element.querySelectorAll(".one-head").forEach((one) => (one.hidden = S.method !== "attention"));
  const blocks = Math.max(0, ...there.map((found) => found.blocks));
  const heads = Math.max(0, ...there.map((found) => found.heads));
  fillNumbers($(".block"), blocks, "block", S.block < 0 ? blocks - 1 : S.block);
  fillNumbers($(".head"), heads, "head", S.head, "mean of all heads");
  drawBar($(".bar"), CIVIDIS);
  const patches = there.length ? there[0].rows * there[0].columns : 0;
  $(".high").textContent = there.length ? `${(100 * most).toFixed(1)} %` : "";
  $(".unit").textContent = "share of one patch";
  const what = {
    rollout: "Attention of the answer’s first word, followed through all blocks of the language model.",
    gradient: "How much the answer’s first word would change with each patch: gradient × input, its size.",
    attention: "Attention of the answer’s first word in one block of the language model; the rest goes to words.",
  }[S.method];
  $(".look-note").textContent = `${what} The same scale for all cards${patches ? `; evenly spread, a patch would have ${(100 / patches).toFixed(1)} %` : ""}. It shows what was read, not why.`;
}

function fillNumbers(select, count, name, chosen, first) {
  if (select.dataset.count !== String(count)) {
    select.dataset.count = count;
    const options = [...Array(count).keys()].map((k) => new Option(`${name} ${k + 1}`, k));
    select.replaceChildren(...(first ? [new Option(first, -1)] : []), ...options);
  }
  select.value = chosen;
}

// The picture in grey tones with the map over it; the frame is what the model saw.
function paintLooked(canvas, found, most) {
  const values = mapOf(found);
  if (!values || !D.image) return;
  const width = canvas.clientWidth || 240;
  const height = (width * D.image.naturalHeight) / D.image.naturalWidth;
  const context = sharpCanvas(canvas, width, height);
  context.filter = "grayscale(1)";
  context.drawImage(D.image, 0, 0, width, height);
  context.filter = "none";
  const small = make("canvas", { width: found.columns, height: found.rows });
  small.getContext("2d").putImageData(tint(new ImageData(found.columns, found.rows), values, [0, most], CIVIDIS), 0, 0);
  const [left, top, right, bottom] = found.box;
  context.imageSmoothingEnabled = false;
  context.globalAlpha = 0.62;
  context.drawImage(small, left * width, top * height, (right - left) * width, (bottom - top) * height);
  context.globalAlpha = 1;
}

function listenToLooking() {
  $(".look").addEventListener("click", () => {
    S.looking = !S.looking;
    ensureLooked();
    paintLooking();
  });
  for (const [selector, name] of [[".method", "method"], [".block", "block"], [".head", "head"]]) {
    $(selector).addEventListener("change", (event) => {
      S[name] = name === "method" ? event.target.value : Number(event.target.value);
      paintLooking();
    });
  }
}
