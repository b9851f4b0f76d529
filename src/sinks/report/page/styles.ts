/** How the page looks: on a wide screen, on a phone, on paper; light and dark. */
export const PAGE_STYLES = `
:root {
  color-scheme: light dark;
  --paper: #f6f7f9; --panel: #ffffff; --ink: #1b2230; --muted: #5c6675; --line: #dfe3e9; --grid: #eceff3;
  --accent: #1f6fd6; --band: rgba(31, 111, 214, .18); --up: #14855a; --down: #c4373a; --point: #d9822b;
  --good: #14855a; --bad: #b3261e; --bad-panel: #fdecea; --heat-line: #e8590c;
}
@media (prefers-color-scheme: dark) {
  :root:not([data-theme='light']) {
    --paper: #0d1118; --panel: #141a24; --ink: #e4e8ef; --muted: #98a3b3; --line: #283142; --grid: #1f2735;
    --accent: #6aa9ff; --band: rgba(106, 169, 255, .2); --up: #3ecf8e; --down: #ff6b6b; --point: #ffb454;
    --good: #3ecf8e; --bad: #ff8a80; --bad-panel: #2c1a1d; --heat-line: #5ce1e6;
  }
}
:root[data-theme='light'] { color-scheme: light; }
* { box-sizing: border-box; }
html { scroll-padding-top: 3.2rem; -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 14px/1.5 system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif;
}
header, main, footer { max-width: 1320px; margin: 0 auto; padding: 0 20px; }
header { padding-top: 22px; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 10px; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 0 0 8px; }
h3 { font-size: .95rem; margin: 18px 0 6px; }
p { margin: 0 0 8px; color: var(--muted); }
a { color: var(--accent); }
.skip { position: absolute; left: -999px; }
.skip:focus { left: 8px; top: 8px; background: var(--panel); padding: 6px 10px; z-index: 3; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 3px; }
.verdict { list-style: none; margin: 0 0 14px; padding: 0; display: flex; flex-wrap: wrap; gap: 6px 18px; }
.verdict li::before { content: '\\2022'; color: var(--muted); margin-right: 7px; }
.verdict li.good::before { content: '\\2713'; color: var(--good); font-weight: 700; }
.verdict li.bad { color: var(--bad); font-weight: 600; }
.verdict li.bad::before { content: '\\2717'; color: var(--bad); }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(214px, 1fr)); gap: 8px; margin: 0 0 14px; }
.figures div { background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: 7px 12px; }
.figures dt { color: var(--muted); font-size: .8rem; }
.figures dd { margin: 0; font-weight: 600; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
nav { position: sticky; top: 0; z-index: 2; background: var(--paper); border-bottom: 1px solid var(--line); }
nav ul {
  max-width: 1320px; margin: 0 auto; padding: 8px 20px; list-style: none; display: flex; gap: 4px 18px;
  overflow-x: auto; white-space: nowrap;
}
nav a { text-decoration: none; }
nav a:hover { text-decoration: underline; }
section {
  background: var(--panel); border: 1px solid var(--line); border-radius: 10px; padding: 16px 18px; margin: 18px 0;
}
.scroll { overflow-x: auto; margin: 0 -4px; padding: 0 4px 4px; max-height: 40rem; overflow-y: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
table.narrow { width: auto; min-width: min(24rem, 100%); }
th, td { text-align: left; padding: 4px 14px 4px 0; border-bottom: 1px solid var(--grid); vertical-align: top; }
th {
  color: var(--muted); font-weight: 600; font-size: .8rem; position: sticky; top: 0; background: var(--panel);
  vertical-align: bottom; white-space: nowrap;
}
td { white-space: nowrap; unicode-bidi: isolate; }
td.long { white-space: normal; min-width: 22rem; overflow-wrap: anywhere; }
th.number, td.number { text-align: right; }
tr:last-child td { border-bottom: 0; }
tr.bad td { background: var(--bad-panel); }
.pick { display: flex; flex-wrap: wrap; align-items: center; gap: 8px; margin: 18px 0 4px; font-weight: 600; }
.pick select, .pick button {
  font: inherit; color: inherit; background: var(--panel); border: 1px solid var(--line); border-radius: 6px;
  padding: 5px 10px; max-width: 100%;
}
.charts { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 6px 26px; }
.charts.three { grid-template-columns: repeat(3, minmax(0, 1fr)); }
figure { margin: 10px 0 0; min-width: 0; break-inside: avoid; }
figure.wide { grid-column: 1 / -1; }
figcaption { font-weight: 600; }
figcaption small { color: var(--muted); font-weight: 400; }
.plot { width: 100%; min-width: 0; position: relative; }
.plot canvas.heat { display: block; width: 100%; height: 340px; cursor: crosshair; }
.reading { color: var(--muted); min-height: 1.5em; font-variant-numeric: tabular-nums; font-size: .85rem; }
.uplot { width: 100%; font-family: inherit; }
.u-legend { font-size: .8rem; text-align: left; color: var(--muted); }
.u-legend th, .u-legend td { padding: 0 4px; border: 0; position: static; background: none; font-size: inherit; }
.u-legend.u-inline .u-series > * { padding: 0 3px; }
.u-legend .u-value { color: var(--ink); white-space: nowrap; }
.u-select { background: var(--band); }
.histograms { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(300px, 100%), 1fr)); gap: 14px 26px; margin-top: 10px; }
.histogram { width: 100%; height: auto; display: block; }
.histogram rect { fill: var(--accent); }
.histogram line { stroke: var(--line); }
.histogram text { fill: var(--muted); font: 10px system-ui, sans-serif; }
.histogram .mark { stroke: var(--point); stroke-dasharray: 3 3; }
footer { color: var(--muted); font-size: .8rem; padding-bottom: 30px; }
@media (max-width: 760px) {
  header, main, footer { padding-left: 12px; padding-right: 12px; }
  nav ul { padding-left: 12px; padding-right: 12px; }
  section { padding: 12px; border-radius: 8px; }
  .charts, .charts.three { grid-template-columns: minmax(0, 1fr); }
  .figures { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .plot canvas.heat { height: 260px; }
  td.long { min-width: 14rem; }
}
@media print {
  body { background: #fff; font-size: 11px; }
  nav, .skip, .pick button { display: none; }
  section { border: 0; padding: 0; break-inside: auto; }
  h2, h3, tr, figure { break-inside: avoid; break-after: auto; }
  h2, h3 { break-after: avoid; }
  .scroll { overflow: visible; max-height: none; }
  td { white-space: normal; overflow-wrap: anywhere; }
  td.long { min-width: 0; }
}
`
