/** How the dashboard looks beside what all pages have: dense and still, on a wide screen and on a phone. */
export const DASHBOARD_STYLES = `
:root { --warn: #9a5b00; --warn-panel: #fdf3e0; --chosen: rgba(31, 111, 214, .14); --bid-bar: rgba(20, 133, 90, .2); --ask-bar: rgba(196, 55, 58, .18); }
@media (prefers-color-scheme: dark) {
  :root { --warn: #ffb454; --warn-panel: #2b2314; --chosen: rgba(106, 169, 255, .18); --bid-bar: rgba(62, 207, 142, .2); --ask-bar: rgba(255, 107, 107, .2); }
}
html { scroll-padding-top: 3.4rem; }
body { font-size: 13px; line-height: 1.4; }
button {
  font: inherit; color: inherit; background: var(--panel); border: 1px solid var(--line); border-radius: 6px; padding: 3px 11px;
  cursor: pointer;
}
button:hover { border-color: var(--muted); }
header, main, footer { max-width: 1760px; margin: 0 auto; padding: 0 16px; }
header { padding-top: 10px; }
.titles {
  display: flex; flex-wrap: wrap; align-items: center; gap: 4px 12px; position: sticky; top: 0; min-height: 2.4rem;
}
h1 { font-size: 1.25rem; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1rem; margin: 0 0 8px; }
h2:focus-visible { outline-offset: 4px; }
section { background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: 12px 14px; margin: 0 0 12px; min-width: 0; }
.chip, .chips li { border: 1px solid var(--line); border-radius: 999px; padding: 1px 9px; color: var(--muted); }
.chips { list-style: none; display: flex; flex-wrap: wrap; gap: 6px; margin: 0 0 8px; padding: 0; }
.chips:empty { display: none; }
.connection { font-weight: 600; }
.connection::before { content: ''; display: inline-block; width: 8px; height: 8px; border-radius: 50%; margin-right: 6px; background: var(--muted); }
.connection[data-state='open']::before { background: var(--good); }
.connection[data-state='lost'] { color: var(--bad); }
.connection[data-state='lost']::before { background: var(--bad); }
.connection[data-state='paused']::before { background: var(--warn); }
.elapsed { color: var(--muted); font-variant-numeric: tabular-nums; }
.buttons { margin-left: auto; display: flex; gap: 6px; }
.health { border-radius: 6px; padding: 5px 10px; margin: 6px 0 0; border: 1px solid var(--line); border-left: 4px solid var(--good); background: var(--panel); height: calc(2.8em + 12px); overflow-y: auto; display: grid; align-content: safe center; }
.health[data-level='degraded'] { border-left-color: var(--warn); background: var(--warn-panel); }
.health[data-level='unhealthy'] { border-left-color: var(--bad); background: var(--bad-panel); }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(118px, 1fr)); gap: 1px; margin: 8px 0 12px; background: var(--line); border: 1px solid var(--line); border-radius: 8px; overflow: hidden; }
.figures div { background: var(--panel); padding: 5px 10px; min-width: 0; }
.figures dt { color: var(--muted); font-size: .85rem; white-space: nowrap; }
.figures dd { margin: 0; font-size: 1.1rem; font-weight: 600; font-variant-numeric: tabular-nums; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.figures dd.bad { color: var(--bad); }
body.stale main, body.stale .figures { opacity: .55; }
.pair { display: grid; grid-template-columns: minmax(0, 11fr) minmax(0, 9fr); gap: 12px; align-items: stretch; }
.bar { display: flex; gap: 10px; align-items: center; margin: 0 0 6px; }
.bar input {
  font: inherit; color: inherit; background: var(--paper); border: 1px solid var(--line); border-radius: 6px; padding: 4px 9px;
  flex: 1 1 auto; min-width: 0; max-width: 22rem;
}
.count { color: var(--muted); margin-left: auto; white-space: nowrap; font-variant-numeric: tabular-nums; }
.grid-view { height: 556px; overflow: auto; container-type: inline-size; overflow-anchor: none; border: 1px solid var(--grid); border-radius: 6px; }
.grid-view table { table-layout: fixed; }
.grid-view table:focus-visible { outline-offset: -2px; }
.grid-view th { padding: 0; z-index: 1; box-shadow: inset 0 -1px var(--grid); border: 0; }
.grid-view th button { width: 100%; border: 0; border-radius: 0; background: none; padding: 5px; font-weight: 600; font-size: 11px; text-align: inherit; color: var(--muted); white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.grid-view th[aria-sort='ascending'] button::after { content: ' ↓' / ''; }
.grid-view th[aria-sort='descending'] button::after { content: ' ↑' / ''; }
.grid-view th:not([aria-sort='none']) button { color: var(--ink); }
.grid-view td { height: 27px; padding: 0 5px; overflow: hidden; text-overflow: ellipsis; vertical-align: middle; }
.grid-view .space td { padding: 0; border: 0; }
.grid-view tbody tr { cursor: pointer; }
.grid-view tbody tr:hover td { background: var(--grid); }
.grid-view tr.active td { box-shadow: inset 0 1px var(--accent), inset 0 -1px var(--accent); }
.grid-view tr[aria-selected='true'] td { background: var(--chosen); }
.grid-view .name { width: 15%; }
.grid-view td.name { font-weight: 600; }
.grid-view .exchange { width: 12.5%; }
.grid-view .state { width: 7.6%; }
.grid-view .rate { width: 8%; }
.grid-view .age { width: 6.5%; }
.grid-view .bid, .grid-view .ask { width: 10%; }
.grid-view .spread { width: 9%; }
.grid-view .gaps { width: 5.5%; }
.grid-view .resyncs { width: 8%; }
.grid-view tr[data-book='live'] .state { color: var(--good); }
.grid-view tr[data-book='waiting'] .state { color: var(--muted); }
.grid-view tr[data-book='gap'] .state, .grid-view tr[data-book='down'] .state { color: var(--bad); font-weight: 600; }
.grid-view tr[data-book='stale'] .state { color: var(--warn); font-weight: 600; }
.grid-view tr[data-old='true'] .age { color: var(--warn); }
.chosen { font-weight: 600; color: var(--ink); margin: 0; min-height: 1.4em; }
.why { color: var(--warn); margin: 0; min-height: 1.4em; }
.book-parts { display: grid; grid-template-columns: minmax(250px, 2fr) minmax(0, 3fr); gap: 16px; align-items: start; }
.ladder { table-layout: fixed; }
.ladder th { text-align: center; position: static; padding: 3px 6px; }
.ladder td { height: 21px; padding: 0 6px; border-color: transparent; }
.ladder .price { text-align: center; font-weight: 600; }
.ladder tr.ask .price { color: var(--down); }
.ladder tr.bid .price { color: var(--up); }
.ladder .size.bid { text-align: right; }
.ladder .size.ask { text-align: left; }
.ladder tr.bid .size.bid { background: linear-gradient(to left, var(--bid-bar) var(--share, 0%), transparent var(--share, 0%)); }
.ladder tr.ask .size.ask { background: linear-gradient(to right, var(--ask-bar) var(--share, 0%), transparent var(--share, 0%)); }
.ladder .spread { text-align: center; color: var(--muted); background: var(--paper); white-space: pre; overflow: hidden; text-overflow: ellipsis; }
figure.heat { margin: 0; }
figure.heat .plot { min-height: 470px; }
.plot canvas.heat { height: 470px; }
.reading { min-height: 3em; }
.graph { overflow-x: auto; padding-bottom: 6px; }
.graph svg { display: block; max-width: none; }
.node .box { fill: var(--paper); stroke: var(--line); stroke-width: 1.2; }
.node text { fill: var(--ink); font: 11px system-ui, sans-serif; font-variant-numeric: tabular-nums; }
.node .name { font-weight: 600; font-size: 12px; }
.node .rate, .node .waits { fill: var(--muted); }
.node.sink .end { stroke: var(--muted); stroke-width: 1.5; fill: none; }
.node .groove { fill: var(--grid); }
.node .fill { fill: var(--accent); }
.node[data-full='filling'] .fill { fill: var(--warn); }
.node[data-full='full'] .fill { fill: var(--bad); }
.node[data-trouble='true'] .waits { fill: var(--bad); font-weight: 600; }
.node[data-state='restarting'] .box { stroke: var(--warn); fill: var(--warn-panel); }
.node[data-state='failed'] .box, .node[data-state='stopped'] .box { stroke: var(--bad); fill: var(--bad-panel); }
.node[data-state='ended'] .box { stroke-dasharray: 4 3; }
.edge { fill: none; stroke: var(--line); stroke-width: 1.6; }
.edge.feedback { stroke-dasharray: 4 4; }
.edge[data-full='filling'] { stroke: var(--warn); }
.edge[data-full='full'] { stroke: var(--bad); }
details { margin-top: 8px; }
summary { cursor: pointer; color: var(--muted); width: max-content; max-width: 100%; }
.scroll { max-height: 22rem; margin: 0; padding: 0; }
.scroll[data-empty]:not([data-empty=''])::after { content: attr(data-empty); color: var(--muted); display: block; padding-top: 6px; }
.scroll td, .scroll th { padding: 3px 12px 3px 0; }
.scroll th { font-size: 12px; }
.scroll td.long { white-space: normal; min-width: 18rem; overflow-wrap: anywhere; }
tr.warn td { background: var(--warn-panel); }
.charts { display: grid; grid-template-columns: repeat(4, minmax(0, 1fr)); gap: 6px 22px; }
.charts + .charts { grid-template-columns: repeat(2, minmax(0, 1fr)); margin-top: 8px; }
figure { margin: 0; }
.plot[data-height='170'] { min-height: 204px; }
.u-legend { min-height: 1.6em; }
.histogram { max-width: 460px; }
.histogram-box { min-height: 150px; color: var(--muted); }
dialog { color: var(--ink); background: var(--panel); border: 1px solid var(--line); border-radius: 10px; padding: 18px 22px; max-width: min(38rem, calc(100vw - 24px)); }
dialog::backdrop { background: rgba(0, 0, 0, .45); }
dialog dl { display: grid; grid-template-columns: max-content 1fr; gap: 6px 18px; margin: 0 0 14px; }
dialog dt { font-weight: 600; }
dialog dd { margin: 0; color: var(--muted); }
footer { color: var(--muted); padding-bottom: 24px; }
@container (min-width: 500px) and (max-width: 800px) {
  .grid-view :is(.levels, .resyncs) { display: none; }
  .grid-view .name { width: 18%; }
  .grid-view .exchange { width: 16.5%; }
  .grid-view .state { width: 8%; }
  .grid-view .rate, .grid-view .spread { width: 9.5%; }
}
@media (max-width: 1240px) {
  .pair { grid-template-columns: minmax(0, 1fr); gap: 0; }
  .grid-view { height: 420px; }
  .charts { grid-template-columns: repeat(2, minmax(0, 1fr)); }
}
@media (max-width: 760px) {
  .health { height: calc(5.6em + 12px); }
  header, main, footer { padding-left: 8px; padding-right: 8px; }
  section { padding: 10px; }
  .figures { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .figures div { padding: 3px 10px; display: flex; justify-content: space-between; align-items: baseline; gap: 8px; }
  .figures dd { font-size: 1rem; }
  .grid-view { height: 380px; }
  .grid-view :is(.age, .gaps, .resyncs, .levels, .state, .rate) { display: none; }
  .grid-view td { font-size: 11.5px; }
  .grid-view .name { width: 29%; }
  .grid-view .exchange { width: 20%; }
  .grid-view .bid, .grid-view .ask { width: 19%; }
  .grid-view .spread { width: 13%; }
  .grid-view td, .grid-view th button { padding-left: 3px; padding-right: 3px; }
  .grid-view tr[data-book='gap'] .name, .grid-view tr[data-book='down'] .name { color: var(--bad); }
  .book-parts, .charts, .charts + .charts { grid-template-columns: minmax(0, 1fr); }
  .plot canvas.heat, figure.heat .plot { height: 300px; min-height: 300px; }
  dialog dl { grid-template-columns: minmax(0, 1fr); gap: 0; }
  dialog dd { margin-bottom: 8px; }
}
@media (prefers-reduced-motion: no-preference) {
  body.stale main, body.stale .figures { transition: opacity .3s; }
}
`
