/**
 * A run as a page with charts: one file without scripts, which needs no network, light and dark as the reader's system is.
 *
 * Bars show ratios, because ratios are what a run measured well: they begin at the baseline's line (1) and go to the right
 * where a variant is cheaper, to the left where it is dearer, on a logarithmic axis, so that twice and half are equally long.
 * Whiskers reach from the smallest to the largest repetition. The grey band is the noise: the baseline against itself.
 */
import type { BenchDocument, Suite } from './document'
import { figures } from './markdown'
import type { Row } from './report'
import { BENCH_SUITES } from '../../src/cli/commands/bench'

export function pageOf(document: BenchDocument): string {
  const { cpu, cores, node, memoryBytes, versions } = document.machine
  const facts = [
    cpu,
    `${cores} cores`,
    `${figures(memoryBytes / 2 ** 30)} GiB`,
    `Node ${node}`,
    ...Object.entries(versions).map(([name, version]) => `${name} ${version}`),
  ]
  const measured = document.suites.filter(({ rows }) => rows.length > 0)
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>millrace benchmarks</title>
<style>${STYLE}</style>
</head>
<body>
<header>
<h1>millrace benchmarks</h1>
<p>${facts.map(escaped).join(' · ')}</p>
${document.quick ? '<p class="warning">A quick run: it shows that every benchmark works, and its numbers say little else.</p>' : ''}
<p class="legend">All values are costs: less is better. Bars show how many times cheaper (<b class="better">right</b>) or dearer
(<b class="dearer">left</b>) than the baseline, measured in the same repetition; whiskers reach from the smallest to the
largest repetition. The <b class="noise">grey band</b> is the baseline measured against itself: what ends inside it has not been
shown to differ.</p>
<nav>${measured.map(({ suite }) => `<a href="#${escaped(suite)}">${escaped(suite)}</a>`).join(' ')}</nav>
</header>
<main>
${measured.map(sectionOf).join('\n')}
</main>
</body>
</html>
`
}

function sectionOf({ suite, rows, failed }: Suite): string {
  const curves = curvesIn(rows)
  const bars = groupsIn(rows.filter((row) => row.curve === undefined))
  return `<section id="${escaped(suite)}">
<h2>${escaped(suite)}</h2>
<p>${escaped(BENCH_SUITES[suite] ?? '')}</p>
${failed.length > 0 ? `<p class="warning">Not, or not wholly, measured: ${escaped(failed.join(', '))}.</p>` : ''}
${curves.map(curveChart).join('\n')}
${bars.map(barChart).join('\n')}
<details><summary>All ${rows.length} rows</summary><div class="wide">${tableOf(rows)}</div></details>
</section>`
}

// ── Bars ────────────────────────────────────────────────────────────────────────────────────────────────────────────

interface Group {
  readonly baseline: Row | undefined
  readonly rows: readonly Row[]
}

/** Rows by what they are compared with; what is compared with nothing has no bars. */
function groupsIn(rows: readonly Row[]): Group[] {
  const byBaseline = new Map<string, Row[]>()
  for (const row of rows) {
    if (row.baselineName === undefined || row.ratio === undefined) continue
    byBaseline.set(row.baselineName, [...(byBaseline.get(row.baselineName) ?? []), row])
  }
  return [...byBaseline].map(([name, compared]) => ({
    baseline: rows.find((row) => row.name === name),
    rows: compared,
  }))
}

const WIDTH = 860
const LABEL = 170
const VALUE = 190
const LINE = 26
const PLOT = WIDTH - LABEL - VALUE
/** An axis reaches at least so far to both sides of the baseline, and never below this. */
const LEAST_REACH = 1.25
const RATIO_MIN = 1e-6

function barChart({ baseline, rows }: Group): string {
  const shown = rows.filter((row) => row.again !== true)
  const again = rows.find((row) => row.again === true)
  const reached = rows.flatMap(({ ratio, ratioMin, ratioMax }) => [ratio!, ratioMin ?? ratio!, ratioMax ?? ratio!])
  const [lowest, highest] = [
    Math.max(RATIO_MIN, Math.min(1 / LEAST_REACH, ...reached)),
    Math.max(LEAST_REACH, ...reached),
  ]
  const x = (ratio: number): number =>
    LABEL + 8 + (Math.log(Math.max(ratio, RATIO_MIN) / lowest) / Math.log(highest / lowest)) * (PLOT - 16)
  const height = LINE * (shown.length + 1) + 30
  const common = commonPrefix([baseline?.name ?? shown[0]?.baselineName ?? '', ...shown.map(({ name }) => name)])
  const short = (name: string): string => name.slice(common.length)
  const lines = shown.map((row, index) => {
    const y = 18 + LINE * (index + 1)
    const ratio = row.ratio!
    const [from, to] = [x(1), x(ratio)].toSorted((a, b) => a - b) as [number, number]
    const kind = row.differs === false ? 'same' : ratio >= 1 ? 'better' : 'dearer'
    const spread =
      row.ratioMin === undefined || row.ratioMax === undefined
        ? ''
        : `<path class="whisker" d="M${n(x(row.ratioMin))} ${y}H${n(x(row.ratioMax))}M${n(x(row.ratioMin))} ${y - 4}v8M${n(x(row.ratioMax))} ${y - 4}v8"/>`
    return `<g><title>${escaped(titleOf(row))}</title>
<text class="label" x="${LABEL - 8}" y="${y + 4}">${escaped(short(row.name))}</text>
<rect class="${kind}" x="${n(from)}" y="${y - 8}" width="${n(Math.max(1, to - from))}" height="16" rx="2"/>${spread}
<text class="value" x="${WIDTH - VALUE + 6}" y="${y + 4}">${figures(ratio)}x · ${escaped(valueOf(row))}</text></g>`
  })
  const band =
    again?.ratioMin === undefined || again.ratioMax === undefined
      ? ''
      : `<rect class="band" x="${n(x(again.ratioMin))}" y="8" width="${n(Math.max(1, x(again.ratioMax) - x(again.ratioMin)))}" height="${height - 30}"><title>${escaped(titleOf(again))}</title></rect>`
  const ticks = ticksWithin(lowest, highest).map(
    (tick) =>
      `<path class="${tick === 1 ? 'baseline' : 'grid'}" d="M${n(x(tick))} 8V${height - 22}"/><text class="tick" x="${n(x(tick))}" y="${height - 8}">${tick === 1 ? 'baseline' : `${figures(tick)}x`}</text>`,
  )
  const heading = common.replace(/\.$/, '') || (baseline?.name ?? '')
  return `<figure><figcaption>${escaped(heading)}</figcaption>
<div class="wide"><svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escaped(heading)}">
${band}${ticks.join('')}
<text class="label" x="${LABEL - 8}" y="22">${escaped(short(baseline?.name ?? shown[0]?.baselineName ?? ''))}</text>
<text class="value" x="${WIDTH - VALUE + 6}" y="22">${baseline === undefined ? '' : `1x · ${escaped(valueOf(baseline))}`}</text>
${lines.join('\n')}
</svg></div></figure>`
}

/** 1, and round ratios to both sides, as many as have room. */
function ticksWithin(lowest: number, highest: number): number[] {
  const range = highest / lowest
  const steps =
    range > 1_000
      ? [10, 100, 1_000, 10_000, 100_000]
      : range > 15
        ? [2, 5, 10, 20, 50, 100, 200, 500]
        : range > 3
          ? [1.5, 2, 3, 5, 10]
          : [1.1, 1.25, 1.5, 2]
  // Labels of ratios that are close to each other would overlap.
  const apart =
    range > 60 && range <= 1_000
      ? steps.filter((step) => String(step).startsWith('1') || String(step).startsWith('5'))
      : steps
  return [...apart.map((step) => 1 / step).toReversed(), 1, ...apart].filter(
    (tick) => tick >= lowest && tick <= highest,
  )
}

/** The names' common beginning, up to a dot. */
function commonPrefix(names: readonly string[]): string {
  let prefix = names[0] ?? ''
  for (const name of names) while (!name.startsWith(prefix)) prefix = prefix.slice(0, -1)
  return prefix.slice(0, prefix.lastIndexOf('.') + 1)
}

// ── Curves ──────────────────────────────────────────────────────────────────────────────────────────────────────────

interface Curves {
  readonly title: string
  readonly unit: string
  readonly lines: readonly { readonly name: string; readonly points: readonly Row[] }[]
}

/** Curves that belong together: those whose names differ in the last part alone. */
function curvesIn(rows: readonly Row[]): Curves[] {
  const lines = new Map<string, Row[]>()
  for (const row of rows) {
    if (row.curve === undefined || row.at === undefined || row.again === true) continue
    lines.set(row.curve, [...(lines.get(row.curve) ?? []), row])
  }
  const charts = new Map<string, { name: string; points: Row[] }[]>()
  for (const [curve, points] of lines) {
    const dot = curve.lastIndexOf('.')
    const title = curve.slice(0, dot)
    const line = { name: curve.slice(dot + 1), points: points.toSorted((a, b) => a.at! - b.at!) }
    charts.set(title, [...(charts.get(title) ?? []), line])
  }
  return [...charts].map(([title, of]) => ({ title, unit: of[0]!.points[0]!.unit, lines: of }))
}

const CURVE = { width: 860, height: 300, left: 80, right: 110, top: 16, bottom: 40 }

function curveChart({ title, unit, lines }: Curves): string {
  const { width, height, left, right, top, bottom } = CURVE
  const points = lines.flatMap((line) => line.points)
  const places = points.map(({ at }) => at!)
  const [fromX, toX] = [Math.min(...places), Math.max(...places, Math.min(...places) * 10)]
  const [fromY, toY] = [
    Math.min(...points.map(({ min }) => Math.max(min, 1e-3))),
    Math.max(...points.map(({ max }) => max)),
  ]
  const scale = (value: number, from: number, to: number, start: number, end: number): number =>
    start + ((Math.log(value) - Math.log(from)) / Math.max(Math.log(to) - Math.log(from), 1e-9)) * (end - start)
  const x = (value: number): number => scale(value, fromX, toX, left, width - right)
  const y = (value: number): number => scale(Math.max(value, 1e-3), fromY / 1.2, toY * 1.2, height - bottom, top)
  const columns = [...new Set(places)].map(
    (place) =>
      `<path class="grid" d="M${n(x(place))} ${top}V${height - bottom}"/><text class="tick" x="${n(x(place))}" y="${height - bottom + 18}">${figures(place)}</text>`,
  )
  const levels = powersWithin(fromY / 1.2, toY * 1.2).map(
    (level) =>
      `<path class="grid" d="M${left} ${n(y(level))}H${width - right}"/><text class="tick end" x="${left - 8}" y="${n(y(level) + 4)}">${figures(level)}</text>`,
  )
  const drawn = lines.map(({ name, points: of }, index) => {
    const path = of.map((row, at) => `${at === 0 ? 'M' : 'L'}${n(x(row.at!))} ${n(y(row.value))}`).join('')
    const dots = of
      .map(
        (row) =>
          `<g><title>${escaped(`${name}, ${row.at!}: ${titleOf(row)}`)}</title><path class="whisker" d="M${n(x(row.at!))} ${n(y(row.min))}V${n(y(row.max))}"/><circle class="line${index % 4}" cx="${n(x(row.at!))}" cy="${n(y(row.value))}" r="4"/></g>`,
      )
      .join('')
    const last = of.at(-1)!
    return `<path class="line line${index % 4}" d="${path}"/>${dots}<text class="name" x="${n(x(last.at!) + 10)}" y="${n(y(last.value) + 4)}">${escaped(name)}</text>`
  })
  return `<figure><figcaption>${escaped(title)} <small>${escaped(unit)}, both axes logarithmic</small></figcaption>
<div class="wide"><svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escaped(title)}">
${columns.join('')}${levels.join('')}${drawn.join('')}
</svg></div></figure>`
}

/** 1, 2 and 5 times powers of ten, as many as fit. */
function powersWithin(from: number, to: number): number[] {
  const all: number[] = []
  for (let power = Math.floor(Math.log10(from)); power <= Math.ceil(Math.log10(to)); power++) {
    for (const step of to / from > 100 ? [1] : [1, 2, 5]) all.push(step * 10 ** power)
  }
  return all.filter((value) => value >= from && value <= to)
}

// ── Text ────────────────────────────────────────────────────────────────────────────────────────────────────────────

function tableOf(rows: readonly Row[]): string {
  const cells = rows.map(({ name, value, unit, min, max, baseline, ratio, ratioMin, ratioMax, again, differs }) => {
    const says = again === true ? 'noise' : differs === false ? 'no difference shown' : ''
    const numbers = [value, min, max, baseline, ratio, ratioMin, ratioMax].map((number) =>
      number === undefined ? '' : figures(number),
    )
    const [first, ...rest] = numbers
    return `<tr><td>${escaped(name)}</td><td>${first!}</td><td>${escaped(unit)}</td>${rest.map((cell) => `<td>${cell}</td>`).join('')}<td>${says}</td></tr>`
  })
  const head = ['name', 'value', 'unit', 'min', 'max', 'baseline', 'ratio', 'from', 'to', '']
  return `<table><thead><tr>${head.map((title) => `<th>${title}</th>`).join('')}</tr></thead><tbody>${cells.join('')}</tbody></table>`
}

function titleOf(row: Row): string {
  const { ratio, ratioMin, ratioMax, min, max, unit } = row
  const range = `${valueOf(row)} (${figures(min)} to ${figures(max)} ${unit})`
  if (ratio === undefined) return range
  const spread = ratioMin === undefined ? '' : ` (${figures(ratioMin)} to ${figures(ratioMax ?? ratio)})`
  return `${range}; ${figures(ratio)}x${spread}`
}

function valueOf({ value, unit }: Row): string {
  return `${figures(value)} ${unit}`
}

function n(value: number): string {
  return String(Math.round(value * 10) / 10)
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`)
}

const STYLE = `
:root { color-scheme: light dark; --ink: #1c2330; --soft: #5c6675; --paper: #fff; --panel: #f6f7f9; --rule: #dfe3e8;
  --better: #1f6feb; --dearer: #d9730d; --same: #9aa4b2; --a: #1f6feb; --b: #d9730d; --c: #2a9d6f; --d: #8250df }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --soft: #9aa4b2; --paper: #14181f; --panel: #1b212a; --rule: #303844;
  --better: #5aa2ff; --dearer: #f0954a; --same: #6b7685; --a: #5aa2ff; --b: #f0954a; --c: #55c79a; --d: #b18cff } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 960px; padding: 32px 24px 64px; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif }
h1 { font-size: 26px; margin: 0 0 4px } h2 { font-size: 20px; margin: 40px 0 4px; padding-top: 16px; border-top: 1px solid var(--rule) }
p { margin: 4px 0; color: var(--soft) } .legend { margin-top: 12px } .warning { color: var(--dearer) }
b.better { color: var(--better) } b.dearer { color: var(--dearer) } b.noise { color: var(--soft) }
nav { margin-top: 12px } nav a { margin-right: 12px; color: var(--better); text-decoration: none }
figure { margin: 16px 0; padding: 12px 16px; background: var(--panel); border-radius: 8px }
figcaption { font-weight: 600 } small { font-weight: 400; color: var(--soft) }
.wide { overflow-x: auto } svg { display: block; width: 100%; min-width: 640px; height: auto; font-size: 12px }
text { fill: var(--ink) } .label, .end { text-anchor: end } .tick { fill: var(--soft); text-anchor: middle; font-size: 11px }
.tick.end { text-anchor: end } .value { font-variant-numeric: tabular-nums; fill: var(--soft) }
rect.better { fill: var(--better) } rect.dearer { fill: var(--dearer) } rect.same { fill: var(--same) }
.band { fill: var(--same); opacity: .25 } .grid { stroke: var(--rule); fill: none } .baseline { stroke: var(--ink); stroke-width: 1.5; fill: none }
.whisker { stroke: var(--ink); fill: none; opacity: .7 } path.line { fill: none; stroke-width: 2 }
path.line0 { stroke: var(--a) } path.line1 { stroke: var(--b) } path.line2 { stroke: var(--c) } path.line3 { stroke: var(--d) }
circle.line0 { fill: var(--a) } circle.line1 { fill: var(--b) } circle.line2 { fill: var(--c) } circle.line3 { fill: var(--d) }
details { margin-top: 8px } summary { cursor: pointer; color: var(--soft) }
table { border-collapse: collapse; font-size: 12px; font-variant-numeric: tabular-nums; margin-top: 8px }
td, th { padding: 3px 8px; border-bottom: 1px solid var(--rule); text-align: right; white-space: nowrap }
td:first-child, th:first-child, td:nth-child(3), th:nth-child(3), td:last-child { text-align: left }
`
