// Two checkpoints on all questions of a task, and the cases. Python counts, finds and draws; this asks and shows.

const $ = (selector) => element.querySelector(selector);
const root = $(".fv");
const SUBJECT = { all: "all tasks", count: "counts", total: "how many things there are", existence: "whether something is there", larger: "which is larger" };
const wish = { task: "", first: "", second: "", outcome: "second", sure: 0, sort: "sure", descending: true, page: 0 };
const pictures = new Map(); // data URLs by case
const KEPT = 240;
const AGAIN_MS = 5000;
let D = null; // what is on show
let number = 0; // of the newest request
let awaited = new Set(); // cases whose picture is being drawn
let retried = false; // whether pictures that did not come were asked for once more
let focusTo = null; // what gets the focus once the answer is there

const percent = (part, whole) => (whole ? `${((100 * part) / whole).toFixed(1)} %` : "–");
const count = (value) => value.toLocaleString("en");
const pText = (p) => (p < 0.0001 ? "p < 0.0001" : p < 0.1 ? `p = ${p.toFixed(4)}` : `p = ${p.toFixed(2)}`);
const reads = (id) => D.checkpoints.find((one) => one.id === id)?.reads ?? id;
const subject = (task) => SUBJECT[task] ?? task;

function make(tag, fields = {}, ...children) {
  const made = Object.assign(document.createElement(tag), fields);
  made.append(...children);
  return made;
}

function ask(change = {}) {
  Object.assign(wish, { page: 0 }, change);
  root.classList.add("busy");
  waiting("Reading the stored answers …");
  trigger("wanted", { ...wish, number: ++number });
}

// What stands in place of the cases while there are none.
function waiting(text, over = false) {
  $(".empty .spinner").hidden = over;
  $(".again").hidden = true;
  $(".empty-text").textContent = text;
}

function problem(text) {
  if (!D && text) return waiting(text, true);
  $(".fv-problem").textContent = text;
  $(".fv-problem").hidden = !text;
}

function unanswered() {
  root.classList.remove("busy");
  problem("The stored answers could not be read just now: try again.");
  $(".again").hidden = Boolean(D);
}

function receive() {
  const value = props.value;
  if (!value || (value.number !== undefined && value.number < number)) return; // an answer to an older request
  root.classList.remove("busy");
  if (value.problem) return problem(value.problem);
  problem("");
  D = value;
  Object.assign(wish, D.wanted, { page: D.page });
  root.classList.remove("empty-yet");
  $(".empty").hidden = true;
  drawChoices();
  drawWhole();
  drawCases();
}

// ---- choices and the whole truth -------------------------------------------------------------------------------------

function fill(select, options, chosen) {
  const key = JSON.stringify(options);
  if (select.dataset.key !== key) {
    select.replaceChildren(...options.map(([value, text]) => make("option", { value, textContent: text })));
    select.dataset.key = key;
  }
  select.value = chosen;
}

function drawChoices() {
  fill($(".task"), D.tasks.map((task) => [task, task === "all" ? "all tasks" : task]), wish.task);
  const known = D.checkpoints.map(({ id, reads: what }) => [id, `${what} (${id})`]);
  fill($(".first"), known, wish.first);
  fill($(".second"), known, wish.second);
  $(".sure").value = String(wish.sure);
  $(".sort").value = [...$(".sort").options].some(({ value }) => value === wish.sort) ? wish.sort : "sure";
  $(".direction").textContent = wish.descending ? "↓ largest first" : "↑ smallest first";
}

function drawWhole() {
  const { n, both, first, second, neither, p } = D.ways;
  const [a, b] = [reads(wish.first), reads(wish.second)];
  const strong = (text) => make("b", { textContent: text });
  $(".sentence").replaceChildren(
    `Of ${count(n)} held-out questions about ${subject(wish.task)}, ${a} fails where ${b} is right in `,
    strong(`${count(second)} (${percent(second, n)})`), ", the other way round in ", strong(`${count(first)} (${percent(first, n)})`),
    `. ${verdict(first, second, p, a, b)} McNemar's exact test: ${pText(p)}.`,
  );
  const told = { second: `only ${b} right`, first: `only ${a} right`, neither: "both wrong", both: "both right" };
  for (const [name, times] of Object.entries({ second, first, neither, both })) {
    const button = $(`.outcome[data-outcome="${name}"]`);
    button.ariaPressed = String(name === wish.outcome);
    button.querySelector("b").textContent = count(times);
    button.querySelector("small").textContent = `${told[name]} · ${percent(times, n)}`;
    button.querySelector("i i").style.width = `${(100 * times) / Math.max(1, n)}%`;
  }
  const { command, date, questions, pictures: drawn, split } = D.made;
  $(".made").textContent =
    `Precomputed on ${date} by “${command}”: ${count(questions)} questions about ${count(drawn)} scenes of the ${split} split, ` +
    "which no checkpoint was trained on; the percentages beside answers are the probability that the checkpoint gave to that answer.";
}

function verdict(first, second, p, a, b) {
  if (wish.first === wish.second) return "That is one and the same.";
  if (p >= 0.05) return "So neither is shown to be ahead here.";
  return `So ${second > first ? b : a} is ahead on these questions.`;
}

// ---- cases -------------------------------------------------------------------------------------------------------------

function drawCases() {
  const { found, page, pages, per_page: each, cases } = D;
  const from = page * each;
  $(".found").textContent = found
    ? `${count(found)} case${found === 1 ? "" : "s"}${found > each ? `, ${count(from + 1)}–${count(from + cases.length)} on show` : ""}.`
    : "No such case. Choose another outcome above, or let whoever is wrong be less sure.";
  $(".pages").hidden = pages < 2;
  $(".page-out").textContent = `page ${page + 1} of ${pages}`;
  $(".before").disabled = page === 0;
  $(".after").disabled = page === pages - 1;
  const table = $('input[name="fv-look"][value="table"]').checked;
  $(".grid").hidden = table;
  $(".list").hidden = !table;
  if (table) drawTable();
  else drawGrid();
  if (focusTo) $(focusTo)?.focus();
  focusTo = null;
}

function mark(right) {
  const made = make("span", { className: "mark", textContent: right ? "✓" : "✗", role: "img", ariaLabel: right ? "right:" : "wrong:" });
  made.dataset.right = right;
  return made;
}

const chance = (said) => `${Math.round(100 * said.chance)} %`;

function saidBy(id, said) {
  return make("span", { className: "said", title: `${reads(id)} (${id})` }, mark(said.right),
    make("span", { className: "text" }, `${reads(id)}: `, make("b", {}, make("bdi", { textContent: said.said || "(nothing)" }))),
    make("span", { className: "chance", textContent: chance(said) }));
}

function drawGrid() {
  $(".grid").replaceChildren(
    ...D.cases.map((one) => {
      const image = make("img", { alt: "" });
      const card = make("button", { type: "button", className: "case", title: "Open this case in Answers and ask it live" }, image,
        make("span", { className: "asked", textContent: one.question }),
        make("span", { className: "truth", textContent: `True: ${one.truth}${one.held_out ? " · a combination never trained" : ""}` }),
        saidBy(wish.first, one.first), saidBy(wish.second, one.second));
      card.dataset.case = one.id;
      image.dataset.case = one.id;
      image.dataset.name = `Scene ${one.seed}`;
      card.addEventListener("click", () => openCase(one.id));
      showPicture(image);
      seen.observe(card);
      return make("li", {}, card);
    }),
  );
}

function drawTable() {
  const heads = [
    ["question", "question", ""], ["truth", "true", ""], ["first", reads(wish.first), ""], ["first chance", "sure", "wide"],
    ["second", reads(wish.second), ""], ["second chance", "sure", "wide"], ["seed", "scene", "wide"],
  ];
  const had = document.activeElement?.dataset?.sort;
  $("thead tr").replaceChildren(
    ...heads.map(([name, text, className]) => {
      const button = make("button", { type: "button", textContent: text });
      button.dataset.sort = name;
      button.addEventListener("click", () => ask({ sort: name, descending: wish.sort === name ? !wish.descending : /chance/.test(name) }));
      const on = wish.sort === name;
      if (on) button.append(wish.descending ? " ↓" : " ↑");
      return make("th", { scope: "col", className, ariaSort: on ? (wish.descending ? "descending" : "ascending") : "none" }, button);
    }),
  );
  if (had) $(`th button[data-sort="${had}"]`)?.focus();
  $("tbody").replaceChildren(
    ...D.cases.map((one) => {
      const open = make("button", { type: "button", className: "open", textContent: one.question });
      const cell = (text, className = "") => make("td", { className, textContent: text });
      const answer = (said) => make("td", {}, mark(said.right), " ", make("bdi", { textContent: said.said || "(nothing)" }));
      const row = make("tr", { title: "Open this case in Answers and ask it live" }, make("td", {}, open), cell(one.truth), answer(one.first),
        cell(chance(one.first), "number wide"), answer(one.second), cell(chance(one.second), "number wide"), cell(one.seed, "number wide"));
      row.dataset.case = one.id;
      row.addEventListener("click", () => openCase(one.id));
      return row;
    }),
  );
}

function openCase(id) {
  inTurn("case_opened", { id, first: wish.first, second: wish.second });
}

// ---- pictures: drawn when their card comes near the window, a few at a time ---------------------------------------------

const near = new Set();
const seen = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) near.add(target.dataset.case);
      else near.delete(target.dataset.case);
    }
    askPictures();
  },
  { rootMargin: "200px" },
);

function askPictures() {
  if (awaited.size || !element.isConnected) return;
  const shown = new Set((D?.cases ?? []).map((one) => one.id));
  const ids = [...near].filter((id) => shown.has(id) && !pictures.has(id)).slice(0, 12);
  if (!ids.length) return;
  awaited = new Set(ids);
  trigger("thumbs_asked", { ids });
}

function showPicture(image) {
  const url = pictures.get(image.dataset.case);
  if (url) Object.assign(image, { src: url, alt: image.dataset.name });
}

function undrawn() {
  awaited.clear();
  if (!retried) setTimeout(askPictures, AGAIN_MS);
  retried = true;
}

function drawPictures() {
  retried = false;
  for (const [id, url] of Object.entries(props.thumbs ?? {})) {
    pictures.set(id, url);
    awaited.delete(id);
  }
  while (pictures.size > KEPT) pictures.delete(pictures.keys().next().value);
  element.querySelectorAll(".grid img").forEach(showPicture);
  if (!awaited.size) askPictures();
}

// ---- listening ----------------------------------------------------------------------------------------------------------

$(".outcomes").append(
  ...["second", "first", "neither", "both"].map((name) => {
    const bar = make("i", { ariaHidden: "true" }, make("i"));
    const button = make("button", { type: "button", className: "outcome" }, make("b"), make("small"), bar);
    button.dataset.outcome = name;
    button.addEventListener("click", () => ask({ outcome: name }));
    return button;
  }),
);
for (const name of ["task", "first", "second", "sort"]) {
  $(`.${name}`).addEventListener("change", (event) => ask({ [name]: event.target.value }));
}
$(".sure").addEventListener("change", (event) => ask({ sure: Number(event.target.value) }));
$(".swap").addEventListener("click", () => ask({ first: wish.second, second: wish.first }));
$(".direction").addEventListener("click", () => ask({ descending: !wish.descending }));
$(".before").addEventListener("click", () => turn(-1));
$(".after").addEventListener("click", () => turn(1));
$(".choices").addEventListener("submit", (event) => event.preventDefault());
element.querySelectorAll('input[name="fv-look"]').forEach((one) => one.addEventListener("change", () => D && drawCases()));

function turn(step) {
  focusTo = $('input[name="fv-look"][value="table"]').checked ? "td .open" : ".case";
  ask({ page: wish.page + step });
}

$(".again").addEventListener("click", () => ask());

root.classList.add("empty-yet");
listenToTaking();
follow(document, "vle-failures-unanswered", unanswered);
follow(document, "vle-failures-undrawn", undrawn);
new ResizeObserver(() => {
  if (element.clientWidth && !D && !number) ask();
}).observe(element);
watch("value", receive);
watch("thumbs", drawPictures);
receive();
