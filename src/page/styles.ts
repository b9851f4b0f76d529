/** How every page looks: its colours by light and dark, text, tables, charts. */
export const BASE_STYLES = `
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
p { margin: 0 0 8px; color: var(--muted); }
a { color: var(--accent); }
.skip { position: absolute; left: -999px; }
.skip:focus { left: 8px; top: 8px; background: var(--panel); padding: 6px 10px; z-index: 3; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 3px; }
.scroll { overflow-x: auto; margin: 0 -4px; padding: 0 4px 4px; max-height: 40rem; overflow-y: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 4px 14px 4px 0; border-bottom: 1px solid var(--grid); vertical-align: top; }
th {
  color: var(--muted); font-weight: 600; font-size: .8rem; position: sticky; top: 0; background: var(--panel);
  vertical-align: bottom; white-space: nowrap;
}
td { white-space: nowrap; unicode-bidi: isolate; }
th.number, td.number { text-align: right; }
tr:last-child td { border-bottom: 0; }
tr.bad td { background: var(--bad-panel); }
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
.histogram { width: 100%; height: auto; display: block; }
.histogram rect { fill: var(--accent); }
.histogram line { stroke: var(--line); }
.histogram text { fill: var(--muted); font: 10px system-ui, sans-serif; }
.histogram .mark { stroke: var(--point); stroke-dasharray: 3 3; }
`
