// What is in the scene, what can be added, and the controls of the chosen thing.

function crop(name, px = 44) {
  const drawn = make("canvas", { width: 2 * px, height: 2 * px });
  drawn.style.width = drawn.style.height = `${px}px`;
  const [left, top, width, height] = palette.places[name];
  const scale = (2 * px) / Math.max(width, height);
  const [w, h] = [width * scale, height * scale];
  drawn.getContext("2d").drawImage(stage.sheet, left, top, width, height, px - w / 2, px - h / 2, w, h);
  drawn.setAttribute("aria-hidden", "true");
  return drawn;
}

function paintBuilder() {
  paintStage();
  if (!palette || !S.scene) return;
  paintThings();
  paintTools();
  $(".undo").disabled = !S.undo.length;
  $(".redo").disabled = !S.redo.length;
  const ground = palette.grounds.findIndex((one) => sameGround(one, S.scene.backdrop));
  $(".ground").value = ground >= 0 ? ground : "own";
  const word = S.scene.sign?.word ?? "";
  $(".sign").value = palette.words.includes(word) || !word ? word : "own";
  paintKept();
}

const sameGround = (a, b) => JSON.stringify([a.style, a.colours, a.seed, a.horizon]) === JSON.stringify([b.style, b.colours, b.seed, b.horizon]);

function paintThings() {
  const focused = document.activeElement?.closest?.(".things") ? S.selected : null;
  const chip = (thing, index, name) => {
    const button = make("button", { type: "button", className: "thing", title: name }, ...(index === "sign" ? [] : [crop(keyOf(thing), 30)]));
    button.append(make("span", { textContent: wordsFor(thing) }));
    button.setAttribute("aria-pressed", index === S.selected);
    button.dataset.index = index;
    return button;
  };
  const things = S.scene.objects.map((thing, index) => chip(thing, index, placeOf(thing)));
  if (S.scene.sign) things.push(chip(S.scene.sign, "sign", placeOf(S.scene.sign)));
  $(".things").replaceChildren(...things);
  if (focused !== null) $(`.thing[data-index="${S.selected}"]`)?.focus();
  $(".told").textContent = things.length === 1 ? "1 thing" : `${things.length} things`;
}

function paintTools() {
  const thing = chosenThing();
  for (const name of ["smaller", "larger", "mirror", "copy", "remove"]) {
    $(`.tools .${name}`).disabled = !thing || (S.selected === "sign" && (name === "mirror" || name === "copy"));
  }
  $(".colours").hidden = !thing?.colour;
  for (const button of all(".colours button")) button.setAttribute("aria-pressed", button.dataset.colour === thing?.colour);
}

function paintPalette() {
  $(".kinds").replaceChildren(
    ...palette.kinds.map((kind) => {
      const button = make("button", { type: "button", className: "kind-button", title: `Add: ${kind.name}` }, crop(kind.shape ? `${kind.name}/red` : kind.name), make("span", { textContent: kind.name }));
      button.dataset.find = `${kind.name} ${kind.plural}${kind.shape ? " shape" : ""}`;
      button.addEventListener("click", () => S.scene && add(kind));
      return button;
    }),
    make("p", { className: "none", textContent: "Nothing by that name can be drawn.", hidden: true }),
  );
  $(".colours").replaceChildren(
    ...Object.entries(palette.colours).map(([name, rgb]) => {
      const button = make("button", { type: "button", className: "swatch", title: name, ariaLabel: name });
      button.style.setProperty("--swatch", `rgb(${rgb.join(",")})`);
      button.dataset.colour = name;
      button.addEventListener("click", () => chosenThing()?.colour && edit((scene) => (scene.objects[S.selected].colour = name)));
      return button;
    }),
  );
  const options = palette.grounds.map((ground, k) => new Option(groundName(ground, k), k));
  $(".ground").replaceChildren(...options, make("option", { value: "own", textContent: "as in the scene", disabled: true, hidden: true }));
  const own = make("option", { value: "own", textContent: "as in the scene", disabled: true, hidden: true });
  $(".sign").replaceChildren(new Option("no sign", ""), ...palette.words.map((word) => new Option(word, word)), own);
  const kinds = () => palette.kinds.map((kind) => new Option(kind.name, kind.name)).sort((a, b) => a.text.localeCompare(b.text));
  $(".kind").replaceChildren(...kinds());
  $(".other").replaceChildren(...kinds());
  $(".kind").value = "dog";
  $(".other").value = "car";
}

// Photographs share a name, so they are numbered.
function groundName(ground, k) {
  const alike = palette.grounds.filter((one) => one.name === ground.name);
  return alike.length > 1 ? `${ground.name} ${alike.indexOf(palette.grounds[k]) + 1}` : ground.name;
}

function findKinds() {
  const wanted = $(".find").value.trim().toLowerCase();
  let found = 0;
  for (const button of all(".kind-button")) {
    button.hidden = !button.dataset.find.includes(wanted);
    found += !button.hidden;
  }
  $(".kinds .none").hidden = found > 0;
}

function chooseGround() {
  const ground = palette.grounds[Number($(".ground").value)];
  if (ground) edit((scene) => (scene.backdrop = plain(ground)));
}

function chooseSign() {
  const word = $(".sign").value;
  const made = word ? plain(palette.signs[word]) : null;
  if (made && S.scene.sign) Object.assign(made, { x: S.scene.sign.x, y: S.scene.sign.y });
  S.selected = made ? "sign" : S.scene.objects.length - 1;
  edit((scene) => (scene.sign = made));
}

let usual = []; // ids of those that answer where nobody chose
const sought = new Set(); // ids that were asked for

// ---- where a scene comes from --------------------------------------------------------------------------------------

function paintStart() {
  const shown = current.scene ? [new Option(`the picture on show: ${current.name}`, "shown")] : [];
  $(".start").replaceChildren(
    new Option("choose a scene …", ""), ...shown, ...examples().map((one, k) => new Option(one.name, k)), new Option("an invented scene", "invented"),
  );
  $(".start").value = "";
}

const examples = () => props.value?.examples ?? [];

function start(which) {
  if (which === "") return;
  if (which === "invented") trigger("scene_invented", { number: ++tick });
  else open(which === "shown" ? current.scene : plain(examples()[Number(which)].scene));
  untouched = false;
  $(".start").value = "";
}

function receiveCurrent() {
  const said = plain(props.current ?? props.value);
  if (!said) return;
  current = said;
  paintStart();
  if (said.question && said.question !== S.question && untouched) $(".question").value = S.question = said.question;
  if (untouched || !S.scene) {
    const first = current.scene ?? plain(examples()[0]?.scene);
    if (first && JSON.stringify(first) !== JSON.stringify(S.scene)) {
      S.undo = [];
      S.scene = null;
      if (visible()) open(first);
      else [S.scene, S.selected] = [first, first.objects.length ? 0 : -1];
    }
  }
  takeCheckpoints();
}

function receivePalette() {
  if (!props.palette || palette) return;
  const said = JSON.parse(props.palette);
  picture(said.sheet).then((sheet) => {
    stage.sheet = sheet;
    palette = said;
    paintPalette();
    paintChips();
    paintSweep();
    if (S.scene) changed();
  });
}

function receiveKnown() {
  if (!props.checkpoints) return;
  const said = plain(props.checkpoints);
  const before = String(S.chosen);
  [known, usual] = [said.known, said.usual];
  current.checkpoints = said.chosen;
  takeCheckpoints();
  if (String(S.chosen) !== before) askAgain();
}

// Those that the other tabs chose, or the usual ones.
function takeCheckpoints() {
  const here = known.filter(canAnswer).map((one) => one.id);
  const missing = (current.checkpoints ?? []).filter((id) => !known.some((one) => one.id === id) && !sought.has(id));
  if (missing.length && palette) {
    missing.forEach((id) => sought.add(id));
    trigger("opened", { again: true });
  }
  const wanted = here.filter((id) => (current.checkpoints ?? []).includes(id));
  if (wanted.length) S.chosen = wanted.slice(0, MOST_CHECKPOINTS);
  else if (!S.chosen.length) S.chosen = here.filter((id) => usual.includes(id));
  paintChips();
}
