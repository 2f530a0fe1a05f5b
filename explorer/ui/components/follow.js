// Shared by the views, each of which is one function with its element in scope.

// Listen for as long as the view is on the page.
function follow(target, kind, act) {
  target.addEventListener(kind, function once(event) {
    if (element.isConnected) act(event);
    else target.removeEventListener(kind, once);
  });
}

// -1 or 1 for "[" or "]" pressed outside a field, else 0.
function layerStep(event) {
  const typing = event.target.closest?.("input[type=text], input[type=number], textarea, select, [contenteditable]");
  return typing || event.ctrlKey || event.metaKey ? 0 : ({ "[": -1, "]": 1 }[event.key] ?? 0);
}
