/** How a report looks beside what all pages have: on a wide screen, on a phone, on paper. */
export const REPORT_STYLES = `
header, main, footer { max-width: 1320px; margin: 0 auto; padding: 0 20px; }
header { padding-top: 22px; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 10px; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 0 0 8px; }
h3 { font-size: .95rem; margin: 18px 0 6px; }
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
table.narrow { width: auto; min-width: min(24rem, 100%); }
td.long { white-space: normal; min-width: 22rem; overflow-wrap: anywhere; }
.pick { display: flex; flex-wrap: wrap; align-items: center; gap: 8px; margin: 18px 0 4px; font-weight: 600; }
.pick select, .pick button {
  font: inherit; color: inherit; background: var(--panel); border: 1px solid var(--line); border-radius: 6px;
  padding: 5px 10px; max-width: 100%;
}
.charts { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 6px 26px; }
.charts.three { grid-template-columns: repeat(3, minmax(0, 1fr)); }
.histograms { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(300px, 100%), 1fr)); gap: 14px 26px; margin-top: 10px; }
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
