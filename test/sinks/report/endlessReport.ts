/**
 * Writes version after version of a report until it is killed, and says the number of each when it stands.
 */
import { liveClock } from '../../../src/clock/liveClock'
import { htmlReport } from '../../../src/sinks/htmlReport'
import { trade } from '../../kit/marketEvents'

async function main(outDir: string): Promise<void> {
  const sink = htmlReport('report.html', { everyMs: 0 })
  await sink.open({ outDir, clock: liveClock })
  for (let version = 1; ; version++) {
    const receiveTimeUs = 1_700_000_000_000_000 + version * 1_000
    await sink.write([trade({ receiveTimeUs, price: version })])
    process.stdout.write(`${version}\n`)
  }
}

void main(process.argv[2]!)
