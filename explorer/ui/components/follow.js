// Shared by the views, each of which is one function with its element in scope.

// Gradio's trigger_mode "always_last" (6.31) sends the data of an older event again and drops the newest. So all events of the
// views are sent at once ("multiple"), numbered where order matters, and answers to older ones are passed over.

// Listen for as long as the view is on the page.
function follow(target, kind, act) {
  target.addEventListener(kind, function once(event) {
    if (element.isConnected) act(event);
    else target.removeEventListener(kind, once);
  });
}

// Ask for a change of what is looked at, through an event of this view: the header sends it when its turn comes.
function inTurn(event, said) {
  document.dispatchEvent(new CustomEvent("vle-change", { detail: { event, about: () => said, send: trigger } }));
}

// Text of a model or a name from outside within a sentence of ours: its direction of writing stays its own.
function apart(text) {
  const plain = text.replace(/[\u202a-\u202e\u2066-\u2069]/g, "");
  return plain !== text || /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u.test(text) ? `\u2068${plain}\u2069` : text;
}

// -1 or 1 for "[" or "]" pressed outside a field, else 0.
function layerStep(event) {
  const typing = event.target.closest?.("input[type=text], input[type=number], textarea, select, [contenteditable]");
  return typing || event.ctrlKey || event.metaKey ? 0 : ({ "[": -1, "]": 1 }[event.key] ?? 0);
}

// "What am I looking at?"
element.querySelector(".unfold")?.addEventListener("click", ({ currentTarget }) => {
  const text = element.querySelector(".long");
  text.hidden = !text.hidden;
  currentTarget.setAttribute("aria-expanded", !text.hidden);
});
