#include "core/inspect/html.h"

namespace espalier::inspect {

const std::string_view kPageTemplate = R"html(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>@TITLE@</title>
<style>
:root { --ink: #1d2733; --soft: #66727f; --line: #e3e8ec; --paper: #ffffff; --back: #f5f7f8; --leaf: #3f7d58; --leaf-soft: #dcebe1;
        --flops: #c8743a; --flops-soft: #f6e4d7; --no: #b23b3b; --no-soft: #f7e1e1; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e9ee; --soft: #93a0ad; --line: #2d3640; --paper: #1b2129; --back: #14191f; --leaf: #7fc79c; --leaf-soft: #244233;
          --flops: #e39a63; --flops-soft: #49321f; --no: #e58585; --no-soft: #4a2626; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--ink); font: 14px/1.45 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 20px; margin: 0 0 2px; overflow-wrap: anywhere; }
h2 { font-size: 15px; margin: 0 0 10px; }
.hash { color: var(--soft); font-size: 12px; overflow-wrap: anywhere; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(200px, 1fr)); gap: 12px; margin: 18px 0; }
.card, section { background: var(--paper); border: 1px solid var(--line); border-radius: 8px; padding: 14px 16px; }
section { margin: 14px 0; }
.card b { display: block; font-size: 22px; font-weight: 600; }
.card span { color: var(--soft); font-size: 12.5px; }
.loader { display: grid; grid-template-columns: 170px 56px 1fr; gap: 10px; padding: 5px 0; border-top: 1px solid var(--line); }
.loader:first-of-type { border-top: 0; }
.badge { border-radius: 10px; padding: 0 10px; text-align: center; align-self: start; font-size: 12.5px; }
.yes { background: var(--leaf-soft); color: var(--leaf); } .no { background: var(--no-soft); color: var(--no); }
.bar-head { display: flex; justify-content: space-between; align-items: center; flex-wrap: wrap; gap: 8px; margin-bottom: 10px; }
.bar-head h2 { margin: 0; }
button { font: inherit; font-size: 13px; color: var(--ink); background: var(--paper); border: 1px solid var(--line); border-radius: 6px;
         padding: 3px 11px; cursor: pointer; }
button[aria-pressed=true] { background: var(--ink); color: var(--paper); border-color: var(--ink); }
.strip { display: flex; gap: 2px; height: 54px; }
.strip div { min-width: 3px; border-radius: 4px; overflow: hidden; padding: 5px 7px; font-size: 12px; line-height: 1.35; white-space: nowrap;
             cursor: pointer; }
.row { display: grid; grid-template-columns: minmax(240px, 1.3fr) minmax(150px, 1fr) 190px 190px 90px; gap: 12px; align-items: center;
       padding: 3px 6px; border-radius: 4px; }
.head { color: var(--soft); font-size: 12px; border-bottom: 1px solid var(--line); border-radius: 0; }
summary { list-style: none; cursor: pointer; } summary::-webkit-details-marker { display: none; }
summary .name::before { content: "▸"; display: inline-block; width: 15px; color: var(--soft); }
details[open] > summary .name::before { content: "▾"; }
.leaf .name { padding-left: 15px; }
.row:hover { outline: 1px solid var(--line); }
.detail { color: var(--soft); white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.meter { display: grid; grid-template-columns: 1fr 74px; gap: 8px; align-items: center; text-align: right; font-variant-numeric: tabular-nums; }
.meter i { display: block; height: 9px; border-radius: 3px; background: var(--leaf-soft); overflow: hidden; }
.meter i u { display: block; height: 100%; background: var(--leaf); border-radius: 3px; }
.meter.f i { background: var(--flops-soft); } .meter.f i u { background: var(--flops); }
.num { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
table { border-collapse: collapse; width: 100%; } td, th { padding: 3px 8px; text-align: left; border-bottom: 1px solid var(--line); }
th { cursor: pointer; color: var(--soft); font-weight: 500; font-size: 12px; user-select: none; } th.num, td.num { text-align: right; }
input { font: inherit; color: inherit; background: var(--back); border: 1px solid var(--line); border-radius: 6px; padding: 3px 9px; width: 260px; }
.scroll { overflow-x: auto; }
@media (max-width: 900px) { .row { grid-template-columns: 1fr 130px 130px; } .row .detail, .row > .num { display: none; } }
</style>
</head>
<body>
<main>
<h1 id="title"></h1>
<div class="hash" id="hash"></div>
<div class="cards" id="cards"></div>
<section><h2>Opens in</h2><div id="loaders"></div></section>
<section>
  <div class="bar-head"><h2>Where it is</h2>
    <div><button data-key="parameters">parameters</button> <button data-key="flops">FLOPs</button></div></div>
  <div class="strip" id="strip"></div>
</section>
<section>
  <div class="bar-head"><h2>Blocks</h2><div><button id="open">open all</button> <button id="close">close all</button></div></div>
  <div class="row head"><span>block path</span><span>what it is</span><span class="num">parameters</span><span class="num">FLOPs</span>
    <span class="num">weights</span></div>
  <div id="tree"></div>
</section>
<section>
  <div class="bar-head"><h2>Every block</h2><input id="filter" placeholder="part of a block path or kind" aria-label="filter"></div>
  <div class="scroll"><table><thead><tr id="columns"></tr></thead><tbody id="rows"></tbody></table></div>
</section>
</main>
<script type="application/json" id="data">@DATA@</script>
<script>
"use strict";
const data = JSON.parse(document.getElementById("data").textContent), root = data.root;
const $ = id => document.getElementById(id);
const make = (tag, cls, text) => { const e = document.createElement(tag); if (cls) e.className = cls; if (text !== undefined) e.textContent = text; return e; };
const commas = n => Math.round(n).toLocaleString("en-US");
const short = n => { let u = 0; while (Math.abs(n) >= 999.5 && u < 5) { n /= 1000; u++; } return (u ? n.toFixed(2) : n.toFixed(0)) + ["", " k", " M", " B", " T", " P"][u]; };
const bytes = n => { let u = 0; while (n >= 1024 && u < 4) { n /= 1024; u++; } return (u ? n.toFixed(2) : n) + " " + ["B", "KiB", "MiB", "GiB", "TiB"][u]; };
const sized = data.size[0] > 0;
let key = "parameters";

$("title").textContent = data.title;
$("hash").textContent = "structure " + data.structure;
for (const [value, note] of [
  [short(root.parameters), commas(root.parameters) + " parameters in " + commas(root.tensors) + " tensors"],
  [sized ? short(root.flops) : "–", sized ? "FLOPs at " + data.size.join("×") + ", " + data.tokens + " tokens, batch 1" : "the config names no size"],
  [bytes(root.bytes), "weights as " + data.dtype],
  [data.resnets + " + " + data.transformer_blocks, "resnets + transformer blocks"]]) {
  const card = make("div", "card"); card.append(make("b", "", value), make("span", "", note)); $("cards").append(card);
}
for (const v of data.loaders) {
  const line = make("div", "loader");
  line.append(make("span", "", v.loader), make("span", "badge " + (v.opens ? "yes" : "no"), v.opens ? "yes" : "no"),
              make("span", "detail-free", v.opens ? (v.as ? "as " + v.as : "") : v.reason));
  $("loaders").append(line);
}

function meter(cls, part, whole) {
  const m = make("div", "meter " + cls), i = make("i"), u = make("u");
  u.style.width = (whole > 0 ? 100 * part / whole : 0).toFixed(2) + "%";
  i.append(u); m.append(i, make("span", "", short(part))); return m;
}
function line(block, depth) {
  const row = make("div", "row"), name = make("span", "name", block.name);
  name.style.marginLeft = depth * 16 + "px"; row.title = block.path;
  const flops = sized ? meter("f", block.flops, root.flops) : make("span", "num", "–");
  row.append(name, make("span", "detail", block.detail || block.kind), meter("p", block.parameters, root.parameters), flops, make("span", "num", bytes(block.bytes)));
  return row;
}
function branch(block, depth) {
  if (!block.children.length) { const leaf = make("div", "leaf"); leaf.append(line(block, depth)); leaf.dataset.path = block.path; return leaf; }
  const details = make("details"), summary = make("summary");
  details.dataset.path = block.path; summary.append(line(block, depth)); details.append(summary);
  details.addEventListener("toggle", () => { if (details.open && details.children.length === 1) for (const c of block.children) details.append(branch(c, depth + 1)); });
  return details;
}
for (const block of root.children) $("tree").append(branch(block, 0));
$("tree").querySelectorAll("details").forEach(d => { if (d.dataset.path.startsWith("down_blocks.2") || d.dataset.path === "mid_block") d.open = true; });
function openAll(node) { node.querySelectorAll("details").forEach(d => { if (!d.open) { d.open = true; setTimeout(() => openAll(d), 0); } }); }
$("open").onclick = () => openAll($("tree"));
$("close").onclick = () => $("tree").querySelectorAll("details").forEach(d => { d.open = false; });

function drawStrip() {
  const top = Math.max(...root.children.map(b => b[key]));
  $("strip").replaceChildren(...root.children.filter(b => b[key] > 0).map(b => {
    const share = b[key] / root[key], cell = make("div"), heat = Math.round(12 + 58 * b[key] / top);
    cell.style.flex = Math.max(share, 0.0005) + " 1 0";
    cell.style.background = "color-mix(in srgb, var(--" + (key === "flops" ? "flops" : "leaf") + ") " + heat + "%, var(--paper))";
    if (share <= 0.05) cell.style.padding = "0";
    else cell.append(make("b", "", b.path), make("br"), (100 * share).toFixed(1) + "%");
    cell.title = b.path + ": " + short(b[key]) + ", " + (100 * share).toFixed(2) + "%";
    cell.onclick = () => { const d = [...$("tree").children].find(e => e.dataset.path === b.path); if (d.tagName === "DETAILS") d.open = true; d.scrollIntoView({block: "center"}); };
    return cell; }));
  document.querySelectorAll("[data-key]").forEach(b => b.setAttribute("aria-pressed", b.dataset.key === key));
}
document.querySelectorAll("[data-key]").forEach(b => { b.disabled = b.dataset.key === "flops" && !sized; b.onclick = () => { key = b.dataset.key; drawStrip(); }; });
drawStrip();

const flat = []; (function walk(b) { for (const c of b.children) { flat.push(c); walk(c); } })(root);
const columns = [["path", "block path"], ["kind", "kind"], ["detail", "what it is"], ["parameters", "parameters"], ["flops", "FLOPs"], ["bytes", "weights"]];
let order = null, down = true;
function drawRows() {
  const wanted = $("filter").value.toLowerCase();
  let shown = flat.filter(b => (b.path + " " + b.kind).toLowerCase().includes(wanted));
  if (order) shown = [...shown].sort((a, b) => (a[order] < b[order] ? -1 : a[order] > b[order] ? 1 : 0) * (down ? -1 : 1));
  $("rows").replaceChildren(...shown.map(b => {
    const tr = make("tr");
    tr.append(make("td", "", b.path), make("td", "", b.kind), make("td", "detail", b.detail), make("td", "num", commas(b.parameters)),
              make("td", "num", sized ? short(b.flops) : "–"), make("td", "num", bytes(b.bytes)));
    return tr; }));
}
for (const [name, text] of columns) {
  const th = make("th", ["parameters", "flops", "bytes"].includes(name) ? "num" : "", text);
  th.onclick = () => { down = order === name ? !down : true; order = name; drawRows(); };
  $("columns").append(th);
}
$("filter").oninput = drawRows;
drawRows();
</script>
</body>
</html>
)html";

}  // namespace espalier::inspect
