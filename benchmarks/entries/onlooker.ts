/**
 * Whoever looks at a run that is served, in a process of its own: a scraper of its metrics and of its health, once a second,
 * and a page that is open all the time. Its argument is the address; it ends with the process that began it.
 */
import WebSocket from 'ws'
import { every } from '../../src/clock/clock'
import { liveClock } from '../../src/clock/liveClock'
import type { LiveMessage } from '../../src/dashboard/liveFormat'

const SCRAPE_EVERY_MS = 1_000

const url = process.argv[2]!
const counts = { scrapes: 0, ticks: 0 }

every(liveClock, SCRAPE_EVERY_MS, () => void scrape())

const page = new WebSocket(`${url.replace('http', 'ws')}live`, { perMessageDeflate: false })
page.on('message', (text: Buffer) => {
  const message = JSON.parse(text.toString()) as LiveMessage
  if (message.type !== 'tick') return
  counts.ticks++
  page.send(JSON.stringify({ seen: message.tick }))
})

process.on('message', () => process.send!(counts))
process.on('disconnect', () => process.exit())

async function scrape(): Promise<void> {
  for (const at of ['metrics', 'health']) {
    const answer = await fetch(url + at)
    await answer.text()
    if (answer.ok) counts.scrapes++
  }
}
