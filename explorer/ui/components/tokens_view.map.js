// The map on its canvas: points, axes, the path of the chosen patch, the lasso; how it is pointed at and walked through.

const cloud = $(".cloud");
const MARGIN = { left: 40, right: 16, top: 14, bottom: 38 };
const MOVE_MS = 450;
const REACH_PX = 16; // of the pointer
let slots = null; // Float32Array [slots · 2]: where each is on the canvas, in CSS pixels
let wanted = null; // where each is going
let moving = 0;
let drawn = false; // whether a drawing is due
let hoveredSlot = -1;
let cursorSlot = -1;
let near = 0; // how many around the cursor are marked by plus and minus
let lasso = null;

const slotCount = () => shownLayers().length * D.count;
const layerOf = (slot) => shownLayers()[Math.floor(slot / D.count)];
const tokenAt = (slot) => slot % D.count;

function sizeCloud() {
  const width = $(".tk-stage").clientWidth;
  if (!width) return false;
  const height = Math.round(Math.min(600, Math.max(300, 0.78 * width)));
  const ratio = window.devicePixelRatio || 1;
  cloud.style.height = `${height}px`;
  cloud.width = Math.round(width * ratio);
  cloud.height = Math.round(height * ratio);
  return true;
}

// How a map's codes become pixels: one scale for both axes and all layers, so that a change of layer moves points alone.
function frameOf(map) {
  const [width, height] = [cloud.clientWidth, cloud.clientHeight];
  const inner = [width - MARGIN.left - MARGIN.right, height - MARGIN.top - MARGIN.bottom];
  const scale = Math.min(inner[0] / Math.max(1, map.most[0]), inner[1] / Math.max(1, map.most[1]));
  const left = MARGIN.left + (inner[0] - scale * map.most[0]) / 2;
  const bottom = height - MARGIN.bottom - (inner[1] - scale * map.most[1]) / 2;
  return { scale, left, bottom };
}

function placesOf(map) {
  const { scale, left, bottom } = frameOf(map);
  const found = new Float32Array(2 * slotCount());
  shownLayers().forEach((layer, k) => {
    const from = map.layers.indexOf(layer) * D.count;
    for (let token = 0; token < D.count; token++) {
      found[2 * (k * D.count + token)] = left + scale * map.places[2 * (from + token)];
      found[2 * (k * D.count + token) + 1] = bottom - scale * map.places[2 * (from + token) + 1];
    }
  });
  return found;
}

// Move the points to where they belong now; at once where motion is unwanted or other points are shown.
function arrange(animate = true) {
  const map = shownMap();
  if (!map || !cloud.width) return;
  wanted = placesOf(map);
  cancelAnimationFrame(moving);
  moving = 0;
  if (!animate || reduced() || slots?.length !== wanted.length) {
    slots = wanted;
    return redraw();
  }
  const from = slots;
  const began = performance.now();
  const step = (time) => {
    const share = Math.min(1, Math.max(0, (time - began) / MOVE_MS));
    const eased = share * share * (3 - 2 * share);
    slots = share === 1 ? wanted : from.map((at, k) => at + eased * (wanted[k] - at));
    paintCloud();
    moving = share < 1 ? requestAnimationFrame(step) : 0;
  };
  moving = requestAnimationFrame(step);
}

function redraw() {
  if (drawn || moving) return;
  drawn = true;
  requestAnimationFrame(() => {
    drawn = false;
    paintCloud();
  });
}

// ---- drawing -------------------------------------------------------------------------------------------------------

function paintCloud() {
  if (!D || !slots || !cloud.clientWidth || slots.length !== 2 * slotCount()) return;
  const context = cloud.getContext("2d");
  const ratio = window.devicePixelRatio || 1;
  const image = context.createImageData(cloud.width, cloud.height);
  const count = slotCount();
  const radius = Math.round(ratio * (count <= 700 ? 5 : count <= 3000 ? 3.8 : 2.6) * 2) / 2;
  const { style } = colouring();
  const edge = edgeColour();
  const some = S.marked.size > 0;
  for (const front of some ? [false, true] : [true]) {
    for (let slot = 0; slot < count; slot++) {
      if (some && S.marked.has(tokenAt(slot)) !== front) continue;
      const { face, shape } = style(layerOf(slot), tokenAt(slot));
      press(image, stamp(shape, radius), ratio * slots[2 * slot], ratio * slots[2 * slot + 1], face, edge, front ? 1 : 0.22);
    }
  }
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.putImageData(image, 0, 0);
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.globalCompositeOperation = "destination-over";
  paintAxes(context);
  context.globalCompositeOperation = "source-over";
  paintTrail(context);
  shownLayers().forEach((layer, k) => S.token >= 0 && ring(context, k * D.count + S.token, "#b3123f", 8, 2.5));
  if (cursorSlot >= 0 && cloud.matches(":focus-visible")) ring(context, cursorSlot, dark() ? "#fff" : "#000", 10, 2);
  else if (hoveredSlot >= 0) ring(context, hoveredSlot, dark() ? "#fff" : "#000", 8, 1.5);
  paintLasso(context);
}

function ring(context, slot, colour, radius, width) {
  context.beginPath();
  context.arc(slots[2 * slot], slots[2 * slot + 1], radius, 0, 2 * Math.PI);
  context.lineWidth = width + 2.5;
  context.strokeStyle = dark() && colour !== "#fff" ? "#fff" : dark() ? "#000" : "#fff";
  context.stroke();
  context.lineWidth = width;
  context.strokeStyle = colour;
  context.stroke();
}

function axisTitles(map) {
  if (map.method !== "pca") return [1, 2].map((axis) => `${{ umap: "UMAP", tsne: "t-SNE" }[map.method]} axis ${axis} (no unit)`);
  return map.shares.map((share, axis) => `component ${axis + 1}${share === null ? "" : ` (${(100 * share).toFixed(0)} % of the variation)`}`);
}

// Three numbers on each axis of PCA; the other maps have no unit.
function paintAxes(context) {
  const map = shownMap();
  const [width, height] = [cloud.clientWidth, cloud.clientHeight];
  const style = getComputedStyle(cloud);
  context.font = `13px ${style.fontFamily}`;
  context.fillStyle = style.color;
  context.textAlign = "center";
  const [across, up] = axisTitles(map);
  context.fillText(across, MARGIN.left + (width - MARGIN.left) / 2, height - 6);
  context.save();
  context.translate(13, (height - MARGIN.bottom) / 2);
  context.rotate(-Math.PI / 2);
  context.fillText(up, 0, 0);
  context.restore();
  if (map.method !== "pca") return;
  const { scale, left, bottom } = frameOf(map);
  const step = niceStep((map.step * (height - MARGIN.top - MARGIN.bottom)) / scale / 3);
  context.font = `11px ${style.fontFamily}`;
  context.strokeStyle = dark() ? "#39424d" : "#e2ded6";
  context.lineWidth = 1;
  const most = [0, 1].map((axis) => map.low[axis] + map.step * map.most[axis]);
  for (const axis of [0, 1]) {
    for (let value = Math.ceil(map.low[axis] / step) * step; value <= most[axis]; value += step) {
      const code = (value - map.low[axis]) / map.step;
      const at = axis ? bottom - scale * code : left + scale * code;
      const text = Math.abs(value) < step / 2 ? "0" : value.toFixed(step < 0.1 ? 2 : 1).replace("-", "−");
      context.textAlign = axis ? "right" : "center";
      context.fillText(text, axis ? MARGIN.left - 4 : at, axis ? at + 4 : height - MARGIN.bottom + 13);
      context.beginPath();
      if (axis) { context.moveTo(MARGIN.left, at); context.lineTo(width - MARGIN.right, at); }
      else { context.moveTo(at, MARGIN.top); context.lineTo(at, height - MARGIN.bottom); }
      context.stroke();
    }
  }
}

function niceStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough || 1));
  return [1, 2, 5, 10].map((times) => times * power).find((step) => step >= rough) ?? power;
}

// Where the chosen patch is at each layer of the map, from layer 0 on.
function paintTrail(context) {
  const map = shownMap();
  if (!S.trail || S.token < 0 || map.layers.length < 2) return;
  const { scale, left, bottom } = frameOf(map);
  const at = map.layers.map((_, k) => {
    const from = 2 * (k * D.count + S.token);
    return [left + scale * map.places[from], bottom - scale * map.places[from + 1]];
  });
  for (const [colour, width] of [[dark() ? "#12161b" : "#fff", 4.5], ["#b3123f", 2]]) {
    context.beginPath();
    at.forEach(([x, y], k) => (k ? context.lineTo(x, y) : context.moveTo(x, y)));
    context.lineWidth = width;
    context.strokeStyle = dark() && colour === "#b3123f" ? "#ff7d9c" : colour;
    context.stroke();
  }
  const style = getComputedStyle(cloud);
  context.font = `600 12px ${style.fontFamily}`;
  context.textAlign = "left";
  context.lineWidth = 3;
  for (const k of [0, at.length - 1]) {
    context.strokeStyle = dark() ? "#12161b" : "#fff";
    context.strokeText(map.layers[k], at[k][0] + 7, at[k][1] - 6);
    context.fillStyle = style.color;
    context.fillText(map.layers[k], at[k][0] + 7, at[k][1] - 6);
  }
}

function paintLasso(context) {
  if (!lasso || lasso.length < 2) return;
  context.beginPath();
  lasso.forEach(([x, y], k) => (k ? context.lineTo(x, y) : context.moveTo(x, y)));
  context.closePath();
  context.fillStyle = dark() ? "rgba(242,201,76,.15)" : "rgba(31,78,121,.12)";
  context.fill();
  context.lineWidth = 2;
  context.setLineDash([5, 4]);
  context.strokeStyle = dark() ? "#f2c94c" : "#1f4e79";
  context.stroke();
  context.setLineDash([]);
}

// ---- pointing ------------------------------------------------------------------------------------------------------

function nearestSlot(x, y, reach) {
  let [best, least] = [-1, reach * reach];
  for (let slot = 0; slot < slots.length / 2; slot++) {
    const apart = (slots[2 * slot] - x) ** 2 + (slots[2 * slot + 1] - y) ** 2;
    if (apart < least) [best, least] = [slot, apart];
  }
  return best;
}

function within([x, y], polygon) {
  let inside = false;
  for (let k = 0, before = polygon.length - 1; k < polygon.length; before = k++) {
    const [[x1, y1], [x2, y2]] = [polygon[k], polygon[before]];
    if (y1 > y !== y2 > y && x < ((x2 - x1) * (y - y1)) / (y2 - y1) + x1) inside = !inside;
  }
  return inside;
}

function tokensWithin(polygon) {
  const found = new Set();
  for (let slot = 0; slot < slots.length / 2; slot++) {
    if (within([slots[2 * slot], slots[2 * slot + 1]], polygon)) found.add(tokenAt(slot));
  }
  return found;
}

function stepTo(dx, dy) {
  if (cursorSlot < 0 || cursorSlot >= slotCount()) return Math.max(0, S.token);
  const [x, y] = [slots[2 * cursorSlot], slots[2 * cursorSlot + 1]];
  let [best, least] = [cursorSlot, Infinity];
  for (let slot = 0; slot < slots.length / 2; slot++) {
    const [right, down] = [slots[2 * slot] - x, slots[2 * slot + 1] - y];
    const [forward, away] = dx ? [right * dx, Math.abs(down)] : [down * dy, Math.abs(right)];
    if (slot === cursorSlot || forward < 1) continue;
    const cost = forward + 2.5 * away;
    if (cost < least) [best, least] = [slot, cost];
  }
  return best;
}

// The tokens nearest to the cursor on the map.
function around(count) {
  const [x, y] = [slots[2 * cursorSlot], slots[2 * cursorSlot + 1]];
  const order = [...Array(slots.length / 2).keys()].map((slot) => [(slots[2 * slot] - x) ** 2 + (slots[2 * slot + 1] - y) ** 2, slot]);
  order.sort((a, b) => a[0] - b[0]);
  return new Set(order.slice(0, count).map(([, slot]) => tokenAt(slot)));
}

function listenToCloud(point, choose, mark) {
  const at = (event) => {
    const box = cloud.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const move = (event) => {
    if (!slots) return;
    const [x, y] = at(event);
    if (lasso) {
      lasso.push([x, y]);
      if (lasso.length > 3) $(".tip").hidden = true;
      return redraw();
    }
    point(nearestSlot(x, y, REACH_PX), event);
  };
  cloud.addEventListener("pointermove", move);
  cloud.addEventListener("pointerleave", () => point(-1));
  cloud.addEventListener("pointerdown", (event) => {
    if (!slots || event.button !== 0 || (event.pointerType === "touch" && !cloud.classList.contains("finger"))) return;
    lasso = [at(event)];
    cloud.setPointerCapture(event.pointerId);
  });
  cloud.addEventListener("pointerup", (event) => {
    if (!slots) return;
    const path = lasso;
    lasso = null;
    const [x, y] = at(event);
    const far = path && Math.max(...path.map(([px, py]) => Math.hypot(px - path[0][0], py - path[0][1])));
    if (path?.length > 3 && far > 8) mark(tokensWithin(path), event.shiftKey);
    else {
      const slot = nearestSlot(x, y, REACH_PX + 6);
      if (slot >= 0) choose(slot);
    }
    redraw();
  });
  cloud.addEventListener("pointercancel", () => { lasso = null; redraw(); });
  cloud.addEventListener("keydown", (event) => {
    if (!slots || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[event.key];
    if (step) { cursorSlot = stepTo(...step); near = 0; point(cursorSlot, null); }
    else if (event.key === "Enter" && cursorSlot >= 0) choose(cursorSlot);
    else if (event.key === " " && cursorSlot >= 0) {
      const token = tokenAt(cursorSlot);
      mark(new Set(S.marked.has(token) ? [...S.marked].filter((each) => each !== token) : [...S.marked, token]));
    } else if ((event.key === "+" || event.key === "-") && cursorSlot >= 0) {
      near = event.key === "+" ? Math.min(D.count, Math.max(4, 2 * near)) : near > 4 ? Math.floor(near / 2) : 0;
      mark(near ? around(near) : new Set());
    } else if (event.key === "Escape") mark(new Set());
    else return;
    event.preventDefault();
    redraw();
  });
  for (const kind of ["focus", "blur"]) cloud.addEventListener(kind, () => slots && redraw());
}
