// Every figure can be taken away: PNG, SVG, CSV of its numbers, and copied as an image.
//
// How to use it in a component:
//   factory   js_on_load=joined("export.js", "mine.js"), css_template=joined("mine.css", "export.css")
//   template  <span class="take" data-export="no"></span>   where the button "Save" shall stand
//   script    exportButton(element.querySelector(".take"), {
//               label: "layer similarity",                 // the button is then called "Save layer similarity"
//               name: () => "lrs-mini-token",              // of the file; anything but letters, digits, . _ - becomes -
//               parts: () => [map, legend],                // elements on show; canvases, SVG, images, boxes and text are drawn
//               caption: () => "Token-wise cosine · mini", // below the figure: encoder, layer, settings; may be left out
//               table: () => ({ columns: ["layer", "cosine"], rows: [[0, 0.93]] }), // or an array of objects, or a promise of
//                                                                                   // either; may be left out
//             });
// Both `parts` and `table` are called when a person asks. What is hidden, form fields, `.sr` and `[data-export="no"]` are
// left out. The figure looks as on the page, light or dark; pixels of a map stay sharp squares.

const EXPORT_SVG = "http://www.w3.org/2000/svg";
const EXPORT_MARGIN = 14;
const EXPORT_SCALE = 2; // pixels of the PNG for one CSS pixel
const EXPORT_LONGEST = 8192;
const EXPORT_STYLES = [
  "fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray", "stroke-linecap", "stroke-linejoin",
  "opacity", "visibility", "font-family", "font-size", "font-weight", "font-style", "text-anchor", "dominant-baseline",
  "paint-order", "overflow",
];

function exportNode(tag, attributes, ...children) {
  const made = document.createElementNS(EXPORT_SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// ---- a part of the page as SVG -------------------------------------------------------------------------------------

const exportClear = (colour) => colour === "transparent" || /^rgba\(.*,\s*0\)$|\/\s*0\)$/.test(colour);

// A map of one pixel a value is enlarged without smoothing, so that every program shows squares.
function exportCanvas(canvas, box) {
  const times = Math.max(1, Math.ceil((EXPORT_SCALE * box.width) / Math.max(1, canvas.width)));
  if (getComputedStyle(canvas).imageRendering !== "pixelated" || times === 1) return canvas.toDataURL();
  const large = document.createElement("canvas");
  [large.width, large.height] = [canvas.width * times, canvas.height * times];
  const context = large.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(canvas, 0, 0, large.width, large.height);
  return large.toDataURL();
}

function exportImage(image) {
  const copy = document.createElement("canvas");
  [copy.width, copy.height] = [image.naturalWidth || 1, image.naturalHeight || 1];
  copy.getContext("2d").drawImage(image, 0, 0);
  return copy.toDataURL();
}

// An SVG of the page with its styles written into it.
function exportVector(svg, place) {
  const copy = svg.cloneNode(true);
  const [from, to] = [[svg, ...svg.querySelectorAll("*")], [copy, ...copy.querySelectorAll("*")]];
  from.forEach((node, k) => {
    const style = getComputedStyle(node);
    if (style.display === "none") to[k].setAttribute("display", "none");
    for (const name of EXPORT_STYLES) to[k].style.setProperty(name, style.getPropertyValue(name));
    for (const name of ["class", "tabindex", "role", "aria-label", "aria-roledescription"]) to[k].removeAttribute(name);
  });
  for (const [name, value] of Object.entries(place)) copy.setAttribute(name, value);
  return copy;
}

// Background and border of a box; sides that differ are drawn one by one.
function exportBox(style, { x, y, width, height }) {
  const made = [];
  const rx = Math.min(parseFloat(style.borderTopLeftRadius) || 0, width / 2, height / 2);
  if (!exportClear(style.backgroundColor)) made.push(exportNode("rect", { x, y, width, height, rx, fill: style.backgroundColor }));
  const sides = ["Top", "Right", "Bottom", "Left"].map((side) => ({
    size: style[`border${side}Style`] === "none" ? 0 : parseFloat(style[`border${side}Width`]),
    colour: style[`border${side}Color`],
  }));
  const [{ size, colour }] = sides;
  if (sides.every((side) => side.size === size && side.colour === colour)) {
    if (!size || exportClear(colour)) return made;
    const inside = { x: x + size / 2, y: y + size / 2, width: Math.max(0, width - size), height: Math.max(0, height - size) };
    return [...made, exportNode("rect", { ...inside, rx, fill: "none", stroke: colour, "stroke-width": size })];
  }
  const lines = (half) => [
    [x, y + half, x + width, y + half], [x + width - half, y, x + width - half, y + height],
    [x, y + height - half, x + width, y + height - half], [x + half, y, x + half, y + height],
  ];
  sides.forEach((side, k) => {
    if (!side.size || exportClear(side.colour)) return;
    const [x1, y1, x2, y2] = lines(side.size / 2)[k];
    made.push(exportNode("line", { x1, y1, x2, y2, stroke: side.colour, "stroke-width": side.size }));
  });
  return made;
}

const exportPen = document.createElement("canvas").getContext("2d");

function exportLine(text, style, x, top, height, colour = style.color) {
  exportPen.font = `${style.fontStyle} ${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
  const size = exportPen.measureText(text);
  const [up, down] = [size.fontBoundingBoxAscent, size.fontBoundingBoxDescent];
  const look = { "font-family": style.fontFamily, "font-size": style.fontSize, "font-weight": style.fontWeight, "font-style": style.fontStyle };
  return exportNode("text", { x, y: top + (height - up - down) / 2 + up, fill: colour, "xml:space": "preserve", ...look }, text);
}

// The lines of a text node, each where the browser put it.
function exportText(node, style, at) {
  const lines = [];
  const range = document.createRange();
  for (const found of node.data.matchAll(/\S+/g)) {
    range.setStart(node, found.index);
    range.setEnd(node, found.index + found[0].length);
    const box = range.getBoundingClientRect();
    if (!box.width) continue;
    const last = lines.at(-1);
    if (last && Math.abs(last.box.top - box.top) < box.height / 2) last.words.push(found[0]);
    else lines.push({ box, words: [found[0]] });
  }
  return lines.map(({ box, words }) => {
    const { x, y } = at(box);
    return exportLine(words.join(" "), style, x, y, box.height);
  });
}

const exportLeftOut = (node) => node.matches('[hidden], [data-export="no"], .sr, .vle-export, input, select, textarea, script, style');

function exportDraw(node, at, into) {
  if (node.nodeType === Node.TEXT_NODE) {
    if (node.data.trim()) into.append(...exportText(node, getComputedStyle(node.parentElement), at));
    return;
  }
  if (node.nodeType !== Node.ELEMENT_NODE || exportLeftOut(node)) return;
  const style = getComputedStyle(node);
  const box = at(node.getBoundingClientRect());
  if (style.display === "none" || style.visibility === "hidden" || style.opacity === "0") return;
  const place = { x: box.x, y: box.y, width: box.width, height: box.height };
  if (node instanceof SVGSVGElement) return void (box.width && into.append(exportVector(node, place)));
  const group = style.opacity === "1" ? into : into.appendChild(exportNode("g", { opacity: style.opacity }));
  if (box.width && box.height) {
    group.append(...exportBox(style, place));
    const href = node.matches("canvas") ? exportCanvas(node, box) : node.matches("img") ? exportImage(node) : "";
    if (href) group.append(exportNode("image", { ...place, href, preserveAspectRatio: "none" }));
  }
  for (const child of node.childNodes) exportDraw(child, at, group);
}

function exportFigure(figure) {
  const parts = figure.parts().filter((part) => part && part.getClientRects().length);
  const boxes = parts.map((part) => part.getBoundingClientRect());
  if (!boxes.length) throw new Error("there is nothing to save yet");
  const left = Math.min(...boxes.map((box) => box.left)) - EXPORT_MARGIN;
  const top = Math.min(...boxes.map((box) => box.top)) - EXPORT_MARGIN;
  const width = Math.ceil(Math.max(...boxes.map((box) => box.right)) - left + EXPORT_MARGIN);
  let height = Math.ceil(Math.max(...boxes.map((box) => box.bottom)) - top + EXPORT_MARGIN);
  const at = ({ x, y, width: wide, height: high }) => ({ x: x - left, y: y - top, width: wide, height: high });
  const drawing = exportNode("g", {});
  for (const part of parts) exportDraw(part, at, drawing);
  const page = getComputedStyle(document.body);
  const style = { fontFamily: page.fontFamily, fontSize: "12px", fontWeight: "400", fontStyle: "normal", color: page.color };
  for (const line of exportWrapped(figure.caption?.() ?? "", style, width - 2 * EXPORT_MARGIN)) {
    drawing.append(exportLine(line, style, EXPORT_MARGIN, height - 4, 17));
    height += 17;
  }
  const ground = exportClear(page.backgroundColor) ? "#ffffff" : page.backgroundColor;
  const size = { viewBox: `0 0 ${width} ${height}`, width, height };
  return { width, height, svg: exportNode("svg", size, exportNode("rect", { width, height, fill: ground }), drawing) };
}

function exportWrapped(text, style, width) {
  exportPen.font = `${style.fontSize} ${style.fontFamily}`;
  const lines = [];
  for (const word of text.split(/\s+/).filter(Boolean)) {
    const longer = lines.length ? `${lines.at(-1)} ${word}` : word;
    if (lines.length && exportPen.measureText(longer).width <= width) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}

// ---- files ---------------------------------------------------------------------------------------------------------

function exportSvg(figure) {
  const text = new XMLSerializer().serializeToString(exportFigure(figure).svg);
  return new Blob(['<?xml version="1.0" encoding="UTF-8"?>\n', text], { type: "image/svg+xml" });
}

async function exportPng(figure) {
  const { width, height, svg } = exportFigure(figure);
  const scale = Math.min(EXPORT_SCALE, EXPORT_LONGEST / Math.max(width, height));
  const address = URL.createObjectURL(new Blob([new XMLSerializer().serializeToString(svg)], { type: "image/svg+xml" }));
  try {
    const image = new Image();
    image.src = address;
    await image.decode();
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [Math.round(width * scale), Math.round(height * scale)];
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    return await new Promise((good, bad) => canvas.toBlob((blob) => (blob ? good(blob) : bad(new Error("it is too large"))), "image/png"));
  } finally {
    URL.revokeObjectURL(address);
  }
}

// One field; text that a spreadsheet would run as a formula is marked as text.
function exportField(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "";
  if (typeof value === "number") return String(Number(value.toPrecision(7)));
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

async function exportCsv(figure) {
  const made = await figure.table();
  const columns = Array.isArray(made) ? Object.keys(made[0] ?? {}) : made.columns;
  const rows = Array.isArray(made) ? made.map((row) => columns.map((column) => row[column])) : made.rows;
  return new Blob([[columns, ...rows].map((row) => `${row.map(exportField).join(",")}\r\n`).join("")], { type: "text/csv" });
}

function exportSave(blob, name, suffix) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${name.replace(/[^\p{L}\p{N}._-]+/gu, "-").replace(/^[-.]+|-+$/g, "").slice(0, 80) || "figure"}.${suffix}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

async function exportCopy(figure) {
  if (!window.ClipboardItem || !navigator.clipboard?.write) {
    throw new Error("the browser allows copying only on https or on this machine; save the PNG instead");
  }
  await navigator.clipboard.write([new ClipboardItem({ "image/png": exportPng(figure) })]);
}

// ---- the button ----------------------------------------------------------------------------------------------------

function exportButton(host, figure) {
  const make = (tag, properties, ...children) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  };
  const said = make("span", { className: "vle-export-said" });
  said.setAttribute("role", "status");
  const ways = [
    ["PNG", "An image, twice as fine as on the screen", async () => exportSave(await exportPng(figure), figure.name(), "png")],
    ["SVG", "A drawing that can be enlarged and edited", () => exportSave(exportSvg(figure), figure.name(), "svg")],
    ["CSV", "The numbers as a table", async () => exportSave(await exportCsv(figure), figure.name(), "csv")],
    ["Copy image", "To the clipboard, to paste elsewhere", () => exportCopy(figure)],
  ].filter(([way]) => way !== "CSV" || figure.table);
  const buttons = ways.map(([way, title, act]) => {
    const button = make("button", { type: "button", textContent: way, title });
    button.addEventListener("click", async () => {
      try {
        await act();
        said.textContent = way === "Copy image" ? "Copied." : "Saved.";
      } catch (error) {
        said.textContent = `That did not work: ${error.message}.`;
      }
      setTimeout(() => (said.textContent = ""), 6000);
    });
    return button;
  });
  const summary = make("summary", { textContent: "Save", title: `Save or copy: ${figure.label}` });
  summary.setAttribute("aria-label", `Save ${figure.label}`);
  const menu = make("details", { className: "vle-export" }, summary, make("div", { className: "vle-export-ways" }, ...buttons, said));
  menu.addEventListener("toggle", () => {
    const ways = menu.lastChild;
    ways.style.cssText = "";
    if (menu.open && ways.getBoundingClientRect().left < 4) ways.style.cssText = "left: 0; right: auto";
  });
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    event.stopPropagation();
    menu.open = false;
    summary.focus();
  });
  const close = (event) => {
    if (!menu.isConnected) document.removeEventListener("click", close);
    else if (!menu.contains(event.target)) menu.open = false;
  };
  document.addEventListener("click", close);
  host.replaceChildren(menu);
}
