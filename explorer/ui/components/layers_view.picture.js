// The picture on its canvas: what was cut away dimmed, the frame of what was seen, the map, the marks.

const $ = (selector) => element.querySelector(selector);
const canvas = $(".picture");
const small = document.createElement("canvas"); // the map, one pixel a patch
const MAX_SIDE_PX = 440;
let cursor = 0;
let hovered = -1;
let frame = null; // {scale, x, y, width, height}: the seen part on the canvas, in CSS pixels

// The canvas spans the picture and the frame, which reaches outside it where the input was padded.
function layOut() {
  const [left, top, right, bottom] = D.box;
  const x0 = Math.min(0, left);
  const y0 = Math.min(0, top);
  const width = Math.max(D.size[0], right) - x0;
  const height = Math.max(D.size[1], bottom) - y0;
  const scale = Math.min($(".stage").clientWidth / width, MAX_SIDE_PX / height);
  frame = {
    scale, x: (left - x0) * scale, y: (top - y0) * scale, width: (right - left) * scale, height: (bottom - top) * scale,
    wholeX: -x0 * scale, wholeY: -y0 * scale,
  };
  const ratio = window.devicePixelRatio || 1;
  canvas.style.width = `${width * scale}px`;
  canvas.style.height = `${height * scale}px`;
  $(".left .legend").style.maxWidth = canvas.style.width;
  canvas.width = Math.round(width * scale * ratio);
  canvas.height = Math.round(height * scale * ratio);
  canvas.getContext("2d").setTransform(ratio, 0, 0, ratio, 0, 0);
}

function patchBox(patch) {
  const width = frame.width / D.columns;
  const height = frame.height / D.rows;
  return [frame.x + (patch % D.columns) * width, frame.y + Math.floor(patch / D.columns) * height, width, height];
}

function outline(context, patch, colour, width, dash = []) {
  const box = patchBox(patch);
  context.setLineDash([]);
  context.lineWidth = width + 2.5;
  context.strokeStyle = "rgba(255,255,255,.95)";
  context.strokeRect(...box);
  context.setLineDash(dash);
  context.lineWidth = width;
  context.strokeStyle = colour;
  context.strokeRect(...box);
  context.setLineDash([]);
}

function paintPicture() {
  const context = canvas.getContext("2d");
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  const { x, y, wholeX, wholeY, scale } = frame;
  const whole = [wholeX, wholeY, D.size[0] * scale, D.size[1] * scale];
  const seen = [x, y, frame.width, frame.height];
  context.clearRect(0, 0, width, height);
  context.fillStyle = "#808080";
  context.fillRect(0, 0, width, height);
  context.drawImage(D.whole, ...whole);
  context.fillStyle = document.body.classList.contains("dark") ? "rgba(15,18,22,.68)" : "rgba(250,250,248,.68)";
  context.fillRect(0, 0, width, height);
  context.save();
  context.beginPath();
  context.rect(...seen);
  context.clip();
  if (S.sharp) {
    context.fillStyle = "#808080";
    context.fillRect(...seen);
    context.drawImage(D.whole, ...whole);
  } else {
    context.drawImage(D.view, ...seen);
  }
  paintMap(context, seen);
  context.restore();
  const cut = Math.abs(frame.width - width) > 1 || Math.abs(frame.height - height) > 1;
  if (cut) {
    context.lineWidth = 1.5;
    context.strokeStyle = "rgba(255,255,255,.9)";
    context.strokeRect(x + 0.75, y + 0.75, frame.width - 1.5, frame.height - 1.5);
  }
  for (const patch of pointedOut()) outline(context, patch, "#b3123f", 2, [5, 3]);
  if (S.patch >= 0) outline(context, S.patch, "#b3123f", 3);
  const moved = cursor !== S.patch && canvas.matches(":focus-visible");
  if (moved) outline(context, cursor, "#000", 1.5, [3, 3]);
  else if (hovered >= 0 && hovered !== S.patch) outline(context, hovered, "#333", 1);
}

function paintMap(context, seen) {
  const image = imageOf(S.layer);
  if (!image || S.opacity === 0) return;
  small.width = D.columns;
  small.height = D.rows;
  small.getContext("2d").putImageData(image, 0, 0);
  context.imageSmoothingEnabled = false;
  context.globalAlpha = S.opacity / 100;
  context.drawImage(small, ...seen);
  context.globalAlpha = 1;
  context.imageSmoothingEnabled = true;
}

// The patch under the pointer, -1 outside of what was seen.
function patchAt(event) {
  const box = canvas.getBoundingClientRect();
  const column = Math.floor(((event.clientX - box.left - frame.x) / frame.width) * D.columns);
  const row = Math.floor(((event.clientY - box.top - frame.y) / frame.height) * D.rows);
  return column >= 0 && row >= 0 && column < D.columns && row < D.rows ? row * D.columns + column : -1;
}

function sentenceOf(patch) {
  const field = S.mode === "pca" ? null : fieldOf(S.layer);
  return field ? MODES[S.mode].say(patch, shown(field.values[patch], field.step)) : MODES.pca.say(patch);
}

function readOut() {
  const patch = hovered >= 0 ? hovered : document.activeElement === canvas ? cursor : S.patch;
  const mark = $(".mark");
  mark.hidden = true;
  $(".readout").textContent = patch >= 0 ? sentenceOf(patch) : "Point at a patch to read it; click to choose it.";
  const field = patch >= 0 && S.mode !== "pca" ? fieldOf(S.layer) : null;
  if (!field) return;
  const [low, high] = rangeOf(S.layer);
  mark.hidden = false;
  mark.style.left = `${100 * Math.min(1, Math.max(0, (field.values[patch] - low) / (high - low || 1)))}%`;
}

function listenToPicture(choose) {
  canvas.addEventListener("pointermove", (event) => {
    const patch = D ? patchAt(event) : -1;
    canvas.style.cursor = patch >= 0 ? "crosshair" : "default";
    if (patch === hovered) return;
    hovered = patch;
    paintPicture();
    readOut();
  });
  canvas.addEventListener("pointerleave", () => {
    hovered = -1;
    if (D) { paintPicture(); readOut(); }
  });
  canvas.addEventListener("click", (event) => {
    const patch = D ? patchAt(event) : -1;
    if (patch >= 0) choose(patch);
  });
  canvas.addEventListener("keydown", (event) => {
    if (!D || event.ctrlKey || event.metaKey || event.altKey) return;
    const [row, column] = [Math.floor(cursor / D.columns), cursor % D.columns];
    const to = {
      ArrowUp: [row - 1, column], ArrowDown: [row + 1, column], ArrowLeft: [row, column - 1], ArrowRight: [row, column + 1],
    }[event.key];
    if (to) {
      event.preventDefault();
      cursor = Math.min(D.rows - 1, Math.max(0, to[0])) * D.columns + Math.min(D.columns - 1, Math.max(0, to[1]));
      hovered = -1;
      paintPicture();
      readOut();
      announce(sentenceOf(cursor));
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      choose(cursor);
    }
  });
  for (const kind of ["focus", "blur"]) canvas.addEventListener(kind, () => D && (paintPicture(), readOut()));
}
