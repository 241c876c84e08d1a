#include "core/report/page_parts.h"

namespace espalier::report {

const std::string_view kSweepCurvesScript = R"js(
// Curves: a metric is a term of training rows, or "val/" and one of held-out rows.
const lines = data.lines, curves = { metric: "", by: -1, log: true, smooth: 0, off: new Set() };
const valuesOf = (line, metric) => metric.startsWith("val/") ? { steps: line.held.steps, values: line.held["=" + metric.slice(4)] }
                                                              : { steps: line.training.steps, values: line.training["=" + metric] };
const terms = (table, prefix) => Object.keys(table).filter(k => k.startsWith("=")).map(k => prefix + k.slice(1));
const metrics = [...new Set(lines.flatMap(l => [...terms(l.training, ""), ...terms(l.held, "val/")]))].sort((a, b) => a.startsWith("val/") - b.startsWith("val/"));
const lineColours = [1, 2, 3, 4, 5, 6, 0].map(i => "var(--c" + i + ")"), dashes = ["", "7 4", "2 3", "10 3 2 3"];

/// Colour and dash of a value of the axis that is chosen. Many numbers get an order's colours, at most 28 names one each.
function look(value) {
  const axis = axes[curves.by], count = axis.values.length;
  if (axis.numbers && count > 2) return { colour: ramp(value / (count - 1)), dash: "" };
  return { colour: lineColours[value % 7], dash: dashes[Math.floor(value / 7) % 4] };
}
const lookOf = t => curves.by < 0 ? { colour: byRank(t), dash: t.place === null ? "4 4" : "" } : look(t.of[curves.by]);

function smoothed(values) {
  if (curves.smooth === 0) return values;
  let mean = 0, weight = 0;
  return values.map(v => { if (v === null) return null;
    mean = curves.smooth * mean + (1 - curves.smooth) * v; weight = curves.smooth * weight + 1 - curves.smooth; return mean / weight; });
}

function drawLegend() {
  const box = $("legend"); box.replaceChildren();
  const axis = axes[curves.by], scale = (from, to) => { box.append(make("span", "soft", from));
    for (let i = 0; i < 7; i++) { const mark = make("i"); mark.style.background = ramp(i / 6); box.append(mark); }
    box.append(make("span", "soft", to)); };
  if (!axis) return scale("by rank: worst", "best; dashed: not complete");
  if (axis.numbers && axis.values.length > 8) return scale(axis.label + " from " + axis.values[0], "to " + axis.values[axis.values.length - 1] + ", in their order");
  const there = new Set(lines.map(l => trials[l.trial].of[curves.by]));
  axis.values.forEach((text, value) => { if (!there.has(value)) return;
    const button = make("button"), mark = document.createElementNS(NS, "svg"), { colour, dash } = look(value); button.type = "button";
    mark.setAttribute("width", 22); mark.setAttribute("height", 6);
    draw(mark, "line", { x1: 0, x2: 22, y1: 3, y2: 3, stroke: colour, "stroke-width": 3, "stroke-dasharray": dash });
    button.append(mark, cut(text, 44)); button.title = text; button.setAttribute("aria-pressed", !curves.off.has(value));
    button.onclick = () => { if (!curves.off.delete(value)) curves.off.add(value); drawLegend(); drawCurves(); };
    box.append(button); });
}

function drawCurves() {
  const box = $("main-chart"), width = Math.max(box.clientWidth, 260), height = width < 600 ? 260 : 360, left = 58, right = 14, top = 14, bottom = height - 40;
  const shown = lines.map(l => ({ t: trials[l.trial], ...valuesOf(l, curves.metric) }))
    .filter(l => l.values && l.values.some(v => v !== null) && !(curves.by >= 0 && curves.off.has(l.t.of[curves.by])));
  for (const l of shown) l.line = smoothed(l.values);
  const scale = scaleOf(shown.map(l => l.line), curves.log);
  box.replaceChildren();
  if (!scale) { box.append(make("p", "note", curves.log && shown.length ? "Nothing to draw on a log scale: no number is above 0." : "No line is chosen.")); return; }
  const svg = draw(box, "svg", { width, height, role: "img", "aria-label": curves.metric + " by step" });
  let first = Infinity, last = -Infinity;
  for (const l of shown) for (const s of l.steps) { first = Math.min(first, s); last = Math.max(last, s); }
  const x = s => left + (last > first ? (s - first) / (last - first) : 0.5) * (width - left - right);
  const y = v => { const at = scale.at(v); return at === null ? null : bottom - at * (bottom - top); };
  for (const v of curves.log ? logTicks(scale.low, scale.high) : niceTicks(scale.low, scale.high, 5)) {
    draw(svg, "line", { x1: left, x2: width - right, y1: y(v), y2: y(v), class: "grid-line" });
    draw(svg, "text", { x: left - 8, y: y(v) + 4, "text-anchor": "end" }, short(v));
  }
  draw(svg, "line", { x1: left, x2: width - right, y1: bottom, y2: bottom, class: "axis" });
  const marks = last > first ? niceTicks(first, last, Math.max(2, width / 110)).filter(Number.isInteger) : [first];
  for (const v of marks) draw(svg, "text", { x: x(v), y: bottom + 17, "text-anchor": "middle" }, v.toLocaleString("en-US"));
  draw(svg, "text", { x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle" }, "step");
  const all = [...shown].reverse().map(l => {
    const { colour, dash } = lookOf(l.t), group = draw(svg, "g", { class: "curve" }), points = [];
    let d = "", pen = false;
    l.line.forEach((v, i) => { const at = y(v); if (at === null) { pen = false; return; }
      d += (pen ? "L" : "M") + x(l.steps[i]).toFixed(1) + " " + at.toFixed(1); pen = true; points.push([x(l.steps[i]), at, i]); });
    draw(group, "path", { d, fill: "none", stroke: colour, "stroke-dasharray": dash, "stroke-linejoin": "round" });
    if (points.length <= 12) for (const [px, py] of points) draw(group, "circle", { cx: px, cy: py, r: 3, fill: colour });
    return { l, points, group };
  });
  svg.onpointermove = e => {
    const place = svg.getBoundingClientRect(), px = e.clientX - place.left, py = e.clientY - place.top;
    let best = null, least = 40, row = 0;
    for (const each of all) for (const [qx, qy, i] of each.points) { const away = Math.hypot((qx - px) * 2, qy - py); if (away < least) { least = away; best = each; row = i; } }
    svg.classList.toggle("picked", best !== null);
    for (const each of all) each.group.classList.toggle("hot", each === best);
    if (best) showTip(nameOf(best.l.t) + "\nstep " + best.l.steps[row] + "  " + short(best.l.line[row]), e.clientX, e.clientY); else hideTip();
  };
  svg.onpointerleave = () => { hideTip(); svg.classList.remove("picked"); for (const each of all) each.group.classList.remove("hot"); };
}

if (lines.length && metrics.length) {
  const choose = (select, pairs, value, then) => { for (const [at, text] of pairs) { const option = make("option", "", text); option.value = at; select.append(option); }
    select.value = value; select.onchange = () => { then(select.value); drawLegend(); drawCurves(); }; then(String(value)); };
  // The objective where it has a course to draw, else the training loss.
  const long = m => lines.some(l => (valuesOf(l, m).values || []).filter(v => v !== null).length > 2);
  const start = metrics.includes(data.objective) && long(data.objective) ? data.objective : metrics.includes("total") ? "total" : metrics[0];
  choose($("metric"), metrics.map(m => [m, m]), start, v => { curves.metric = v; });
  choose($("by"), [...axes.map((axis, i) => [i, axis.label]), [-1, "rank by " + data.objective]], axes.length ? 0 : -1, v => { curves.by = Number(v); curves.off.clear(); });
  const pressed = () => document.querySelectorAll("[data-axis]").forEach(b => b.setAttribute("aria-pressed", (b.dataset.axis === "log") === curves.log));
  document.querySelectorAll("[data-axis]").forEach(b => { b.onclick = () => { curves.log = b.dataset.axis === "log"; pressed(); drawCurves(); }; });
  $("smooth").oninput = e => { curves.smooth = Number(e.target.value); $("smooth-value").textContent = curves.smooth ? curves.smooth.toFixed(2) : "off"; drawCurves(); };
  pressed(); drawLegend(); drawCurves();
}
let width = innerWidth;
addEventListener("resize", () => { if (innerWidth === width) return; width = innerWidth; drawParallel(); if (lines.length && metrics.length) drawCurves(); });
)js";

}  // namespace espalier::report
