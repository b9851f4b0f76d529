/** The tables of exchanges, sinks and faults. */
import { bytesText, countText, harmless, NONE, timeText } from '../../page/numbers'
import { element, FilledTable, section } from './dom'
import type { LiveState } from './liveState'
import { ageText, rateText } from './texts'

interface Standing {
  rows: number
  live: number
  repair: number
  gaps: number
  rate: number
  lastMs: number
}

export class Exchanges {
  readonly element: HTMLElement
  private readonly table = new FilledTable(
    'Exchanges',
    ['exchange', 'connections', 'books live#', 'in repair#', 'gaps#', 'events/s#', 'last#', 'attempts#', 'trouble~'],
    'This pipeline has no exchanges.',
  )

  constructor() {
    this.element = section('exchanges', 'Exchanges', this.table.element)
  }

  show(state: LiveState, pageMs: number): void {
    const standings = standingsOf(state)
    const names = new Set([...state.connections.map(({ exchange }) => exchange), ...standings.keys()])
    const nowMs = state.nowMs(pageMs)
    this.table.fill(
      [...names].sort().map((exchange) => {
        const connections = state.connections.filter((each) => each.exchange === exchange)
        const { rows, live, repair, gaps, rate, lastMs } = standings.get(exchange) ?? NO_ROWS
        const trouble = connections.flatMap((each) => each.trouble ?? [])
        return {
          cells: [
            exchange,
            countsOf(connections.map((each) => each.state)),
            `${countText(live)} of ${countText(rows)}`,
            countText(repair),
            countText(gaps),
            rateText(rate),
            lastMs === 0 ? NONE : ageText(nowMs - lastMs),
            countText(connections.reduce((sum, { attempts }) => sum + attempts, 0)),
            harmless([...new Set(trouble)].join(' ')),
          ],
          mark: connections.some((each) => each.state === 'failed')
            ? 'bad'
            : repair > 0 || trouble.length > 0
              ? 'warn'
              : '',
        }
      }),
    )
  }
}

const NO_ROWS: Readonly<Standing> = { rows: 0, live: 0, repair: 0, gaps: 0, rate: 0, lastMs: 0 }

function standingsOf({ rows }: LiveState): Map<string, Standing> {
  const all = new Map<string, Standing>()
  for (const row of rows) {
    let standing = all.get(row.exchange)
    if (standing === undefined) all.set(row.exchange, (standing = { ...NO_ROWS }))
    standing.rows++
    if (row.state === 'live') standing.live++
    else if (row.state !== 'waiting') standing.repair++
    standing.gaps += row.gaps
    standing.rate += row.rate.perSecond
    standing.lastMs = Math.max(standing.lastMs, row.lastMs)
  }
  return all
}

/** `open`, or `2 open, 1 waiting` */
function countsOf(states: readonly string[]): string {
  const counts = new Map<string, number>()
  for (const state of states) counts.set(state, (counts.get(state) ?? 0) + 1)
  if (states.length === 1) return states[0]!
  return [...counts].map(([state, count]) => `${count} ${state}`).join(', ')
}

export class Sinks {
  readonly element: HTMLElement
  private readonly table = new FilledTable(
    'Sinks',
    [
      'sink',
      'written/s#',
      'written#',
      'bytes#',
      'waiting#',
      'at most#',
      'retries#',
      'batches given up#',
      'dead letters#',
    ],
    'This pipeline has no sinks.',
  )

  constructor() {
    this.element = section('sinks', 'Sinks', this.table.element)
  }

  show(state: LiveState): void {
    const { graph, edges } = state
    this.table.fill(
      state.sinks.map(([name, written, bytes, failed, retries, deadLettered]) => {
        const edge = graph?.edges.findIndex(({ to }) => to === name) ?? -1
        return {
          cells: [
            name,
            rateText(state.sinkRates.get(name)?.perSecond ?? 0),
            countText(written),
            bytesText(bytes),
            countText(edges[edge]?.[2] ?? 0),
            countText(graph?.edges[edge]?.capacity ?? 0),
            countText(retries),
            countText(failed),
            countText(deadLettered),
          ],
          mark: failed > 0 ? 'bad' : retries > 0 || deadLettered > 0 ? 'warn' : '',
        }
      }),
    )
  }
}

export class Faults {
  readonly element: HTMLElement
  private readonly counts = element('ul', { class: 'chips', 'aria-label': 'Faults by kind' })
  private readonly table = new FilledTable('Faults, the latest first', ['time, UTC', 'kind', 'what~'], 'None so far.')
  private shown = -1

  constructor() {
    this.element = section('faults', 'Faults', this.counts, this.table.element)
  }

  forget(): void {
    this.shown = -1
  }

  show({ faultCounts, faultsTotal, faults }: LiveState): void {
    if (faultsTotal === this.shown) return
    this.shown = faultsTotal
    const chips = Object.entries(faultCounts).map(([code, count]) => element('li', {}, `${code} ${countText(count)}`))
    this.counts.replaceChildren(...chips)
    this.table.fill(
      faults.map(([atMs, code, message]) => ({
        cells: [atMs === null ? NONE : timeText(atMs * 1_000).slice(11), code, harmless(message)],
      })),
    )
  }
}
