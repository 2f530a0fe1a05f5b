// "Save report" and "Copy link": Python writes the link, since it knows the picture and the question; the browser adds its own choices.

let linkAsked = 0;

// What is chosen on the page.
function chosen() {
  const { layer, patch, compared, mode } = window.vle ?? {};
  const known = Object.entries({ layer, patch: patch >= 0 ? patch : undefined, compared, mode });
  return Object.fromEntries(known.filter(([, value]) => value !== undefined));
}

function askLink() {
  const open = [...document.querySelectorAll('[role="tab"][aria-selected="true"]')].map((tab) => tab.textContent.trim());
  const tab = (props.tabs ?? []).find(({ title }) => open.includes(title))?.id ?? "";
  const said = chosen();
  if (said.mode !== "change") delete said.compared;
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

function reporting(busy) {
  $(".report").disabled = busy;
  $(".report").textContent = busy ? "Writing…" : "Save report";
}

function saveReport() {
  const said = props.report;
  if (!said?.html) return;
  reporting(false);
  const file = URL.createObjectURL(new Blob([said.html], { type: "text/html" }));
  const name = said.name.replace(/[^\p{L}\p{N}._-]+/gu, "-").slice(0, 80) || "report";
  make("a", { href: file, download: `${name}.html` }).click();
  setTimeout(() => URL.revokeObjectURL(file), 60_000);
}

$(".report").addEventListener("click", () => {
  reporting(true);
  const { basis, text, head, tables } = window.vle ?? {};
  trigger("report_asked", { ...chosen(), basis, text, head, tables: tables?.() });
});
follow(document, "vle-unreported", () => reporting(false));
watch("report", saveReport);
$(".share").addEventListener("click", askLink);
$(".shared-close").addEventListener("click", () => {
  $(".shared").hidden = true;
  $(".share").focus();
});
watch("link", giveLink);
