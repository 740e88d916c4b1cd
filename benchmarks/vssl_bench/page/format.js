// How numbers and elements are made. Names come from strangers' plugins: they only ever become text, never markup.
const ROLES = {
  floor: "floors, untrained",
  placebo: "placebos: the task's work on permuted targets",
  task: "pretext tasks",
  supervised: "supervised: uses labels",
};

function make(tag, attributes = {}, ...children) {
  const node = tag in SVG_TAGS ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  for (const child of children.flat()) {
    if (child !== null && child !== undefined && child !== "") node.append(child);
  }
  return node;
}
const SVG_TAGS = { svg: 1, g: 1, line: 1, circle: 1, rect: 1, text: 1, path: 1 };

const isFraction = (cell) => cell.unit === "fraction";
const percent = (value) => (value === null ? "" : (100 * value).toFixed(1));
const signed = (value) => (value === null ? "" : (value < 0 ? "−" : "+") + (100 * Math.abs(value)).toFixed(1));
const written = (cell, value) => (isFraction(cell) ? percent(value) : signed(value));

function interval(cell) {
  if (cell.low === null) return "";
  return `[${written(cell, cell.low)}, ${written(cell, cell.high)}]${cell.seed_error ? "" : "~"}`;
}

function gain(value, low, high) {
  if (value === null) return "";
  return signed(value) + (low === null ? "" : ` [${signed(low)}, ${signed(high)}]`);
}

const holds = (cell) => cell.p_holm !== null && cell.p_holm < 0.05;

function pValue(p) {
  if (p === null) return "not tested";
  return p < 0.001 ? "p < 0.001" : `p = ${p.toPrecision(2)}`;
}

function amount(value) {
  if (!value) return "";
  for (const [limit, unit] of [[1e9, " G"], [1e6, " M"], [1e3, " k"]]) {
    if (value >= limit) return Number((value / limit).toPrecision(3)) + unit;
  }
  return String(Number(value.toPrecision(3)));
}

function duration(seconds) {
  if (seconds === null) return "";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

// A long name may break behind its @.
function broken(name) {
  return name.split(/(?<=@)/).flatMap((part, i) => (i ? [make("wbr"), part] : [part]));
}

function badge(kind, text, title) {
  return make("span", { class: `badge ${kind}`, title }, text);
}

const COSTS = {
  clips: { name: "clips seen", get: (cell) => cell.clips, write: amount },
  seconds: {
    name: "wall clock", get: (cell) => cell.seconds, write: duration,
    ticks: [1, 3, 10, 30, 60, 120, 300, 600, 1200, 2400, 3600, 7200, 14400, 36000, 86400, 259200],
  },
  work: {
    name: "FLOPs of the forward passes",
    get: (cell) => (cell.clips && cell.flops_per_clip ? cell.clips * cell.flops_per_clip : null),
    write: (value) => (value >= 1e12 ? `${Number((value / 1e12).toPrecision(3))} T` : amount(value)),
  },
  steps: { name: "steps", get: (cell) => cell.steps || null, write: amount },
};
