// The tab "Stress test": ties its parts together.

const VIEWS = {
  build: {
    short: "Put things into a picture and move them: every checkpoint answers the pinned question again after each change.",
    long: "The scene is drawn from a record, so the right answer is known wherever the record settles the question. Each row is a checkpoint: the layers it reads, its likeliest answer, and how much probability it gives to it among the possible answers. An answer that changed with the last edit is marked as flipped. One scene is one sample: use the sweeps to see whether something happens regularly.",
  },
  staircase: {
    short: "One to ten things of a kind, scattered at random: what number does each checkpoint say?",
    long: "For every number from 1 to 10, several pictures with other places and grounds are drawn, and each checkpoint is asked how many there are. The dotted diagonal is right. A line that flattens says that the checkpoint stops counting there. Sizes are drawn as for ten things throughout, so size does not give the number away. The number said is the likeliest of 0 to 10; the expected one weighs all of them by their probability.",
  },
  crossing: {
    short: "One thing passes another from left to right: where does each checkpoint see left turn into right?",
    long: "The first thing moves in 16 steps, above or below the second, which stands somewhere near the middle. The line is the probability of “left” against “right”. Sure and right is 1 on the left half and 0 on the right half, with a sharp fall at the dotted line. A flat line says that the place does not reach the answer.",
  },
  change: {
    short: "Two scenes that differ in one thing: at which layer do their features part, and whose answer flips?",
    long: "Both scenes go through the encoder in use. For each layer, the features of every patch are compared between the two, by cosine distance: 0 is equal. Patches under the thing that changed differ from the first layer on. Patches elsewhere see equal pixels, so a difference there was carried over by attention. Under the chart, each checkpoint answers the pinned question for both scenes.",
  },
};
let using = ""; // the scene that was put on show
let seen = false; // whether the tab was ever on show

const visible = () => element.offsetParent !== null && root.clientWidth > 0;

function show(view) {
  S.view = view;
  root.dataset.view = view;
  for (const one of all(".for-build, .for-staircase, .for-crossing, .for-change")) one.hidden = !one.classList.contains(`for-${view}`);
  element.querySelector(`input[name="sx-view"][value="${view}"]`).checked = true;
  $(".short").textContent = VIEWS[view].short;
  $(".long").textContent = VIEWS[view].long;
  problem("");
  if (view in SWEEPS) {
    if (!sweeps[view]) $(".layouts").value = SWEEPS[view].layouts;
    sweepChart.clear();
    paintSweep();
  } else {
    paintBuilder();
    paintChange();
    askAgain();
  }
}

// Each time that the tab comes into view: who can answer by now; the first time also what can be drawn.
function opened() {
  trigger("opened", { again: seen });
  if (!seen) {
    seen = true;
    receiveCurrent();
  }
  repaint();
}

function repaint() {
  if (!visible()) return;
  paintBuilder();
  paintChips();
  paintSweep();
  if (S.view === "change") paintChange();
}

on('input[name="sx-view"]', "change", (event) => show(event.target.value));
$(".chips").addEventListener("click", (event) => {
  const chip = event.target.closest(".chip");
  if (chip) chooseCheckpoint(chip.dataset.id);
});
$(".things").addEventListener("click", (event) => {
  const thing = event.target.closest(".thing");
  if (thing) choose(thing.dataset.index === "sign" ? "sign" : Number(thing.dataset.index));
});
$(".things").addEventListener("keydown", keys);
on(".start", "change", (event) => start(event.target.value));
on(".undo", "click", undo);
on(".redo", "click", redo);
on(".tools .smaller", "click", () => resize(1 / 1.15));
on(".tools .larger", "click", () => resize(1.15));
on(".tools .mirror", "click", mirror);
on(".tools .copy", "click", copy);
on(".tools .remove", "click", remove);
on(".find", "input", findKinds);
on(".ground", "change", chooseGround);
on(".sign", "change", chooseSign);
on(".pinned", "submit", (event) => {
  event.preventDefault();
  pin($(".question").value);
});
on(".use", "click", () => {
  if (!S.scene) return;
  using = JSON.stringify(S.scene);
  $(".used").textContent = "Putting it on show …";
  inTurn("scene_used", { scene: S.scene, question: S.question });
});
listenToStage();
listenToSweep();
listenToChange();
listenToTaking();
follow(document, "keydown", (event) => {
  if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "z" || !visible() || !["build", "change"].includes(S.view)) return;
  if (event.target.closest?.("input, textarea, select")) return;
  event.preventDefault();
  if (event.shiftKey) redo();
  else undo();
});
follow(document, "vle-choice", (event) => event.detail.from !== "stress" && Number.isInteger(event.detail.layer) && setLayer(event.detail.layer, event.detail.from));
follow(document, "vle-stress-unanswered", () => {
  problem("That could not be answered just now: try again.");
  for (const [view, asked] of Object.entries(sweeps)) {
    if (asked.said) asked.said.over = true;
    else delete sweeps[view];
  }
  paintSweep();
});
new MutationObserver(() => visible() && repaint()).observe(document.body, { attributes: true, attributeFilter: ["class"] });
let width = 0;
new ResizeObserver(() => requestAnimationFrame(() => {
  const before = width;
  width = visible() ? element.clientWidth : 0;
  if (width && !before) opened();
  else if (width !== before) repaint();
})).observe(element);
watch("current", () => {
  const used = plain(props.current);
  if (using && used?.scene && using === JSON.stringify(S.scene)) $(".used").textContent = "This picture is on show in all tabs now.";
  if (seen) receiveCurrent();
});
watch("palette", receivePalette);
watch("checkpoints", receiveKnown);
watch("drawn", receiveDrawn);
watch("invented", () => open(plain(props.invented)?.scene));
watch("replies", receiveReplies);
watch("sweep", receiveSweep);
watch("change", receiveChange);
show("build");
