#include "core/report/page_parts.h"

namespace espalier::report {

const std::string_view kSweepStyle = R"css(
a { color: var(--c1); } header .verdict { color: var(--ink); margin-bottom: 4px; } header p { max-width: 92ch; }
.shows { --of: minmax(150px, 230px); display: grid; gap: 6px; }
.shown { display: grid; grid-template-columns: var(--of) repeat(var(--n), minmax(0, 96px)); gap: 6px; align-items: center; }
.shown .of { padding-right: 10px; min-width: 0; overflow-wrap: anywhere; } .shown .of b { display: block; font-weight: 500; line-height: 1.35; }
.shown .of span { display: block; color: var(--soft); font-size: 12.5px; line-height: 1.4; font-variant-numeric: tabular-nums; } .shown .of .fault { color: var(--no); }
.shown img { display: block; width: 100%; aspect-ratio: 1; object-fit: contain; image-rendering: pixelated; background: #fff; border: 1px solid var(--line); border-radius: 6px; }
.heads { align-items: end; color: var(--soft); font-size: 12px; line-height: 1.3; } .heads span b { display: none; } .heads span i { font-style: normal; overflow-wrap: anywhere; }
.captions { display: none; color: var(--soft); font-size: 12.5px; margin: 12px 0 0; padding-left: 22px; }
.tall { max-height: min(720px, 80vh); overflow: auto; } .tall thead th { position: sticky; top: 0; background: var(--paper); z-index: 1; box-shadow: 0 1px 0 var(--line); }
.sortable td, .sortable th { padding-right: 18px; } .sortable th button { border: 0; background: none; padding: 0; color: inherit; font: inherit; white-space: nowrap; }
.sortable th.num button { text-align: right; } [aria-sort] button::after { content: " ↑"; } [aria-sort=descending] button::after { content: " ↓"; } [aria-sort] { color: var(--ink); }
.sortable .path { overflow-wrap: normal; white-space: nowrap; } .sortable .clip { max-width: 30ch; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; } .badge.plain { background: var(--shade); color: var(--soft); }
.cause { color: var(--soft); font-size: 12.5px; line-height: 1.4; max-width: 44ch; min-width: 24ch; overflow-wrap: anywhere; white-space: pre-line; max-height: 11.2em; overflow: auto; margin-top: 3px; }
tr.marked td { background: var(--leaf-soft); }
.bys { columns: 2 440px; column-gap: 36px; } .by { break-inside: avoid; padding-bottom: 20px; } .by figcaption { margin-bottom: 2px; } .by figcaption span { color: var(--soft); font-weight: 400; font-size: 12.5px; }
.by .name { overflow-wrap: anywhere; min-width: 80px; } .by td { vertical-align: middle; } .plot { width: 42%; min-width: 130px; } td.plot { padding-top: 2px; padding-bottom: 2px; }
th.plot span { font-variant-numeric: tabular-nums; } th.plot span + span { float: right; }
.one { fill: var(--c1); opacity: .35; } .mean { fill: var(--c1); } .whisker { stroke: var(--c1); stroke-width: 2; }
#parallel svg { cursor: pointer; touch-action: pan-x pan-y; } .trial { fill: none; stroke-width: 1.6; stroke-linejoin: round; opacity: .85; } .many .trial { stroke-width: 1.1; opacity: .5; } .picked .trial { opacity: .12; } .picked .trial.hot { opacity: 1; stroke-width: 3.2; }
.upright { stroke: var(--soft); } svg .title { fill: var(--ink); font-weight: 600; font-size: 12px; } svg .halo { paint-order: stroke; stroke: var(--paper); stroke-width: 4px; stroke-linejoin: round; fill: var(--ink); }
i.a2 { background: var(--a2); } #legend { align-items: center; } #legend > i { width: 22px; height: 10px; border-radius: 0; margin: 0 -6px 0 0; } #legend > i + span { margin-left: 8px; }
.curve path { stroke-width: 1.7; } .picked .curve { opacity: .2; } .picked .curve.hot { opacity: 1; } .curve.hot path { stroke-width: 3; }
select { font: inherit; font-size: 13px; color: var(--ink); background: var(--paper); border: 1px solid var(--line); border-radius: 6px; padding: 3px 6px; max-width: 200px; }
@media (max-width: 760px) { .shown { grid-template-columns: repeat(var(--n), minmax(0, 1fr)); gap: 3px; } .shown .of { grid-column: 1 / -1; display: flex; flex-wrap: wrap; gap: 0 10px; margin-top: 6px; }
  .heads { text-align: center; } .heads .of { display: none; } .heads span b { display: block; font-weight: 500; } .heads span i { display: none; } .captions { display: block; } }
@media (max-width: 560px) { .by table, .by thead, .by tbody { display: block; } .by tr { display: grid; grid-template-columns: minmax(0, 1fr) auto 44px; border-bottom: 1px solid var(--line); padding: 4px 0; }
  .by td, .by th { border: 0; padding: 2px 0 2px 8px; } .by .name, .by th:first-child { padding-left: 0; } .by .plot { grid-column: 1 / -1; width: auto; padding: 0; } }
)css";

}  // namespace espalier::report
