// The layer dial: any set of layers for the model that reads any; it answers anew whenever the set changes.

let dialTimer = 0;
let dialCard = null;
let dialFor = ""; // the layers that the toggles were made for

function buildDial() {
  const any = anyLayer();
  $(".dial-body").hidden = !any;
  tell(".dial-what", !D ? "" : any
    ? `${any.id} was trained with other layers, and sets of layers, at every step, so any choice is one that it can read. Several layers are fused: each goes through its own linear map, and the sum is read.`
    : "The dial needs a model that reads any layer (mini-any); it is not on this machine.");
  if (!any || dialFor === any.layers.join()) return;
  dialFor = any.layers.join();
  const groups = [...D.groups, { name: "", first: 0, last: any.blocks }];
  const placed = new Set();
  const made = groups.map((group) => {
    const layers = any.layers.filter((layer) => !placed.has(layer) && layer >= group.first && layer <= group.last);
    layers.forEach((layer) => placed.add(layer));
    if (!layers.length) return null;
    const name = make("span", { textContent: group.name || (layers.length === 1 && layers[0] === 0 ? "patches, before any block" : "layers") });
    const box = make("div", { className: "dial-group" }, name, make("span", {}, ...layers.map(layerToggle)));
    box.style.setProperty("--group", group.name ? groupColour(group.name) : "var(--border-color-primary)");
    return { first: layers[0], box };
  });
  $(".dial-layers").replaceChildren(...made.filter(Boolean).sort((a, b) => a.first - b.first).map((one) => one.box));
  const usual = [[any.blocks - 1], [Math.round(any.blocks * 0.75)], ...(D.fusions ?? [])];
  const presets = new Map(usual.filter((set) => set.every((layer) => any.layers.includes(layer))).map((set) => [set.join(), set]));
  $(".dial-presets").replaceChildren(...[...presets.values()].map((set) => {
    const button = make("button", { type: "button", className: "button", textContent: set.join(" + ") });
    button.addEventListener("click", () => setDial(set));
    return button;
  }));
}

function layerToggle(layer) {
  const button = make("button", { type: "button", className: "layer-toggle", textContent: layer, title: titleOf([layer]) });
  button.setAttribute("aria-label", `layer ${layer}`);
  button.dataset.layer = layer;
  button.addEventListener("click", () => {
    setDial(S.dial.includes(layer) ? S.dial.filter((one) => one !== layer) : [...S.dial, layer]);
  });
  return button;
}

function setDial(layers) {
  S.dial = [...layers].sort((a, b) => a - b);
  S.dialled = null;
  paintDial();
  clearTimeout(dialTimer);
  if (S.dial.length && questionNow()) dialTimer = setTimeout(askDial, 350);
}

const questionNow = () => $(".question").value.trim() || S.asked?.question || "";

function askDial() {
  if (!S.dial.length || !anyLayer() || !questionNow()) return;
  newest.dialled = ++counter;
  S.dialled = { pending: true };
  paintDial();
  trigger("dialled", { ...wishes(questionNow()), number: newest.dialled, checkpoints: [anyId(S.dial)], turns: [] });
}

function receiveDialled() {
  const said = props.dial_said && JSON.parse(JSON.stringify(props.dial_said));
  if (!said || said.number !== newest.dialled || said.picture !== D?.id) return;
  S.dialled = said;
  if (said.over && said.replies?.[0]?.gist) {
    const entry = { layers: [...S.dial], question: said.question, answer: said.replies[0].text, right: said.replies[0].right };
    S.trail = [entry, ...S.trail.filter((one) => one.question === said.question && one.layers.join() !== entry.layers.join())].slice(0, 8);
    announce(`${titleOf(S.dial)}: ${said.replies[0].text}`);
  }
  paintDial();
}

function paintDial() {
  if (!D || !anyLayer()) return;
  for (const button of element.querySelectorAll(".layer-toggle")) {
    button.setAttribute("aria-pressed", S.dial.includes(Number(button.dataset.layer)));
  }
  const reply = S.dialled?.replies?.[0];
  const note = (text) => make("p", { className: "dial-what", textContent: text });
  if (!S.dial.length) $(".dial-card").replaceChildren(note("Choose one layer or several; the answer appears here."));
  else if (!questionNow()) $(".dial-card").replaceChildren(note("Type a question above first."));
  else if (S.dialled?.problem) $(".dial-card").replaceChildren(make("p", { className: "problem", textContent: S.dialled.problem }));
  else {
    dialCard ??= make("article", { className: "card" });
    const waiting = { checkpoint: anyId(S.dial), reads: titleOf(S.dial), text: "", probabilities: [], remarks: [], error: "", done: false, seconds: null };
    fillCard(dialCard, reply ?? waiting, S.dialled?.replies ? S.dialled : { replies: [waiting], place: S.dialled?.place });
    if (dialCard.parentElement !== $(".dial-card")) $(".dial-card").replaceChildren(dialCard);
  }
  $(".dial-add").disabled = !reply?.done || Boolean(reply.error);
  $(".dial-trail").hidden = S.trail.length < 2;
  $(".dial-trail").replaceChildren(...S.trail.map((one) => make(
    "li", {}, document.createTextNode(`${one.layers.join(" + ")} → `), make("b", {}, make("bdi", { textContent: short(one.answer) })),
    typeof one.right === "boolean" ? document.createTextNode(one.right ? " ✓" : " ✗") : null,
  )));
}

function listenToDial(add) {
  $(".dial-clear").addEventListener("click", () => setDial([]));
  $(".dial-add").addEventListener("click", () => S.dial.length && add(S.dial));
}
