/**
 * S3: memory read with every message, and sampled beside the stream.
 *
 * Why      the monitor that millrace was made from asked for its memory on the hot path; every message paid
 * Input    5,000 messages a second, each when it is due; parsing them is all the work there is
 * Variants `perMessage`  `process.memoryUsage()` with each message: what was
 *          `sampled`     `processMetrics` once a second: what is
 *          `none`        nobody asks
 * Measures `loopDelay` milliseconds by which the loop was late, looked at every millisecond; `cpu` percent of a core, all
 *          threads of the process
 * Baseline `perMessage`, what was. The aim is that `sampled` cannot be told from `none`
 */
import { processMetrics } from '../src/metrics/processMetrics'
import { depthStream } from './kit/depthStream'
import { LOOP_DELAY_MEASURES, loopDelayOf, paced } from './kit/paced'
import { isQuick } from './kit/report'
import { measure, type Sample } from './kit/variants'

const PACE = { perSecond: 5_000, forMs: isQuick() ? 400 : 4_000, warmUpMs: isQuick() ? 200 : 1_500 }
const SAMPLE_EVERY_MS = 1_000
const FRAMES = 5_000

let sink = 0

async function perMessage(): Promise<Sample> {
  return run(() => (sink += process.memoryUsage().heapUsed))
}

async function sampled(): Promise<Sample> {
  const samples = processMetrics({ everyMs: SAMPLE_EVERY_MS }).subscribe(({ heapUsedBytes }) => (sink += heapUsedBytes))
  const sample = await run(() => undefined)
  samples.unsubscribe()
  return sample
}

async function run(beside: () => void): Promise<Sample> {
  const { frames } = depthStream({ frames: FRAMES })
  const { loopDelayMs, cpuPercent } = await paced(PACE, (index) => {
    sink += (JSON.parse(frames[index % frames.length]!.toString()) as { data: { u: number } }).data.u
    beside()
  })
  if (sink === 0) throw new Error('Nothing was read.')
  return {
    ...loopDelayOf({ loopDelayMs }),
    cpu: cpuPercent,
  }
}

void measure(__filename, [
  {
    name: 'S3',
    measures: { ...LOOP_DELAY_MEASURES, cpu: '%' },
    baseline: 'perMessage',
    variants: [
      { name: 'perMessage', run: perMessage },
      { name: 'sampled', run: sampled },
      { name: 'none', run: () => run(() => undefined) },
    ],
  },
])
