// The Answers view: asks, receives what streams in, and keeps cards, X-ray and dial with the picture on show.

let pinned = null; // the question that was on the page before it could be asked (hidden tab, nothing loaded)
let askedAt = 0;
let received = 0;

// ---- asking --------------------------------------------------------------------------------------------------------

// What goes along with every question.
function wishes(question) {
  return {
    picture: D.id, question, truth: $(".truth").value.trim(),
    candidates: $(".candidates").value.split(",").map((one) => one.trim()).filter(Boolean).slice(0, 40),
    temperature: Number($(".temperature").value), most_tokens: Number($(".length").value),
    turns: $(".follow-up").checked ? turnsBefore() : [],
  };
}

// The questions before, oldest first, each with what every model answered to it.
function turnsBefore() {
  const before = S.said?.over && S.asked ? [{ question: S.asked.question, replies: S.said.replies }, ...S.before] : S.before;
  return before.slice(0, 4).reverse().map((one) => ({
    question: one.question, answers: Object.fromEntries(one.replies.filter((reply) => reply.text).map((reply) => [reply.checkpoint, reply.text])),
  }));
}

function ask(text = $(".question").value) {
  const question = text.trim();
  $(".question").value = question;
  pinned = null;
  if (!D?.picture) return;
  if (!question) return tell(".problem", "Type a question first, or choose one of those suggested.");
  if (!S.chosen.length) return tell(".problem", "Choose at least one model that answers.");
  tell(".problem", "");
  const said = { ...wishes(question), number: ++counter, checkpoints: [...S.chosen] };
  keepBefore(question);
  newest.asked = counter;
  S.asked = { number: counter, question, picture: D.id };
  askedAt = Date.now();
  const waiting = (id) => ({ checkpoint: id, reads: readsOf(id) === id ? "" : readsOf(id), text: "", gist: "", kind: "open", probabilities: [], remarks: [], error: "", done: false, seconds: null });
  S.said = { number: counter, question, replies: S.chosen.map(waiting), truth: null };
  if (S.xray && (S.xray.question !== question || S.xray.picture !== D.id)) dropXray();
  setBusy(true);
  paintCards();
  trigger("asked", said);
  if (S.dial.length) askDial();
}

function keepBefore(question) {
  if (!S.said?.over || !S.asked || S.asked.picture !== D.id || S.asked.question === question) return;
  S.before = [{ question: S.asked.question, replies: S.said.replies }, ...S.before.filter((one) => one.question !== S.asked.question)];
  S.before = S.before.filter((one) => one.question !== question).slice(0, 8);
  paintBefore();
}

function setBusy(is) {
  $(".stop").hidden = !is;
  $(".go").textContent = is ? "Ask again" : "Ask";
}

function receiveSaid() {
  const said = props.said && JSON.parse(JSON.stringify(props.said));
  if (!said || said.number !== newest.asked || said.picture !== D?.id) return;
  if (said.problem) {
    setBusy(false);
    S.said = null;
    tell(".problem", said.problem);
    return paintCards();
  }
  S.said = said.replies ? said : { ...S.said, place: said.place };
  if (said.over) {
    setBusy(false);
    announce(summary(said));
    ensureLooked();
  }
  paintCards();
}

// The stated truth may come after the answers: they are judged again, not asked again.
function judge() {
  if (!S.said?.over) return;
  trigger("judged", {
    number: S.said.number, picture: D.id, question: S.asked.question, truth: $(".truth").value.trim(),
    answers: S.said.replies.map((reply) => reply.text),
  });
}

function receiveJudged() {
  const said = props.verdicts && JSON.parse(JSON.stringify(props.verdicts));
  if (!said || said.number !== S.said?.number || !S.said.over) return;
  S.said.truth = said.truth;
  S.said.replies.forEach((reply, at) => (reply.right = reply.error ? null : said.right[at]));
  paintCards();
}

// ---- who answers ---------------------------------------------------------------------------------------------------

function paintChips() {
  const here = (D?.checkpoints ?? []).filter((known) => known.here && !known.choosable);
  const ids = [...new Set([...here.map((known) => known.id), ...S.extra.keys(), ...S.chosen])];
  const focused = document.activeElement?.closest?.(".chip")?.dataset.id;
  $(".chips").replaceChildren(...ids.map((id) => {
    const on = S.chosen.includes(id);
    const known = knownOf(id);
    const chip = make(
      "button", { type: "button", className: "chip", title: [id, known?.knows].filter(Boolean).join(" · ") },
      make("span", { textContent: `${on ? "✓ " : ""}${known?.reads || id}` }), known?.reads ? make("small", { textContent: id.split("@")[0] }) : null,
    );
    chip.dataset.id = id;
    chip.setAttribute("aria-pressed", on);
    chip.addEventListener("click", () => choose(on ? S.chosen.filter((one) => one !== id) : [...S.chosen, id]));
    return chip;
  }));
  if (focused) [...$(".chips").children].find((chip) => chip.dataset.id === focused)?.focus();
  $(".who-count").textContent = `(${S.chosen.length} of at most ${MOST_CHECKPOINTS})`;
}

function choose(ids) {
  if (ids.length > MOST_CHECKPOINTS) return tell(".problem", `At most ${MOST_CHECKPOINTS} can answer side by side: take one away first.`);
  tell(".problem", "");
  const order = (D.checkpoints ?? []).map((known) => known.id);
  const place = (id) => (order.includes(id) ? order.indexOf(id) : order.length);
  S.chosen = [...ids].sort((a, b) => place(a) - place(b));
  paintChips();
  if (S.xray) paintXray();
}

function addId(id, title) {
  if (!S.extra.has(id) && !knownOf(id)) S.extra.set(id, { id, reads: title });
  if (S.chosen.includes(id)) return announce(`${title} is among the cards already.`);
  if (S.chosen.length >= MOST_CHECKPOINTS) return choose([...S.chosen, id]);
  choose([...S.chosen, id]);
  announce(`${title} was added.`);
  if (S.asked) ask(S.asked.question);
}

const addLayers = (layers) => anyLayer() && addId(anyId(layers), titleOf(layers));

function receiveNamed() {
  const said = props.named && JSON.parse(JSON.stringify(props.named));
  if (!said || said.number !== newest.named) return;
  if (said.problem) return tell(".problem", said.problem);
  $(".own-id").value = "";
  S.extra.set(said.info.id, said.info);
  addId(said.info.id, said.info.reads || said.info.id);
}

// ---- X-ray ---------------------------------------------------------------------------------------------------------

function dropXray() {
  if (newest.xray) trigger("stopped", { kinds: ["xray"], number: counter });
  newest.xray = 0;
  S.xray = spot = null;
  for (const selector of [".xray-progress", ".xray-stop"]) $(selector).hidden = true;
  tell(".xray-problem", "");
  tell(".xray-sum", "");
  paintXray();
}

function askXray() {
  const question = questionNow();
  if (!question) return tell(".xray-problem", "Type a question above first.");
  tell(".xray-problem", "");
  if (!S.asked || S.asked.question !== question || S.asked.picture !== D.id) ask(question);
  newest.xray = ++counter;
  $(".xray-stop").hidden = $(".xray-progress").hidden = false;
  $(".xray-bar").removeAttribute("value");
  $(".xray-done").textContent = "Starting …";
  trigger("xray_asked", { ...wishes(question), number: newest.xray, checkpoints: [...S.chosen], turns: [] });
}

function receiveXray() {
  const said = props.xray && JSON.parse(JSON.stringify(props.xray));
  if (!said || said.number !== newest.xray || said.picture !== D?.id) return;
  tell(".xray-problem", said.problem ?? "");
  const over = said.over || Boolean(said.problem);
  $(".xray-stop").hidden = $(".xray-progress").hidden = over;
  if (!said.columns) {
    $(".xray-done").textContent = said.place ? `Waiting: ${said.place} before you.` : "Starting …";
    return;
  }
  $(".xray-bar").value = said.done / said.columns.length;
  $(".xray-done").textContent = said.done < said.columns.length ? `${said.done} of ${said.columns.length} columns` : "asking the models that were trained for one layer …";
  S.xray = said;
  paintXray();
  if (said.over) announce($(".xray-sum").textContent);
}

// ---- what Python says ----------------------------------------------------------------------------------------------

async function receive() {
  const said = props.value && JSON.parse(JSON.stringify(props.value));
  if (!said) return;
  const turn = ++received;
  let image = said.id === D?.id ? D.image : null;
  if (said.picture && !image) {
    image = Object.assign(new Image(), { src: said.picture });
    await image.decode().catch(() => null);
  }
  if (turn !== received) return; // a newer one came meanwhile, perhaps of the same picture
  const before = D;
  D = { ...said, image: said.picture ? image : null };
  const moved = before?.id !== D.id;
  if (moved) leavePicture();
  if (!S.chosen.length || said.chosen.join() !== before?.chosen.join()) {
    S.chosen = said.chosen.slice(0, MOST_CHECKPOINTS);
    for (const id of S.chosen) if (!knownOf(id) && id.includes("@")) S.extra.set(id, { id, reads: titleOf(id.split("@")[1].split("+").map(Number)) });
  }
  paintPicture();
  paintSuggestions();
  paintChips();
  buildDial();
  paintDial();
  paintXray();
  const pinnedNow = said.question && (moved || said.question !== S.asked?.question) && said.question !== before?.question;
  const again = moved && (said.question || S.asked?.question) && D.quick;
  if ((pinnedNow || again) && Date.now() - askedAt > (moved ? 0 : 1500)) pin(said.question || S.asked.question);
}

// Another picture: what was said about the last one goes.
function leavePicture() {
  if (!$(".stop").hidden || newest.xray) trigger("stopped", { kinds: ["asked", "xray", "look", "dialled"], number: counter });
  setBusy(false);
  newest.asked = newest.look = newest.dialled = 0;
  S.said = S.dialled = null;
  S.before = [];
  S.trail = [];
  maps.clear();
  lookedFor = "";
  $(".truth").value = "";
  tell(".problem", "");
  dropXray();
  paintCards();
  paintBefore();
}

// Ask a question that came with the picture, once somebody looks at this tab.
function pin(question) {
  $(".question").value = question;
  pinned = question;
  if (element.offsetParent && S.chosen.length) ask(question);
}

function paintPicture() {
  const canvas = $(".shown-picture");
  $(".shown").hidden = !D.image?.naturalWidth;
  $(".shown-name").textContent = D.name;
  tell(".picture-note", D.note);
  tell(".empty", D.empty);
  if (!D.image?.naturalWidth || !canvas.clientWidth) return;
  const width = canvas.clientWidth;
  const height = (width * D.image.naturalHeight) / D.image.naturalWidth;
  sharpCanvas(canvas, width, height).drawImage(D.image, 0, 0, width, height);
}

function paintSuggestions() {
  $(".suggestions").replaceChildren(...(D.suggestions ?? []).map((text) => {
    const button = make("button", { type: "button", className: "suggestion", textContent: text });
    button.addEventListener("click", () => ask(text));
    return button;
  }));
  $("#av-known").replaceChildren(...(D.checkpoints ?? []).map((known) => new Option(known.title, known.id)));
}

function redraw() {
  if (!D || !element.clientWidth) return;
  paintPicture();
  paintXray();
  paintLooking();
  if (pinned && element.offsetParent && S.chosen.length) ask(pinned);
}

// ---- listening -----------------------------------------------------------------------------------------------------

const on = (selector, kind, act) => $(selector).addEventListener(kind, act);

on(".ask-form", "submit", (event) => { event.preventDefault(); ask(); });
on(".stop", "click", () => trigger("stopped", { kinds: ["asked"], number: counter }));
on(".xray-go", "click", askXray);
on(".xray-stop", "click", () => trigger("stopped", { kinds: ["xray"], number: counter }));
on(".truth", "change", judge);
on(".temperature", "input", (event) => ($(".temperature-out").textContent = event.target.value));
on(".length", "input", (event) => ($(".length-out").textContent = `${event.target.value} tokens`));
on(".own", "submit", (event) => {
  event.preventDefault();
  const id = $(".own-id").value.trim();
  if (!id) return;
  newest.named = ++counter;
  tell(".problem", "");
  trigger("checkpoint_named", { number: newest.named, id });
});
listenToLooking();
listenToXray(addLayers);
listenToDial(addLayers);
listenToTaking();

follow(document, "vle-unanswered-question", () => { setBusy(false); $(".xray-progress").hidden = $(".xray-stop").hidden = true; });
new MutationObserver(redraw).observe(document.body, { attributes: true, attributeFilter: ["class"] });
let width = 0;
new ResizeObserver(() => requestAnimationFrame(() => {
  if (element.clientWidth === width) return;
  width = element.clientWidth;
  redraw();
})).observe(element);
watch("value", receive);
watch("said", receiveSaid);
watch("dial_said", receiveDialled);
watch("verdicts", receiveJudged);
watch("named", receiveNamed);
watch("looked", receiveLooked);
watch("xray", receiveXray);
receive();
