// Scripts of a sweep's page: sorting, parallel coordinates, curves. Text from files enters the page as textContent alone.

#include "core/report/page_parts.h"

namespace espalier::report {

const std::string_view kSweepTableScript = R"js(
const trials = data.trials, axes = data.axes, done = trials.filter(t => t.place !== null);
const nameOf = t => t.label + (t.seed ? ", seed " + t.seed : "");
// Colours of an order, 0 the first and 1 the last of it; those too near the paper are left out.
const ramp = share => "var(--a" + (2 + Math.round(6 * share)) + ")";
const byRank = t => t.place === null ? "var(--was)" : ramp(done.length > 1 ? 1 - t.place / (done.length - 1) : 1);

document.querySelectorAll("table.sortable").forEach(table => {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => { head.firstChild.onclick = () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    heads.forEach(h => h.removeAttribute("aria-sort")); head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const key = row => { const cell = row.cells[column], text = "v" in cell.dataset ? cell.dataset.v : cell.textContent;
      return text === "" || text === "not finite" || text === "nan" ? null : isNaN(text) ? text : Number(text); };
    const compare = (a, b) => typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
    [...body.rows].map(row => [key(row), row]).sort(([a], [b]) => a === null || b === null ? (a === null) - (b === null) : down ? compare(b, a) : compare(a, b))
      .forEach(([, row]) => body.append(row));
  }; });
});
function markRow(index) {
  document.querySelectorAll("tr.marked").forEach(row => row.classList.remove("marked"));
  const row = document.querySelector('tr[data-trial="' + index + '"]');
  if (row) row.classList.add("marked");
}
)js";

const std::string_view kSweepParallelScript = R"js(
// Parallel coordinates: axes stand upright, a trial is a line through its values.
const parallel = { kept: null };
function dimensions() {
  const dims = axes.map((axis, k) => ({ label: axis.label, values: axis.numbers ? null : axis.values, ticks: axis.numbers, texts: axis.values, log: axis.log,
    at: t => axis.numbers ? axis.numbers[t.of[k]] : t.of[k] }));
  if (new Set(trials.map(t => t.parameters).filter(n => n > 0)).size > 1) dims.push({ label: "parameters", at: t => t.parameters > 0 ? t.parameters : null });
  dims.push({ label: data.objective, at: t => t.objective });
  for (const dim of dims) {
    const seen = trials.map(dim.at).filter(v => v !== null), low = Math.min(...seen), high = Math.max(...seen);
    if (dim.values) { dim.share = v => 1 - (v + 0.5) / dim.values.length; continue; }
    if (dim.log === undefined) dim.log = low > 0 && high > 20 * low;
    const f = dim.log ? Math.log10 : v => v;
    dim.share = v => high > low ? 0.03 + 0.94 * (f(v) - f(low)) / (f(high) - f(low)) : 0.5;
    if (!dim.ticks || dim.ticks.length > 7) dim.texts = null, dim.ticks = high > low ? (dim.log ? logTicks(low, high) : niceTicks(low, high, 6)) : [low];
  }
  return dims;
}
const compact = v => Math.abs(v) >= 1e6 ? Number((v / 1e6).toPrecision(4)) + " M" : short(v);
const cut = (text, most) => text.length > most ? text.slice(0, Math.max(most - 1, 1)) + "…" : text;

function drawParallel() {
  const box = $("lines"); if (!box) return;
  const dims = dimensions(), drawn = trials.filter(t => t.objective !== null || t.state !== "waiting");
  const right = 84, left = 12, least = 108, top = 30, height = 330, bottom = height - 12;
  const width = Math.max(box.parentElement.clientWidth, left + right + least * (dims.length - 1)), gap = (width - left - right) / Math.max(dims.length - 1, 1);
  const x = k => left + gap * k, y = (dim, t) => { const v = dim.at(t); return v === null ? null : bottom - dim.share(v) * (bottom - top); };
  box.replaceChildren();
  const svg = draw(box, "svg", { width, height, class: drawn.length > 120 ? "many" : "", role: "img", "aria-label": "trials as lines through their settings" });
  const lines = [...drawn].sort((a, b) => (b.place === null ? 1e9 : b.place) - (a.place === null ? 1e9 : a.place)).map(t => {
    const points = dims.map((dim, k) => [x(k), y(dim, t)]).filter(p => p[1] !== null);
    const line = draw(svg, "polyline", { points: points.map(p => p[0].toFixed(1) + "," + p[1].toFixed(1)).join(" "), class: "trial", stroke: byRank(t) });
    if (t.place === null) line.setAttribute("stroke-dasharray", "4 4");
    return { t, points, line };
  });
  dims.forEach((dim, k) => {
    draw(svg, "line", { x1: x(k), x2: x(k), y1: top, y2: bottom, class: "upright" });
    draw(svg, "text", { x: x(k) - 5, y: 14, class: "title" }, cut(dim.label, Math.floor((k + 1 < dims.length ? gap : right) / 7)));
    const marks = dim.values ? dim.values.map((text, v) => [v, text]) : dim.ticks.map((v, i) => [v, dim.texts ? dim.texts[i] : compact(v)]);
    const every = Math.ceil(marks.length * 14 / (bottom - top)), most = Math.floor(((k + 1 < dims.length ? gap : right) - 10) / 6.4);
    marks.forEach(([v, text], i) => { if (i % every) return;
      const at = bottom - dim.share(v) * (bottom - top);
      draw(svg, "line", { x1: x(k) - 3, x2: x(k) + 3, y1: at, y2: at, class: "upright" });
      draw(svg, "text", { x: x(k) + 6, y: at + 4, class: "halo" }, cut(text, most)); });
  });
  const show = found => { svg.classList.toggle("picked", found !== null);
    for (const each of lines) each.line.classList.toggle("hot", each === found);
    if (found) svg.insertBefore(found.line, svg.querySelector(".upright")); };
  const nearest = e => { const place = svg.getBoundingClientRect(), px = e.clientX - place.left, py = e.clientY - place.top; let best = null, least = 24;
    for (const each of lines) for (let k = 1; k < each.points.length; k++) {
      const [ax, ay] = each.points[k - 1], [bx, by] = each.points[k]; if (px < ax || px > bx) continue;
      const away = Math.abs(ay + (by - ay) * (px - ax) / (bx - ax) - py); if (away <= least) { least = away; best = each; } }
    return best; };
  const kept = () => lines.find(each => each.t === parallel.kept) || null;
  svg.onpointermove = e => { const found = nearest(e); show(found || kept());
    if (!found) return hideTip();
    const t = found.t, objective = t.objective === null ? "no " + data.objective + " yet" : data.objective + "  " + short(t.objective);
    showTip(nameOf(t) + "\n" + objective + (t.parameters ? "\n" + compact(t.parameters) + " parameters" : "") + (t.state === "complete" ? "" : "\n" + t.state), e.clientX, e.clientY); };
  svg.onpointerleave = () => { hideTip(); show(kept()); };
  svg.onclick = e => { const found = nearest(e); parallel.kept = found && found.t !== parallel.kept ? found.t : null;
    show(kept()); markRow(parallel.kept ? trials.indexOf(parallel.kept) : -1); };
  show(kept());
}
drawParallel();
)js";

}  // namespace espalier::report
