"use strict";
(() => {
// The page keeps a model of what lb has said (pools, their backends, faults) and draws from
// it, once in a frame, what is in view. Texts of others are set as text alone; nothing here
// makes markup from a string, and the page's policy forbids it.

const POINTS = 120; // kept: ten minutes of five seconds each
const FAULTS = 100; // shown
const QUIET = 6000; // ms without a word after which lb is away
const WHOLE = 80; // rows up to which all are in the page

const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";

function el(tag, cls, text) {
  const e = document.createElement(tag);
  if (cls) e.className = cls;
  if (text !== undefined) e.textContent = text;
  return e;
}

function svg(tag, attrs) {
  const e = document.createElementNS(SVG, tag);
  for (const k in attrs) e.setAttribute(k, attrs[k]);
  return e;
}

function shape(name) {
  const s = svg("svg", { class: "shape", "aria-hidden": "true", focusable: "false" });
  s.append(svg("use", { href: "#s-" + name }));
  return s;
}

// put and attr change the page only where it differs from what they last put there.
function put(node, text) {
  if (node.was !== text) node.textContent = node.was = text;
}

function attr(node, name, value) {
  const key = "was_" + name;
  if (node[key] === value) return;
  node[key] = value;
  if (value === null) node.removeAttribute(name);
  else node.setAttribute(name, value);
}

function setState(node, state, word) {
  attr(node, "data-state", state);
  attr(node.querySelector("use"), "href", "#s-" + state);
  put(node.querySelector(".word"), word);
}

// Numbers and times.

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

function rate(n) {
  if (!n) return "0";
  if (n < 1) return n < 0.01 ? "<0.01" : n.toFixed(2);
  if (n < 10) return n.toFixed(1);
  if (n < 1e5) return whole.format(n);
  return n < 1e6 ? whole.format(n / 1e3) + "k" : (n / 1e6).toFixed(2) + "M";
}

function milli(ms) {
  if (!ms) return "\u2013";
  if (ms < 1) return Math.max(1, Math.round(ms * 1e3)) + " \u00b5s";
  if (ms < 10) return ms.toFixed(1) + " ms";
  if (ms < 1000) return Math.round(ms) + " ms";
  return (ms / 1e3).toFixed(ms < 1e4 ? 2 : 1) + " s";
}

function span(seconds) {
  const s = Math.max(0, Math.round(seconds)) || 0;
  if (s < 60) return s + " s";
  if (s < 3600) return Math.floor(s / 60) + " min";
  if (s < 86400) return Math.floor(s / 3600) + " h " + Math.floor(s % 3600 / 60) + " min";
  return Math.floor(s / 86400) + " d " + Math.floor(s % 86400 / 3600) + " h";
}

const clockFormat = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const clock = (t) => isNaN(new Date(t)) ? "an unknown time" : clockFormat.format(new Date(t));
const day = (t) => isNaN(new Date(t)) ? "an unknown day" : new Date(t).toISOString().slice(0, 10);

// The times of lb are by its own clock, which may differ from that of the browser.
let skew = 0;
const now = () => Date.now() + skew;
const since = (t) => (now() - Date.parse(t)) / 1e3;
const plural = (n, one, many) => n + " " + (n === 1 ? one : many);

// The model.

const pools = []; // in the order of the configuration
const byKey = new Map(); // pools and backends
let head = null, total = {}, faults = [], loops = [], certificates = [];
let seconds = 5, newest = 0; // between points; when the newest was

function stateOf(b) {
  if (b.admin === "disabled") return "disabled";
  if (b.health === "down") return "down";
  if (b.ejected) return "ejected";
  if (b.admin === "draining" || b.leaving_until) return "draining";
  return b.health === "up" ? "up" : "unknown";
}

const WORDS = { up: "Up", unknown: "Not checked", down: "Down", ejected: "Ejected", draining: "Draining", disabled: "Disabled" };
const RANK = { down: 0, ejected: 1, disabled: 2, draining: 3, unknown: 4, up: 5 };
const usable = (b) => b.state === "up" || b.state === "unknown";

function why(b) {
  const d = b.data, long = d.since ? " for " + span(since(d.since)) : "";
  if (b.state === "down") return (d.health_reason || "checks fail") + long;
  if (b.state === "ejected") return (d.ejected_reason || "faults") + ", " + span(-since(d.ejected_until)) + " left";
  if (b.state === "draining" && d.admin !== "draining") return "by its own wish: " + d.leaving_reason;
  if (b.state === "draining" || b.state === "disabled") return d.runtime ? "by an operator" : "by the configuration";
  if (d.last_fault) return span(since(d.last_fault_at)) + " ago: " + d.last_fault;
  return long.trim();
}

function take(b, data) {
  b.data = data;
  b.state = stateOf(data);
  b.text = (b.pool.name + " " + data.address + " " + (data.name || "") + " " + WORDS[b.state] + " " + (data.health_reason || "") + " " + (data.ejected_reason || "")).toLowerCase();
}

// COLUMNS are the lists of a course, as in lb's history.
const COLUMNS = ["rate", "errors", "in_flight", "p50_ms", "p99_ms", "first_byte_ms"];

// wholeHistory takes a whole history. After an upgrade lb begins again with none, and the
// page keeps the points from before. A list that is left out has only zeros.
function wholeHistory(h) {
  const at = Date.parse(h.at) || 0;
  seconds = h.seconds;
  each(h, (item, course) => {
    const n = Math.max(0, ...COLUMNS.map((c) => (course[c] || []).length));
    const had = Math.max(0, ...COLUMNS.map((c) => (item.course[c] || []).length));
    const older = at && newest ? Math.round((at - newest) / (seconds * 1e3)) : 0; // by so much the newest is newer
    const kept = Math.max(0, had - Math.max(0, n - older));
    for (const c of COLUMNS) {
      const points = course[c] || new Array(n).fill(0);
      item.course[c] = (item.course[c] || []).slice(0, kept).concat(points).slice(-POINTS);
    }
  });
  if (at) newest = at;
}

// each calls f with what the page has of lb, of each pool and of each backend, and its course in h.
function each(h, f) {
  f(totals, h.total || {});
  for (const p of h.pools || []) {
    if (byKey.has(p.name)) f(byKey.get(p.name), p);
    for (const b of p.backends || []) {
      const item = byKey.get(p.name + "\n" + b.address);
      if (item) f(item, b);
    }
  }
}

const totals = { course: {} };
// morePoints takes the newest point of each course.
function morePoints(h) {
  each(h, (item, course) => {
    for (const c of COLUMNS) {
      const points = course[c];
      if (!points || !points.length) continue;
      const list = item.course[c] || (item.course[c] = []);
      list.push(points[points.length - 1]);
      if (list.length > POINTS) list.shift();
    }
  });
  seconds = h.seconds;
  newest = Date.parse(h.at);
}

const last = (item, column) => {
  const list = item.course[column];
  return list && list.length ? list[list.length - 1] : 0;
};

function configure(list) {
  const old = new Map(byKey);
  byKey.clear();
  pools.length = 0;
  for (const p of list) {
    const pool = old.get(p.name) || { key: p.name, name: p.name, course: {}, open: true };
    pool.strategy = p.strategy;
    pool.backends = p.backends.map((data) => {
      const key = p.name + "\n" + data.address;
      const b = old.get(key) || { key, pool, course: {} };
      b.pool = pool;
      take(b, data);
      byKey.set(key, b);
      return b;
    });
    byKey.set(p.name, pool);
    pools.push(pool);
  }
}

// What lb says.

function hear(m) {
  skew = m.at - Date.now();
  if (m.pools) configure(m.pools);
  if (m.history) wholeHistory(m.history);
  if (m.points) morePoints(m.points);
  head = m.head;
  if (m.loops) loops = m.loops;
  if (m.certificates) certificates = m.certificates;
  const news = [];
  for (const [p, i, data] of m.changed || []) {
    const b = pools[p] && pools[p].backends[i];
    if (!b) continue;
    const was = b.state;
    take(b, data);
    if (was !== b.state) news.push(data.address + " of " + pools[p].name + ": " + WORDS[b.state].toLowerCase());
  }
  for (const [p, i, n] of m.in_flight || []) {
    const b = pools[p] && pools[p].backends[i];
    if (b) b.data.in_flight = n;
  }
  if (m.full) faults = [];
  const fresh = m.faults || [];
  for (const f of fresh) faults.unshift({ f, id: ++faultID });
  faults.length = Math.min(faults.length, FAULTS);
  if (fresh.length || m.full) dirty.faults = true;
  if (m.lost) lost += m.lost;
  if (fresh.length && !m.full) news.push(plural(fresh.length, "new fault", "new faults"));
  if (m.pools || m.changed || m.points) dirty.order = true;
  if (m.pools || m.loops || m.certificates) dirty.side = true;
  say(news);
  draw();
}

let faultID = 0, lost = 0;
const dirty = { order: true, faults: true, side: true };

// say has a screen reader say what has changed, every few seconds at the most.
let unsaid = [], saying = 0;
function say(news) {
  unsaid.push(...news);
  if (!unsaid.length || saying) return;
  const speak = () => {
    saying = 0;
    if (!unsaid.length) return;
    const n = unsaid.length;
    $("said").textContent = unsaid.slice(0, 4).join(". ") + (n > 4 ? ". And " + (n - 4) + " more changes" : "");
    unsaid = [];
    saying = setTimeout(speak, 5000);
  };
  speak();
}

// The stream of events. EventSource connects again by itself unless lb has answered with an
// error; and a stream that is silent is as good as none.

let stream = null, heard = 0, away = 0, retry = 0;

function connect() {
  clearTimeout(retry);
  if (stream) stream.close();
  stream = new EventSource("/v1/events");
  stream.onmessage = (e) => {
    heard = Date.now();
    if (away) {
      away = 0;
      say(["lb is back"]);
    }
    hear(JSON.parse(e.data));
  };
  stream.onerror = () => {
    gone();
    if (stream.readyState === EventSource.CLOSED) again();
  };
}

function again() {
  clearTimeout(retry);
  retry = setTimeout(connect, 2000);
}

function gone() {
  if (!away) {
    away = heard || Date.now();
    say(["lb is away"]);
  }
  draw();
}

setInterval(() => {
  if (heard && Date.now() - heard > QUIET && !document.hidden) {
    heard = Date.now();
    gone();
    connect();
  }
  draw();
}, 1000);

// Drawing: once in a frame, and only if the page can be seen.

let drawing = false;
function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    render();
  });
}

function render() {
  renderAway();
  if (!head) return;
  renderHead();
  if (dirty.order) arrange();
  renderRows();
  if (dirty.faults) renderFaults();
  if (dirty.side) renderSide();
  dirty.order = dirty.faults = dirty.side = false;
}

function renderAway() {
  const banner = $("away");
  banner.hidden = !away;
  document.body.classList.toggle("stale", !!away && !!head);
  if (away) put(banner, head ? "lb is away since " + clock(away) + ". What follows is from then. Trying again." : "lb does not answer. Trying again.");
}

function renderHead() {
  const s = head.status, drains = s.state === "draining";
  setState($("state"), away ? "disabled" : s.state === "serving" ? "up" : "draining", away ? "Away" : s.state === "serving" ? "Serving" : s.state === "draining" ? "Draining" : "Upgrading");
  put($("version"), s.version);
  const all = pools.flatMap((p) => p.backends);
  const out = all.filter((b) => b.state === "down" || b.state === "ejected");
  const empty = pools.filter((p) => p.backends.length && !p.backends.some(usable));
  let level = "up", text = all.length === 1 ? "The one backend takes requests" : "All " + all.length + " backends take requests";
  const idle = all.filter((b) => !usable(b)).length;
  if (drains) [level, text] = ["draining", "lb drains: it takes no new clients"];
  else if (empty.length) [level, text] = ["down", "No backend of " + names(empty.map((p) => p.name)) + " takes requests"];
  else if (out.length) [level, text] = ["ejected", out.length + " of " + plural(all.length, "backend", "backends") + (out.length === 1 ? " is out, in " : " are out, in ") + names([...new Set(out.map((b) => b.pool.name))])];
  else if (!all.length) [level, text] = ["unknown", "There are no backends yet"];
  else if (idle) text = all.length - idle + " of " + all.length + " backends take requests, " + idle + (idle === 1 ? " was" : " were") + " told not to";
  const summary = $("summary");
  attr(summary, "data-level", level);
  attr(summary.querySelector("use"), "href", "#s-" + level);
  put(summary.querySelector("span"), text);
  const title = (level === "down" || level === "ejected" ? "! " : "") + "lb" + (all.length ? " \u00b7 " + (all.length - idle) + "/" + all.length : "");
  if (document.title !== title) document.title = title;
  renderProblems(s);
  renderTiles(s);
  renderFacts(s);
}

const names = (list) => list.length < 3 ? list.join(" and ") : list.slice(0, 2).join(", ") + " and " + (list.length - 2) + " more";

function renderProblems(s) {
  const list = [];
  if (s.config.fault) list.push(["down", "The last reload was refused at " + clock(s.config.fault_at) + ", configuration " + s.config.number + " goes on:\n" + s.config.fault]);
  if (s.upgrade_fault) list.push(["down", "The last upgrade failed at " + clock(s.upgrade_fault_at) + ":\n" + s.upgrade_fault]);
  for (const text of s.troubles || []) list.push(["ejected", text[0].toUpperCase() + text.slice(1)]);
  for (const c of certificates) {
    if (c.fault) list.push(["ejected", "Certificate of " + c.name + ": " + c.fault]);
    else if (c.soon) list.push(["ejected", "The certificate of " + c.name + " expires on " + day(c.expires) + "."]);
  }
  const ul = $("problems"), text = JSON.stringify(list);
  if (ul.was === text) return;
  ul.was = text;
  ul.hidden = !list.length;
  ul.replaceChildren(...list.map(([level, what]) => {
    const li = el("li", "", what);
    li.dataset.level = level;
    return li;
  }));
}

// A chart is a line over a pale area; old points are at the left.
function chart(cls) {
  const s = svg("svg", { class: "spark " + cls, viewBox: "0 0 119 20", preserveAspectRatio: "none", "aria-hidden": "true", focusable: "false" });
  const base = svg("path", { class: "base", d: "M0 20H119" }), area = svg("path", { class: "area" }), line = svg("path", { class: "line" });
  s.append(base, area, line);
  s.parts = { area, line };
  return s;
}

function plot(s, list, floor) {
  const n = list ? list.length : 0;
  let top = floor, any = false;
  for (let i = 0; i < n; i++) {
    if (list[i] > top) top = list[i];
    if (list[i]) any = true;
  }
  let d = "";
  if (any && n > 1) {
    for (let i = 0, x = POINTS - n; i < n; i++, x++) d += (i ? "L" : "M") + x + " " + (20 - 19 * list[i] / top).toFixed(1);
  }
  if (s.was === d) return;
  s.was = d;
  s.parts.line.setAttribute("d", d);
  s.parts.area.setAttribute("d", d && d + "L119 20L" + (POINTS - n) + " 20Z");
}

const tiles = {};
for (const [key, name, cls] of [["rate", "Requests", ""], ["errors", "Errors", "err"], ["p50", "p50", "lat"], ["p99", "p99", "lat"], ["flight", "In flight", ""], ["conns", "Clients", ""]]) {
  const box = el("div", "tile"), dd = el("dd"), n = el("span"), unit = el("small");
  dd.append(n, unit);
  box.append(el("dt", "", name), dd);
  const c = key === "conns" ? null : chart(cls);
  if (c) box.append(c);
  $("tiles").append(box);
  tiles[key] = { box, n, unit, c };
}

function renderTiles(s) {
  const show = (key, text, unit, list, floor) => {
    put(tiles[key].n, text);
    put(tiles[key].unit, unit);
    if (tiles[key].c) plot(tiles[key].c, list, floor);
  };
  const c = totals.course;
  show("rate", rate(head.rate), "/s", c.rate, 1);
  show("errors", rate(head.errors), "/s", c.errors, 1);
  tiles.errors.box.classList.toggle("hot", head.errors > 0);
  show("p50", ...unit(last(totals, "p50_ms")), c.p50_ms, 0.1);
  show("p99", ...unit(last(totals, "p99_ms")), c.p99_ms, 0.1);
  show("flight", whole.format(s.totals.exchanges), "", c.in_flight, 1);
  show("conns", whole.format(s.totals.client_conns), s.totals.tunnels ? plural(s.totals.tunnels, "tunnel", "tunnels") : "");
}

function unit(ms) {
  const [n, u] = milli(ms).split(" ");
  return [n, u || ""];
}

const fact = {};
for (const name of ["Up for", "Configuration", "Mode", "Backend connections", "Retries"]) {
  const item = el("span"), value = el("b");
  item.append(name + " ", value);
  $("facts").append(item);
  fact[name] = value;
}

function renderFacts(s) {
  put(fact["Up for"], span(since(s.started)));
  put(fact.Configuration, "number " + s.config.number + (s.config.loaded ? ", loaded " + span(since(s.config.loaded)) + " ago" : "") + (s.config.file ? " from " + s.config.file : ""));
  put(fact.Mode, s.mode + ", " + plural(loops.length, "loop", "loops"));
  put(fact["Backend connections"], whole.format(s.totals.backend_conns));
  put(fact.Retries, whole.format(s.totals.retries));
}

// The table. Its rows are a list of pools, each with its backends after it; of a long list
// only those rows are in the page that can be seen, between two empty ones as high as the rest.

const HEADS = [
  ["name", "Pool, backend", "c-name"], ["state", "State", "c-state"], ["", "Reason", "c-why"],
  ["rate", "Requests/s", "c-chart num"], ["errors", "Errors/s", "c-chart num"], ["latency", "Latency", "c-lat num"],
  ["flight", "In flight", "c-few num"], ["", "Weight", "c-few num"], ["", "", "c-act"],
];
const VALUES = {
  state: [(b) => RANK[b.state], 1],
  name: [(b) => b.data.address, 1],
  rate: [(b) => last(b, "rate"), -1],
  errors: [(b) => last(b, "errors"), -1],
  latency: [(b) => last(b, "first_byte_ms"), -1],
  flight: [(b) => b.data.in_flight, -1],
};
let order = "file", direction = 1, filter = "", troubled = false;
let items = [], tops = [], high = 0, rowHigh = 38, groupHigh = 46, narrow = false;
const shown = new Map(); // rows in the page, by key

for (const [key, name, cls] of HEADS) {
  const th = el("th", cls);
  th.setAttribute("role", "columnheader");
  th.scope = "col";
  if (key) {
    const button = el("button", "", name);
    button.type = "button";
    button.addEventListener("click", () => sortBy(key, order === key ? -direction : VALUES[key][1]));
    th.append(button);
    th.dataset.key = key;
  } else if (name) th.textContent = name;
  else th.append(el("span", "unseen", "Change"));
  $("heads").append(th);
}

function sortBy(key, dir) {
  order = key;
  direction = dir;
  $("order").value = key;
  for (const th of $("heads").children) {
    if (th.dataset.key === key) th.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
    else th.removeAttribute("aria-sort");
  }
  dirty.order = true;
  draw();
}

const gapAbove = gap(), gapBelow = gap();
function gap() {
  const tr = el("tr", "gap");
  tr.setAttribute("aria-hidden", "true");
  tr.append(el("td"));
  tr.firstChild.colSpan = HEADS.length;
  return tr;
}
$("rows").append(gapAbove, gapBelow);

function arrange() {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (b) => words.every((w) => b.text.includes(w)) && (!troubled || !usable(b) || last(b, "errors") > 0);
  items = [];
  let count = 0, of = 0;
  const used = pools.filter((p) => p.backends.length); // that named "default" is there without, too
  for (const p of used) {
    of += p.backends.length;
    p.fit = p.backends.filter(fits);
    count += p.fit.length;
    const narrowed = words.length || troubled;
    if (narrowed && !p.fit.length) continue;
    if (order !== "file") {
      const value = VALUES[order][0];
      const keyed = p.fit.map((b, i) => [value(b), i, b]);
      keyed.sort((x, y) => (x[0] < y[0] ? -direction : x[0] > y[0] ? direction : x[1] - y[1]));
      p.fit = keyed.map((k) => k[2]);
    }
    items.push(p);
    if (p.open || narrowed) items.push(...p.fit);
  }
  tops = new Array(items.length);
  high = 0;
  for (let i = 0; i < items.length; i++) {
    tops[i] = high;
    high += items[i].backends ? groupHigh : rowHigh;
  }
  attr($("table"), "aria-rowcount", String(items.length + 1));
  put($("shown"), count === of ? plural(used.length, "pool", "pools") + ", " + plural(of, "backend", "backends") : count + " of " + of);
  const none = $("none");
  none.hidden = count > 0;
  $("table").hidden = !items.length;
  put(none, of ? "No backend fits the filter." : "There are no backends yet. Add [[backends]] to lb.toml; lb takes them up by itself.");
}

// first returns the index of the row at a height in the table.
function first(y) {
  let a = 0, b = items.length;
  while (a < b) {
    const m = (a + b) >> 1;
    if (tops[m] + rowHigh <= y) a = m + 1;
    else b = m;
  }
  return a;
}

function renderRows() {
  let from = 0, to = items.length;
  if (items.length > WHOLE) {
    const top = $("rows").getBoundingClientRect().top; // the one look at the layout in a frame
    from = Math.max(0, first(-top) - 8);
    to = Math.min(items.length, first(innerHeight - top) + 8);
  }
  const body = $("rows"), keep = new Set();
  for (let i = from; i < to; i++) keep.add(items[i].key);
  for (const [key, row] of shown) {
    if (keep.has(key)) continue;
    row.tr.remove();
    shown.delete(key);
  }
  space(gapAbove, tops[from] || 0);
  space(gapBelow, to < items.length ? high - tops[to] : 0);
  let at = gapAbove;
  for (let i = from; i < to; i++) {
    const item = items[i];
    let row = shown.get(item.key);
    if (!row) {
      row = item.backends ? groupRow(item) : backendRow(item);
      shown.set(item.key, row);
    }
    row.item = item;
    if (at.nextSibling !== row.tr) body.insertBefore(row.tr, at.nextSibling);
    at = row.tr;
    attr(row.tr, "aria-rowindex", String(i + 2));
    if (item.backends) renderGroup(row, item);
    else renderBackend(row, item);
  }
}

function space(tr, px) {
  const h = px + "px";
  if (tr.was === h) return;
  tr.was = h;
  tr.hidden = !px;
  tr.firstChild.style.height = h;
}

function cell(tr, cls, tag) {
  const td = el(tag || "td", cls);
  td.setAttribute("role", tag ? "rowheader" : "cell");
  if (tag) td.scope = "row";
  tr.append(td);
  return td;
}

function chartCell(tr, cls, label, kind) {
  const td = cell(tr, cls + " num"), box = el("div", "chart"), n = el("b");
  const c = chart(kind);
  td.append(el("span", "label", label), box);
  box.append(c, n);
  return { td, n, c };
}

function fewCell(tr, label, cls) {
  const td = cell(tr, "c-few num" + (cls || "")), n = el("span");
  td.append(el("span", "label", label), n);
  return { td, n };
}

function stateCell(tr) {
  const td = cell(tr, "c-state"), s = el("span", "state");
  s.append(shape("unknown"), el("span", "word"));
  td.append(s);
  return s;
}

function groupRow(pool) {
  const tr = el("tr", "group");
  tr.setAttribute("role", "row");
  const r = { tr, item: pool };
  const name = cell(tr, "c-name", "th");
  r.state = stateCell(tr);
  r.fold = el("button", "fold");
  r.fold.type = "button";
  r.fold.append(shape("fold"));
  r.fold.addEventListener("click", () => {
    r.item.open = !r.item.open;
    dirty.order = true;
    draw();
  });
  r.name = el("span", "name");
  r.strategy = el("span", "strategy");
  name.append(r.fold, r.name, " ", r.strategy);
  r.why = cell(tr, "c-why");
  r.rate = chartCell(tr, "c-chart", "Requests", "");
  r.errors = chartCell(tr, "c-chart", "Errors", "err");
  r.latency = chartCell(tr, "c-lat", "p50 / p99", "lat");
  r.flight = fewCell(tr, "In flight");
  r.weight = fewCell(tr, "Weight", " c-weight");
  cell(tr, "c-act");
  return r;
}

function renderGroup(r, p) {
  const ready = p.backends.filter(usable).length, n = p.backends.length;
  const level = !n ? "unknown" : !ready ? "down" : p.backends.some((b) => b.state === "down" || b.state === "ejected") ? "ejected" : "up";
  setState(r.state, level, ready + " of " + n + " ready");
  put(r.name, p.name);
  put(r.strategy, p.strategy);
  attr(r.fold, "aria-expanded", String(p.open));
  attr(r.fold, "aria-label", "Backends of " + p.name);
  values(r, p, milliPair(last(p, "p50_ms"), last(p, "p99_ms")), p.course.p99_ms);
  put(r.flight.n, whole.format(p.backends.reduce((sum, b) => sum + b.data.in_flight, 0)));
}

function milliPair(a, b) {
  const [x, u] = unit(a), [y, v] = unit(b);
  if (!u && !v) return "\u2013";
  return (u === v ? x : x + "\u00a0" + u) + " / " + y + "\u00a0" + v;
}

function values(r, item, latency, course) {
  const errors = last(item, "errors");
  put(r.rate.n, rate(last(item, "rate")));
  put(r.errors.n, rate(errors));
  attr(r.errors.n, "class", errors > 0 ? "hot" : null);
  put(r.latency.n, latency);
  plot(r.rate.c, item.course.rate, 1);
  plot(r.errors.c, item.course.errors, 1);
  plot(r.latency.c, course, 0.1);
}

function backendRow(b) {
  const tr = el("tr", "backend");
  tr.setAttribute("role", "row");
  const r = { tr, item: b };
  const name = cell(tr, "c-name", "th");
  r.state = stateCell(tr);
  r.name = el("span", "address");
  r.tag = el("span", "tag", "backup");
  name.append(r.name, r.tag);
  r.why = cell(tr, "c-why muted");
  r.rate = chartCell(tr, "c-chart", "Requests", "");
  r.errors = chartCell(tr, "c-chart", "Errors", "err");
  r.latency = chartCell(tr, "c-lat", "First byte", "lat");
  r.flight = fewCell(tr, "In flight");
  r.weight = fewCell(tr, "Weight");
  r.more = el("button", "more");
  r.more.type = "button";
  r.more.append(shape("more"));
  r.more.addEventListener("click", () => act(r.item));
  cell(tr, "c-act").append(r.more);
  return r;
}

function renderBackend(r, b) {
  const d = b.data;
  setState(r.state, b.state, WORDS[b.state]);
  put(r.name, d.address);
  attr(r.name.parentNode, "title", d.name ? d.address + " (" + d.name + ")" : d.address);
  r.tag.hidden = !d.backup;
  const text = why(b);
  put(r.why, text);
  attr(r.why, "title", text || null);
  values(r, b, milli(last(b, "first_byte_ms")), b.course.first_byte_ms);
  put(r.flight.n, whole.format(d.in_flight) + (d.max_connections ? " / " + d.max_connections : ""));
  put(r.weight.n, String(d.weight));
  attr(r.weight.n, "class", d.weight !== d.configured_weight ? "changed" : null);
  attr(r.weight.td, "title", d.weight !== d.configured_weight ? "configured: " + d.configured_weight : null);
  attr(r.more, "aria-label", "Change " + d.address + " of " + b.pool.name);
}

function measure() {
  const style = getComputedStyle(document.documentElement);
  rowHigh = parseFloat(style.getPropertyValue("--row"));
  groupHigh = parseFloat(style.getPropertyValue("--group"));
  dirty.order = true;
  draw();
}
addEventListener("resize", measure);
addEventListener("scroll", () => { if (items.length > WHOLE) draw(); }, { passive: true });
$("filter").addEventListener("input", (e) => {
  filter = e.target.value;
  dirty.order = true;
  draw();
});
$("troubled").addEventListener("change", (e) => {
  troubled = e.target.checked;
  dirty.order = true;
  draw();
});
$("order").addEventListener("change", (e) => sortBy(e.target.value, e.target.value === "file" ? 1 : VALUES[e.target.value][1]));

// Faults.

const PHASES = {
  head: "while its head was read", admit: "before a backend was chosen", pick: "while it waited for room at a backend", queue: "while it waited for room at a backend",
  dial: "while connecting", connect: "while connecting", tls: "in the TLS handshake", send: "while the request was sent", wait: "while waiting for the answer",
  first_byte: "while waiting for the answer", relay: "while the answer was passed on", body: "while the answer was passed on",
};
const CAUSES = {
  gone: "went away", short_body: "ended its request before the body was whole", bad_request: "sent a request that is not valid", too_large: "sent a body that is larger than limits.body_bytes",
  slow: "too slow", no_connect: "cannot be reached", reset: "closed the connection", bad_answer: "sent something that is no valid answer", no_backend: "no backend of the pool can be used",
  exhausted: "no descriptors, ports or memory left", panic: "a bug, see the log", cut: "stopped before the end", crowded: "every backend was full, and so was the queue", no_route: "no route takes it",
  ambiguous: "servers read this path in different ways", status: "answered with a status that is retried", tls: "TLS failed", deadline: "the deadline of the call passed",
  out: "was ejected or down", no_tunnel: "opened no tunnel",
};
const ONE_PHASE = new Set(["no_connect", "tls", "bad_request", "too_large", "bad_answer", "no_backend", "crowded", "no_route", "ambiguous", "no_tunnel"]); // the cause says when it was
const WHOSE = { client: "Client", lb: "lb", backend: "Backend" };

function reason(f) {
  if (f.end === "ok" && f.kind === "fault") return "answered " + f.status; // the backend itself
  if (!WHOSE[f.end]) return "took " + milli(f.total_us / 1e3);
  return inWords(f.end_why, f.end_phase, f.end_detail);
}

function inWords(cause, phase, detail) {
  return [CAUSES[cause] || cause, ONE_PHASE.has(cause) ? "" : PHASES[phase] || phase, detail && "(" + detail + ")"].filter(Boolean).join(" ");
}

const faultNodes = new Map();

function renderFaults() {
  const list = $("fault-list"), keep = new Set(faults.map((x) => x.id));
  for (const [id, li] of faultNodes) {
    if (keep.has(id)) continue;
    li.remove();
    faultNodes.delete(id);
  }
  let before = list.firstChild;
  for (const x of faults) {
    let li = faultNodes.get(x.id);
    if (!li) {
      faultNodes.set(x.id, li = faultNode(x.f));
      list.insertBefore(li, before);
    } else before = li.nextSibling;
  }
  list.hidden = !faults.length;
  $("faults-none").hidden = !!faults.length;
  put($("faults-note"), faults.length ? "the last " + faults.length + (lost ? ", " + whole.format(lost) + " more not shown" : "") : "");
}

function faultNode(f) {
  const li = el("li"), details = el("details"), sum = el("summary"), why = el("span", "why");
  const attempts = f.attempts || [];
  why.append(el("span", "whose", WHOSE[f.end] || (f.kind === "fault" ? WHOSE.backend : "Slow")), (f.backend ? " " + f.backend : "") + ": " + reason(f));
  if (attempts.length > 1) why.append(", " + attempts.length + " attempts");
  sum.append(el("span", "muted", clock(f.time)), el("span", "what", (f.method || "") + " " + (f.host || "") + (f.target || "")), el("span", "status", f.status ? String(f.status) : "no answer"), why);
  details.append(sum);
  details.addEventListener("toggle", () => {
    if (details.open && details.children.length === 1) details.append(faultDetail(f));
  });
  li.append(details);
  return li;
}

function faultDetail(f) {
  const box = el("div", "detail"), facts = el("dl");
  const add = (name, value) => {
    if (value === undefined || value === null || value === "") return;
    facts.append(el("dt", "", name), el("dd", "", String(value)));
  };
  add("Target", f.target);
  add("Client", f.client);
  add("Connection of", f.peer);
  add("Request id", f.request_id);
  add("Protocol", f.protocol);
  add("Route", f.route);
  add("Pool", f.pool);
  add("Total", f.total_us === undefined ? "" : milli(f.total_us / 1e3));
  add("Trace", f.trace_id);
  box.append(facts);
  const attempts = (f.attempts || []).map((a) => [a.backend, a.cause ? inWords(a.cause, a.phase, a.detail) : "answered " + (a.status || ""), milli(a.us / 1e3)]);
  section(box, "Attempts", table(["Backend", "Outcome", "Took"], attempts));
  const phases = Object.entries(f.phases || {}).filter(([, us]) => us > 0).map(([name, us]) => [name.replace("_", " "), milli(us / 1e3)]);
  section(box, "Phases", table(["Phase", "Took"], phases));
  section(box, "Backends at that moment", table(["Backend", "State", "In flight"], (f.backends || []).map((b) => [b.backend, b.state, b.in_flight])));
  section(box, "Request", f.head && el("pre", "", f.head));
  section(box, "Answer", f.answer && el("pre", "", f.answer));
  return box;
}

function section(box, name, content) {
  if (!content) return;
  const part = el("div");
  part.append(el("h3", "", name), content);
  if (content.tagName === "PRE") content.tabIndex = 0;
  box.append(part);
}

function table(heads, rows) {
  if (!rows.length) return null;
  const t = el("table"), head = el("tr"), body = el("tbody");
  for (const h of heads) {
    const th = el("th", "", h);
    th.scope = "col";
    head.append(th);
  }
  for (const cells of rows) {
    const tr = el("tr");
    tr.append(...cells.map((c) => el("td", "", String(c === undefined ? "" : c))));
    body.append(tr);
  }
  t.append(el("thead"), body);
  t.firstChild.append(head);
  return t;
}

// The rest: few rows that change rarely, made again as a whole.

function renderSide() {
  $("certificates").hidden = !certificates.length;
  fill("certificate-rows", certificates.map((c) => {
    const state = c.fault && !c.expires ? "down" : c.fault || c.soon ? "ejected" : "up";
    const left = c.expires ? -since(c.expires) : 0;
    const text = !c.expires ? "none yet" : left < 0 ? "expired " + day(c.expires) : (left < 172800 ? span(left) : Math.floor(left / 86400) + " d") + ", " + day(c.expires);
    return [c.name + (c.pool ? " (to " + c.pool + ")" : ""), [c.expires && left < 0 ? "down" : state, text], c.source || ""];
  }));
  fill("listener-rows", (head.status.listeners || []).map((l) => [l.address, l.role === "redirect" ? "redirect to https" : l.role]));
  fill("loop-rows", loops.map((l) => [String(l.slot), [l.state === "serving" ? "up" : l.state === "waiting" ? "down" : "draining", l.state], whole.format(l.conns), whole.format(l.exchanges), String(l.restarts)]), 2);
  loops.forEach((l, i) => attr($("loop-rows").children[i], "title", l.pid ? "process " + l.pid : null));
}

// fill makes the rows of a table; a cell is a text, or a state and a word.
function fill(id, rows, numbersFrom) {
  const text = JSON.stringify(rows), body = $(id);
  if (body.was === text) return;
  body.was = text;
  body.replaceChildren(...rows.map((cells) => {
    const tr = el("tr");
    tr.setAttribute("role", "row");
    cells.forEach((c, i) => {
      const td = cell(tr, i >= numbersFrom ? "num" : "");
      if (typeof c === "string") {
        td.textContent = td.title = c;
        return;
      }
      const s = el("span", "state");
      s.dataset.state = c[0];
      s.append(shape(c[0]), el("span", "word", c[1]));
      td.append(s);
    });
    return tr;
  }));
}

// Changes: one dialog that says what will happen, asks for the token if there is none, and
// for a yes.

const TOKEN = "lb-token"; // in this tab's storage alone
const dialog = $("act");
let acting = null;

function act(b) {
  acting = b;
  $("act-title").textContent = b.data.address + " of " + b.pool.name;
  $("act-state").textContent = [WORDS[b.state], why(b), "weight " + b.data.weight].filter(Boolean).join(", ");
  const first = b.data.admin === "enabled" ? "drain" : "enable";
  for (const radio of dialog.querySelectorAll("[name=action]")) radio.checked = radio.value === first;
  $("act-weight").value = b.data.weight;
  $("act-fault").textContent = "";
  askToken(!sessionStorage.getItem(TOKEN));
  chosen();
  dialog.showModal();
}

function askToken(yes) {
  $("act-token-field").hidden = !yes;
  $("act-token").required = yes;
  $("act-token").value = "";
}

const action = () => dialog.querySelector("[name=action]:checked").value;

function chosen() {
  const what = action();
  $("act-weight-field").hidden = what !== "weight";
  $("act-weight").disabled = what !== "weight";
  $("act-do").textContent = { drain: "Drain", enable: "Enable", weight: "Set the weight" }[what];
}

dialog.addEventListener("change", chosen);
$("act-cancel").addEventListener("click", () => dialog.close());
dialog.addEventListener("close", () => {
  const row = acting && shown.get(acting.key);
  if (row) row.more.focus();
  acting = null;
});
$("act-form").addEventListener("submit", async (e) => {
  e.preventDefault();
  const b = acting, what = action(), token = sessionStorage.getItem(TOKEN) || $("act-token").value;
  const ask = { pool: b.pool.name, address: b.data.address, action: what };
  if (what === "weight") ask.weight = Number($("act-weight").value);
  $("act-do").disabled = true;
  $("act-fault").textContent = "";
  try {
    const answer = await fetch("/v1/backends", {
      method: "POST",
      headers: { "Authorization": "Bearer " + token, "Content-Type": "application/json" },
      body: JSON.stringify(ask),
      credentials: "omit",
    });
    const said = await answer.json().catch(() => ({}));
    if (answer.status === 401 || answer.status === 403) {
      sessionStorage.removeItem(TOKEN);
      askToken(true);
    }
    if (!answer.ok) throw new Error(said.error || "lb answers " + answer.status);
    sessionStorage.setItem(TOKEN, token);
    if (byKey.get(b.key) === b) take(b, said);
    dirty.order = true;
    say([b.data.address + ": " + { drain: "drains", enable: "enabled", weight: "weight " + said.weight }[what]]);
    draw();
    if (acting === b) dialog.close();
  } catch (fault) {
    $("act-fault").textContent = fault.message;
  } finally {
    $("act-do").disabled = false;
  }
});

// Light and dark.

const THEMES = ["auto", "light", "dark"];
function theme(name) {
  document.documentElement.dataset.theme = name;
  $("theme").textContent = "Theme: " + name;
}
$("theme").addEventListener("click", () => {
  const next = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length];
  localStorage.setItem("lb-theme", next);
  theme(next);
});
theme(THEMES.includes(localStorage.getItem("lb-theme")) ? localStorage.getItem("lb-theme") : "auto");

measure();
connect();
})();
