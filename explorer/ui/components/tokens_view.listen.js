// What is listened to.

const on = (selector, kind, act) => element.querySelectorAll(selector).forEach((one) => one.addEventListener(kind, act));

on('input[name="tk-method"]', "change", (event) => setMethod(event.target.value));
on(".colour-choice", "change", (event) => { S.colour = event.target.value; ensure(); drawChoices(); });
on(".clusters", "change", (event) => {
  S.clusters = Math.min(props.most_clusters, Math.max(2, Math.round(Number(event.target.value)) || 5));
  event.target.value = S.clusters;
  ensure();
});
on(".pictures-choice", "change", (event) => { S.pictures = event.target.value; ensure(); });
on(".tk-layer", "input", (event) => setLayer(Number(event.target.value)));
on(".several", "change", (event) => {
  S.several = event.target.checked;
  if (S.several && !S.layers.includes(S.layer)) S.layers = [...S.layers, S.layer].sort((a, b) => a - b);
  if (S.several) S.colour = "layer";
  if (!D) return;
  offerColours();
  cursorSlot = hoveredSlot = -1;
  ensure();
  drawAll();
});
on(".tk-opacity", "input", (event) => { S.opacity = Number(event.target.value); $(".tk-opacity-out").textContent = `${S.opacity} %`; paintViews(); });
on(".trail", "change", (event) => { S.trail = event.target.checked; redraw(); });
on(".finger", "change", (event) => cloud.classList.toggle("finger", event.target.checked));
on(".clear", "click", () => mark(new Set()));
on(".stop", "click", () => {
  trigger("map_stopped", {});
  open.delete("map");
  setMethod("pca");
  paintWaiting();
});
on(".tk-play", "click", () => {
  const start = !playing;
  clearInterval(playing);
  playing = start && D ? setInterval(() => visible() && setLayer((S.layer + 1) % D.L), reduced() ? 1500 : 700) : 0;
  $(".tk-play").textContent = playing ? "❚❚ Stop" : "▶ Play";
  $(".tk-play").setAttribute("aria-pressed", Boolean(playing));
});

function byKey(event) {
  const step = layerStep(event);
  if (!step || !D || !visible()) return;
  event.preventDefault();
  setLayer(S.layer + step);
}

listenToCloud(pointAtSlot, chooseSlot, mark);
listenToTaking();
follow(document, "keydown", byKey);
follow(document, "vle-choice", (event) => takeOver(event.detail));
follow(document, "vle-busy", () => element.querySelector(".tk").classList.add("busy"));
follow(document, "vle-settled", () => element.querySelector(".tk").classList.remove("busy"));
follow(document, "vle-tokens-unanswered", () => { open.clear(); paintWaiting(); });
new MutationObserver(() => drawAll()).observe(document.body, { attributes: true, attributeFilter: ["class"] });
let width = 0;
new ResizeObserver(() => requestAnimationFrame(() => {
  if (element.clientWidth === width) return;
  width = element.clientWidth; // 0 while another tab is open
  drawAll();
  ensure();
})).observe(element);
watch("value", receive);
watch("map", takeMap);
watch("colour", takeColour);
watch("facts", takeAllFacts);
receive();
