// The scene on its canvas: the server's drawing where it is up to date, drawn here while things move.

const canvas = $(".scene");
const HANDLE_PX = 11;
const MAX_SIDE_PX = 470;
const FAMILIES = { Serif: "Georgia, serif", Mono: "ui-monospace, monospace", Sans: "Arial, sans-serif" };
const stage = { key: "", ground: null, picture: null, number: -1, side: 0, sheet: null };
let grip = null; // {index, resize, dx, dy, before, moved}: what the pointer holds

async function picture(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  return image;
}

// Paint with fractions of the side turned into pixels; ``skip`` is a thing to leave out.
function paintThing(context, thing, side) {
  const [left, top, width, height] = palette.places[keyOf(thing)];
  const [w, h] = extentOf(thing).map((fraction) => fraction * side);
  context.save();
  context.translate(thing.x * side, thing.y * side);
  context.rotate((-thing.angle * Math.PI) / 180);
  if (thing.flip) context.scale(-1, 1);
  context.drawImage(stage.sheet, left, top, width, height, -w / 2, -h / 2, w, h);
  context.restore();
}

function paintSign(context, sign, side) {
  const [w, h] = [sign.width * side, sign.height * side];
  const css = (rgb) => `rgb(${rgb.join(",")})`;
  context.fillStyle = css(sign.board);
  context.strokeStyle = css(sign.ink);
  context.lineWidth = side / 168;
  context.beginPath();
  context.roundRect(sign.x * side - w / 2, sign.y * side - h / 2, w, h, 0.012 * side);
  context.fill();
  context.stroke();
  const family = Object.entries(FAMILIES).find(([name]) => sign.font.includes(name))?.[1] ?? FAMILIES.Sans;
  context.font = `bold ${0.72 * h}px ${family}`;
  context.fillStyle = css(sign.ink);
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(sign.word, sign.x * side, sign.y * side, 0.9 * w);
}

function paintStage() {
  const room = $(".stage").clientWidth;
  if (!room) return;
  const side = (stage.side = Math.min(room, MAX_SIDE_PX));
  const ratio = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(side * ratio)) canvas.width = canvas.height = Math.round(side * ratio);
  canvas.style.width = canvas.style.height = `${side}px`;
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, side, side);
  if (!S.scene) return;
  const upToDate = stage.number === S.number && stage.picture && !grip?.moved;
  canvas.dataset.drawn = Boolean(upToDate); // by the server
  if (upToDate) {
    context.drawImage(stage.picture, 0, 0, side, side);
  } else {
    if (stage.ground) context.drawImage(stage.ground, 0, 0, side, side);
    if (S.scene.sign) paintSign(context, S.scene.sign, side);
    if (stage.sheet) for (const thing of [...S.scene.objects].sort((a, b) => a.y - b.y)) paintThing(context, thing, side);
  }
  if (palette) paintFrame(context, side);
  $(".hint-empty").hidden = S.scene.objects.length > 0 || Boolean(S.scene.sign);
}

function frameOf(thing, side) {
  const [w, h] = extentOf(thing).map((fraction) => fraction * side);
  return [thing.x * side - w / 2 - 3, thing.y * side - h / 2 - 3, w + 6, h + 6];
}

function paintFrame(context, side) {
  const thing = chosenThing();
  if (!thing) return;
  const [x, y, w, h] = frameOf(thing, side);
  for (const [colour, width, dash] of [["#fff", 4, []], ["#111", 2, [6, 4]]]) {
    context.setLineDash(dash);
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.strokeRect(x, y, w, h);
  }
  context.setLineDash([]);
  const [cx, cy] = handleAt(thing, side);
  context.beginPath();
  context.arc(cx, cy, HANDLE_PX / 1.6, 0, 2 * Math.PI);
  context.fillStyle = "#fff";
  context.fill();
  context.stroke();
}

// The lower right corner of the frame, kept on the canvas.
function handleAt(thing, side) {
  const [x, y, w, h] = frameOf(thing, side);
  return [clamp(x + w, 8, side - 8), clamp(y + h, 8, side - 8)];
}

const placeAt = (event) => {
  const box = canvas.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
};

// What stands at a place of the canvas: the thing in front, or else the sign; -1 for nothing.
function thingAt([px, py]) {
  const inside = (thing) => {
    const [x, y, w, h] = frameOf(thing, stage.side);
    return px >= x && px <= x + w && py >= y && py <= y + h;
  };
  const front = S.scene.objects.map((thing, index) => ({ thing, index })).sort((a, b) => b.thing.y - a.thing.y);
  const found = front.find(({ thing }) => inside(thing));
  if (found) return found.index;
  return S.scene.sign && inside(S.scene.sign) ? "sign" : -1;
}

function onHandle([px, py]) {
  const thing = chosenThing();
  if (!thing) return false;
  const [x, y] = handleAt(thing, stage.side);
  return Math.hypot(px - x, py - y) <= HANDLE_PX + 3;
}

function takeHold(event) {
  if (!S.scene || !palette || event.button) return;
  const at = placeAt(event);
  const resizing = onHandle(at);
  const index = resizing ? S.selected : thingAt(at);
  choose(index);
  if (index === -1) return;
  const thing = chosenThing();
  const reach = Math.hypot(at[0] - thing.x * stage.side, at[1] - thing.y * stage.side);
  grip = { index, resizing, dx: at[0] - thing.x * stage.side, dy: at[1] - thing.y * stage.side, reach, before: S.scene, moved: false };
  canvas.setPointerCapture(event.pointerId);
}

function drag(event) {
  if (!grip) {
    if (S.scene && palette) canvas.style.cursor = onHandle(placeAt(event)) ? "nwse-resize" : thingAt(placeAt(event)) === -1 ? "" : "grab";
    return;
  }
  const [px, py] = placeAt(event);
  const after = plain(grip.before);
  const thing = grip.index === "sign" ? after.sign : after.objects[grip.index];
  if (grip.resizing) {
    resizeIn(after, grip.index, Math.hypot(px - thing.x * stage.side, py - thing.y * stage.side) / grip.reach);
  } else {
    thing.x = round(clamp((px - grip.dx) / stage.side, 0, 1));
    thing.y = round(clamp((py - grip.dy) / stage.side, 0, 1));
  }
  grip.moved ||= JSON.stringify(after) !== JSON.stringify(grip.before);
  S.scene = after;
  paintStage();
}

function letGo() {
  if (!grip) return;
  const { before, moved } = grip;
  grip = null;
  if (moved) commit(before, S.scene);
}

function choose(index) {
  S.selected = index;
  paintBuilder();
}

function keys(event) {
  if (!S.scene || event.altKey) return;
  const far = event.shiftKey ? 0.05 : 0.01;
  const arrow = { ArrowLeft: [-far, 0], ArrowRight: [far, 0], ArrowUp: [0, -far], ArrowDown: [0, far] }[event.key];
  const rest = {
    "+": () => resize(1.08, "larger"), "=": () => resize(1.08, "larger"), "-": () => resize(1 / 1.08, "smaller"),
    f: mirror, F: mirror, Delete: remove, Backspace: remove, PageDown: () => next(1), PageUp: () => next(-1),
  }[event.key];
  if (event.ctrlKey || event.metaKey) return;
  if (arrow) move(...arrow, "move");
  else if (rest) rest();
  else return;
  event.preventDefault();
  const thing = chosenThing();
  if (thing && (arrow || event.key.startsWith("Page"))) announce(`${wordsFor(thing)}, ${placeOf(thing)}`);
}

function next(by) {
  const order = [...S.scene.objects.keys(), ...(S.scene.sign ? ["sign"] : [])];
  if (order.length) choose(order[(order.indexOf(S.selected) + by + order.length) % order.length]);
}

const placeOf = (thing) => `${Math.round(100 * thing.x)} % from the left, ${Math.round(100 * thing.y)} % from the top`;

async function receiveDrawn() {
  const said = plain(props.drawn);
  if (!said || said.number < S.number) return;
  problem(said.problem);
  if (said.ground) [stage.ground, stage.key] = [await picture(said.ground), said.key];
  if (said.picture) {
    const image = await picture(said.picture);
    if (said.number < S.number) return;
    [stage.picture, stage.number] = [image, said.number];
  }
  if (said.questions) suggest(said.questions);
  paintStage();
}

function listenToStage() {
  canvas.addEventListener("pointerdown", takeHold);
  canvas.addEventListener("pointermove", drag);
  canvas.addEventListener("pointerup", letGo);
  canvas.addEventListener("pointercancel", letGo);
  canvas.addEventListener("keydown", keys);
  canvas.addEventListener("touchstart", (event) => {
    const at = S.scene && palette && placeAt(event.touches[0]); // elsewhere a finger scrolls the page
    if (at && (onHandle(at) || thingAt(at) !== -1)) event.preventDefault();
  }, { passive: false });
}
