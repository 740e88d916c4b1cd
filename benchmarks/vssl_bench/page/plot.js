// Accuracy against cost: a point with its interval per trained row, a line per floor.
function drawPlot(holder, cells, cost, tip) {
  holder.replaceChildren();
  const width = Math.max(320, holder.clientWidth || 900);
  const narrow = width < 620;
  const height = narrow ? 340 : 400;
  const margin = { left: 44, right: narrow ? 16 : 216, top: 26, bottom: 42 };
  const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "accuracy against cost" });
  holder.append(svg);

  const shown = cells.filter((cell) => cell.mean !== null);
  const points = shown.filter((cell) => cell.role !== "floor" && cost.get(cell));
  const floors = shown.filter((cell) => cell.role === "floor");
  if (!points.length && !floors.length) {
    svg.append(make("text", { x: width / 2, y: height / 2, "text-anchor": "middle", class: "empty" }, "nothing to show yet"));
    return;
  }
  const x = logScale(points.map(cost.get), margin.left + 14, width - margin.right - 14, cost.ticks);
  const y = valueScale(shown, height - margin.bottom, margin.top);
  drawAxes(svg, x, y, cost, { width, height, margin, unit: isFraction(shown[0]) ? "percent" : "points" });

  // Tasks asked about themselves guess among as many answers as each has: no one line is the chance of all.
  const chances = new Set(shown.filter((cell) => cell.chance !== null).map((cell) => cell.chance));
  const right = width - margin.right;
  const labels = [];
  if (chances.size === 1) {
    const [chance] = chances;
    const at = y(chance);
    svg.append(make("line", { class: "chance", x1: margin.left, x2: right, y1: at, y2: at }));
    labels.push({ at, text: `chance ${percent(chance)}` });
  }
  for (const cell of floors) {
    const at = y(cell.mean);
    svg.append(make("line", { class: "floor-line", x1: margin.left, x2: right, y1: at, y2: at }));
    labels.push({ at, text: `${shortName(cell)} ${written(cell, cell.mean)}`, cell });
  }
  placeLabels(svg, labels, right, narrow, height - margin.bottom, tip);
  drawPoints(svg, points, x, y, cost, right, tip);
}

function shortName(cell) {
  return cell.backbone && cell.row === "random-init" ? `${cell.row} ${cell.backbone}` : cell.row;
}

function logScale(values, from, to, ticks) {
  const low = Math.log10(Math.min(...values, Infinity)), high = Math.log10(Math.max(...values, 0));
  // A single cost stands in the middle of a decade.
  const pad = high - low < 0.3 ? 0.5 : 0.08 * (high - low);
  const [a, b] = values.length ? [low - pad, high + pad] : [0, 1];
  const scale = (value) => from + ((Math.log10(value) - a) / (b - a)) * (to - from);
  const inside = (value) => values.length && Math.log10(value) >= a && Math.log10(value) <= b;
  const powers = Array.from({ length: Math.ceil(b) - Math.floor(a) + 1 }, (_, i) => 10 ** (Math.floor(a) + i));
  const round = powers.flatMap((power) => (b - a > 2.5 ? [power] : [power, 2 * power, 5 * power]));
  scale.ticks = (ticks ?? round).filter(inside);
  return scale;
}

function valueScale(cells, from, to) {
  const ends = cells.flatMap((cell) => [cell.low ?? cell.mean, cell.high ?? cell.mean, cell.chance ?? cell.mean]);
  let low = Math.min(...ends), high = Math.max(...ends);
  const room = Math.max(0.02, 0.06 * (high - low));
  low = isFraction(cells[0]) ? Math.max(0, low - room) : low - room;
  high = isFraction(cells[0]) ? Math.min(1, high + room) : high + room;
  const scale = (value) => from + ((value - low) / (high - low)) * (to - from);
  const step = [0.01, 0.02, 0.05, 0.1, 0.2].find((candidate) => (high - low) / candidate <= 7) ?? 0.2;
  scale.ticks = [];
  for (let value = Math.ceil(low / step) * step; value <= high + 1e-9; value += step) scale.ticks.push(value);
  return scale;
}

function drawAxes(svg, x, y, cost, { width, height, margin, unit }) {
  const bottom = height - margin.bottom, right = width - margin.right;
  for (const value of y.ticks) {
    const at = y(value);
    svg.append(make("line", { class: "axis", x1: margin.left, x2: right, y1: at, y2: at }));
    svg.append(make("text", { x: margin.left - 8, y: at + 4, "text-anchor": "end" }, String(Math.round(100 * value))));
  }
  for (const value of x.ticks) {
    svg.append(make("line", { class: "axis", x1: x(value), x2: x(value), y1: bottom, y2: bottom + 5 }));
    svg.append(make("text", { x: x(value), y: bottom + 19, "text-anchor": "middle" }, cost.write(value)));
  }
  svg.append(make("text", { x: (margin.left + right) / 2, y: height - 4, "text-anchor": "middle" }, `${cost.name} (pretraining, log)`));
  svg.append(make("text", { x: 4, y: 12 }, unit));
}

// Labels of lines stand behind their right end, pushed apart where they would touch. On a narrow screen they stand on their
// lines, and those without room are left out.
function placeLabels(svg, labels, right, inside, bottom, tip) {
  labels.sort((a, b) => a.at - b.at);
  let last = -Infinity;
  for (const label of labels) {
    if (inside && label.at - last < 16) continue;
    label.y = last = inside ? label.at : Math.max(label.at, last + 14);
  }
  if (!inside && last > bottom) labels.reduceRight((next, label) => (label.y = Math.min(label.y, next - 14)), bottom + 14);
  for (const label of labels.filter((one) => one.y !== undefined)) {
    const place = inside ? { x: right, y: label.y - 4, "text-anchor": "end", class: "on-line" } : { x: right + 8, y: label.y + 4 };
    const text = make("text", place, clip(label.text, 34));
    if (label.cell) tip(text, label.cell);
    svg.append(text);
  }
}

function drawPoints(svg, points, x, y, cost, right, tip) {
  const taken = [];
  const ordered = [...points].sort((a, b) => b.mean - a.mean);
  for (const cell of ordered) {
    const at = y(cell.mean), exact = x(cost.get(cell));
    // Rows of one cost would hide each other: each stands at the nearest free place beside its own.
    const free = (centre) => taken.every((other) => Math.abs(other.x - centre) > 12 || Math.abs(other.y - at) > 13);
    const places = [0, 13, -13, 26, -26, 39, -39, 52, -52].map((shift) => exact + shift);
    const centre = places.find((place) => place < right && free(place)) ?? exact;
    const colour = `var(--${cell.role})`;
    const group = make("g", { class: "point", tabindex: 0, "aria-label": `${cell.row}: ${written(cell, cell.mean)}` });
    if (cell.low !== null) {
      group.append(make("line", { x1: centre, x2: centre, y1: y(cell.low), y2: y(cell.high), stroke: colour, "stroke-width": 2, opacity: 0.55 }));
    }
    group.append(make("circle", { class: "ring", cx: centre, cy: at, r: 9, fill: "transparent" }));
    group.append(marker(cell.role, centre, at, colour));
    tip(group, cell);
    svg.append(group);
    taken.push({ x: centre, y: at, cell });
  }
  nameThePoints(svg, taken, right);
}

function marker(role, x, y, colour) {
  if (role === "placebo") return make("rect", { x: x - 5, y: y - 5, width: 10, height: 10, fill: "var(--card)", stroke: colour, "stroke-width": 2 });
  if (role === "supervised") return make("path", { d: `M${x} ${y - 7} L${x + 7} ${y + 5} L${x - 7} ${y + 5} Z`, fill: colour });
  return make("circle", { cx: x, cy: y, r: 6, fill: colour });
}

// Tasks and supervised rows are named where there is room; the others say their name when pointed at.
function nameThePoints(svg, taken, right) {
  const boxes = [];
  for (const { x, y, cell } of taken) {
    if (cell.role === "placebo") continue;
    const text = clip(cell.row, 28), length = 6.8 * text.length;
    const toLeft = x + 12 + length > right;
    const box = { left: toLeft ? x - 12 - length : x + 12, top: y - 9, bottom: y + 7 };
    box.right = box.left + length;
    const hit = (other) => box.left < other.right && box.right > other.left && box.top < other.bottom && box.bottom > other.top;
    const marks = taken.filter((other) => other.cell !== cell).map((other) => ({ left: other.x - 7, right: other.x + 7, top: other.y - 7, bottom: other.y + 7 }));
    if (boxes.some(hit) || marks.some(hit)) continue;
    boxes.push(box);
    svg.append(make("text", { class: "name", x: toLeft ? x - 12 : x + 12, y: y + 4, "text-anchor": toLeft ? "end" : "start" }, text));
  }
}

const clip = (text, length) => (text.length > length ? `${text.slice(0, length - 1)}…` : text);
