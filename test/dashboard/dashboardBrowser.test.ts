/**
 * The dashboard in a browser, over a run of 500 books on the simulator: opened, clicked through, gone through with the keys,
 * killed and restarted under.
 */
import { expect } from 'chai'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { liveClock } from '../../src/clock/liveClock'
import { dashboardRoutes } from '../../src/dashboard/dashboardRoutes'
import type { RunServer } from '../../src/dashboard/server'
import { launchChromium } from '../kit/chromium'
import { eventually } from '../kit/eventually'
import { FakeRun, moveRow } from './fakeRun'
import { startManyBooks, type ManyBooks } from './manyBooks'
import { servePage } from './servePage'

const SYMBOLS = 500
const TOKEN = 'a-token-of-more-than-16'
const HOSTILE = '</td><img src=x onerror="document.title=1">'

describe('The dashboard in a browser', function () {
  this.timeout(300_000)
  let browser: Browser | undefined
  let outDir: string
  let books: ManyBooks
  let server: RunServer

  before(async function () {
    browser = await launchChromium()
    if (browser === undefined) this.skip()
    outDir = await mkdtemp(path.join(tmpdir(), 'millrace-dashboard-'))
    books = await startManyBooks({ symbols: SYMBOLS, messagesPerSecond: 600, faults: 'skip=2s', outDir })
    server = await servePage(books.run)
  })

  after(async () => {
    if (browser === undefined) return
    await browser.close()
    await server.close()
    await books.stop()
    await rm(outDir, { recursive: true, force: true })
  })

  /** The page, and what it said on the console or asked of others: nothing, if all is well. */
  const opened = async (
    options: BrowserContextOptions = {},
    of: RunServer = server,
  ): Promise<{ page: Page; said: string[] }> => {
    const page = await browser!.newPage(options)
    page.setDefaultTimeout(120_000)
    const said: string[] = []
    page.on('console', (line) => said.push(line.text()))
    page.on('pageerror', (error) => said.push(error.message))
    page.on('request', (request) => {
      if (!request.url().startsWith(of.url)) said.push(request.url())
    })
    await page.goto(of.url)
    await page.locator('.connection[data-state="open"]').waitFor()
    return { page, said }
  }

  for (const colorScheme of ['light', 'dark'] as const) {
    it(`shows every part of the run without a word on the console or to another host (${colorScheme})`, async () => {
      const { page, said } = await opened({ colorScheme, viewport: { width: 1500, height: 1000 } })
      await eventually(async () => expect(await page.locator('.count').textContent()).to.equal('500'))
      expect(await page.locator('h1').textContent()).to.equal('many-books')
      expect(await page.locator('[role=grid]').getAttribute('aria-rowcount')).to.equal('501')
      expect(await page.locator('[role=grid] tbody tr[data-at]').count()).to.be.within(10, 60)
      await eventually(async () => expect(await inked(page, '#book canvas.heat')).to.be.above(1_000))
      // Its book may be in repair for a moment.
      await eventually(async () =>
        expect(await page.locator('.ladder tr.bid .price').first().textContent()).to.match(/^\d+(\.\d+)?$/),
      )
      await eventually(async () => expect(await page.locator('#resources .plot canvas').count()).to.equal(4))
      await eventually(async () => expect(await page.locator('#resources svg.histogram rect').count()).to.be.above(5))
      expect(await page.locator('.node').count()).to.equal(8)
      expect(await page.locator('.node[data-name=market] .rate').textContent()).to.match(/\/s$/)
      expect(await page.locator('#exchanges tbody tr').count()).to.equal(5)
      expect(await page.locator('#sinks tbody tr td:first-child').allTextContents()).to.deep.equal([
        'summaries-sink',
        'bars-sink',
      ])
      await eventually(async () => expect(await page.locator('#faults tbody tr').count()).to.be.above(0))
      expect(await page.locator('.health').textContent()).to.match(/^(Healthy|Degraded|Unhealthy)/)
      expect(said).to.deep.equal([])
      await page.close()
    })
  }

  it('goes on by itself, several times a second, without moving what stands beside it', async () => {
    const { page } = await opened({ viewport: { width: 1500, height: 1000 } })
    const total = async (): Promise<number> =>
      Number((await page.locator('#sinks tbody tr:first-child td:nth-child(3)').textContent())!.replaceAll(',', ''))
    const placeOf = (): Promise<unknown> => page.locator('#pipeline').boundingBox()
    await eventually(async () => expect(await page.locator('#book canvas.heat').count()).to.equal(1))
    const place = await placeOf()
    for (let before = await total(), times = 0; times < 5; times++) {
      await eventually(async () => expect(await total()).to.be.above(before))
      before = await total()
    }
    expect(await placeOf()).to.deep.equal(place)
    await page.close()
  })

  it('is gone through with the keyboard alone', async () => {
    const { page, said } = await opened()
    await eventually(async () => expect(await page.locator('.count').textContent()).to.equal('500'))
    await page.keyboard.press('Tab')
    expect(await page.evaluate('document.activeElement.textContent')).to.equal('Skip to the instruments')
    await page.keyboard.press('/')
    await page.keyboard.type('kraken C05')
    expect(await page.locator('.count').textContent()).to.equal('10 of 500')
    await page.keyboard.press('ArrowDown')
    await page.keyboard.press('ArrowDown')
    expect(await activeRow(page)).to.equal('C051-USDT kraken')
    await page.keyboard.press('End')
    await page.keyboard.press('Enter')
    expect(await page.locator('.chosen').textContent()).to.equal('C059-USDT on kraken')
    expect(await page.locator('[role=grid] tr[aria-selected=true] td.name').textContent()).to.equal('C059-USDT')
    await page.keyboard.press('?')
    expect(await page.locator('dialog').isVisible()).to.equal(true)
    await page.keyboard.press('Escape')
    expect(await page.locator('dialog').isVisible()).to.equal(false)
    await page.keyboard.press('7')
    expect(await page.evaluate('document.activeElement.id')).to.equal('faults-title')
    await page.keyboard.press('p')
    expect(await page.locator('.connection').textContent()).to.equal('paused')
    await page.keyboard.press('p')
    expect(await page.locator('.connection').textContent()).to.equal('live')
    await eventually(async () => expect(await page.locator('#book canvas.heat').count()).to.equal(1))
    await page.focus('#book canvas.heat')
    const resting = await page.locator('.reading').textContent()
    await page.keyboard.press('ArrowLeft')
    expect(await page.locator('.reading').textContent()).not.to.equal(resting)
    expect(said).to.deep.equal([])
    await page.close()
  })

  it('is clicked through: sorted by what a column says, another book, the edges in numbers', async () => {
    const { page, said } = await opened({ viewport: { width: 1500, height: 1000 } })
    await eventually(async () => expect(await page.locator('.count').textContent()).to.equal('500'))
    await page.locator('th.exchange button').click()
    expect(await page.locator('th.exchange').getAttribute('aria-sort')).to.equal('ascending')
    await page.locator('th.exchange button').click()
    expect(await page.locator('[role=grid] tr[data-at="0"] td.exchange').textContent()).to.equal('okx')
    await page.locator('[role=grid] tr[data-at="3"]').click()
    const [name, exchange] = await page.locator('[role=grid] tr[data-at="3"] td').allTextContents()
    expect(await page.locator('.chosen').textContent()).to.equal(`${name} on ${exchange}`)
    await page.locator('#pipeline summary').click()
    await eventually(async () => expect(await page.locator('#pipeline tbody tr').count()).to.equal(8))
    expect(said).to.deep.equal([])
    await page.close()
  })

  it('fits a phone', async () => {
    const { page, said } = await opened({ viewport: { width: 390, height: 844 } })
    await eventually(async () => expect(await page.locator('#book canvas.heat').count()).to.equal(1))
    expect(await page.evaluate('document.documentElement.scrollWidth')).to.be.at.most(390)
    expect(said).to.deep.equal([])
    await page.close()
  })

  it('goes on after its connection was lost, and begins afresh with another run under the same address', async () => {
    const first = new FakeRun()
    for (const name of ['BTC-USD', 'ETH-USD']) moveRow(first.addRow('kraken', name), 100, 0)
    first.fault('It broke.')
    const routes = dashboardRoutes(first, liveClock)
    let own = await servePage(first, { routes })
    const { port } = own
    const { page, said } = await opened({}, own)
    await page.locator('[role=grid] tr', { hasText: 'ETH-USD' }).click()
    await eventually(async () =>
      expect(await page.locator('.ladder tr.bid .price').first().textContent()).to.equal('100'),
    )

    await own.close()
    await page.locator('.connection[data-state="lost"]').waitFor()
    own = await servePage(first, { routes, port })
    await page.locator('.connection[data-state="open"]').waitFor()
    expect(await page.locator('.count').textContent()).to.equal('2')
    await eventually(async () => expect(await page.locator('#faults tbody tr').count()).to.equal(1))

    await own.close()
    await page.locator('.connection[data-state="lost"]').waitFor()
    const second = new FakeRun()
    for (const name of ['ADA-USD', 'ETH-USD', HOSTILE]) moveRow(second.addRow('kraken', name), 7, 0)
    own = await servePage(second, { port })
    await page.locator('.connection[data-state="open"]').waitFor()
    await eventually(async () => expect(await page.locator('.count').textContent()).to.equal('3'))
    expect(await page.locator('[role=grid] tbody td.name').allTextContents()).to.deep.equal([
      HOSTILE,
      'ADA-USD',
      'ETH-USD',
    ])
    expect(await page.locator('.chosen').textContent()).to.equal('ETH-USD on kraken')
    await eventually(async () =>
      expect(await page.locator('.ladder tr.bid .price').first().textContent()).to.equal('7'),
    )
    expect(await page.locator('#faults tbody tr').count()).to.equal(0)
    expect(await page.locator('img').count()).to.equal(0)
    // What it says of itself: that nobody answered while nobody was there.
    expect(said.filter((line) => !line.includes('WebSocket connection to') && !line.startsWith('ws:'))).to.deep.equal(
      [],
    )
    await page.close()
    await own.close()
  })

  it('is opened by the address with the token, which stands in no other address from then on', async () => {
    const own = await servePage(books.run, { token: TOKEN })
    const page = await browser!.newPage()
    const asked: string[] = []
    page.on('request', (request) => asked.push(request.url()))
    page.on('websocket', (socket) => asked.push(socket.url()))
    await page.goto(own.url)
    await page.locator('.connection[data-state="open"]').waitFor()
    expect(asked.shift()).to.equal(own.url)
    expect(asked).to.have.length.above(4)
    expect([...asked, page.url()].filter((address) => address.includes(TOKEN))).to.deep.equal([])
    await page.close()
    await own.close()
  })
})

function activeRow(page: Page): Promise<string> {
  return page.evaluate(
    `[...document.querySelectorAll('[role=grid] tr.active td')].slice(0, 2).map((cell) => cell.textContent).join(' ')`,
  )
}

/** Pixels of a canvas that something was drawn on. */
async function inked(page: Page, selector: string): Promise<number> {
  return page.evaluate(`(() => {
    const canvas = document.querySelector(${JSON.stringify(selector)})
    if (canvas === null || canvas.width === 0) return 0
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
    return data.filter((value, at) => at % 4 === 3 && value > 0).length
  })()`)
}
