#include "core/report/page_parts.h"

namespace espalier::report {

const std::string_view kScriptTools = R"js("use strict";
const $ = id => document.getElementById(id), data = JSON.parse($("data").textContent), NS = $("svg").namespaceURI;
const tip = $("tip");
const make = (tag, cls, text) => { const e = document.createElement(tag); if (cls) e.className = cls; if (text !== undefined) e.textContent = text; return e; };
const draw = (parent, tag, attrs, text) => { const e = document.createElementNS(NS, tag); for (const k in attrs) e.setAttribute(k, attrs[k]);
  if (text !== undefined) e.textContent = text; parent.append(e); return e; };
const short = v => v === 0 ? "0" : Math.abs(v) >= 1e5 || Math.abs(v) < 1e-3 ? v.toExponential(2) : String(Number(v.toPrecision(4)));

function showTip(text, x, y) {
  tip.textContent = text; tip.hidden = false;
  const box = tip.getBoundingClientRect();
  tip.style.left = Math.max(6, Math.min(x + 14, innerWidth - box.width - 6)) + "px";
  tip.style.top = (y + 18 + box.height > innerHeight ? y - box.height - 12 : y + 18) + "px";
}
const hideTip = () => { tip.hidden = true; };

function scaleOf(arrays, log) {
  let low = Infinity, high = -Infinity;
  for (const a of arrays) for (const v of a || []) if (v !== null && (!log || v > 0)) { low = Math.min(low, v); high = Math.max(high, v); }
  if (low > high) return null;
  if (log) { if (high / low < 1.2) { low /= 1.1; high *= 1.1; } }
  else { const pad = (high - low || Math.abs(high) || 1) * 0.05; low -= pad; high += pad; }
  const f = log ? Math.log10 : v => v, a = f(low), b = f(high);
  return { low, high, at: v => v === null || (log && v <= 0) ? null : (f(v) - a) / (b - a) };
}
function niceTicks(low, high, count) {
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough)), step = [1, 2, 5, 10].map(m => m * power).find(s => s >= rough);
  const ticks = []; for (let v = Math.ceil(low / step - 1e-9) * step; v <= high + 1e-9 * step; v += step) ticks.push(Math.abs(v) < step * 1e-9 ? 0 : v); return ticks;
}
function logTicks(low, high) {
  const decades = Math.log10(high / low), marks = decades > 5 ? [1] : decades > 1.7 ? [1, 3] : [1, 1.5, 2, 3, 5, 7], ticks = [];
  for (let e = Math.floor(Math.log10(low)); e <= Math.log10(high); e++) for (const m of marks) { const v = m * 10 ** e; if (v >= low && v <= high) ticks.push(v); }
  const every = Math.ceil(ticks.length / 8); return ticks.length < 3 ? niceTicks(low, high, 4).filter(v => v > 0) : ticks.filter((_, i) => i % every === 0);
}
)js";

}  // namespace espalier::report
