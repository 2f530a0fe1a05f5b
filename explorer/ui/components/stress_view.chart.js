// Line charts as SVG: a line a checkpoint, told apart by colour, dash and mark; read by pointer and by keyboard.

// ``told(k)`` says in words what stands at the k-th x; ``chosen`` is told of a move of the cursor.
class LineChart {
  constructor(svg, readout, told, chosen = () => {}) {
    Object.assign(this, { svg, readout, told, chosen, at: -1, data: null });
    svg.addEventListener("pointermove", (event) => this.data && this.point(this.nearest(event)));
    svg.addEventListener("click", (event) => this.data && this.point(this.nearest(event)));
    svg.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step || !this.data || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      this.point(clamp(this.at + step, 0, this.data.xs.length - 1));
    });
  }

  // data: {xs, x: {title, low, high, ticks}, y: {title, low, high, ticks}, lines, bands, guides}
  draw(data) {
    this.data = data;
    if (this.at >= data.xs.length) this.at = -1;
    const width = this.svg.parentElement.clientWidth;
    if (!width) return;
    const height = clamp(width * 0.58, 240, 400);
    const box = (this.box = { left: 52, top: 14, right: 12, bottom: 46, width, height });
    this.x = (value) => box.left + ((value - data.x.low) / (data.x.high - data.x.low)) * (width - box.left - box.right);
    this.y = (value) => height - box.bottom - ((value - data.y.low) / (data.y.high - data.y.low)) * (height - box.top - box.bottom);
    this.svg.setAttribute("width", width);
    this.svg.setAttribute("height", height);
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.replaceChildren(...this.frame(), ...data.lines.flatMap((line, k) => this.line(line, k)), ...this.cursor());
  }

  ink(name) {
    return getComputedStyle(root).getPropertyValue(name).trim() || getComputedStyle(root).color;
  }

  text(x, y, text, more = {}) {
    return shape("text", { x, y, "font-size": 12, "text-anchor": "middle", fill: this.ink("--body-text-color"), "font-family": "system-ui, sans-serif", ...more }, text);
  }

  frame() {
    const { data, box } = this;
    const [faint, ink] = [this.ink("--border-color-primary"), this.ink("--body-text-color")];
    const [left, right, top, bottom] = [box.left, box.width - box.right, box.top, box.height - box.bottom];
    const made = [];
    for (const band of data.bands ?? []) {
      const [from, to] = [this.x(band.from), this.x(band.to)];
      made.push(shape("rect", { x: from, y: top, width: to - from, height: bottom - top, fill: ink, opacity: 0.07 }));
      made.push(this.text((from + to) / 2, bottom - 6, band.label, { "font-size": 11 }));
    }
    for (const { at, label } of data.y.ticks) {
      made.push(shape("line", { x1: left, x2: right, y1: this.y(at), y2: this.y(at), stroke: faint, "stroke-width": 1 }));
      made.push(this.text(left - 7, this.y(at) + 4, label ?? at, { "text-anchor": "end" }));
    }
    for (const { at, label, bold } of data.x.ticks) {
      made.push(shape("line", { x1: this.x(at), x2: this.x(at), y1: bottom, y2: bottom + 4, stroke: ink }));
      made.push(this.text(this.x(at), bottom + 17, label ?? at, bold ? { "font-weight": 700 } : {}));
    }
    made.push(shape("line", { x1: left, x2: right, y1: bottom, y2: bottom, stroke: ink }));
    made.push(this.text((left + right) / 2, box.height - 8, data.x.title, { "font-size": 13 }));
    made.push(this.text(14, (top + bottom) / 2, data.y.title, { "font-size": 13, transform: `rotate(-90 14 ${(top + bottom) / 2})` }));
    for (const guide of data.guides ?? []) {
      const [[x1, y1], [x2, y2]] = [guide.from, guide.to].map(([x, y]) => [this.x(x), this.y(y)]);
      made.push(shape("line", { x1, x2, y1, y2, stroke: ink, "stroke-width": 1.5, "stroke-dasharray": "1 4", "stroke-linecap": "round" }));
      made.push(this.text(x2 + (guide.dx ?? 0), y2 + (guide.dy ?? -5), guide.label, { "text-anchor": guide.anchor ?? "end", "font-size": 11 }));
    }
    return made;
  }

  // A line: {style, points: [{x, y, low, high}]}, y null where nothing was measured.
  line({ style, points }, k) {
    const colour = colourOf(style);
    const shift = (k - (this.data.lines.length - 1) / 2) * (points.some((point) => point.low != null) ? 4 : 0);
    const made = [];
    let path = "";
    let pen = "M";
    for (const point of points) {
      if (point.y == null) { pen = "M"; continue; }
      const [x, y] = [this.x(point.x) + shift, this.y(clamp(point.y, this.data.y.low, this.data.y.high))];
      path += `${pen}${x.toFixed(1)} ${y.toFixed(1)}`;
      pen = "L";
      if (point.low != null) {
        const [low, high] = [point.low, point.high].map((value) => this.y(clamp(value, this.data.y.low, this.data.y.high)));
        made.push(shape("path", { d: `M${x} ${low}V${high}M${x - 3} ${low}h6M${x - 3} ${high}h6`, stroke: colour, "stroke-width": 1.2, opacity: 0.75 }));
      }
    }
    made.push(shape("path", { d: path, fill: "none", stroke: colour, "stroke-width": 2.2, "stroke-dasharray": DASHES[style], "stroke-linejoin": "round" }));
    for (const point of points) {
      if (point.y != null) made.push(mark(style, this.x(point.x) + shift, this.y(clamp(point.y, this.data.y.low, this.data.y.high)), points.length > 20 ? 2.6 : 3.8));
    }
    return made;
  }

  cursor() {
    if (this.at < 0) return [];
    const x = this.x(this.data.xs[this.at]);
    return [shape("line", { x1: x, x2: x, y1: this.box.top, y2: this.box.height - this.box.bottom, stroke: this.ink("--body-text-color"), "stroke-width": 1, class: "cursor" })];
  }

  nearest(event) {
    const x = event.clientX - this.svg.getBoundingClientRect().left;
    const far = this.data.xs.map((value) => Math.abs(this.x(value) - x));
    return far.indexOf(Math.min(...far));
  }

  point(at, quiet = false) {
    if (at === this.at) return;
    this.at = at;
    this.readout.textContent = this.told(at);
    this.svg.querySelector(".cursor")?.remove();
    this.svg.append(...this.cursor());
    if (!quiet) this.chosen(at);
  }

  clear() {
    this.data = null;
    this.at = -1;
    this.readout.textContent = "";
    this.svg.replaceChildren();
  }
}

function legend(place, items) {
  place.replaceChildren(
    ...items.map(({ style, name, note }) => {
      const item = make("span", { className: "legend-item" }, sample(style), make("span", { textContent: name }));
      if (note) item.append(make("small", { textContent: note }));
      return item;
    }),
  );
}
