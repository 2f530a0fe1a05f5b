// What the page's address asks of this view: ?layer=18&patch=40&mode=similar&compared=3, once, with the encoder it names.

let wanted = new URLSearchParams(location.search);

function takeFromLink() {
  if (!wanted || (wanted.get("encoder") && wanted.get("encoder") !== D.encoder.id)) return;
  const number = (name, below) => {
    const text = wanted.get(name);
    return /^\d{1,5}$/.test(text ?? "") && Number(text) < below ? Number(text) : null;
  };
  S.layer = number("layer", D.L) ?? S.layer;
  S.from = number("compared", D.L) ?? S.from;
  const patch = number("patch", D.P);
  if (patch !== null) cursor = S.patch = patch;
  if (MODES[wanted.get("mode")]) S.mode = wanted.get("mode");
  wanted = null;
}
