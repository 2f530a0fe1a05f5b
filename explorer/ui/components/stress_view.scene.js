// The scene as a record: every edit, undo, and what is asked of the server after it.

const DRAW_MS = 120; // quiet time after an edit before the server is asked
const MERGE_MS = 1200; // presses of one key within this are undone together
let sending = 0;
let merging = { what: "", at: 0 };
let kept = null; // the scene that "Change one thing" compares with, if one was chosen
let untouched = true; // whether the picture on show may take the scene's place

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const round = (value) => Math.round(value * 10000) / 10000;
const chosenThing = () => (S.selected === "sign" ? S.scene.sign : S.scene?.objects[S.selected]) ?? null;
const keyOf = (thing) => (thing.colour ? `${thing.kind}/${thing.colour}` : thing.kind);

// Width and height of a thing as fractions of the picture's side.
function extentOf(thing) {
  if (thing.word !== undefined) return [thing.width, thing.height];
  const [, , width, height] = palette.places[keyOf(thing)];
  const longer = Math.max(width, height);
  return [(thing.size * width) / longer, (thing.size * height) / longer];
}

// ``change`` writes into a copy of the scene.
function edit(change, what = "") {
  if (!S.scene) return;
  const after = plain(S.scene);
  change(after);
  commit(S.scene, after, what);
}

function commit(before, after, what = "") {
  const now = performance.now();
  const merged = what && what === merging.what && now - merging.at < MERGE_MS;
  merging = { what, at: now };
  if (!merged) S.undo.push(before);
  if (S.undo.length > 200) S.undo.shift();
  S.redo = [];
  S.scene = after;
  untouched = false;
  changed();
}

function step(from, to) {
  if (!from.length) return;
  to.push(S.scene);
  S.scene = from.pop();
  merging.what = "";
  if (typeof S.selected === "number" && S.selected >= S.scene.objects.length) S.selected = S.scene.objects.length - 1;
  if (S.selected === "sign" && !S.scene.sign) S.selected = -1;
  changed();
}

const undo = () => step(S.undo, S.redo);
const redo = () => step(S.redo, S.undo);

function open(scene) {
  if (!scene) return;
  if (S.scene) S.undo.push(S.scene);
  S.redo = [];
  S.scene = plain(scene);
  S.selected = scene.objects.length ? 0 : -1;
  kept = null;
  changed();
}

function changed() {
  S.number = ++tick;
  $(".used").textContent = "";
  paintBuilder();
  clearTimeout(sending);
  sending = setTimeout(send, DRAW_MS);
}

function send() {
  if (!S.scene) return;
  trigger("scene_changed", { number: S.number, scene: S.scene, ground: stage.key });
  askAgain();
}

// After a change of the scene, the question or the checkpoints.
function askAgain() {
  if (!S.scene || !palette) return;
  if (S.view === "build") askRows();
  if (S.view === "change") askChange();
}

// The scene that the one now is compared with.
const sceneBefore = () => kept ?? S.undo.at(-1) ?? null;

// ---- single edits --------------------------------------------------------------------------------------------------

function move(dx, dy, what) {
  if (!chosenThing()) return;
  edit((scene) => {
    const thing = S.selected === "sign" ? scene.sign : scene.objects[S.selected];
    thing.x = round(clamp(thing.x + dx, 0, 1));
    thing.y = round(clamp(thing.y + dy, 0, 1));
  }, what);
}

function resize(factor, what) {
  if (!chosenThing()) return;
  edit((scene) => resizeIn(scene, S.selected, factor), what);
}

function resizeIn(scene, index, factor) {
  if (index === "sign") {
    for (const side of ["width", "height"]) scene.sign[side] = round(clamp(scene.sign[side] * factor, 0.05, 1));
  } else {
    const thing = scene.objects[index];
    thing.size = round(clamp(thing.size * factor, 0.04, 1));
  }
}

function mirror() {
  if (typeof S.selected === "number" && chosenThing()) edit((scene) => (scene.objects[S.selected].flip = !scene.objects[S.selected].flip));
}

function remove() {
  if (!chosenThing()) return;
  const [index, name] = [S.selected, wordsFor(chosenThing())];
  if (index === "sign") S.selected = S.scene.objects.length - 1;
  else S.selected = Math.min(index, S.scene.objects.length - 2);
  edit((scene) => (index === "sign" ? (scene.sign = null) : scene.objects.splice(index, 1)));
  announce(`${name} removed`);
}

function copy() {
  const thing = chosenThing();
  if (!thing || S.selected === "sign") return;
  insert({ ...plain(thing), ...freePlace(thing.size) });
}

function insert(thing) {
  if (S.scene.objects.length >= 100) return problem("A scene holds at most 100 things: remove one first.");
  S.selected = S.scene.objects.length;
  edit((scene) => scene.objects.push(thing));
  announce(`${wordsFor(thing)} added`);
}

function add(kind) {
  const size = round(clamp(0.2 * kind.scale ** 0.6, 0.12, 0.3));
  insert({ kind: kind.name, ...freePlace(size), size, colour: kind.shape ? "red" : "", flip: false, angle: 0 });
}

// Where a new thing is farthest from the others.
function freePlace(size) {
  const taken = [...S.scene.objects, ...(S.scene.sign ? [S.scene.sign] : [])];
  const places = [];
  for (let row = 0; row < 5; row++) for (let column = 0; column < 5; column++) {
    const [x, y] = [column, row].map((k) => size / 2 + 0.02 + (k / 4) * (0.96 - size));
    places.push({ x: round(x), y: round(y), room: Math.min(1, ...taken.map((one) => Math.hypot(one.x - x, one.y - y) - extentOf(one)[0] / 2)) });
  }
  const centre = (one) => Math.hypot(one.x - 0.5, one.y - 0.5);
  const best = places.sort((a, b) => (Math.abs(b.room - a.room) > 0.03 ? b.room - a.room : centre(a) - centre(b)))[0];
  return { x: best.x, y: best.y };
}

const wordsFor = (thing) => (thing.word !== undefined ? `sign ${thing.word}` : [thing.colour, thing.kind].filter(Boolean).join(" "));

// A small change by chance, for those who want to see what happens.
function changeSomething() {
  if (!S.scene?.objects.length) return;
  const index = Math.floor(Math.random() * S.scene.objects.length);
  S.selected = index;
  const thing = S.scene.objects[index];
  const others = Object.keys(palette.colours).filter((name) => name !== thing.colour);
  const pick = (some) => some[Math.floor(Math.random() * some.length)];
  const ways = [
    (scene) => scene.objects.splice(index, 1),
    (scene) => Object.assign(scene.objects[index], { x: round(1 - thing.x), flip: !thing.flip }),
    (scene) => {
      const kind = pick(palette.kinds.filter((one) => one.name !== thing.kind && one.shape === Boolean(thing.colour)));
      scene.objects[index].kind = kind.name;
    },
    ...(thing.colour ? [(scene) => (scene.objects[index].colour = pick(others))] : []),
  ];
  kept = null;
  edit(pick(ways));
  if (S.selected >= S.scene.objects.length) S.selected = S.scene.objects.length - 1;
  paintBuilder();
}
