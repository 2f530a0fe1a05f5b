// The pinned question and its answers, a row a checkpoint; an answer that changed with the last edit is marked.

let asking = null; // {number, scene}: the newest question
let settled = null; // {scene, question, answers}: the last complete answers
let base = null; // the complete answers before those, to an earlier scene

function askRows() {
  if (!S.chosen.length || !S.question || !palette) return paintRows(null);
  asking = { number: ++tick, scene: S.number };
  trigger("answers_asked", { number: asking.number, scene: S.scene, question: S.question, checkpoints: S.chosen });
}

function pin(text) {
  S.question = text.trim();
  $(".question").value = S.question;
  askRows();
}

function suggest(questions) {
  $(".suggestions").replaceChildren(
    ...questions.map((text) => {
      const button = make("button", { type: "button", className: "suggestion", textContent: text });
      button.addEventListener("click", () => pin(text));
      return button;
    }),
  );
  if (!S.question && questions.length) pin(questions.find((text) => text.startsWith("How many")) ?? questions[0]);
}

function receiveReplies() {
  const said = plain(props.replies);
  if (!said || !asking || said.number !== asking.number) return;
  if (said.problem) problem(said.problem);
  if (settled && settled.scene !== asking.scene) base = settled.question === said.question ? settled : null;
  paintRows(said);
  const rows = said.rows ?? [];
  if (rows.length && rows.every((row) => row.done && !row.error)) {
    settled = { scene: asking.scene, question: said.question, answers: Object.fromEntries(rows.map((row) => [row.checkpoint, row.answer])) };
    const flips = rows.filter((row) => flipOf(row)).length;
    announce(`${rows.length} answers${flips ? `, ${flips} flipped` : ""}`);
  }
}

// What the answer was before the last edit, if it is another now.
function flipOf(row) {
  const before = base?.answers[row.checkpoint];
  return row.done && !row.error && before !== undefined && before !== row.answer ? before : null;
}

function paintRows(said) {
  const truth = said?.truth;
  $(".truth").textContent = !said ? (S.chosen.length ? "" : known.length ? "Choose a checkpoint above to see answers." : "") : truth
    ? `Right answer, from the scene's record: ${truth.answer}`
    : "The scene's record does not settle this question, so nothing is marked right or wrong.";
  const rows = said?.rows ?? [];
  $(".rows").replaceChildren(...rows.map(rowOf));
  const remarks = [...new Set(rows.flatMap((row) => row.remarks))];
  $(".rows-about").textContent = rows.length ? ["Live: one scene, one question, n = 1.", ...remarks].join(" ") : "";
}

function rowOf(row) {
  const k = S.chosen.indexOf(row.checkpoint);
  const line = make("div", { className: "row" });
  line.dataset.checkpoint = row.checkpoint;
  line.dataset.done = row.done;
  const name = make("div", { className: "row-name" }, make("strong", { textContent: titleOf(row.checkpoint) }), make("small", { textContent: row.reads }));
  if (k >= 0) name.prepend(sample(k));
  if (row.error) {
    line.append(name, make("p", { className: "row-error", textContent: row.error }));
    return line;
  }
  const answer = make("div", { className: "row-answer" }, make("bdi", { className: "row-said", textContent: row.answer || (row.done ? "(nothing)" : "…") }));
  if (row.probability !== null) answer.append(make("span", { className: "meter" }, meter(row.probability)), make("span", { className: "share", textContent: percent(row.probability) }));
  const marks = make("div", { className: "row-marks" });
  if (row.right !== null) marks.append(make("span", { className: row.right ? "right-mark" : "wrong-mark", textContent: row.right ? "✓ right" : "✗ wrong" }));
  const before = flipOf(row);
  if (before !== null) marks.append(make("span", { className: "flip", textContent: `⇄ flipped, was ${apart(before) || "(nothing)"}` }));
  line.append(name, answer, marks);
  return line;
}

function meter(share) {
  const fill = make("i");
  fill.style.width = `${100 * share}%`;
  return fill;
}
