// What can be taken away of this view: who is right how often, and the cases on show.

const pairSaid = () => `${reads(wish.first)} (${wish.first}) and ${reads(wish.second)} (${wish.second}), ${subject(wish.task)}. ${$(".made").textContent}`;

function waysTable() {
  const { n, both, first, second, neither, p } = D.ways;
  const columns = ["task", "first", "second", "questions", "only first right", "only second right", "neither right", "both right", "McNemar p"];
  return { columns, rows: [[wish.task, wish.first, wish.second, n, first, second, neither, both, p]] };
}

// One row a case, of all that were found: Python lists those that are not on show.
let listing = null; // {number, pair, done, failed} of the list that is awaited
let lists = 0;

function casesTable() {
  const pair = { first: wish.first, second: wish.second };
  if (D.found <= D.cases.length) return tableOf(D.cases, pair);
  return new Promise((done, failed) => {
    listing?.failed(new Error("another list was asked for"));
    listing = { number: ++lists, pair, done, failed };
    trigger("list_asked", { ...wish, number: lists });
  });
}

function takeList() {
  const said = props.list;
  if (!said || said.number !== listing?.number) return;
  if (said.problem) listing.failed(new Error(said.problem));
  else listing.done(tableOf(said.cases, listing.pair));
  listing = null;
}

function unlisted() {
  listing?.failed(new Error("no list came, try again"));
  listing = null;
}

function tableOf(cases, { first, second }) {
  const said = (name) => [`${name} answer`, `${name} right`, `${name} probability`];
  const columns = ["case", "task", "scene", "question", "truth", "combination never trained", "first", ...said("first"), "second", ...said("second")];
  const answer = ({ said, right, chance }) => [said, right, chance];
  const rows = cases.map((one) => [
    one.id, one.task, one.seed, one.question, one.truth, one.held_out, first, ...answer(one.first), second, ...answer(one.second),
  ]);
  return { columns, rows };
}

function listenToTaking() {
  watch("list", takeList);
  follow(document, "vle-failures-unlisted", unlisted);
  const named = (what) => `${what}-${wish.task}-${wish.first}-${wish.second}`;
  exportButton($(".take-whole"), {
    label: "who is right",
    name: () => named("who-is-right"),
    parts: () => [$(".sentence"), $(".outcomes")],
    caption: pairSaid,
    table: waysTable,
  });
  exportButton($(".take-cases"), {
    label: "these cases",
    name: () => named("cases"),
    parts: () => [$(".found"), $(".grid"), $(".list")],
    caption: pairSaid,
    table: casesTable,
  });
}
