// The header: pictures in use and how to add more, the encoder in use and how to choose another.

const $ = (selector) => element.querySelector(selector);
const emit = (name) => document.dispatchEvent(new CustomEvent(name));
const WAKE_MS = 5000;
const POLL_MS = 700;
const POLLED = "polled";
let busy = false;
let uploading = false;
let waiting = []; // files that came while others were read
let changing = ""; // the event under way that changes what is looked at
const wishes = []; // {event, about, send}: those that wait for it
let unsaid = []; // sentences about files that did not reach Python
let waited = false;
let phase = "";
let known = ""; // the encoder as it was told last
let due = true; // whether to ask if it looked at the picture

function make(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function notice(text) {
  $(".notice").textContent = text.replace(/[\u202a-\u202e\u2066-\u2069]/g, "\ufffd");
  $(".notice").hidden = !text;
}

function setBusy(text) {
  busy = Boolean(text);
  $(".add").disabled = busy;
  $(".add").textContent = busy ? text : "Add pictures";
  $(".live").textContent = text;
  if (busy) emit("vle-busy");
}

// Changes of what is looked at, those of the views too, are made one after the other, since each builds on the one before. Where
// a picture stands is looked up when its turn comes; of several choices that wait, the last is left.
function change(event, about, send = trigger) {
  if (wishes.at(-1)?.event === event && !["pictures_added", "picture_removed"].includes(event)) wishes.pop();
  wishes.push({ event, about, send });
  emit("vle-busy");
  if (!changing) next();
}

function next() {
  if (changing || !wishes.length) return;
  const { event, about, send } = wishes.shift();
  const said = about();
  if (said.index === -1) return emit("vle-settled"); // it was removed meanwhile
  changing = event;
  emit("vle-busy");
  send(event, said);
}

const indexNow = ({ name, thumb: small, own }) =>
  props.value.items.find((item) => item.name === name && item.thumb === small && item.own === own)?.index ?? -1;

// A change was answered, well or not: what is shown as chosen is what Python says.
function settle() {
  const polled = changing === POLLED;
  if (polled) due = false;
  changing = "";
  if (wishes.length) {
    unsaid.push(...(props.value?.problems ?? []));
    return void setTimeout(next);
  }
  if (polled && !unsaid.length) return; // nothing was asked for here
  if (!uploading) setBusy("");
  if (!props.value) return;
  mark(props.value.current);
  $(".fit").value = props.value.fit;
  const said = [...new Set([...unsaid.splice(0), ...props.value.problems])];
  notice(said.join("\n"));
  add(waiting.splice(0), said);
}

// ---- pictures ------------------------------------------------------------------------------------------------------

function drawPictures() {
  const said = props.value;
  if (!said) return;
  const focused = document.activeElement?.closest?.(".thumb") ? said.current : -1;
  $(".thumbs").replaceChildren(...said.items.map((item) => thumb(item, item.index, item.index === said.current)));
  if (focused >= 0) $(`.thumb[data-index="${focused}"]`)?.firstChild.focus();
  $(".more-pictures").textContent = said.more ? `and ${said.more} more of yours` : "";
  $(".remove-all").hidden = said.items.filter((item) => item.own).length < 2;
  $(".fit").value = said.fit;
  notice(said.problems.join("\n"));
}

function thumb(item, index, chosen) {
  const image = make("img", { src: item.thumb, alt: "" });
  const button = make("button", { type: "button", title: item.name }, image);
  button.setAttribute("aria-label", item.name);
  button.setAttribute("aria-pressed", chosen);
  button.addEventListener("click", () => {
    mark(index);
    change("picture_chosen", () => ({ index: indexNow(item) }));
  });
  const made = make("span", { className: "thumb" }, button);
  made.dataset.index = index;
  if (!item.own) return made;
  const remove = make("button", { type: "button", className: "remove", textContent: "×", title: `Remove ${item.name}` });
  remove.setAttribute("aria-label", `Remove ${item.name}`);
  remove.addEventListener("click", () => change("picture_removed", () => ({ index: indexNow(item) })));
  made.append(remove);
  return made;
}

function mark(index) {
  [...$(".thumbs").children].forEach((each) => each.firstChild.setAttribute("aria-pressed", Number(each.dataset.index) === index));
}

async function add(files, problems = []) {
  const limit = props.limit_mb * 1e6;
  const chosen = [...files].slice(0, 400); // many more come in a zip
  if (busy) waiting.push(...chosen);
  if (!chosen.length || busy) return;
  const tooLarge = chosen.filter((file) => file.size > limit).map((file) => file.name);
  notice("");
  uploading = true;
  setBusy("Uploading…");
  const sent = [];
  const failed = [...problems, ...tooLarge.map((name) => `${name} is larger than ${props.limit_mb} MB: make it smaller first.`)];
  for (const file of chosen.filter((each) => each.size <= limit)) {
    try {
      const { path } = await upload(file);
      sent.push({ path, name: file.name || "pasted picture" });
    } catch {
      failed.push(`${file.name} could not be uploaded: try again, or give another file.`);
    }
  }
  uploading = false;
  if (sent.length) {
    setBusy("Looking…");
    change("pictures_added", () => ({ files: sent, problems: failed }));
  } else {
    unsaid = failed;
    if (!changing) emit("vle-settled");
  }
}

// ---- camera --------------------------------------------------------------------------------------------------------

const shutter = $(".shutter");
const video = shutter.querySelector("video");

async function openCamera() {
  try {
    video.srcObject = await navigator.mediaDevices.getUserMedia({ video: true });
    shutter.showModal();
  } catch (error) {
    notice(`The camera cannot be used: ${error.message}. Allow it in the browser, or add a file.`);
  }
}

function closeCamera() {
  video.srcObject?.getTracks().forEach((track) => track.stop());
  video.srcObject = null;
  if (shutter.open) shutter.close();
}

function takePicture() {
  const canvas = make("canvas", { width: video.videoWidth, height: video.videoHeight });
  canvas.getContext("2d").drawImage(video, 0, 0);
  closeCamera();
  canvas.toBlob((blob) => add([new File([blob], "camera.png", { type: "image/png" })]), "image/png");
}

// ---- encoder -------------------------------------------------------------------------------------------------------

const size = (bytes) => (bytes === null ? "" : bytes > 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${Math.round(bytes / 1e6)} MB`);

function drawEncoder() {
  const said = props.status;
  if (!said) return;
  const info = said.encoder;
  const percent = `loading ${Math.round(100 * said.fraction)} %`;
  $(".dot").dataset.phase = info ? "ready" : said.phase;
  $(".enc-name").textContent = info ? info.title : said.id;
  $(".enc-state").textContent =
    said.phase === "loading" ? (info ? `ready, ${said.id} ${percent}` : percent) : info ? "ready" : said.phase;
  waited ||= said.phase === "loading"; // a failure that somebody else met before is not told
  $(".encoder summary").title = `${said.message} Open for more${props.choosable ? ", or to choose another" : ""}.`;
  $(".fraction").hidden = said.phase !== "loading";
  $(".fraction i").style.width = `${100 * said.fraction}%`;
  $(".state").hidden = said.phase !== "failed" || (info && !waited);
  $(".state").textContent = said.phase === "failed" ? `${said.message}${info ? ` ${info.title} stays in use.` : ""}` : "";
  if (said.phase !== phase) $(".live").textContent = said.message;
  phase = said.phase;
  const told = [phase, said.id, info?.id].join();
  due ||= told !== known;
  known = told;
  $(".facts").textContent = info
    ? `${info.architecture}: ${info.blocks} blocks of width ${info.width}, ${info.heads} heads, input ${info.image_px} px in ` +
      `patches of ${info.patch_px} px, ${(info.parameters / 1e6).toFixed(1)} million weights; ${info.dtype} on ${info.device}. ` +
      info.layer_note
    : "No encoder is loaded yet.";
  $(".keep").hidden = !(props.choosable && info && said.phase === "loading");
  $(".keep").textContent = `Cancel loading, keep ${info?.title}`;
  for (const button of element.querySelectorAll(".known button")) {
    button.setAttribute("aria-current", button.dataset.id === info?.id);
  }
}

function drawKnown() {
  $(".choose").hidden = $(".known").hidden = !props.choosable;
  $(".known").replaceChildren(
    ...(props.encoders ?? []).map((known) => {
      const here = known.on_this_machine ? "on this machine" : ["download", size(known.size_bytes)].filter(Boolean).join(" ");
      const button = make(
        "button", { type: "button", title: `${known.id} · ${known.licence}` },
        make("span", { textContent: known.title }), make("small", { textContent: here }),
      );
      button.dataset.id = known.id;
      button.addEventListener("click", () => ($(".wanted").value = known.id));
      return make("li", {}, button);
    }),
  );
  drawEncoder();
}

// ---- listening -----------------------------------------------------------------------------------------------------

const dragsFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");

$(".add").addEventListener("click", () => $(".files").click());
$(".files").addEventListener("change", async (event) => {
  const files = [...event.target.files];
  event.target.value = "";
  await add(files);
});
$(".remove-all").addEventListener("click", () => change("picture_removed", () => ({ index: "all" })));
$(".camera").hidden = !navigator.mediaDevices?.getUserMedia;
$(".camera").addEventListener("click", openCamera);
shutter.querySelector(".take").addEventListener("click", takePicture);
shutter.querySelector(".close").addEventListener("click", closeCamera);
shutter.addEventListener("cancel", closeCamera);
$(".fit").addEventListener("change", ({ target: { value: fit } }) => change("fit_chosen", () => ({ fit })));
$(".choose").addEventListener("submit", (event) => {
  event.preventDefault();
  const id = $(".wanted").value.trim();
  if (!id) return;
  $(".encoder").open = false;
  waited = true;
  trigger("encoder_asked", { id });
});
$(".keep").addEventListener("click", () => trigger("encoder_asked", { id: props.status.in_use }));
follow(document, "dragover", (event) => {
  if (!dragsFiles(event)) return;
  event.preventDefault();
  $(".drop").hidden = false;
});
follow(document, "dragleave", (event) => event.relatedTarget === null && ($(".drop").hidden = true));
follow(document, "drop", (event) => {
  $(".drop").hidden = true;
  if (!dragsFiles(event)) return;
  event.preventDefault();
  add(event.dataTransfer.files);
});
follow(document, "paste", (event) => event.clipboardData?.files.length && add(event.clipboardData.files));
follow(document, "keydown", (event) => event.key === "Escape" && ($(".encoder").open = false));
follow(document, "click", (event) => !event.target.closest?.(".encoder") && ($(".encoder").open = false));
follow(document, "vle-settled", settle);
follow(document, "vle-change", ({ detail }) => change(detail.event, detail.about, detail.send));
// The encoder is watched while it loads, from when the page's address was read. A poll may change what is shown, so it takes its turn.
const polling = setInterval(() => {
  if (!element.isConnected) clearInterval(polling);
  else if (props.opened && !changing && (due || phase === "loading")) {
    changing = POLLED;
    trigger(POLLED);
  }
}, POLL_MS);
// Gradio (6.31) loses answers where its server closes the stream of answers, since none is due, at the moment at which the next
// event arrives: they wait until a later event opens a stream anew. So there always is a later one.
const waking = setInterval(() => {
  if (!element.isConnected) clearInterval(waking);
  else if (!document.hidden) trigger("woken");
}, WAKE_MS);
watch("value", drawPictures);
watch("status", drawEncoder);
watch("encoders", drawKnown);
drawPictures();
drawKnown();
