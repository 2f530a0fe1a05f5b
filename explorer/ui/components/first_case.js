// The case of the first screen: a question on which the deep layer fails and the middle layer does not, and how often.

const $ = (selector) => element.querySelector(selector);
const D = props.value;

function make(tag, fields = {}, ...children) {
  const made = Object.assign(document.createElement(tag), fields);
  made.append(...children);
  return made;
}

function show() {
  $(".fc-picture").src = D.picture;
  $(".fc-picture").alt = `Scene ${D.seed}`;
  $(".fc-lead").textContent = D.lead;
  $(".fc-question").replaceChildren("“", make("b", {}, make("bdi", { textContent: D.question })), `” True: ${D.truth}.`);
  $(".fc-answers").replaceChildren(
    ...D.answers.map((one) => {
      const mark = make("span", { className: "mark", textContent: one.right ? "✓" : "✗", role: "img", ariaLabel: one.right ? "right:" : "wrong:" });
      mark.dataset.right = one.right;
      return make("li", {}, mark, make("span", {}, `${one.reads} says `, make("b", {}, make("bdi", { textContent: one.said })), ` (${Math.round(100 * one.chance)} % sure)`));
    }),
  );
  $(".how-often").textContent = D.how_often;
  $(".fc-rule").textContent = D.rule;
}

for (const target of [$(".fc-open"), $(".fc-picture-button")]) target.addEventListener("click", () => inTurn("case_opened", { id: D.id }));
$(".fc-why").addEventListener("click", () => {
  const open = $(".fc-rule").hidden;
  $(".fc-rule").hidden = !open;
  $(".fc-why").setAttribute("aria-expanded", open);
});
$(".fc-close").addEventListener("click", () => ($(".fc").hidden = true));
show();
