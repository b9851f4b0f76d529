/**
 * A dashboard that somebody leaves open: headless Chromium on a run of hundreds of books, for an hour or as long as asked.
 *
 *     npx tsc -p tsconfig.bench.json && npx tsc -p tsconfig.page.json --outDir .bench/src
 *     node .bench/benchmarks/dashboardSoak.js [--minutes 60] [--symbols 500] [--rate 2000] [--every SECONDS]
 *
 * Why      a page that is left open overnight must cost tomorrow what it costs now, on both sides
 * Input    the simulator with so many books, served as any run is, and no more faults than the exchanges' budgets of REST
 *          requests allow to be repaired; another book is chosen after each sample, and every fifth time the server is ended
 *          and begun again under the page
 * Measures each `--every` seconds (default a minute of sixty): `engineHeap` and `pageHeap` bytes after a collection, `engineRss`
 *          bytes, `pageNodes` elements of the page, `ticks` a second that the page has shown, `cpu` percent of a core in the
 *          engine's process, which is one of its own, as that of the simulator is
 * Verdict  flat when the median of the last third is not above that of the middle third by more than a tenth, the heap of
 *          either side by no more than 2 MB in any case; else the exit status is 1
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import type { CDPSession, Page } from 'playwright-core'
import { sleep } from '../src/clock/clock'
import { liveClock } from '../src/clock/liveClock'
import type { ManyBooksOptions } from '../test/dashboard/manyBooks'
import { launchChromium } from '../test/kit/chromium'
import type { ServedBooksRequest, ServedBooksSizes } from './entries/servedBooks'

interface Sample {
  readonly seconds: number
  readonly engineHeap: number
  readonly engineRss: number
  readonly pageHeap: number
  readonly pageNodes: number
  readonly ticks: number
  readonly cpu: number
}

const SLACK_BYTES = 2e6
const RESTART_EVERY = 5

async function soak(): Promise<number> {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string', default: '60' },
      symbols: { type: 'string', default: '500' },
      rate: { type: 'string', default: '2000' },
      every: { type: 'string' },
    },
  })
  const minutes = Number(values.minutes)
  const every = Number(values.every ?? Math.max(5, minutes))
  const browser = await launchChromium()
  if (browser === undefined) return 2
  const outDir = await mkdtemp(path.join(tmpdir(), 'millrace-soak-'))
  const options: ManyBooksOptions = {
    symbols: Number(values.symbols),
    messagesPerSecond: Number(values.rate),
    faults: 'skip=30s,drop=600s',
    outDir,
  }
  const engine = fork(path.join(__dirname, 'entries', 'servedBooks.js'), [JSON.stringify(options)])
  const gone = once(engine, 'exit').then(() => {
    throw new Error('The engine has ended.')
  })
  gone.catch(() => undefined)
  const answered = async <T>(): Promise<T> => ((await Promise.race([once(engine, 'message'), gone])) as [T])[0]
  const ask = <T>(what: ServedBooksRequest): Promise<T> => {
    engine.send(what)
    return answered<T>()
  }
  try {
    const page = await browser.newPage({ viewport: { width: 1500, height: 1000 } })
    page.on('pageerror', (error) => console.error(error))
    const wire = await page.context().newCDPSession(page)
    let shown = 0
    // A page answers each tick once it has shown it.
    wire.on('Network.webSocketFrameSent', () => shown++)
    await wire.send('Network.enable')
    await page.goto(await answered<string>())
    const samples: Sample[] = []
    const begunUs = liveClock.nowUs()
    let before = { ...(await ask<ServedBooksSizes>('sizes')), atUs: begunUs, shown: 0 }
    for (let at = 0; liveClock.nowUs() - begunUs < minutes * 60e6; at++) {
      await sleep(liveClock, every * 1_000)
      const now = { ...(await ask<ServedBooksSizes>('sizes')), atUs: liveClock.nowUs(), shown }
      const us = now.atUs - before.atUs
      const sample: Sample = {
        seconds: Math.round((now.atUs - begunUs) / 1e6),
        engineHeap: now.heapBytes,
        engineRss: now.rssBytes,
        ...(await pageSizes(page, wire)),
        ticks: Math.round(((now.shown - before.shown) / us) * 1e8) / 100,
        cpu: Math.round(((now.cpuUs - before.cpuUs) / us) * 100),
      }
      before = now
      samples.push(sample)
      console.log(JSON.stringify(sample))
      await page.locator(`[role=grid] tr[data-at="${at % 15}"]`).click()
      if (at % RESTART_EVERY === RESTART_EVERY - 1) await ask<string>('restart')
    }
    const grown = (['engineHeap', 'pageHeap', 'pageNodes'] as const).filter((what) => !isFlat(samples, what))
    console.log(grown.length === 0 ? 'Flat on both sides.' : `Not flat: ${grown.join(', ')}.`)
    return grown.length === 0 ? 0 : 1
  } finally {
    await browser.close()
    engine.disconnect()
    await rm(outDir, { recursive: true, force: true })
  }
}

async function pageSizes(page: Page, wire: CDPSession): Promise<Pick<Sample, 'pageHeap' | 'pageNodes'>> {
  await wire.send('HeapProfiler.collectGarbage')
  const { usedSize } = await wire.send('Runtime.getHeapUsage')
  const pageNodes = await page.evaluate('document.querySelectorAll("*").length')
  return { pageHeap: usedSize, pageNodes: pageNodes as number }
}

function isFlat(samples: readonly Sample[], what: 'engineHeap' | 'pageHeap' | 'pageNodes'): boolean {
  const third = Math.floor(samples.length / 3)
  const [middle, last] = [samples.slice(third, -third), samples.slice(-third)].map((part) =>
    median(part.map((sample) => sample[what])),
  )
  const slack = what === 'pageNodes' ? 0 : SLACK_BYTES
  return last! <= Math.max(middle! * 1.1, middle! + slack)
}

function median(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[Math.floor(values.length / 2)] ?? NaN
}

void soak().then((status) => process.exit(status))
