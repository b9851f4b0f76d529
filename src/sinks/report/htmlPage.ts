/**
 * The page of a report, in pieces: one file that asks no host for anything.
 *
 * Every text goes through {@link escapeHtml}, or through JSON that a script element can hold; the page's policy allows the
 * two scripts and the one style sheet that are named by their hashes, and nothing else.
 */
import type { LatencyHistogram } from '../../metrics/histogram'
import type { LatencyLook, RunLook } from '../runLook'
import { histogramSvg } from '../../page/histogramSvg'
import { harmless, microsecondsText } from '../../page/numbers'
import { pageData } from './pageData'
import type { PageParts } from './pageParts'
import type { ReportModel } from './reportModel'
import type { ReportSection, ReportTable, ReportText, SectionId } from './sections'

export function* htmlPage(
  text: ReportText,
  model: ReportModel,
  run: RunLook | undefined,
  parts: PageParts,
): Iterable<string> {
  yield head(text.title, parts)
  yield* top(text)
  for (const section of text.sections) {
    yield `<section id="${section.id}"><h2>${escapeHtml(section.title)}</h2>`
    yield* body(section)
    yield* chartsOf(section.id, model, run)
    yield '</section>\n'
  }
  yield '</main>\n<footer>millrace report. All times are UTC. Charts are drawn with uPlot (MIT), © Leon Sorokin.</footer>\n'
  yield '<script type="application/json" id="data">'
  yield* pageData(model)
  yield '</script>\n'
  for (const script of parts.scripts) yield `<script>${script}</script>\n`
  yield '</body></html>\n'
}

/** A text as it stands between tags or in a quoted attribute. */
export function escapeHtml(text: string): string {
  return harmless(text).replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`)
}

function head(title: string, { policy, style }: PageParts): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<link rel="icon" href="data:,">
<title>${escapeHtml(title)}</title>
<style>${style}</style>
</head>
<body>
<a class="skip" href="#instruments">Skip to the instruments</a>
`
}

function* top({ title, verdict, figures, sections }: ReportText): Iterable<string> {
  yield `<header>\n<h1>${escapeHtml(title)}</h1>\n<ul class="verdict">`
  for (const { text, good } of verdict) {
    yield `<li class="${good === undefined ? 'plain' : good ? 'good' : 'bad'}">${escapeHtml(text)}</li>`
  }
  yield '</ul>\n<dl class="figures">'
  for (const { label, value } of figures) {
    yield `<div><dt>${escapeHtml(label)}</dt><dd>${escapeHtml(value)}</dd></div>`
  }
  yield '</dl>\n</header>\n<nav aria-label="Sections"><ul>'
  for (const section of sections) yield `<li><a href="#${section.id}">${escapeHtml(section.title)}</a></li>`
  yield '</ul></nav>\n<main>\n'
}

function* body({ sentences, tables }: ReportSection): Iterable<string> {
  for (const sentence of sentences) yield `<p>${escapeHtml(sentence)}</p>`
  for (const table of tables) if (table.rows.length > 0) yield* tableOf(table)
}

function* tableOf({ title, head: columns, numeric, rows, bad }: ReportTable): Iterable<string> {
  const named = title === undefined ? '' : `<h3>${escapeHtml(title)}</h3>`
  const shape = columns.length <= 3 ? ' class="narrow"' : ''
  yield `${named}<div class="scroll" tabindex="0" role="region" aria-label="${escapeHtml(title ?? columns.join(', '))}"><table${shape}><thead><tr>`
  const classes = columns.map((column) => (numeric.includes(column) ? 'number' : LONG.has(column) ? 'long' : ''))
  const classed = (tag: string, column: number): string =>
    classes[column] === '' ? `<${tag}>` : `<${tag} class="${classes[column]}">`
  for (const [column, name] of columns.entries()) yield `${classed('th', column)}${escapeHtml(name)}</th>`
  yield '</tr></thead><tbody>'
  for (const [index, cells] of rows.entries()) {
    const tds = cells.map((cell, column) => `${classed('td', column)}${escapeHtml(cell)}</td>`)
    yield `<tr${bad?.has(index) === true ? ' class="bad"' : ''}>${tds.join('')}</tr>`
  }
  yield '</tbody></table></div>'
}

/** Columns of sentences, which may be broken into lines. */
const LONG: ReadonlySet<string> = new Set(['what', 'details', 'the latest', 'the last fault', 'trouble'])

function* chartsOf(section: SectionId, model: ReportModel, run: RunLook | undefined): Iterable<string> {
  if (section === 'instruments' && model.instruments.size > 0) {
    yield `<div id="charts"><div class="pick"><label for="pick">Charts of</label><select id="pick"></select><button id="before" type="button" aria-label="The instrument before">◀</button><button id="next" type="button" aria-label="The next instrument">▶</button></div>`
    yield '<noscript><p>Charts need JavaScript; the tables do not.</p></noscript><div class="charts">'
    yield figure('price', 'Price', 'wide', 300)
    yield figure('heat', 'Depth by price over time', 'wide')
    yield figure('spread', 'Spread')
    yield figure('bars', 'Bars')
    yield figure('dislocation', 'Crossed between exchanges')
    yield figure('across', 'Across exchanges', 'wide')
    yield '</div></div>'
  }
  if (section === 'latency') yield* histograms(model, run)
  if (section === 'process') {
    yield '<div class="charts three">'
    yield figure('cpu', 'CPU', '', 190)
    yield figure('rss', 'Memory', '', 190)
    yield figure('loop', 'Event-loop delay', '', 190)
    yield '</div>'
  }
}

function figure(id: string, title: string, kind = '', height?: number): string {
  const tall = height === undefined ? '' : ` data-height="${height}"`
  return `<figure id="chart-${id}"${kind === '' ? '' : ` class="${kind}"`} hidden><figcaption>${title} <small></small></figcaption><div class="plot"${tall}></div>${id === 'heat' ? '<div class="reading" role="status"></div>' : ''}</figure>`
}

function* histograms(model: ReportModel, run: RunLook | undefined): Iterable<string> {
  const ofExchanges = [...model.exchangeToReceive].map(([exchange, histogram]): [string, LatencyLook] => [
    `${exchange}: its own time → receive`,
    lookOf(histogram),
  ])
  const toSink = run?.receiveToSink
  const all = toSink === undefined ? ofExchanges : [['receive → safe at a sink', toSink] as const, ...ofExchanges]
  yield '<div class="histograms">'
  for (const [what, { count, p50, p99, buckets }] of all) {
    if (count === 0) continue
    const marks = [
      { label: `p50 ${microsecondsText(p50)}`, us: p50 },
      { label: `p99 ${microsecondsText(p99)}`, us: p99 },
    ]
    yield `<figure><figcaption>${escapeHtml(what)}</figcaption>${histogramSvg(buckets, marks)}</figure>`
  }
  yield '</div>'
}

function lookOf(histogram: LatencyHistogram): LatencyLook {
  return { ...histogram.summary(), buckets: histogram.buckets() }
}
