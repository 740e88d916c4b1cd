// State of the page, its controls, and one sentence on what the figures support.
const board = JSON.parse(document.getElementById("data").textContent);
const by = (id) => document.getElementById(id);
const state = {
  table: 0, protocol: null, cost: "clips", sort: null, search: "",
  roles: new Set(Object.keys(ROLES)), hidden: new Set(), open: new Set(),
  toggle(key) {
    this.open.has(key) ? this.open.delete(key) : this.open.add(key);
    drawBoard();
  },
};

const current = () => board.tables[state.table];
const columns = () => current().protocols.filter((name) => !state.hidden.has(name));

function tip(node, cell) {
  const box = by("tip");
  const show = (event) => {
    const cost = COSTS[state.cost];
    box.replaceChildren(
      make("b", {}, [cell.row, cell.backbone].filter(Boolean).join(" · ")),
      `${cell.protocol}: ${written(cell, cell.mean)} ${interval(cell)}, ${cell.seeds} seed${cell.seeds === 1 ? "" : "s"}`,
      cell.gain_over_placebo === null ? "" : make("div", {}, `${signed(cell.gain_over_placebo)} over ${cell.placebo} (Holm ${pValue(cell.p_holm)})`),
      cost.get(cell) ? make("div", {}, `${cost.write(cost.get(cell))} ${cost.name}`) : "",
      cell.at_chance && cell.role === "task" ? make("div", {}, "its pretext task stayed at chance") : "",
    );
    box.hidden = false;
    const from = event.type === "focus" ? node.getBoundingClientRect() : { left: event.clientX, bottom: event.clientY };
    const place = box.getBoundingClientRect();
    box.style.left = `${Math.max(6, Math.min(from.left + 14, innerWidth - place.width - 8))}px`;
    box.style.top = `${Math.max(6, Math.min(from.bottom + 14, innerHeight - place.height - 8))}px`;
  };
  const hide = () => (box.hidden = true);
  for (const name of ["mousemove", "focus", "click"]) node.addEventListener(name, show);
  for (const name of ["mouseleave", "blur"]) node.addEventListener(name, hide);
}

function options(select, pairs, chosen, change) {
  select.replaceChildren(...pairs.map(([value, name]) => make("option", { value, selected: value === chosen }, name)));
  select.onchange = () => change(select.value);
}

function chips(holder, names, isOn, flip) {
  holder.replaceChildren(
    ...names.map((name) => make("button", { type: "button", "aria-pressed": String(isOn(name)), onclick: () => { flip(name); draw(); } }, name)),
  );
}

const flipIn = (set) => (name) => (set.has(name) ? set.delete(name) : set.add(name));

function verdict() {
  const cells = current().rows.map((row) => row[state.protocol]).filter((cell) => cell && cell.mean !== null);
  const top = (role) => cells.filter((cell) => cell.role === role).sort((a, b) => b.mean - a.mean)[0];
  const named = (cell) => [make("b", {}, cell.row), ` ${written(cell, cell.mean)}`];
  const lines = [];
  const best = cells.find((cell) => cell.best);
  if (best) {
    const ties = cells.filter((cell) => cell.tied);
    const also = ties.length ? [`, not told apart from ${ties.map((cell) => cell.row).join(", ")}`] : [];
    lines.push(["Best task under ", state.protocol, ": ", ...named(best), " ", interval(best), ...also, "."]);
    const real = cells.filter((cell) => cell.role === "task" && holds(cell) && cell.gain_over_placebo > 0).sort((a, b) => b.gain_over_placebo - a.gain_over_placebo);
    const tested = cells.filter((cell) => cell.role === "task" && cell.p_holm !== null);
    if (tested.length) {
      const list = real.map((cell) => `${cell.row} ${signed(cell.gain_over_placebo)}`).join(", ");
      lines.push([list ? `Gains over the placebo that hold for ${tested.length} tested: ${list}.` : `No gain over the placebo holds (${tested.length} tested).`]);
    }
  }
  const floor = top("floor"), ceiling = top("supervised");
  const ends = [];
  if (floor) ends.push("Highest floor: ", ...named(floor), ceiling ? "; " : ".");
  if (ceiling) ends.push("supervised: ", ...named(ceiling), ".");
  if (ends.length) lines.push(ends);
  const stuck = cells.filter((cell) => cell.role === "task" && cell.at_chance).map((cell) => cell.row);
  if (stuck.length) lines.push([`At chance in their own task: ${[...new Set(stuck)].join(", ")}.`]);
  by("verdict").replaceChildren(...lines.map((line) => make("p", {}, line)));
}

function drawBoard() {
  drawTable(by("board"), current().rows, columns(), state, (key, get, descending) => {
    const again = state.sort && state.sort.key === key;
    state.sort = { key, get, descending: again ? !state.sort.descending : descending };
    drawBoard();
  });
}

function drawLegend() {
  const item = (role, name) => make("span", {}, make("i", { class: role, style: `color: var(--${role})` }), name);
  by("legend").replaceChildren(item("task", "pretext task"), item("placebo", "its placebo"), item("supervised", "supervised, uses labels"), item("floor", "floor, untrained"));
}

function draw() {
  const table = current();
  if (!columns().length) state.hidden.clear();
  if (!table.protocols.includes(state.protocol)) state.protocol = table.protocols[0];
  by("tabs").replaceChildren(
    ...board.tables.map((one, i) =>
      make(
        "button",
        { type: "button", role: "tab", "aria-selected": String(i === state.table), onclick: () => { state.table = i; state.sort = null; draw(); } },
        `${one.name} `,
        make("small", {}, one.about),
      ),
    ),
  );
  options(by("plot-protocol"), table.protocols.map((name) => [name, name]), state.protocol, (value) => { state.protocol = value; draw(); });
  options(by("plot-cost"), Object.entries(COSTS).map(([key, cost]) => [key, cost.name]), state.cost, (value) => { state.cost = value; draw(); });
  chips(by("protocols"), table.protocols, (name) => !state.hidden.has(name), flipIn(state.hidden));
  chips(by("roles"), Object.keys(ROLES).filter((role) => table.rows.some((row) => anyCell(row).role === role)), (role) => state.roles.has(role), flipIn(state.roles));
  verdict();
  drawLegend();
  drawBoard();
  const cells = table.rows.map((row) => row[state.protocol]).filter((cell) => cell && state.roles.has(cell.role));
  drawPlot(by("plot"), cells, COSTS[state.cost], tip);
}

function drawAbout() {
  const keys = ["records", "device", "threads", "torch", "vssl", "python", "platform", "commit"];
  const write = (one, key) => (key === "commit" ? `${(one.commit ?? "not a checkout").slice(0, 12)}${one.dirty ? " with changes" : ""}` : String(one[key] ?? ""));
  by("environments").replaceChildren(
    make("thead", {}, make("tr", {}, keys.map((key) => make("th", { scope: "col" }, key)))),
    make("tbody", {}, board.environments.map((one) => make("tr", {}, keys.map((key) => make("td", {}, write(one, key)))))),
  );
  by("notes").replaceChildren(...board.notes.map((note) => make("li", {}, note)));
}

function start() {
  const theme = (name) => (document.documentElement.dataset.theme = name);
  theme(matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  by("theme").onclick = () => theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
  by("search").oninput = (event) => { state.search = event.target.value; drawBoard(); };
  by("reset").onclick = () => { state.sort = null; drawBoard(); };
  drawAbout();
  by("sub").textContent = board.about;
  if (!board.tables.length) return;
  by("app").hidden = false;
  const wanted = board.tables.findIndex((table) => `#${encodeURIComponent(`${table.called}/${table.label}`)}` === location.hash);
  if (wanted >= 0) state.table = wanted;
  draw();
  let timer = 0;
  addEventListener("resize", () => { clearTimeout(timer); timer = setTimeout(draw, 120); });
}
start();
