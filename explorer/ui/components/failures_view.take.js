// What can be taken away of this view: who is right how often, and the cases on show.

const pairSaid = () => `${reads(wish.first)} (${wish.first}) and ${reads(wish.second)} (${wish.second}), ${subject(wish.task)}. ${$(".made").textContent}`;

function waysTable() {
  const { n, both, first, second, neither, p } = D.ways;
  const columns = ["task", "first", "second", "questions", "only first right", "only second right", "neither right", "both right", "McNemar p"];
  return { columns, rows: [[wish.task, wish.first, wish.second, n, first, second, neither, both, p]] };
}

// One row a case of this page.
function casesTable() {
  const said = (name) => [`${name} answer`, `${name} right`, `${name} probability`];
  const columns = ["case", "task", "scene", "question", "truth", "combination never trained", "first", ...said("first"), "second", ...said("second")];
  const answer = ({ said, right, chance }) => [said, right, chance];
  const rows = D.cases.map((one) => [
    one.id, one.task, one.seed, one.question, one.truth, one.held_out, wish.first, ...answer(one.first), wish.second, ...answer(one.second),
  ]);
  return { columns, rows };
}

function listenToTaking() {
  const named = (what) => `${what}-${wish.task}-${wish.first}-${wish.second}`;
  exportButton($(".take-whole"), {
    label: "who is right",
    name: () => named("who-is-right"),
    parts: () => [$(".sentence"), $(".outcomes")],
    caption: pairSaid,
    table: waysTable,
  });
  exportButton($(".take-cases"), {
    label: "the cases on this page",
    name: () => named(`cases-page-${D.page + 1}`),
    parts: () => [$(".found"), $(".grid"), $(".list")],
    caption: pairSaid,
    table: casesTable,
  });
}
