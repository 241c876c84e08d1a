#include "core/report/page_parts.h"

namespace espalier::report {

const std::string_view kScript = R"js(const train = data.training, held = data.held_out;
const column = (table, key) => { const i = table.keys.indexOf(key); return i < 0 ? null : table.columns[i]; };
const state = { log: true, smooth: 0 };

// Terms: those of one layer are named LOSS/PATH and form a group, whose sum stands among the others.
const groups = new Map();
for (const key of train.keys) if (key.includes("/")) { const g = key.slice(0, key.indexOf("/")); if (!groups.has(g)) groups.set(g, []); groups.get(g).push(key); }
const summed = (table, keys) => table.steps.map((_, row) => { let sum = null;
  for (const key of keys) { const c = column(table, key); if (c && c[row] !== null) sum = (sum || 0) + c[row]; } return sum; });
const series = train.keys.filter(k => !k.includes("/") && k !== "grad_norm").map(k => ({ name: k, values: column(train, k), held: column(held, k) }));
for (const [name, keys] of groups) series.push({ name: name + ", sum of " + keys.length, values: summed(train, keys), held: summed(held, keys) });
series.forEach((s, i) => { s.colour = "var(--c" + i % 7 + ")"; s.on = true; });

const starts = new Set(data.stages.map(s => s.from));
function smoothed(values) {
  if (state.smooth === 0) return values;
  let mean = 0, weight = 0;
  return values.map((v, i) => { if (starts.has(train.steps[i])) mean = weight = 0;
    if (v === null) return null;
    mean = state.smooth * mean + (1 - state.smooth) * v; weight = state.smooth * weight + 1 - state.smooth; return mean / weight; });
}

function path(values, x, y) {
  let d = "", pen = false;
  values.forEach((v, i) => { const at = y(v); if (at === null) { pen = false; return; }
    d += (pen ? "L" : "M") + x(train.steps[i]).toFixed(1) + " " + at.toFixed(1); pen = true; });
  return d;
}
const first = Math.min(train.steps[0], held.steps.length ? held.steps[0] : Infinity);
const last = Math.max(train.steps[train.steps.length - 1], held.steps.length ? held.steps[held.steps.length - 1] : 0);
const xScale = (left, width) => step => left + (last > first ? (step - first) / (last - first) : 0.5) * width;

function drawStages(svg, x, top, bottom, named) {
  data.stages.forEach((s, i) => {
    const a = x(Math.max(s.from, first)), b = x(Math.min(s.to, last));
    if (!s.kept) draw(svg, "rect", { x: a, y: top, width: Math.max(b - a, 1), height: bottom - top, class: "failed" });
    if (i > 0) draw(svg, "line", { x1: a, x2: a, y1: top, y2: bottom, class: "span-line" });
    const full = "stage " + (s.stage + 1) + (s.attempt ? ", attempt " + (s.attempt + 1) : "") + (s.kept ? "" : ": rolled back");
    const text = [full, "stage " + (s.stage + 1), String(s.stage + 1)].find(t => t.length * 6.3 < b - a - 6);
    if (named && text && data.stages.length > 1) draw(svg, "text", { x: a + 4, y: top - 6 }, text);
  });
}
function drawLine(svg, s, x, y, width) {
  if (state.smooth > 0) draw(svg, "path", { d: path(s.values, x, y), fill: "none", stroke: s.colour, "stroke-width": 1, opacity: 0.22 });
  const line = smoothed(s.values);
  draw(svg, "path", { d: path(line, x, y), fill: "none", stroke: s.colour, "stroke-width": width, "stroke-linejoin": "round" });
  const points = line.filter(v => y(v) !== null).length;
  if (points === 1) line.forEach((v, i) => { if (y(v) !== null) draw(svg, "circle", { cx: x(train.steps[i]), cy: y(v), r: width + 0.5, fill: s.colour }); });
  (s.held || []).forEach((v, i) => { const at = y(v); if (at !== null) draw(svg, "circle", { cx: x(held.steps[i]), cy: at, r: width + 1.4, fill: "var(--paper)", stroke: s.colour, "stroke-width": 1.5 }); });
}

function drawMain() {
  const box = $("main-chart"), width = Math.max(box.clientWidth, 260), height = width < 600 ? 250 : 330;
  const left = 54, right = 12, top = 22, bottom = height - 26, shown = series.filter(s => s.on);
  const scale = scaleOf(shown.flatMap(s => [state.smooth > 0.5 ? smoothed(s.values) : s.values, s.held]), state.log);
  box.replaceChildren();
  if (!scale) { box.append(make("p", "note", state.log ? "Nothing to draw on a log scale: no number is above 0." : "No line is chosen.")); return; }
  const svg = draw(box, "svg", { width, height, role: "img", "aria-label": "losses by step" });
  const x = xScale(left, width - left - right), y = v => { const at = scale.at(v); return at === null ? null : bottom - Math.max(-0.02, Math.min(1.02, at)) * (bottom - top); };
  drawStages(svg, x, top, bottom, true);
  for (const v of state.log ? logTicks(scale.low, scale.high) : niceTicks(scale.low, scale.high, 5)) {
    draw(svg, "line", { x1: left, x2: width - right, y1: y(v), y2: y(v), class: "grid-line" });
    draw(svg, "text", { x: left - 8, y: y(v) + 4, "text-anchor": "end" }, short(v));
  }
  draw(svg, "line", { x1: left, x2: width - right, y1: bottom, y2: bottom, class: "axis" });
  if (last > first) for (const v of niceTicks(first, last, width / 110)) if (Number.isInteger(v)) draw(svg, "text", { x: x(v), y: bottom + 17, "text-anchor": "middle" }, v.toLocaleString("en-US"));
  for (const s of shown) drawLine(svg, s, x, y, s === series[0] ? 2.2 : 1.7);
  const cursor = draw(svg, "line", { y1: top, y2: bottom, x1: 0, x2: 0, class: "cursor", visibility: "hidden" });
  svg.onpointermove = e => {
    const place = svg.getBoundingClientRect(), wanted = first + (e.clientX - place.left - left) / (width - left - right) * (last - first);
    let row = 0; train.steps.forEach((s, i) => { if (Math.abs(s - wanted) < Math.abs(train.steps[row] - wanted)) row = i; });
    cursor.setAttribute("x1", x(train.steps[row])); cursor.setAttribute("x2", x(train.steps[row])); cursor.setAttribute("visibility", "visible");
    showTip("step " + train.steps[row] + "\n" + shown.filter(s => s.values[row] !== null).map(s => s.name + "  " + short(s.values[row])).join("\n"), e.clientX, e.clientY);
  };
  svg.onpointerleave = () => { cursor.setAttribute("visibility", "hidden"); hideTip(); };
}

const panels = [];
function addPanel(parent, key, label) {
  const figure = make("figure"), caption = make("figcaption"), box = make("div"), values = column(train, key), there = values.filter(v => v !== null);
  caption.append(make("span", "", label), make("span", "", there.length ? short(there[0]) + " → " + short(there[there.length - 1]) : ""));
  figure.append(caption, box); figure.dataset.key = key; parent.append(figure);
  panels.push({ box, s: { name: key, values, held: column(held, key), colour: "var(--c1)" } });
}
function drawPanels() {
  for (const { box, s } of panels) {
    const width = Math.max(box.clientWidth, 120), height = 62, scale = scaleOf([s.values, s.held], state.log);
    box.replaceChildren();
    const svg = draw(box, "svg", { width, height, role: "img", "aria-label": s.name }), x = xScale(1, width - 2);
    drawStages(svg, x, 2, height - 4, false);
    draw(svg, "line", { x1: 0, x2: width, y1: height - 3, y2: height - 3, class: "axis" });
    if (!scale) { draw(svg, "text", { x: 4, y: 30 }, "0 throughout"); continue; }
    drawLine(svg, s, x, v => { const at = scale.at(v); return at === null ? null : height - 8 - at * (height - 16); }, 1.5);
    svg.onpointermove = e => {
      const place = svg.getBoundingClientRect(), wanted = first + (e.clientX - place.left) / width * (last - first); let row = -1;
      train.steps.forEach((step, i) => { if (s.values[i] !== null && (row < 0 || Math.abs(step - wanted) < Math.abs(train.steps[row] - wanted))) row = i; });
      if (row >= 0) showTip(s.name + "\nstep " + train.steps[row] + "  " + short(s.values[row]), e.clientX, e.clientY);
    };
    svg.onpointerleave = hideTip;
  }
}
function redraw() { drawMain(); drawPanels(); }

if (train.steps.length) {
  for (const s of series) {
    const button = make("button"), mark = make("i"); mark.style.background = s.colour; button.type = "button";
    button.append(mark, s.name); button.setAttribute("aria-pressed", "true");
    button.onclick = () => { s.on = !s.on; button.setAttribute("aria-pressed", s.on); drawMain(); };
    $("legend").append(button);
  }
  for (const [name, keys] of groups) {
    const title = make("h3", "", name + " "); title.append(make("span", "", "each on its own scale, first → last step")); $("groups").append(title);
    const grid = make("div", "small"); $("groups").append(grid);
    for (const key of keys) addPanel(grid, key, key.slice(name.length + 1));
  }
  if (column(train, "grad_norm")) { $("groups").append(make("h3", "", "gradient norm before clipping")); const grid = make("div", "small"); $("groups").append(grid); addPanel(grid, "grad_norm", "grad_norm"); }
  const axis = () => document.querySelectorAll("[data-axis]").forEach(b => b.setAttribute("aria-pressed", (b.dataset.axis === "log") === state.log));
  document.querySelectorAll("[data-axis]").forEach(b => { b.onclick = () => { state.log = b.dataset.axis === "log"; axis(); redraw(); }; });
  const smooth = v => { state.smooth = Number(v); $("smooth").value = v; $("smooth-value").textContent = state.smooth ? state.smooth.toFixed(2) : "off"; };
  $("smooth").oninput = e => { smooth(e.target.value); redraw(); };
  smooth(train.steps.length >= 100 ? 0.9 : 0); axis(); redraw();
  let width = 0; new ResizeObserver(() => { if ($("main-chart").clientWidth !== width) { width = $("main-chart").clientWidth; redraw(); } }).observe($("main-chart"));
}

const layers = $("layers");
const view = name => { layers.dataset.view = name; layers.querySelectorAll("button[data-shows]").forEach(b => b.setAttribute("aria-pressed", b.dataset.shows === name)); };
layers.querySelectorAll("button[data-shows]").forEach(b => { b.onclick = () => view(b.dataset.shows); });
view("abs");
document.querySelectorAll("[data-tip]").forEach(cell => {
  cell.onpointermove = e => showTip(cell.dataset.tip, e.clientX, e.clientY);
  cell.onfocus = () => { const box = cell.getBoundingClientRect(); showTip(cell.dataset.tip, box.left, box.bottom - 8); };
  cell.onpointerleave = cell.onblur = hideTip;
  const find = () => { const panel = panels.find(p => p.s.name === cell.dataset.key); if (!panel) return;
    const figure = panel.box.parentElement; hideTip(); figure.scrollIntoView({ block: "center", behavior: "smooth" });
    figure.classList.add("lit"); setTimeout(() => figure.classList.remove("lit"), 1800); };
  cell.onclick = find; cell.onkeydown = e => { if (e.key === "Enter") find(); };
});
)js";

}  // namespace espalier::report
