// What the person chose (`S`), what was received (`D` and `maps`), and the symbols that stand for tokens.
// A token is counted over all pictures, a slot over all layers on show: slot = place of the layer · D.count + token.

const $ = (selector) => element.querySelector(selector);
const S = {
  method: "pca", colour: "place", layer: null, several: false, layers: [], pictures: "one", clusters: 5, token: -1,
  marked: new Set(), opacity: 55, trail: true,
};
let D = null;
const maps = {};

const dark = () => document.body.classList.contains("dark");
const reduced = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
const shownLayers = () => (S.several ? S.layers : [S.layer]);
const pictureOf = (token) => Math.floor(token / D.T);
const rowOf = (token) => Math.floor((token % D.T) / D.cols) * D.stride;
const columnOf = (token) => (token % D.cols) * D.stride;
const patchOf = (token) => rowOf(token) * D.fullCols + columnOf(token); // as the encoder counts

// The token of a patch of the first picture, or the one beside it where not all are taken.
function tokenOf(patch) {
  const row = Math.floor(Math.floor(patch / D.fullCols) / D.stride);
  return row * D.cols + Math.floor((patch % D.fullCols) / D.stride);
}

const layerTitle = (layer) => (layer === 0 ? "layer 0 · patch embedding" : `layer ${layer} of ${D.L - 1}`);
const placeTitle = (token) => `row ${rowOf(token) + 1}, column ${columnOf(token) + 1}`;
const nameOf = (token) => (D.N > 1 ? `${apart(D.pictures[pictureOf(token)].name)}, ${placeTitle(token)}` : placeTitle(token));

// The map on show: the one wanted once it is there and holds the layers, PCA until then.
function shownMap() {
  const wanted = maps[S.method];
  return wanted && shownLayers().every((layer) => wanted.layers.includes(layer)) ? wanted : maps.pca;
}

// ---- symbols -------------------------------------------------------------------------------------------------------

const OKABE_ITO = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#8c6bb1"].map((hex) =>
  [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)),
);
const SHAPES = 8;

// The outline of a symbol of radius 1.
function shapePath(shape) {
  const polygon = (corners, turn, inner = 1) =>
    [...Array(corners).keys()].map((k) => {
      const angle = turn + (2 * Math.PI * k) / corners;
      const radius = k % 2 ? inner : 1;
      return [radius * Math.cos(angle), radius * Math.sin(angle)];
    });
  const path = new Path2D();
  const points = [
    null, polygon(4, Math.PI / 4), polygon(3, -Math.PI / 2), polygon(4, 0), polygon(8, Math.PI / 4, 0.38), polygon(8, 0, 0.38),
    polygon(3, Math.PI / 2), polygon(10, -Math.PI / 2, 0.45),
  ][shape];
  if (!points) path.arc(0, 0, 0.86, 0, 2 * Math.PI);
  else {
    points.forEach(([x, y], k) => (k ? path.lineTo(1.12 * x, 1.12 * y) : path.moveTo(1.12 * x, 1.12 * y)));
    path.closePath();
  }
  return path;
}

const stamps = new Map();

// A symbol as coverage of its face and its edge, one byte a pixel.
function stamp(shape, radius) {
  const key = `${shape}/${radius}`;
  if (!stamps.has(key)) {
    const half = Math.ceil(1.2 * radius + 2);
    const side = 2 * half + 1;
    const pen = Object.assign(document.createElement("canvas"), { width: side, height: side }).getContext("2d", { willReadFrequently: true });
    pen.setTransform(radius, 0, 0, radius, half + 0.5, half + 0.5);
    const path = shapePath(shape);
    pen.fillStyle = "#f00"; // red: the face; green: the edge
    pen.fill(path);
    pen.lineWidth = Math.min(0.5, 1.6 / radius);
    pen.strokeStyle = "#0f0";
    pen.stroke(path);
    stamps.set(key, { half, side, data: pen.getImageData(0, 0, side, side).data });
  }
  return stamps.get(key);
}

// Lay a symbol over an ImageData. `strength` 0…1 fades it.
function press(image, { half, side, data }, x, y, face, edge, strength) {
  const { width, height, data: out } = image;
  const [left, top] = [Math.round(x) - half, Math.round(y) - half];
  if (left < 0 || top < 0 || left + side > width || top + side > height) return;
  for (let row = 0; row < side; row++) {
    let from = 4 * row * side;
    let to = 4 * ((top + row) * width + left);
    for (let column = 0; column < side; column++, from += 4, to += 4) {
      const cover = (data[from + 3] / 255) * strength;
      if (cover < 0.02) continue;
      const share = data[from + 1] / (data[from] + data[from + 1] || 1); // of the edge
      const under = (out[to + 3] / 255) * (1 - cover);
      const alpha = cover + under;
      for (let c = 0; c < 3; c++) {
        out[to + c] = ((face[c] + share * (edge[c] - face[c])) * cover + out[to + c] * under) / alpha;
      }
      out[to + 3] = 255 * alpha;
    }
  }
}

const edgeColour = () => (dark() ? [214, 219, 225] : [38, 44, 51]);

// A symbol on a small canvas, for the legend.
function symbol(shape, face) {
  const canvas = Object.assign(document.createElement("canvas"), { className: "symbol", width: 36, height: 36 });
  const image = new ImageData(36, 36);
  press(image, stamp(shape, 11), 18, 18, face, edgeColour(), 1);
  canvas.getContext("2d").putImageData(image, 0, 0);
  canvas.setAttribute("aria-hidden", "true");
  return canvas;
}
