// "Copy link": Python writes the link, since it knows the picture and the question; the browser adds its own choices.

let linkAsked = 0;

function askLink() {
  const open = [...document.querySelectorAll('[role="tab"][aria-selected="true"]')].map((tab) => tab.textContent.trim());
  const tab = (props.tabs ?? []).find(({ title }) => open.includes(title))?.id ?? "";
  const { layer, patch, compared, mode } = window.vle ?? {};
  const shown = { layer, patch: patch >= 0 ? patch : undefined, compared: mode === "change" ? compared : undefined, mode };
  const said = Object.fromEntries(Object.entries(shown).filter(([, value]) => value !== undefined));
  trigger("link_asked", { ...said, tab: tab === "layers" ? "" : tab, asked: ++linkAsked });
}

async function giveLink() {
  const said = props.link;
  if (!said || said.asked !== linkAsked) return;
  const address = location.origin + location.pathname + (said.query ? `?${said.query}` : "");
  $(".address").value = address;
  $(".shared").hidden = false;
  let done = "The link is copied.";
  try {
    await navigator.clipboard.writeText(address);
  } catch {
    done = "Copy this link:";
    $(".address").focus();
    $(".address").select();
  }
  $(".shared-said").textContent = [done, said.note].filter(Boolean).join(" ");
}

$(".share").addEventListener("click", askLink);
$(".shared-close").addEventListener("click", () => {
  $(".shared").hidden = true;
  $(".share").focus();
});
watch("link", giveLink);
