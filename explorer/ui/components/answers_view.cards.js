// One card an answer: what was said, how sure, how long it took, whether it is right and agrees with the others.

const cards = new Map(); // checkpoint -> its element; kept while text streams in, so that focus and scrolling stay

function paintCards() {
  const said = S.said;
  $(".answers").hidden = !said;
  if (!said) return;
  tell(".sum", summary(said));
  const shown = said.replies.map((reply) => {
    if (!cards.has(reply.checkpoint)) cards.set(reply.checkpoint, make("article", { className: "card" }));
    const card = cards.get(reply.checkpoint);
    fillCard(card, reply, said);
    return card;
  });
  for (const id of [...cards.keys()]) if (!said.replies.some((reply) => reply.checkpoint === id)) cards.delete(id);
  const there = [...$(".cards").children];
  if (there.length !== shown.length || there.some((card, at) => card !== shown[at])) $(".cards").replaceChildren(...shown);
  paintLooking();
}

function fillCard(card, reply, said) {
  const state = JSON.stringify([reply, said.truth, said.place, said.stopped, said.replies.map((one) => [one.gist, one.done, one.error])]);
  if (card.dataset.state === state) return;
  card.dataset.state = state;
  card.dataset.checkpoint = reply.checkpoint;
  card.setAttribute("aria-busy", !reply.done);
  const stands = reply.done && !reply.error ? agreement(reply, said.replies) : null;
  card.classList.toggle("dissents", Boolean(stands?.dissents));
  const title = make("h3", { textContent: reply.reads || reply.checkpoint });
  if (reply.reads) title.append(make("small", { textContent: reply.checkpoint }));
  const map = card.querySelector(".looked-map") ?? make("canvas", { className: "looked-map", hidden: true });
  map.setAttribute("role", "img");
  map.setAttribute("aria-label", `Where ${reply.reads || reply.checkpoint} looked`);
  const lines = [title];
  if (reply.error) lines.push(make("p", { className: "failed", textContent: `⚠ ${reply.error}` }));
  else lines.push(saidLine(reply, said));
  if (typeof reply.right === "boolean") {
    const text = reply.right ? ["✓", "right"] : ["✗", `wrong: it is “${short(said.truth.answer)}”`];
    lines.push(make("p", { className: `verdict ${reply.right ? "right" : "wrong"}` }, make("span", { textContent: text[0] }), make("span", { textContent: text[1] })));
  }
  if (reply.probabilities.length) lines.push(probabilityBars(reply, said.truth));
  if (stands) lines.push(make("p", { className: "agree", textContent: `${stands.symbol} ${stands.text}` }));
  for (const remark of reply.remarks) lines.push(make("p", { className: "remark", textContent: remark }));
  lines.push(map, make("p", { className: "note look-said", hidden: true }));
  const took = reply.seconds === null ? "" : `${reply.seconds < 10 ? reply.seconds.toFixed(2) : Math.round(reply.seconds)} s · live`;
  lines.push(make("p", { className: "took", textContent: took }));
  card.replaceChildren(...lines);
}

function saidLine(reply, said) {
  const empty = reply.done ? (said.stopped && !reply.text ? "stopped" : "(no words)") : said.place ? "waiting its turn" : "reading …";
  const line = make("p", { className: "said", textContent: reply.text || empty, dir: "auto" });
  line.classList.toggle("long-text", reply.text.length > 80 || !reply.text);
  if (!reply.done && !reply.text) line.prepend(make("span", { className: "spinner", ariaHidden: "true" }));
  return line;
}

function probabilityBars(reply, truth) {
  return reply.kind === "count" ? countBars(reply, truth) : lineBars(reply, truth);
}

// Numbers as a histogram, the truth marked below its bar.
function countBars(reply, truth) {
  const most = Math.max(...reply.probabilities.map(([, share]) => share), 0.01);
  const wanted = truth?.gist;
  const columns = reply.probabilities.map(([name, share]) => {
    const isTrue = wanted !== undefined && name === wanted;
    const bar = make("i", { title: `${name}: ${percent(share)}` });
    bar.style.height = `${(100 * share) / most}%`;
    return make(
      "div", { className: `count${isTrue ? " is-true" : ""}` },
      make("div", { className: "stand" }, bar), make("span", { textContent: name }), make("span", { className: "point", textContent: isTrue ? "▲" : "" }),
    );
  });
  const chart = make("div", { className: "counts" }, ...columns);
  chart.setAttribute("role", "img");
  const sorted = [...reply.probabilities].sort((a, b) => b[1] - a[1]).slice(0, 3);
  chart.setAttribute("aria-label", `Probability of each number; likeliest: ${sorted.map(([name, share]) => `${name} ${percent(share)}`).join(", ")}`);
  const expected = reply.probabilities.reduce((sum, [name, share]) => sum + Number(name) * share, 0);
  const [likeliest] = sorted;
  const note = make("p", { className: "note", textContent: `${likeliest[0]}: ${percent(likeliest[1])} · expected count ${expected.toFixed(1)}${wanted !== undefined && columns.some((column) => column.classList.contains("is-true")) ? " · ▲ the truth" : ""}` });
  return make("div", {}, chart, note);
}

// Yes and no, candidates or first words: a line each.
function lineBars(reply, truth) {
  const wanted = truth?.gist;
  let rows = reply.probabilities;
  if (rows.length > 6) {
    rows = [...rows].sort((a, b) => b[1] - a[1]).filter(([name], at) => at < 5 || name.toLowerCase() === wanted);
  }
  const list = make("div", { className: "bars" });
  for (const [name, share] of rows) {
    const bar = make("b");
    bar.style.width = `${100 * share}%`;
    const isTrue = wanted !== undefined && name.toLowerCase() === wanted;
    list.append(make(
      "div", { className: `bar-row${isTrue ? " is-true" : ""}` },
      make("span", { title: name }, isTrue ? "▸ " : "", make("bdi", { textContent: name })), make("i", {}, bar), make("span", { textContent: percent(share) }),
    ));
  }
  const hidden = reply.probabilities.length - rows.length;
  const about = reply.kind === "open" ? "likeliest first words" : hidden > 0 ? `${hidden} less likely answers are not shown` : "";
  if (about) list.append(make("p", { className: "note", textContent: about }));
  return list;
}

// What was asked before on this picture: a line each, to be asked again.
function paintBefore() {
  $(".before").hidden = !S.before.length;
  $(".before-list").replaceChildren(
    ...S.before.map((one) => {
      const again = make("button", { type: "button", className: "link", textContent: one.question, title: "Ask this again" });
      again.addEventListener("click", () => ask(one.question));
      const answers = camps(one.replies).map(([gist, camp]) => `“${short(gist)}” (${camp.map((reply) => readsOf(reply.checkpoint)).join(", ")})`);
      return make("li", {}, again, document.createTextNode(` ${answers.join(" · ") || "no answer"}`));
    }),
  );
}
