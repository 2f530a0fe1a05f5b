// What colours the tokens. Each way gives a colour and a symbol for a token at a layer, and a legend.

const GREY = [150, 155, 160];
const CORNERS = [[[250, 176, 40], [120, 200, 250]], [[96, 34, 0], [0, 42, 110]]]; // top: light, bottom: dark; left: orange, right: blue

const ramped = (share) => {
  const at = 3 * Math.round(255 * Math.min(1, Math.max(0, share)));
  return [CIVIDIS[at], CIVIDIS[at + 1], CIVIDIS[at + 2]];
};

function placeColour(down, across) {
  return [0, 1, 2].map((c) => {
    const [top, bottom] = CORNERS.map(([left, right]) => left[c] + across * (right[c] - left[c]));
    return top + down * (bottom - top);
  });
}

const shareOf = (index, count) => (count > 1 ? index / (count - 1) : 0);
const nominal = (index) => ({ face: OKABE_ITO[index % 8], shape: (index + Math.floor(index / 8)) % SHAPES });

// Ends of the scale of similarity over the layers on show.
function similarEnds() {
  const ends = shownLayers().map((layer) => D.similar.low[layer]);
  return [Math.min(0, ...ends), 1];
}

const COLOURS = {
  place: {
    title: "Place in the picture: light is above, dark below; orange is left, blue right",
    style: (layer, token) => ({
      face: placeColour(shareOf(Math.floor((token % D.T) / D.cols), D.rows), shareOf(token % D.cols, D.cols)), shape: 0,
    }),
    say: () => "",
    legend: () => [placeSquare()],
  },
  cluster: {
    title: "k-means clusters of each layer's tokens; like clusters of different layers have one number",
    needs: () => (D.clustersOf === S.clusters ? null : { kind: "cluster", number: S.clusters }),
    style: (layer, token) => nominal(D.clusters[layer * D.count + token]),
    say: (layer, token) => `cluster ${D.clusters[layer * D.count + token] + 1}`,
    legend: () => groupsLegend(S.clusters, (layer, token) => D.clusters[layer * D.count + token], (k) => `cluster ${k + 1}`),
  },
  similar: {
    title: "Cosine with the chosen patch at the same layer",
    needs: () => (S.token < 0 || D.similarOf === S.token ? null : { kind: "similar", number: S.token }),
    ready: () => D.similar !== null,
    style: (layer, token) => {
      const [low, high] = similarEnds();
      return { face: ramped((D.similar.value(layer, token) - low) / (high - low)), shape: 0 };
    },
    say: (layer, token) => `cosine ${shown(D.similar.value(layer, token), D.similar.step(layer))} with the chosen patch`,
    legend: () => (D.similar ? [scaleBar(...similarEnds().map((end) => shown(end)), "cosine")] : ["Choose a patch: click a point or the picture."]),
  },
  thing: {
    title: "The thing that covers most of the patch, a quarter at least; known because the scene was drawn here",
    style: (layer, token) => thingStyle(D.things.numbers[token]),
    say: (layer, token) => D.things.names[D.things.numbers[token]] ?? "no truth known",
    legend: () => groupsLegend(D.things.names.length, (layer, token) => D.things.numbers[token], (k) => D.things.names[k], thingStyle),
  },
  picture: {
    title: "The picture that the patch is from",
    style: (layer, token) => nominal(pictureOf(token)),
    say: (layer, token) => D.pictures[pictureOf(token)].name,
    legend: () => groupsLegend(D.N, (layer, token) => pictureOf(token), (k) => D.pictures[k].name),
  },
  layer: {
    title: "The layer",
    style: (layer) => ({ face: ramped(layer / (D.L - 1)), shape: shownLayers().length <= SHAPES ? shownLayers().indexOf(layer) : 0 }),
    say: () => "",
    legend: () =>
      shownLayers().length <= SHAPES
        ? shownLayers().map((layer) => namedSymbol(COLOURS.layer.style(layer), `layer ${layer}`))
        : [scaleBar("layer 0", `layer ${D.L - 1}`, "")],
  },
};

// The backdrop is grey; what is unknown is too, with another symbol.
function thingStyle(number) {
  if (number <= 0) return { face: GREY, shape: number < 0 ? 5 : 0 };
  return nominal(number - 1);
}

Packed.prototype.value = function (row, column) {
  return this.low[row] + this.codes[row * this.columns + column] * this.step(row);
};

// The way of colouring on show: the wanted one once its numbers are there, else by place.
function colouring() {
  const wanted = COLOURS[S.colour];
  if (S.colour === "cluster" && !D.clusters) return COLOURS.place;
  if (S.colour === "similar" && !D.similar) return COLOURS.place;
  return wanted;
}

// ---- legend --------------------------------------------------------------------------------------------------------

function make(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function namedSymbol({ face, shape }, name) {
  return make("span", { className: "named" }, symbol(shape, face), ` ${name}`);
}

function placeSquare() {
  const square = make("canvas", { className: "square", width: D.cols, height: D.rows });
  const image = new ImageData(D.cols, D.rows);
  for (let k = 0; k < D.T; k++) image.data.set([...COLOURS.place.style(0, k).face, 255], 4 * k);
  square.getContext("2d").putImageData(image, 0, 0);
  square.setAttribute("role", "img");
  square.setAttribute("aria-label", "Colours of the places in the picture, from the top left to the bottom right");
  return square;
}

function scaleBar(low, high, unit) {
  const bar = make("canvas", { width: 256, height: 1 });
  drawBar(bar, CIVIDIS);
  const words = [low, unit, high].map((text) => make("span", { textContent: text }));
  return make("div", { className: "scale" }, bar, make("div", { className: "ends" }, ...words));
}

// One button a group that is on show; pressing it marks its patches.
function groupsLegend(count, groupOf, nameOf, styleOf = nominal) {
  const members = [...Array(count)].map(() => new Set());
  for (const layer of shownLayers()) {
    for (let token = 0; token < D.count; token++) members[groupOf(layer, token)]?.add(token);
  }
  return members.flatMap((tokens, group) => {
    if (!tokens.size) return [];
    const style = styleOf(group);
    const button = make("button", { type: "button", title: "Mark these patches" }, symbol(style.shape, style.face), `${apart(nameOf(group))} (${tokens.size})`);
    button.addEventListener("click", () => mark(tokens));
    return [button];
  });
}

function paintLegend() {
  const ways = colouring();
  const waits = ways !== COLOURS[S.colour];
  const missing = waits && S.colour === "similar" && S.token < 0;
  $(".legend-title").textContent = missing ? "Click a point or a patch of the picture: the rest is then coloured by its likeness to it. Until then: place." : ways.title;
  $(".legend-body").replaceChildren(...ways.legend());
}
