// What can be taken away of this view: the cards, and the X-ray, as figures and as tables.

const madeOf = (question) => `${apart(D.name)}: “${apart(question)}” Live, one picture.`;

// One row a checkpoint and candidate.
function cardsTable() {
  const rows = S.said.replies.flatMap((reply) => {
    const about = [reply.checkpoint, reply.reads, S.asked.question, reply.error ? "" : reply.text, S.said.truth?.answer ?? "", reply.right ?? "", reply.seconds ?? ""];
    return (reply.probabilities.length ? reply.probabilities : [["", ""]]).map(([name, share]) => [...about, name, share]);
  });
  return { columns: ["checkpoint", "reads", "question", "answer", "truth", "right", "seconds", "candidate", "probability"], rows };
}

// One row a column and candidate; models trained for one layer alone come after them.
function xrayTable() {
  const said = S.xray;
  const truth = said.truth?.answer ?? "";
  const rows = said.columns.flatMap((layers, column) =>
    said.candidates.map((name, at) => [said.checkpoint, setName(layers), said.question, said.answers[column], truth, name, said.probabilities[column]?.[at] ?? ""]));
  for (const one of said.trained ?? []) rows.push([one.checkpoint, setName(said.columns[one.column]), said.question, one.answer, truth, "", ""]);
  return { columns: ["checkpoint", "layers", "question", "answer", "truth", "candidate", "probability"], rows };
}

function listenToTaking() {
  exportButton($(".take-cards"), {
    label: "the answers",
    name: () => `answers-${D.name}`,
    parts: () => [$(".cards")],
    caption: () => `${madeOf(S.asked.question)} ${summary(S.said)}`,
    table: cardsTable,
  });
  exportButton($(".take-xray"), {
    label: "the X-ray",
    name: () => `x-ray-${D.name}`,
    parts: () => [$(".xray-scroll"), $(".xray-key")],
    caption: () => `${madeOf(S.xray.question)} Read by ${S.xray.checkpoint}, layer by layer. ${$(".xray-sum").textContent}`,
    table: xrayTable,
  });
  window.vle = { ...window.vle, tables: reportTables };
}

// What a saved report takes along.
function reportTables() {
  const about = (what, question) => `${what} about ${D.name}: ${question}`;
  return [
    S.said?.over && S.asked && { title: about("Answers", S.asked.question), ...cardsTable() },
    S.xray?.over && { title: about("X-ray", S.xray.question), ...xrayTable() },
  ].filter(Boolean);
}
