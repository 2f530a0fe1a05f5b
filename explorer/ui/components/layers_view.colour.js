// Arrays as they come from Python (payload.py), and colours.

const MISSING = 255;
const STEPS = 254;

const bytes = (text) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
const floats = (text) => new Float32Array(bytes(text).buffer);

// A quantised map [rows, columns]: each row lies between its own low and high.
class Packed {
  constructor(said) {
    this.codes = bytes(said.codes);
    this.low = floats(said.low);
    this.high = floats(said.high);
    this.columns = this.codes.length / this.low.length;
  }

  row(index) {
    const step = this.step(index);
    const values = new Float32Array(this.columns);
    for (let k = 0; k < this.columns; k++) {
      const code = this.codes[index * this.columns + k];
      values[k] = code === MISSING ? NaN : this.low[index] + code * step;
    }
    return values;
  }

  step(index) {
    return (this.high[index] - this.low[index]) / STEPS;
  }
}

// 256 colours between evenly spaced stops, as [r, g, b, r, g, b, …].
function ramp(stops) {
  const colours = stops.map((stop) => [1, 3, 5].map((at) => parseInt(stop.slice(at, at + 2), 16)));
  const table = new Uint8ClampedArray(256 * 3);
  for (let k = 0; k < 256; k++) {
    const at = (k / 255) * (colours.length - 1);
    const below = Math.min(Math.floor(at), colours.length - 2);
    for (let c = 0; c < 3; c++) {
      table[3 * k + c] = colours[below][c] + (at - below) * (colours[below + 1][c] - colours[below][c]);
    }
  }
  return table;
}

const CIVIDIS = ramp([
  "#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369", "#e1cc55", "#fee838",
]);
const DIVERGING = ramp(["#08519c", "#6baed6", "#f7f7f7", "#f4a261", "#a63603"]);
const GROUP_COLOURS = ["#56b4e9", "#009e73", "#cc79a7", "#e69f00", "#0072b2", "#d55e00"];

function extent(values) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low > high ? [0, 0] : [low, high];
}

// Write one pixel a value; what is NaN stays transparent, what lies outside takes the colour of the end.
function tint(image, values, [low, high], table) {
  const span = high > low ? high - low : 1;
  values.forEach((value, k) => {
    if (Number.isNaN(value)) return;
    const at = 3 * Math.round(255 * Math.min(1, Math.max(0, (value - low) / span)));
    image.data.set([table[at], table[at + 1], table[at + 2], 255], 4 * k);
  });
  return image;
}

function drawBar(canvas, table) {
  const values = Float32Array.from({ length: 256 }, (_, k) => k / 255);
  const context = canvas.getContext("2d");
  context.putImageData(tint(new ImageData(256, 1), values, [0, 1], table), 0, 0);
}

// As many decimals, at most two, as the quantisation step supports.
function decimals(step) {
  return step > 0 ? Math.min(2, Math.max(0, Math.floor(-Math.log10(step)))) : 2;
}

function shown(value, step = 0) {
  if (Number.isNaN(value)) return "no value";
  const text = value.toFixed(decimals(step));
  return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "−");
}
