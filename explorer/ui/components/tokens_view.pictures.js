// The pictures that the tokens are from, coloured like the map; the patch under the pointer; the marked patches.

const LISTED = 24; // marked patches shown one by one
let hoveredToken = -1;
let views = []; // one canvas a picture
let viewCursor = 0; // token that the keyboard is at

function buildViews() {
  viewCursor = 0;
  views = D.pictures.map((picture, k) => {
    const canvas = make("canvas", { tabIndex: 0 });
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-roledescription", "picture of patches");
    canvas.setAttribute("aria-label", `${picture.name} as patches. Arrow keys move, Enter chooses a patch, Space marks it.`);
    listenToView(canvas, k);
    return canvas;
  });
  $(".views").classList.toggle("many", D.N > 1);
  $(".views").replaceChildren(
    ...views.map((canvas, k) => make("figure", {}, canvas, make("figcaption", { textContent: D.pictures[k].name, title: D.pictures[k].name }))),
  );
}

function sizeViews() {
  const ratio = window.devicePixelRatio || 1;
  views.forEach((canvas, k) => {
    const { image } = D.pictures[k];
    const width = Math.min(canvas.parentElement.clientWidth, D.N > 1 ? 240 : 400);
    const height = Math.round((width * image.height) / image.width);
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
  });
}

// A token's patch on its canvas, in CSS pixels; where not all patches are taken, it stands for its neighbours too.
function tokenBox(canvas, token) {
  const [width, height] = [canvas.clientWidth / D.cols, canvas.clientHeight / D.rows];
  const index = token % D.T;
  return [(index % D.cols) * width, Math.floor(index / D.cols) * height, width, height];
}

function paintViews() {
  if (!D || !views[0]?.clientWidth) return;
  const small = make("canvas", { width: D.cols, height: D.rows });
  const { style } = colouring();
  views.forEach((canvas, k) => {
    const context = canvas.getContext("2d");
    const ratio = window.devicePixelRatio || 1;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    context.drawImage(D.pictures[k].image, 0, 0, width, height);
    const image = new ImageData(D.cols, D.rows);
    for (let index = 0; index < D.T; index++) {
      const token = k * D.T + index;
      const faded = S.marked.size && !S.marked.has(token);
      image.data.set([...style(S.layer, token).face, faded ? 40 : 255], 4 * index);
    }
    small.getContext("2d").putImageData(image, 0, 0);
    context.imageSmoothingEnabled = false;
    context.globalAlpha = S.opacity / 100;
    context.drawImage(small, 0, 0, width, height);
    context.globalAlpha = 1;
    for (const token of S.marked) if (pictureOf(token) === k) outline(context, tokenBox(canvas, token), "#000", 1);
    if (S.token >= 0 && pictureOf(S.token) === k) outline(context, tokenBox(canvas, S.token), "#b3123f", 3);
    const over = canvas.matches(":focus-visible") ? viewCursor : hoveredToken;
    if (over >= 0 && pictureOf(over) === k) outline(context, tokenBox(canvas, over), "#000", 2);
  });
}

function outline(context, box, colour, width) {
  context.lineWidth = width + 2;
  context.strokeStyle = "rgba(255,255,255,.9)";
  context.strokeRect(...box);
  context.lineWidth = width;
  context.strokeStyle = colour;
  context.strokeRect(...box);
}

function listenToView(canvas, k) {
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    const clamp = (share, count) => Math.min(count - 1, Math.max(0, Math.floor(share * count)));
    return k * D.T + clamp((event.clientY - box.top) / box.height, D.rows) * D.cols + clamp((event.clientX - box.left) / box.width, D.cols);
  };
  canvas.addEventListener("pointermove", (event) => pointAtToken(at(event)));
  canvas.addEventListener("pointerleave", () => pointAtToken(-1));
  canvas.addEventListener("click", (event) => chooseToken(at(event)));
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (pictureOf(viewCursor) !== k) viewCursor = k * D.T;
    const index = viewCursor % D.T;
    const [row, column] = [Math.floor(index / D.cols), index % D.cols];
    const to = {
      ArrowUp: [row - 1, column], ArrowDown: [row + 1, column], ArrowLeft: [row, column - 1], ArrowRight: [row, column + 1],
    }[event.key];
    if (to) viewCursor = k * D.T + Math.min(D.rows - 1, Math.max(0, to[0])) * D.cols + Math.min(D.cols - 1, Math.max(0, to[1]));
    else if (event.key === "Enter") chooseToken(viewCursor);
    else if (event.key === " ") {
      mark(new Set(S.marked.has(viewCursor) ? [...S.marked].filter((each) => each !== viewCursor) : [...S.marked, viewCursor]));
    } else return;
    event.preventDefault();
    pointAtToken(viewCursor);
    announce(sentenceOf(S.layer, viewCursor));
  });
  for (const kind of ["focus", "blur"]) canvas.addEventListener(kind, paintViews);
}

// A patch with what is around it, its own edges drawn.
function paintCrop(canvas, token, margin = 1) {
  const { image } = D.pictures[pictureOf(token)];
  const [width, height] = [image.width / D.fullCols, image.height / D.fullRows];
  const side = (1 + 2 * margin) * Math.max(width, height);
  const [x, y] = [(columnOf(token) + 0.5) * width - side / 2, (rowOf(token) + 0.5) * height - side / 2];
  const context = canvas.getContext("2d");
  const scale = canvas.width / side;
  context.fillStyle = "#808080";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(image, x, y, side, side, 0, 0, canvas.width, canvas.height);
  const box = [(side - width) / 2, (side - height) / 2, width, height].map((each) => each * scale);
  outline(context, box, "#000", 2);
}

function sentenceOf(layer, token) {
  return [`Layer ${layer}, ${nameOf(token)}`, colouring().say(layer, token)].filter(Boolean).join(": ");
}

// ---- marked patches ------------------------------------------------------------------------------------------------

function paintMarked() {
  const tokens = [...S.marked].sort((a, b) => a - b);
  const pictures = new Set(tokens.map(pictureOf)).size;
  $(".clear").hidden = !tokens.length;
  $(".marked-said").textContent = tokens.length
    ? `${tokens.length} of ${D.count} patches are marked${D.N > 1 ? `, in ${pictures} of ${D.N} pictures` : ""}` +
      `${tokens.length > LISTED ? `; the first ${LISTED}:` : ":"}`
    : "No patch is marked.";
  $(".marked").replaceChildren(
    ...tokens.slice(0, LISTED).map((token) => {
      const crop = make("canvas", { width: 80, height: 80 });
      paintCrop(crop, token, 0.5);
      const button = make("button", { type: "button", title: `Choose ${nameOf(token)}` }, crop, `${rowOf(token) + 1}, ${columnOf(token) + 1}`);
      button.setAttribute("aria-label", `Choose the patch in ${nameOf(token)}`);
      button.addEventListener("click", () => chooseToken(token));
      return make("li", {}, button);
    }),
  );
}
