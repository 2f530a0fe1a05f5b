// State of the Answers view, and how it says things. Text of models and people goes through textContent only.

const $ = (selector) => element.querySelector(selector);
const MOST_CHECKPOINTS = 6;
const S = {
  chosen: [], // ids, in the order of the cards
  extra: new Map(), // id -> {id, title, reads} of checkpoints that were added by hand or from the X-ray
  asked: null, // the question that the cards answer: {number, question, picture}
  said: null, // the newest state of its answers
  before: [], // earlier questions on this picture: {question, replies}
  looking: false, method: "rollout", block: -1, head: -1,
  xray: null, dial: [], dialled: null, trail: [],
};
let D = null; // what Python said last: picture, suggestions, checkpoints
let counter = 0; // numbers questions of all kinds; an answer to an older one is dropped
const newest = {}; // kind -> number

const announce = (text) => ($(".live").textContent = text);
const percent = (value) => {
  const share = 100 * value;
  return `${share > 0 && share < 1 ? "< 1" : share < 100 && share > 99 ? "> 99" : Math.round(share)} %`;
};

function make(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function tell(selector, text) {
  $(selector).textContent = text;
  $(selector).hidden = !text;
}

// "layer 18 · middle", "3 + 18 + 23 · fused": as Python says it for the checkpoints that it knows.
function titleOf(layers) {
  if (layers.length > 1) return `${layers.join(" + ")} · fused`;
  const group = groupOf(layers[0]);
  return `layer ${layers[0]}${group ? ` · ${group.name}` : ""}`;
}

const groupOf = (layer) => (D?.groups ?? []).find((group) => layer >= group.first && layer <= group.last);
const groupColour = (name) => GROUP_COLOURS[Math.max(0, (D?.groups ?? []).findIndex((group) => group.name === name))];
const anyLayer = () => (D?.checkpoints ?? []).find((known) => known.choosable && known.here);
const anyId = (layers) => `${anyLayer().id}@${layers.join("+")}`;
const knownOf = (id) => (D?.checkpoints ?? []).find((known) => known.id === id) ?? S.extra.get(id);
const readsOf = (id) => knownOf(id)?.reads || id;
const nameOf = (id) => (knownOf(id)?.reads ? `${knownOf(id).reads} (${id})` : id);

// The answers that are there, by what they come down to: [[gist, [reply, …]], …], the most frequent first.
function camps(replies) {
  const found = new Map();
  for (const reply of replies.filter((one) => one.done && !one.error && one.gist)) {
    found.set(reply.gist, [...(found.get(reply.gist) ?? []), reply]);
  }
  return [...found].sort((a, b) => b[1].length - a[1].length);
}

// How one answer stands to the others: {symbol, text, dissents}, null while there is nothing to compare.
function agreement(reply, replies) {
  const found = camps(replies);
  const others = found.reduce((sum, [, camp]) => sum + camp.length, 0) - 1;
  const own = found.find(([gist]) => gist === reply.gist)?.[1].length;
  if (!own || others < 1) return null;
  const same = own - 1;
  if (same === others) return { symbol: "=", text: others === 1 ? "same as the other" : `same as all ${others} others`, dissents: false };
  const top = found[0][1].length;
  const leads = own === top && (found[1]?.[1].length ?? 0) < top;
  if (!same) return { symbol: "≠", text: others === 1 ? "differs from the other" : `differs from all ${others} others`, dissents: true };
  return { symbol: leads ? "=" : "≠", text: `same as ${same}, differs from ${others - same}`, dissents: !leads };
}

// One sentence over all cards.
function summary(said) {
  const replies = said.replies;
  const found = camps(replies);
  const waiting = replies.filter((reply) => !reply.done).length;
  if (said.place) return `Waiting: ${said.place} ${said.place === 1 ? "visitor is" : "visitors are"} before you.`;
  if (waiting) return `${replies.length - waiting} of ${replies.length} answered …`;
  const quoted = (gist, camp) => `“${short(gist)}” ${camp.map((reply) => readsOf(reply.checkpoint)).join(", ")}`;
  const parts = [];
  if (!found.length) parts.push(said.stopped ? "Stopped before an answer was there." : "No model gave an answer.");
  else if (found.length === 1) {
    const [gist, camp] = found[0];
    parts.push(camp.length > 1 ? `All ${camp.length} say “${short(gist)}”.` : `“${short(gist)}”.`);
  } else parts.push(`They differ: ${found.map(([gist, camp]) => quoted(gist, camp)).join(" · ")}.`);
  if (said.truth) {
    const judged = replies.filter((reply) => typeof reply.right === "boolean");
    const right = judged.filter((reply) => reply.right).length;
    parts.push(`Right is “${short(said.truth.answer)}” (${said.truth.source}): ${right} of ${judged.length} right.`);
  } else if (found.length) parts.push("The right answer is not known here; state it under “More” if you know it.");
  if (said.stopped && found.length) parts.push("Stopped.");
  return parts.join(" ");
}

// Text of a model or of a person, as part of a sentence of ours.
const short = (text) => apart(text.length > 60 ? `${[...text].slice(0, 60).join("")}…` : text);

// Two canvases of the page are drawn at the screen's own resolution.
function sharpCanvas(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(width * ratio));
  canvas.height = Math.max(1, Math.round(height * ratio));
  canvas.style.aspectRatio = `${width} / ${height}`;
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return context;
}
