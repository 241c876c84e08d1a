// Sequential colours go from near the paper to far from it in lightness, diverging ones are blue and orange: both can be told
// apart without seeing colour. Lines are Okabe and Ito's palette, darkened for light paper.

#include "core/report/page_parts.h"

namespace espalier::report {

const std::string_view kStyle = R"css(
:root { color-scheme: light dark; --ink: #1d2733; --soft: #5d6976; --line: #e0e5ea; --paper: #ffffff; --back: #f4f6f7; --leaf: #2f6f4b;
  --leaf-soft: #dcebe1; --no: #a33434; --no-soft: #f7e1e1; --was: #c3ccd4; --shade: #f0f3f5; --hot-ink: #ffffff; --cold-ink: #1d2733;
  --c0: #1d2733; --c1: #0069a8; --c2: #c14f00; --c3: #00805c; --c4: #a3467c; --c5: #8a6a00; --c6: #4d56c9;
  --a0: #fdf3d8; --a1: #fbe0a8; --a2: #f8c678; --a3: #f3a653; --a4: #e7834a; --a5: #d0604f; --a6: #ab4260; --a7: #7b2c68; --a8: #4a1c5e;
  --r0: #08519c; --r1: #2f7bbd; --r2: #6ba8d6; --r3: #b4d3ea; --r4: #eceff1; --r5: #fbd5ac; --r6: #f2a35e; --r7: #d46f1e; --r8: #974100; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e9ee; --soft: #9aa7b4; --line: #303a45; --paper: #1b2129; --back: #13181e; --leaf: #7fc79c; --leaf-soft: #234133;
    --no: #ec9a9a; --no-soft: #4a2626; --was: #4b5764; --shade: #232b34; --hot-ink: #1d1420; --cold-ink: #e4e9ee;
    --c0: #e4e9ee; --c1: #5ab4ec; --c2: #f39250; --c3: #4cc79d; --c4: #e08fbd; --c5: #dcc04d; --c6: #9da5ff;
    --a0: #2a2140; --a1: #43235a; --a2: #642a68; --a3: #87336a; --a4: #ab4163; --a5: #cc5a55; --a6: #e67e49; --a7: #f4a94f; --a8: #fbdb85;
    --r0: #9cd0ff; --r1: #66aee8; --r2: #3f86c2; --r3: #2b5a86; --r4: #333d47; --r5: #75491f; --r6: #a9672a; --r7: #dd8c42; --r8: #ffbe7d; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--back); color: var(--ink); font: 14px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 32px 20px 72px; }
.run { color: var(--soft); font-size: 13px; overflow-wrap: anywhere; }
h1 { font-size: 27px; line-height: 1.25; margin: 2px 0 6px; font-weight: 650; letter-spacing: -.01em; }
h2 { font-size: 16px; margin: 0; }
header p { margin: 0; font-size: 15px; color: var(--soft); overflow-wrap: anywhere; } header b { color: var(--ink); font-weight: 600; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(215px, 1fr)); gap: 12px; margin: 22px 0 16px; }
.card, section { background: var(--paper); border: 1px solid var(--line); border-radius: 10px; padding: 16px 18px; min-width: 0; }
section { margin: 16px 0; }
.card > span { color: var(--soft); font-size: 13px; }
.card b { display: block; font-size: 22px; font-weight: 600; line-height: 1.35; margin: 1px 0 7px; }
.card small { font-size: 15px; font-weight: 400; color: var(--soft); }
.bars { display: grid; gap: 3px; margin-bottom: 6px; } .bars i { display: block; height: 6px; border-radius: 3px; min-width: 2px; }
.was { background: var(--was); } .is { background: var(--leaf); }
.note { color: var(--soft); margin: 4px 0 12px; max-width: 76ch; } .soft { color: var(--soft); }
.bar { display: flex; flex-wrap: wrap; gap: 8px 18px; justify-content: space-between; align-items: center; }
.controls { display: flex; flex-wrap: wrap; gap: 8px 16px; align-items: center; color: var(--soft); font-size: 13px; }
.controls label { display: flex; gap: 7px; align-items: center; } .controls output { width: 4ch; font-variant-numeric: tabular-nums; }
input[type=range] { width: 120px; accent-color: var(--leaf); }
.choice { display: inline-flex; }
button { font: inherit; font-size: 13px; color: var(--ink); background: var(--paper); border: 1px solid var(--line); padding: 3px 11px; cursor: pointer; }
.choice button:first-child { border-radius: 6px 0 0 6px; } .choice button:last-child { border-radius: 0 6px 6px 0; border-left: 0; }
button[aria-pressed=true] { background: var(--ink); color: var(--paper); border-color: var(--ink); }
:focus-visible { outline: 2px solid var(--c1); outline-offset: 1px; }
table { border-collapse: collapse; width: 100%; } td, th { padding: 6px 12px 6px 0; text-align: left; border-bottom: 1px solid var(--line); vertical-align: top; }
tr:last-child td { border-bottom: 0; }
th { color: var(--soft); font-weight: 500; font-size: 12.5px; white-space: nowrap; }
.num { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td:last-child, th:last-child { padding-right: 0; } #stages td:last-child, #stages th:last-child { padding-left: 14px; }
.scroll { overflow-x: auto; }
.path { font: 12.5px/1.6 ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
.badge { display: inline-block; border-radius: 10px; padding: 0 10px; font-size: 12.5px; white-space: nowrap; }
.yes { background: var(--leaf-soft); color: var(--leaf); } .no { background: var(--no-soft); color: var(--no); }
.undone td { color: var(--soft); background: repeating-linear-gradient(135deg, transparent 0 6px, var(--shade) 6px 12px); }
summary { cursor: pointer; } .more { margin-top: 12px; } .more > summary { color: var(--soft); } .more > :not(summary) { margin-top: 8px; }
.list ul, .more ul { margin: 4px 0; padding-left: 18px; }
pre { font: 12.5px/1.55 ui-monospace, "DejaVu Sans Mono", monospace; background: var(--shade); border-radius: 6px; padding: 12px 14px; margin: 0; overflow-x: auto; }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 5px 22px; margin: 10px 0 0; } dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; white-space: pre-line; }

.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 470px), 1fr)); gap: 20px 34px; }
figure { margin: 0; min-width: 0; } figcaption { font-weight: 500; margin-bottom: 5px; overflow-wrap: anywhere; }
.strip { display: grid; grid-auto-flow: column; grid-auto-columns: minmax(0, 104px); gap: 6px; }
.strip img { display: block; width: 100%; aspect-ratio: 1; object-fit: contain; image-rendering: pixelated; background: #fff; border: 1px solid var(--line); border-radius: 6px; }
.strip span { display: block; color: var(--soft); font-size: 12px; line-height: 1.3; margin-top: 3px; }

.lines { display: flex; flex-wrap: wrap; gap: 4px 6px; margin: 0 0 6px; }
.lines button { border-radius: 12px; border-color: transparent; padding: 1px 10px 1px 8px; display: flex; align-items: center; gap: 7px; background: var(--shade); }
.lines button[aria-pressed=true] { background: var(--shade); color: var(--ink); } .lines button[aria-pressed=false] { opacity: .5; }
.lines i { width: 15px; height: 3px; border-radius: 2px; }
svg { display: block; overflow: visible; } svg text { fill: var(--soft); font-size: 11.5px; font-variant-numeric: tabular-nums; }
#main-chart svg { touch-action: pan-y; }
.grid-line { stroke: var(--line); stroke-width: 1; } .axis { stroke: var(--was); } .span-line { stroke: var(--was); stroke-dasharray: 2 3; }
.failed { fill: var(--shade); } .cursor { stroke: var(--soft); }
.small { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 340px), 1fr)); gap: 16px 22px; margin-top: 10px; }
.small figcaption { display: flex; justify-content: space-between; gap: 8px; margin: 0 0 2px; font: 12px/1.4 ui-monospace, "DejaVu Sans Mono", monospace; }
.small figcaption span:last-child { color: var(--soft); white-space: nowrap; }
.small figure { border-radius: 6px; transition: box-shadow .3s; } .small .lit { box-shadow: 0 0 0 6px var(--shade), 0 0 0 8px var(--c1); }
h3 { font-size: 14px; margin: 22px 0 0; font-weight: 600; } h3 span { color: var(--soft); font-weight: 400; }

.unet { display: grid; grid-template-columns: 1fr minmax(30px, 120px) 1fr; gap: 14px 0; align-items: center; margin: 14px 0; }
.stage { border: 1px solid var(--line); border-radius: 9px; padding: 9px 11px 10px; width: max-content; max-width: 100%; }
.stage.down { margin-left: calc(var(--i) * 24px); justify-self: start; } .stage.up { margin-right: calc(var(--i) * 24px); justify-self: end; }
.stage.mid { justify-self: center; }
.head { display: flex; gap: 9px; align-items: center; margin-bottom: 7px; } .head > span:last-child { color: var(--soft); font-size: 12px; white-space: nowrap; }
.layers { display: flex; flex-direction: column; gap: 5px; } .up .layers { flex-direction: column-reverse; }
.layer, .attn { display: flex; flex-wrap: wrap; gap: 3px; align-items: center; } .layer { gap: 5px; }
.attn { border: 1px solid var(--line); border-radius: 7px; padding: 2px; } .attn.gone { border-style: dashed; }
.cell { display: inline-block; font-size: 12px; line-height: 24px; height: 24px; min-width: 24px; padding: 0 5px; border-radius: 5px; text-align: center;
  color: var(--cold-ink); background: var(--shade); cursor: default; white-space: nowrap; font-variant-numeric: tabular-nums; }
.cell.plain { background: transparent; box-shadow: inset 0 0 0 1px var(--line); color: var(--soft); } .cell.st.plain { box-shadow: none; padding-left: 0; color: var(--ink); }
.cell.st { font-weight: 600; font-size: 13px; } .cell.res { min-width: 50px; } .cell.at { min-width: 46px; } .cell.tb { padding: 0; }
.cell.ghost { background: repeating-linear-gradient(135deg, transparent 0 4px, var(--shade) 4px 7px); box-shadow: none; outline: 1px dashed var(--was); outline-offset: -1px;
  color: var(--soft); text-decoration: line-through; }
.cell[data-key] { cursor: pointer; }
.skip { border-top: 2px dashed var(--line); text-align: center; font-size: 11.5px; color: var(--soft); height: 0; margin: 0 10px; } .skip span { position: relative; top: -10px; background: var(--paper); padding: 0 5px; }
.legend { display: flex; flex-wrap: wrap; gap: 6px 26px; align-items: center; color: var(--soft); font-size: 12.5px; }
.scale, .key { display: inline-flex; align-items: center; gap: 0; } .scale i { width: 24px; height: 13px; } .scale span:first-child { margin-right: 8px; } .scale span:last-child { margin-left: 8px; }
.key .cell { width: 24px; height: 15px; margin-right: 8px; }
[data-view=abs] .rel, [data-view=rel] .abs { display: none; }
[data-view=abs] .a0, i.a0 { background: var(--a0); } [data-view=abs] .a1, i.a1 { background: var(--a1); } [data-view=abs] .a2, i.a2 { background: var(--a2); }
[data-view=abs] .a3, i.a3 { background: var(--a3); } [data-view=abs] .a4, i.a4 { background: var(--a4); } [data-view=abs] .a5, i.a5 { background: var(--a5); }
[data-view=abs] .a6, i.a6 { background: var(--a6); } [data-view=abs] .a7, i.a7 { background: var(--a7); } [data-view=abs] .a8, i.a8 { background: var(--a8); }
[data-view=rel] .r0, i.r0 { background: var(--r0); } [data-view=rel] .r1, i.r1 { background: var(--r1); } [data-view=rel] .r2, i.r2 { background: var(--r2); }
[data-view=rel] .r3, i.r3 { background: var(--r3); } [data-view=rel] .r4, i.r4 { background: var(--r4); } [data-view=rel] .r5, i.r5 { background: var(--r5); }
[data-view=rel] .r6, i.r6 { background: var(--r6); } [data-view=rel] .r7, i.r7 { background: var(--r7); } [data-view=rel] .r8, i.r8 { background: var(--r8); }
[data-view=abs] :is(.a5, .a6, .a7, .a8), [data-view=rel] :is(.r0, .r1, .r7, .r8) { color: var(--hot-ink); }
#tip { position: fixed; z-index: 2; max-width: min(420px, 92vw); background: var(--ink); color: var(--paper); border-radius: 6px; padding: 6px 10px; font-size: 12.5px; line-height: 1.45;
  white-space: pre-line; pointer-events: none; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
#tip[hidden] { display: none; }
@media (max-width: 1060px) { .unet { display: flex; flex-direction: column; align-items: stretch; } .skip { display: none; }
  .stage.down, .stage.up, .stage.mid { margin: 0; width: auto; } .up .layers { flex-direction: column; } }
@media (max-width: 560px) { main { padding: 20px 12px 48px; } .card, section { padding: 13px 13px; } h1 { font-size: 22px; } dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: 8px; } }
@media print { body { background: none; } section, .card { break-inside: avoid; } }
)css";

}  // namespace espalier::report
