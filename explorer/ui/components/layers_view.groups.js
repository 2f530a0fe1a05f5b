// Groups of consecutive layers: brackets above the matrix, handles to move their boundaries, means of the blocks.

const NAMES = { 1: ["all layers"], 2: ["shallow", "deep"], 3: ["shallow", "middle", "deep"] };
let dragged = -1; // the boundary under the pointer while it is moved

const groupsShown = () => (S.groups === "drawn" && S.drawn ? S.drawn : (D.groups[S.groups] ?? D.groups.automatic));

// [{name, first, last}], both ends included.
function groupRanges() {
  const { starts, stop, names } = groupsShown();
  return starts.map((first, k) => ({ name: names[k], first, last: (starts[k + 1] ?? stop) - 1 }));
}

const groupColour = (index) => GROUP_COLOURS[index % GROUP_COLOURS.length];
const groupOf = (layer) => groupRanges().findIndex(({ first, last }) => first <= layer && layer <= last);

function groupShapes() {
  const ranges = groupRanges();
  const made = ranges.flatMap(({ name, first, last }, k) => {
    const [x, width] = [layerX(first) + 1, ((last - first + 1) * side) / D.L - 2];
    const square = { x: layerX(first), y: layerY(first), width: width + 2, height: width + 2, class: "block" };
    const label = name.length * 7 <= width ? name : width > 12 ? name[0] : "";
    return [
      shape("rect", { x, y: PAD.top - 12, width, height: 6, rx: 3, fill: groupColour(k) }),
      shape("text", { x: x + width / 2, y: PAD.top - 19, class: "group-name", "text-anchor": "middle" }, label),
      shape("rect", square),
    ];
  });
  for (let k = 1; k < ranges.length; k++) made.push(handle(k, ranges));
  return made;
}

function handle(boundary, ranges) {
  const x = layerX(ranges[boundary].first);
  const made = shape("g", {
    class: "handle", tabindex: 0, role: "slider", "data-boundary": boundary,
    "aria-label": `Boundary between ${ranges[boundary - 1].name} and ${ranges[boundary].name}`,
    "aria-valuemin": ranges[boundary - 1].first + 1,
    "aria-valuemax": ranges[boundary].last,
    "aria-valuenow": ranges[boundary].first,
    "aria-valuetext": `${ranges[boundary].name} begins at layer ${ranges[boundary].first}`,
  });
  made.append(
    shape("title", {}, "Drag, or use the arrow keys, to move this boundary; Delete removes it"),
    shape("rect", { x: x - 12, y: PAD.top - 21, width: 24, height: 24, fill: "transparent" }),
    shape("rect", { x: x - 2.5, y: PAD.top - 17, width: 5, height: 16, rx: 2.5, class: "grip" }),
  );
  return made;
}

function draw(starts) {
  const names = NAMES[starts.length] ?? starts.map((_, k) => `group ${k + 1}`);
  S.drawn = { starts, stop: D.L, names, clarity: null };
  S.groups = "drawn";
  groupsChanged();
}

function moveBoundary(boundary, to) {
  const starts = [...groupsShown().starts];
  const [low, high] = [starts[boundary - 1] + 1, (starts[boundary + 1] ?? D.L) - 1];
  const start = Math.min(high, Math.max(low, to));
  if (start === starts[boundary]) return;
  starts[boundary] = start;
  draw(starts);
  announce(`${groupsShown().names[boundary]} begins at layer ${start}`);
}

function addBoundary() {
  const widest = groupRanges().reduce((best, range) => (range.last - range.first > best.last - best.first ? range : best));
  if (widest.last === widest.first) return;
  const middle = Math.floor((widest.first + widest.last + 1) / 2);
  draw([...groupsShown().starts, middle].sort((a, b) => a - b));
  announce(`Boundary added before layer ${middle}`);
}

function groupsNote() {
  const ranges = groupRanges().map(({ name, first, last }) => `${name} ${first === last ? first : `${first}–${last}`}`);
  const clarity = groupsShown().clarity;
  const how = {
    automatic: ` Found in the token-wise cosine of this picture${clarity === null ? "" : `; clarity ${shown(clarity)} of 1`}.`,
    paper: " As the paper divides CLIP ViT-L/14-336 (arXiv 2504.21447).",
    drawn: " Drag the handles above the matrix.",
  }[S.groups];
  return `${ranges.join(" · ")}.${how}`;
}

function paintMeans() {
  const mean = lrsShown().mean;
  const ranges = groupRanges();
  const cellOf = (tag, text) => Object.assign(document.createElement(tag), { textContent: text });
  const row = (cells) => {
    const made = document.createElement("tr");
    made.append(...cells);
    return made;
  };
  const paper = S.groups === "paper" && D.paper;
  $(".means thead").replaceChildren(row([cellOf("td", ""), ...ranges.map(({ name }) => cellOf("th", name))]));
  $(".means tbody").replaceChildren(
    ...ranges.map((a, i) =>
      row([
        cellOf("th", a.name),
        ...ranges.map((b, j) => {
          const value = shown(blockMean(mean, [a.first, a.last], [b.first, b.last]));
          return cellOf("td", paper ? `${value} (${shown(paper.blocks[i][j])})` : value);
        }),
      ]),
    ),
  );
  $(".means-note").textContent =
    "Without the diagonal, where a layer meets itself." + (paper ? ` In brackets the paper: ${D.paper.source}.` : "");
  $(".groups-note").textContent = groupsNote();
}

function listenToGroups() {
  const layerUnder = (event) => Math.round(((event.clientX - axes.getBoundingClientRect().left - PAD.left) / side) * D.L);
  axes.addEventListener("pointerdown", (event) => {
    const grip = event.target.closest(".handle");
    if (!grip) return;
    event.preventDefault();
    dragged = Number(grip.dataset.boundary);
    axes.setPointerCapture(event.pointerId);
    grip.focus();
  });
  axes.addEventListener("pointermove", (event) => dragged >= 0 && moveBoundary(dragged, layerUnder(event)));
  // After the click that ends a drag, so that it does not open a square.
  for (const end of ["pointerup", "pointercancel"]) axes.addEventListener(end, () => setTimeout(() => (dragged = -1)));
  axes.addEventListener("keydown", (event) => {
    const grip = event.target.closest(".handle");
    const step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
    if (!grip || !(step || event.key === "Delete" || event.key === "Backspace")) return;
    event.preventDefault();
    const boundary = Number(grip.dataset.boundary);
    if (step) moveBoundary(boundary, groupsShown().starts[boundary] + step);
    else draw(groupsShown().starts.filter((_, k) => k !== boundary));
  });
  $(".add-boundary").addEventListener("click", addBoundary);
}
