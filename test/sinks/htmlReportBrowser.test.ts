/**
 * The page in a browser: headless Chromium, where the machine has it.
 */
import { expect } from 'chai'
import { pathToFileURL } from 'node:url'
import type { Browser, Page } from 'playwright-core'
import { htmlReport } from '../../src/sinks/htmlReport'
import type { Level } from '../../src/model/events'
import { launchChromium } from '../kit/chromium'
import { notice, trade, viewOf } from '../kit/marketEvents'
import { runLook } from './report/runLook'
import { TestFolder, VirtualClock } from './support'

const T = 1_700_000_000_000_000
const HOSTILE = '</script><img src=x onerror="document.title=1">'

describe('The page of htmlReport in a browser', function () {
  this.timeout(180_000)
  let folder: TestFolder
  /** Undefined where there is none: then every test is skipped. */
  let launched: Browser | undefined
  let browser: Browser

  before(async function () {
    launched = await launchChromium()
    if (launched === undefined) this.skip()
    browser = launched
    folder = await TestFolder.create()
    await writeReport(folder)
  })

  after(async () => {
    if (launched === undefined) return
    await launched.close()
    await folder.remove()
  })

  for (const colorScheme of ['light', 'dark'] as const) {
    it(`draws its charts and fills its tables without a word on the console or the network (${colorScheme})`, async () => {
      const { page, said } = await opened(browser, folder, { colorScheme })
      expect(await inked(page, '#chart-price canvas')).to.be.above(100)
      expect(await inked(page, '#chart-heat canvas')).to.be.above(1_000)
      expect(await inked(page, '#chart-spread canvas')).to.be.above(100)
      expect(await inked(page, '#chart-bars canvas')).to.be.above(100)
      expect(await page.locator('#latency svg.histogram rect').count()).to.be.above(3)
      expect(await page.locator('#instruments > .scroll tbody tr').count()).to.equal(2)
      expect(await page.locator('#ledger tbody tr td:last-child').allTextContents()).to.deep.equal(['balances'])
      expect(await page.locator('#faults').textContent()).to.contain(`It said ${HOSTILE}.`)
      expect(said).to.deep.equal([])
      await page.close()
    })
  }

  it('shows a hostile symbol as text, in its table and in its charts', async () => {
    const { page, said } = await opened(browser, folder, {})
    await page.selectOption('#pick', { label: `${HOSTILE} on kraken` })
    expect(await page.locator('#chart-price').isVisible()).to.equal(true)
    expect(await page.locator('#instruments > .scroll tbody td', { hasText: HOSTILE }).count()).to.equal(1)
    expect(await page.locator('img').count()).to.equal(0)
    expect(await page.title()).to.equal('A report')
    expect(said).to.deep.equal([])
    await page.close()
  })

  it('is read with the keyboard alone', async () => {
    const { page } = await opened(browser, folder, {})
    await page.keyboard.press('Tab')
    expect(await page.evaluate('document.activeElement.textContent')).to.equal('Skip to the instruments')
    await page.focus('#pick')
    const before = await page.inputValue('#pick')
    await page.keyboard.press('ArrowDown')
    await page.keyboard.press('ArrowUp')
    await page.keyboard.press('ArrowUp')
    expect(await page.inputValue('#pick')).not.to.equal(before)
    await page.selectOption('#pick', { label: 'BTC-USD on kraken' })
    await page.focus('#chart-heat canvas')
    const resting = await page.locator('#chart-heat .reading').textContent()
    await page.keyboard.press('ArrowLeft')
    const reading = await page.locator('#chart-heat .reading').textContent()
    expect(reading).not.to.equal(resting)
    expect(reading).to.match(/^2023-11-14 22:13:\d\d\.\d{3} /)
    await page.close()
  })

  it('fits a phone and a sheet of paper', async () => {
    const { page, said } = await opened(browser, folder, { viewport: { width: 390, height: 844 } })
    expect(await page.evaluate('document.documentElement.scrollWidth')).to.be.at.most(390)
    expect((await page.pdf({ format: 'A4' })).length).to.be.above(10_000)
    expect(said).to.deep.equal([])
    await page.close()
  })
})

/** Two instruments, one of them hostile, a run with an edge and a fault. */
async function writeReport(folder: TestFolder): Promise<void> {
  const sink = htmlReport('report.html', { title: 'A report' })
  const message = `It said ${HOSTILE}.`
  await sink.open({
    outDir: folder.outDir,
    clock: new VirtualClock(T),
    look: () =>
      runLook({
        edges: [
          {
            from: 'a',
            to: 'b',
            kind: 'mailbox',
            capacity: 5,
            onFull: 'block',
            in: 3,
            out: 3,
            dropped: {},
            inFlight: 0,
          },
        ],
        faults: { BOOK_GAP: 1 },
        latestFaults: [{ timeUs: T, code: 'BOOK_GAP', message }],
      }),
  })
  const values: unknown[] = []
  for (let step = 0; step < 200; step++) {
    const receiveTimeUs = T + step * 100_000
    const mid = 1_000 + Math.round(20 * Math.sin(step / 20))
    const side = (sign: number): Level[] => Array.from({ length: 20 }, (_, at) => [mid + sign * (1 + at), 1 + (at % 5)])
    const exchangeTimeUs = receiveTimeUs - 1_000 * (1 + (step % 40))
    values.push(viewOf(side(-1), side(1), { receiveTimeUs, exchangeTimeUs }))
    values.push(trade({ receiveTimeUs, price: mid + (step % 3) }))
    if (step % 50 === 0) values.push(trade({ receiveTimeUs, symbol: HOSTILE, instrument: undefined, price: 5 + step }))
  }
  values.push(notice('gap', { receiveTimeUs: T + 21e6 }))
  await sink.write(values)
  await sink.close()
}

/** The page, and what it said on the console or asked of the network: nothing, if all is well. */
async function opened(
  browser: Browser,
  folder: TestFolder,
  options: Parameters<Browser['newPage']>[0],
): Promise<{ page: Page; said: string[] }> {
  const page = await browser.newPage(options)
  const said: string[] = []
  page.on('console', (line) => said.push(line.text()))
  page.on('pageerror', (error) => said.push(error.message))
  page.on('request', (request) => {
    if (!/^(file|data):/.test(request.url())) said.push(request.url())
  })
  await page.goto(pathToFileURL(folder.file('report.html')).href)
  return { page, said }
}

/** Pixels of a canvas that something was drawn on. */
async function inked(page: Page, selector: string): Promise<number> {
  return page.locator(selector).evaluate((canvas) => {
    const drawn = canvas as unknown as Canvas
    const { data } = drawn.getContext('2d').getImageData(0, 0, drawn.width, drawn.height)
    let count = 0
    for (let at = 3; at < data.length; at += 4) if (data[at]! > 0) count++
    return count
  })
}

/** Of the browser's canvas, whose types are not this program's. */
interface Canvas {
  readonly width: number
  readonly height: number
  getContext(kind: '2d'): {
    getImageData(x: number, y: number, width: number, height: number): { readonly data: Uint8ClampedArray }
  }
}
