// Over all pictures: how far the comparison is, stopping it, and which pictures are unlike the rest.

function paintUnlike() {
  const found = (S.over === "all" && D.overall?.unlike) || [];
  $(".unlike").hidden = !found.length;
  $(".unlike-list").replaceChildren(
    ...found.map((one) => {
      const button = document.createElement("button");
      button.type = "button";
      const [name, why] = [document.createElement("span"), document.createElement("small")];
      name.textContent = one.name;
      why.textContent =
        `distance ${one.distance.toFixed(3)}${one.stands_out ? ", stands out" : ""}: layers ${one.pair[0]} and ${one.pair[1]} ` +
        `have cosine ${shown(one.here)} here, ${shown(one.others)} in the others`;
      button.append(name, why);
      button.addEventListener("click", () => inTurn("picture_asked", { index: one.index }));
      const item = document.createElement("li");
      item.append(button);
      return item;
    }),
  );
}

function stopComparing() {
  if (!open.has("overall")) return;
  latest.overall = ++asked; // whatever still comes is dropped
  open.delete("overall");
  trigger("overall_stopped", {});
  paintWaiting();
}

function listenToUnlike() {
  $(".stop-all").addEventListener("click", () => {
    $(".over").value = S.over = "one";
    stopComparing();
    drawAll();
    $(".over").focus();
  });
}
