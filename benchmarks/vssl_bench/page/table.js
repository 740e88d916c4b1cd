// The sortable table: a line per row, a column per protocol; a row opens for what does not fit.
const COLUMNS = [
  { key: "pretext", name: "pretext", title: "the task's own accuracy on held-out videos, and chance", get: (cell) => cell.pretext_accuracy },
];
const COST_COLUMNS = [
  { key: "seeds", name: "seeds", title: "runs in the mean", get: (cell) => cell.seeds, write: (cell) => (cell.seeds < cell.seeds_expected ? `${cell.seeds} of ${cell.seeds_expected}` : String(cell.seeds)) },
  { key: "steps", name: "steps", title: "optimiser steps of pretraining", get: (cell) => cell.steps || null, write: (cell) => (cell.steps ? String(cell.steps) : "") },
  { key: "clips", name: "clips", title: "clips seen by pretraining", get: (cell) => cell.clips || null, write: (cell) => amount(cell.clips) },
  { key: "time", name: "time", title: "wall clock of pretraining, mean over seeds", get: (cell) => (cell.steps ? cell.seconds : null), write: (cell) => (cell.steps ? duration(cell.seconds) : "") },
  { key: "parameters", name: "params", title: "parameters of the encoder", get: (cell) => cell.parameters, write: (cell) => amount(cell.parameters) },
  { key: "flops", name: "FLOPs", title: "of the encoder on one clip", get: (cell) => cell.flops_per_clip, write: (cell) => amount(cell.flops_per_clip) },
];

function drawTable(table, rows, protocols, state, sortBy) {
  const shown = rows.filter((row) => state.roles.has(anyCell(row).role) && matches(row, state.search));
  const sorted = state.sort ? sortRows(shown, state.sort) : shown;
  const count = 2 + protocols.length + COST_COLUMNS.length;
  const body = make("tbody");
  let role = null;
  for (const row of sorted) {
    const cell = anyCell(row);
    if (!state.sort && cell.role !== role) {
      role = cell.role;
      body.append(make("tr", { class: "group" }, make("td", { colspan: count }, ROLES[role])));
    }
    body.append(...tableRow(row, protocols, count, state));
  }
  if (!sorted.length) body.append(make("tr", {}, make("td", { colspan: count }, "no row fits the filter")));
  table.replaceChildren(make("thead", {}, headRow(protocols, rows, state, sortBy)), body);
}

const anyCell = (row) => Object.values(row)[0];

function matches(row, search) {
  const cell = anyCell(row);
  const text = `${cell.row} ${cell.backbone} ${cell.pretrain_data}`.toLowerCase();
  return search.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

function sortRows(rows, sort) {
  const value = (row) => sort.get(row);
  const sign = sort.descending ? -1 : 1;
  return [...rows].sort((a, b) => {
    const left = value(a), right = value(b);
    if (left === null || left === undefined) return right === null || right === undefined ? 0 : 1; // the empty last, either way
    if (right === null || right === undefined) return -1;
    return sign * (typeof left === "string" ? left.localeCompare(right) : left - right);
  });
}

function headRow(protocols, rows, state, sortBy) {
  const head = (key, name, title, get, descending) => {
    const sorted = state.sort && state.sort.key === key ? (state.sort.descending ? "descending" : "ascending") : null;
    return make("th", { scope: "col", "aria-sort": sorted, title }, make("button", { type: "button", onclick: () => sortBy(key, get, descending) }, name));
  };
  const own = (column) => head(column.key, column.name, column.title, (row) => column.get(anyCell(row)), true);
  const measured = protocols.map((name) => {
    const cell = rows.map((row) => row[name]).find(Boolean);
    const title = cell ? `${cell.metric}, version ${cell.protocol_version}` : "";
    return head(`protocol ${name}`, name, title, (row) => (row[name] ? row[name].mean : null), true);
  });
  return make("tr", {}, head("name", "row", "", (row) => anyCell(row).row, false), COLUMNS.map(own), measured, COST_COLUMNS.map(own));
}

function tableRow(row, protocols, count, state) {
  const cell = anyCell(row);
  const opened = state.open.has(cell.row_key);
  const toggle = make("button", { type: "button", "aria-expanded": String(opened), onclick: () => state.toggle(cell.row_key) }, broken(cell.row));
  const about = [cell.backbone, cell.pretrain_data && cell.pretrain_data !== cell.data ? `pretrained on ${cell.pretrain_data}` : ""];
  const line = make(
    "tr",
    { class: "row", style: `--role: var(--${cell.role})` },
    make("td", { class: "name" }, toggle, cell.needs_labels ? badge("labels", "uses labels") : null, make("small", {}, about.filter(Boolean).join(" · "))),
    pretextCell(cell),
    protocols.map((name) => measuredCell(row[name])),
    COST_COLUMNS.map((column) => make("td", { class: "small" }, column.write(cell))),
  );
  if (!opened) return [line];
  const details = make("div", { class: "grid" }, protocols.filter((name) => row[name]).map((name) => details_(row[name])));
  return [line, make("tr", {}, make("td", { class: "detail", colspan: count }, details))];
}

function pretextCell(cell) {
  if (cell.pretext_accuracy === null) return make("td", {});
  const chance = cell.pretext_chance === null ? "" : ` / ${percent(cell.pretext_chance)}`;
  const stuck = cell.role === "task" || cell.role === "supervised" ? cell.runs_at_chance : 0;
  const mark = cell.at_chance ? "at chance" : `${stuck} of ${cell.pretext_runs} at chance`;
  return make("td", {}, percent(cell.pretext_accuracy), make("span", { class: "ends" }, chance), stuck ? make("div", {}, badge("warn", mark, "the pretext task was not learnt there")) : null);
}

function measuredCell(cell) {
  if (!cell) return make("td", {});
  if (cell.mean === null) return make("td", {}, make("span", { class: "value failed", title: cell.failed.join("\n") }, cell.failed.length ? "failed" : ""));
  const td = make("td", {}, make("span", { class: "value" }, written(cell, cell.mean)), make("span", { class: "ends" }, interval(cell)));
  if (isFraction(cell)) td.append(bar(cell));
  const notes = make("div", { class: "gain" });
  if (cell.gain_over_placebo !== null) {
    const kind = holds(cell) ? (cell.gain_over_placebo > 0 ? "holds" : "below") : "";
    const title = `against ${cell.placebo}: ${gain(cell.gain_over_placebo, cell.gain_over_placebo_low, cell.gain_over_placebo_high)}; Holm ${pValue(cell.p_holm)}`;
    notes.append(make("span", { class: `gain ${kind}`, title }, `${signed(cell.gain_over_placebo)}${holds(cell) ? "*" : ""} over placebo`));
  }
  if (cell.best) notes.append(badge("best", "best"));
  if (cell.tied) notes.append(badge("tie", "tie", "cannot be told apart from the best"));
  if (cell.seeds < cell.seeds_expected) notes.append(badge("warn", `${cell.seeds} of ${cell.seeds_expected} seeds`, cell.failed.join("\n")));
  if (cell.unreadable) notes.append(badge("warn", `${cell.unreadable} unreadable`, "test videos that count as wrong"));
  td.append(notes);
  return td;
}

function bar(cell) {
  const at = (value) => `${(100 * value).toFixed(2)}%`;
  const low = cell.low ?? cell.mean, high = cell.high ?? cell.mean;
  return make(
    "div",
    { class: "bar", "aria-hidden": "true" },
    make("span", { class: "range", style: `left:${at(low)};width:${at(high - low)}` }),
    cell.chance === null ? null : make("span", { class: "chance", style: `left:${at(cell.chance)}` }),
    make("span", { class: "mean", style: `left:${at(cell.mean)}` }),
  );
}

function details_(cell) {
  const lines = [
    `${cell.metric} by seed: ${Object.entries(cell.values).map(([seed, value]) => `${seed}: ${written(cell, value)}`).join(", ") || "none"}`,
    `${cell.n_test} test videos${cell.chance === null ? "" : `, chance ${percent(cell.chance)}`}`,
    cell.gain_over_placebo === null ? null : `over ${cell.placebo}: ${gain(cell.gain_over_placebo, cell.gain_over_placebo_low, cell.gain_over_placebo_high)}, ${pValue(cell.p)}, Holm ${pValue(cell.p_holm)}`,
    cell.gain_over_random === null ? null : `over random-init: ${gain(cell.gain_over_random, cell.gain_over_random_low, cell.gain_over_random_high)}`,
    Object.entries(cell.metrics).map(([name, value]) => `${name} ${Number(value.toPrecision(4))}`).join(", "),
    ...cell.failed.map((reason) => `failed: ${reason}`),
    cell.run_ids.length ? `records: ${cell.run_ids.join(", ")}` : null,
  ];
  return make("div", {}, make("h3", {}, `${cell.protocol} (version ${cell.protocol_version})`), lines.filter(Boolean).map((line) => make("p", {}, line)));
}
