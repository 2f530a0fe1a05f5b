// The strip: every layer in the current view, and the slider above it.

const film = $(".film");

function buildFilm() {
  film.replaceChildren(
    ...[...Array(D.L).keys()].map((layer) => {
      const item = document.createElement("div");
      item.className = "frame";
      item.setAttribute("role", "option");
      item.dataset.layer = layer;
      item.append(document.createElement("canvas"), document.createElement("span"));
      item.lastChild.textContent = layer;
      return item;
    }),
  );
}

function paintFilm() {
  const ratio = D.box[2] - D.box[0] > 0 ? (D.box[2] - D.box[0]) / (D.box[3] - D.box[1]) : 1;
  for (const item of film.children) {
    const [picture] = item.children;
    const image = imageOf(Number(item.dataset.layer));
    picture.width = D.columns;
    picture.height = D.rows;
    picture.style.aspectRatio = ratio;
    picture.classList.toggle("nothing", !image);
    if (image) picture.getContext("2d").putImageData(image, 0, 0);
  }
}

function markFilm() {
  for (const item of film.children) {
    const layer = Number(item.dataset.layer);
    const group = groupOf(layer);
    const chosen = layer === S.layer;
    item.setAttribute("aria-selected", chosen);
    item.tabIndex = chosen ? 0 : -1;
    item.classList.toggle("from", S.mode === "change" && layer === S.from);
    item.style.setProperty("--group", group < 0 ? "transparent" : groupColour(group));
    item.setAttribute("aria-label", layerTitle(layer));
    item.title = layerTitle(layer);
  }
}

function layerTitle(layer) {
  const group = groupOf(layer);
  return `layer ${layer}${layer === 0 ? " · patch embedding" : group < 0 ? "" : ` · ${groupRanges()[group].name}`}`;
}

function listenToFilm(setLayer) {
  film.addEventListener("click", (event) => {
    const item = event.target.closest(".frame");
    if (item) setLayer(Number(item.dataset.layer));
  });
  film.addEventListener("keydown", (event) => {
    const to = {
      ArrowLeft: S.layer - 1, ArrowUp: S.layer - 1, ArrowRight: S.layer + 1, ArrowDown: S.layer + 1, Home: 0, End: D?.L - 1,
    }[event.key];
    if (to === undefined || !D) return;
    event.preventDefault();
    setLayer(to);
    film.children[S.layer].focus();
  });
}
