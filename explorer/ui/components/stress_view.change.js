// Two scenes that differ: where their features part, layer by layer, and whose answer flips.

let changeAsked = null; // {number}
let told = null; // the newest answer
const PARTING_STYLES = { here: 0, elsewhere: 1 };
const partingChart = new LineChart($(".parting-chart"), $(".parting-readout"), tellParting, (layer) => setLayer(layer));
let scenes = [null, null]; // the two pictures

function askChange() {
  const before = sceneBefore();
  paintKept();
  if (!before || !S.scene || JSON.stringify(before) === JSON.stringify(S.scene)) {
    told = changeAsked = null;
    return paintChange();
  }
  changeAsked = { number: ++tick };
  trigger("change_asked", { number: changeAsked.number, before, after: S.scene, question: S.question, checkpoints: S.chosen });
}

function paintKept() {
  $(".last").disabled = !kept;
  $(".keep").disabled = !S.scene;
  $(".try").disabled = !S.scene?.objects.length;
}

async function receiveChange() {
  const said = plain(props.change);
  if (!said || !changeAsked || said.number !== changeAsked.number) return;
  const first = told?.number !== said.number;
  told = said;
  // What can be said without any checkpoint is not an error of this view.
  problem(said.problem && (known.length || !said.parting) ? said.problem : "");
  if (first && said.pictures) scenes = await Promise.all(said.pictures.map(picture));
  if (told !== said) return;
  if (said.parting) $(".layer").max = said.parting.here.length - 1;
  S.layer = Math.min(S.layer, Number($(".layer").max));
  paintChange();
}

function paintChange() {
  if (S.view !== "change") return;
  const found = sceneBefore() ? told : null;
  const parting = found?.parting;
  $(".difference").textContent = found?.sentence
    ? `${kept ? "Since the scene you kept" : "The last edit"}: ${found.sentence}`
    : "Change something in the scene on the left, or let it be changed by chance: the scenes before and after are compared here.";
  for (const selector of [".pair", ".parting-title", ".flips-title", ".change-question"]) $(selector).hidden = !found?.pictures;
  for (const selector of [".layer-control", ".take-pair", ".take-parting"]) $(selector).hidden = !parting;
  $(".parting-said").textContent = parting ? sentenceOfParting(parting) : (found?.parting_problem ?? "");
  paintPair(parting);
  if (parting) {
    partingChart.draw(partingData(parting));
    partingChart.at = -1;
    partingChart.point(S.layer, true);
    legend($(".parting-legend"), [
      { style: 0, name: parting.everywhere ? "everywhere" : "at what changed", note: `${parting.patches[0]} patches` },
      ...(parting.patches[1] ? [{ style: 1, name: "elsewhere", note: `${parting.patches[1]} patches` }] : []),
    ]);
  } else {
    partingChart.clear();
    $(".parting-legend").replaceChildren();
  }
  paintFlips(found);
}

function paintPair(parting) {
  for (const [k, name] of [[0, ".before"], [1, ".after"]]) {
    const place = $(name);
    const side = (place.width = place.height = 2 * Math.min(place.parentElement.clientWidth || 200, 260));
    place.style.width = place.style.height = `${side / 2}px`;
    if (scenes[k]) place.getContext("2d").drawImage(scenes[k], 0, 0, side, side);
  }
  $(".layer").value = S.layer;
  if (!parting || !scenes[1]) return;
  const said = `layer ${S.layer} of ${parting.here.length - 1}`;
  $(".layer-out").textContent = said;
  $(".layer").setAttribute("aria-valuetext", said);
  $(".after-said").textContent = `after, and how far each patch parted at ${said} (light: far)`;
  const place = $(".after");
  const [rows, columns] = parting.grid;
  const { low, high, values } = layerMap(parting, S.layer);
  const context = place.getContext("2d");
  const scale = place.width / parting.size[0];
  const [left, top, right, bottom] = parting.box.map((edge) => edge * scale);
  const [w, h] = [(right - left) / columns, (bottom - top) / rows];
  context.globalAlpha = 0.72;
  values.forEach((value, patch) => {
    context.fillStyle = cividis((value - low) / (high - low || 1));
    context.fillRect(left + (patch % columns) * w, top + Math.floor(patch / columns) * h, w + 0.5, h + 0.5);
  });
  context.globalAlpha = 1;
}

// The quantised map of one layer (payload.py).
function layerMap(parting, layer) {
  const bytes = (text) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  const floats = (text) => new Float32Array(bytes(text).buffer);
  const codes = bytes(parting.map.codes);
  const [low, high] = [floats(parting.map.low)[layer], floats(parting.map.high)[layer]];
  const count = parting.grid[0] * parting.grid[1];
  const values = [...codes.slice(layer * count, (layer + 1) * count)].map((code) => low + (code * (high - low)) / 254);
  return { low: 0, high, values };
}

function cividis(share) {
  const stops = [[0, 34, 78], [59, 73, 108], [112, 113, 115], [165, 156, 116], [254, 232, 56]];
  const at = clamp(share, 0, 1) * (stops.length - 1);
  const below = Math.min(Math.floor(at), stops.length - 2);
  return `rgb(${stops[below].map((from, c) => Math.round(from + (at - below) * (stops[below + 1][c] - from))).join(",")})`;
}

function partingData(parting) {
  const layers = parting.here.map((_, layer) => layer);
  const line = (values, style) => ({ style, points: layers.map((x) => ({ x, y: values[x] })) });
  const highest = Math.max(0.02, ...parting.here, ...parting.elsewhere.filter((value) => value !== null));
  const step = [0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5].find((one) => highest / one <= 6) ?? 0.5;
  const ticks = [];
  for (let at = 0; at <= highest + step * 0.999; at += step) ticks.push({ at, label: at.toFixed(2) });
  const every = Math.max(1, Math.ceil(layers.length / 13));
  return {
    xs: layers,
    x: { title: `layer of ${parting.encoder} (0: patch embedding)`, low: -0.5, high: layers.length - 0.5, ticks: layers.filter((layer) => layer % every === 0).map((at) => ({ at })) },
    y: { title: "mean cosine distance", low: 0, high: ticks.at(-1).at, ticks },
    lines: [line(parting.here, PARTING_STYLES.here), ...(parting.patches[1] ? [line(parting.elsewhere, PARTING_STYLES.elsewhere)] : [])],
  };
}

function sentenceOfParting({ here, elsewhere, patches, everywhere }) {
  const top = (values) => values.indexOf(Math.max(...values));
  const half = here.findIndex((value) => value >= here[top(here)] / 2);
  const place = everywhere ? "The ground changed, so every patch did:" : "At the patches of what changed";
  const first = `${place} features are farthest apart at layer ${top(here)} (${shown(here[top(here)])}); half of that is reached by layer ${half}.`;
  if (!patches[1]) return first;
  return `${first} Elsewhere, where the pictures are equal, the difference is largest at layer ${top(elsewhere)} (${shown(elsewhere[top(elsewhere)], 3)}): that is what attention carried over.`;
}

function tellParting(layer) {
  const { here, elsewhere, patches } = told.parting;
  return `Layer ${layer}: ${shown(here[layer], 3)} at what changed${patches[1] ? `, ${shown(elsewhere[layer], 3)} elsewhere` : ""}`;
}

function setLayer(layer, from = "stress") {
  S.layer = layer;
  const parting = told?.parting;
  if (S.view === "change" && parting) {
    paintPair(parting);
    partingChart.point(layer, true);
  }
  if (from !== "stress") return;
  window.vle = { ...window.vle, layer };
  document.dispatchEvent(new CustomEvent("vle-choice", { detail: { ...window.vle, from } }));
}

function paintFlips(found) {
  const table = $(".flips");
  const [before, after] = found?.rows ?? [];
  $(".change-question").textContent = !found?.question ? (known.length ? "" : "No checkpoint is on this machine, so nobody can be asked.")
    : `Asked of both: “${apart(found.question)}”${found.truths.every(Boolean) ? ` Right: ${found.truths.map((one) => one.answer).join(", then ")}.` : ""}`;
  table.hidden = $(".take-flips").hidden = !before;
  if (!before) return;
  const cell = (row) => (!row ? "…" : row.error || `${apart(row.answer) || "(nothing)"}${row.probability === null ? "" : ` (${percent(row.probability)})`}${row.right === null ? "" : row.right ? " ✓" : " ✗"}`);
  const rows = before.map((row, k) => {
    const now = after?.[k];
    const both = row.done && now?.done && !row.error && !now.error;
    return [nameOf(row.checkpoint), cell(row), cell(now), !both ? "" : row.answer === now.answer ? "stays" : "⇄ flips"];
  });
  fillTable(table, [["checkpoint", "before", "after", ""], ...rows]);
}

function listenToChange() {
  on(".keep", "click", () => {
    kept = S.scene;
    told = null;
    paintKept();
    paintChange();
    $(".difference").textContent = "Kept. Change something in the scene now: it is compared with what you kept.";
  });
  on(".last", "click", () => { kept = null; askChange(); });
  on(".try", "click", changeSomething);
  on(".layer", "input", (event) => setLayer(Number(event.target.value)));
}
