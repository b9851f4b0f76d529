import { expect } from 'chai'
import { map, mergeMap } from 'rxjs'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { VirtualClock } from '../../src/clock/virtualClock'
import { liveClock } from '../../src/clock/liveClock'
import { processMetrics } from '../../src/metrics/processMetrics'
import type { ProcessSample, WorkerGauge } from '../../src/metrics/processSample'
import { asOfJoin } from '../../src/operators/asOfJoin'
import { windows } from '../../src/operators/windows'
import { pipeline } from '../../src/pipeline/pipeline'
import { jsonLines } from '../../src/sinks/jsonLines'
import { withoutLeaks } from '../../src/testing/leaks'
import { spawnWorker } from '../../src/workers/spawn'
import { until, TestFolder } from '../sinks/support'
import { compileEntries, type CompiledEntries } from '../workers/compiledEntries'
import type { Misbehave } from '../workers/entries/misbehave'

/** What other tests of this process leave behind says nothing here. */
const OURS = /[\\/]metrics[\\/]/

describe('processMetrics', () => {
  it('samples this process through pidusage', async () => {
    const samples: ProcessSample[] = []
    const subscription = processMetrics({ everyMs: 200 }).subscribe((sample) => samples.push(sample))
    try {
      await until(() => samples.some(({ cpuPercent }) => cpuPercent !== undefined), 'a sample with CPU')
      const sample = samples.find(({ cpuPercent }) => cpuPercent !== undefined)!
      const rss = process.memoryUsage.rss()
      expect(sample.rssBytes).to.be.within(rss / 2, rss * 2)
      expect(sample.cpuPercent).to.be.within(0, 100 * 64)
      expect(sample.workers).to.deep.equal([])
      expect(sample.heapTotalBytes).to.be.at.least(sample.heapUsedBytes)
      for (const { timeUs } of samples) expect(timeUs % 200_000).to.equal(0)
    } finally {
      subscription.unsubscribe()
    }
  })

  it('leaves nothing behind, left at once or later', async () => {
    await withoutLeaks(
      async () => {
        processMetrics({ everyMs: 1_000 }).subscribe().unsubscribe()
        let sampled = 0
        const subscription = processMetrics({ everyMs: 50 }).subscribe(() => sampled++)
        await until(() => sampled > 1)
        subscription.unsubscribe()
      },
      { withinMs: 30_000, mayStay: ({ madeAt }) => !madeAt.some((frame) => OURS.test(frame)) },
    )
  })

  it('shows how busy the named workers were since the sample before', () => {
    const clock = new VirtualClock()
    let active = 100
    const unsaid = {
      cpuPercent: undefined,
      heapUsedBytes: undefined,
      heapTotalBytes: undefined,
      externalBytes: undefined,
    }
    const worker: WorkerGauge = {
      name: 'books',
      performance: { eventLoopUtilization: () => ({ idle: 900 + active, active, utilization: 0 }) },
    }
    const gone = {
      name: 'gone',
      performance: {
        eventLoopUtilization: (): never => {
          throw new Error('no such thread')
        },
      },
    }
    const samples: ProcessSample[] = []
    const subscription = processMetrics({ everyMs: 1_000, clock, workers: () => [worker, gone] }).subscribe((sample) =>
      samples.push(sample),
    )
    clock.advance(1_500)
    active += 50
    clock.advance(1_000)
    subscription.unsubscribe()
    expect(samples.map(({ workers }) => workers)).to.deep.equal([
      [
        { name: 'books', loopUtilization: 100 / 1_100, ...unsaid },
        { name: 'gone', loopUtilization: undefined, ...unsaid },
      ],
      [
        { name: 'books', loopUtilization: 0.5, ...unsaid },
        { name: 'gone', loopUtilization: undefined, ...unsaid },
      ],
    ])
  })

  it('refuses an interval that is none', () => {
    for (const everyMs of [0, -1, NaN, Infinity]) expect(() => processMetrics({ everyMs })).to.throw('everyMs')
  })

  describe('with workers that millrace started', function () {
    this.slow(2_000)
    let entries: CompiledEntries
    before(async () => (entries = await compileEntries()))
    after(() => entries.remove())

    it('shows what each says of its memory and its processor, and nothing of one that has gone', async () => {
      const samples: ProcessSample[] = []
      const subscription = processMetrics({ everyMs: 200 }).subscribe((sample) => samples.push(sample))
      const worker = await spawnWorker<Misbehave>(entries.entry('misbehave'), { deadlineMs: 60_000 })
      try {
        const latest = () => samples.at(-1)?.workers.find(({ name }) => name === 'misbehave.js')
        await until(() => latest()?.heapUsedBytes !== undefined, 'what the worker says of itself')
        expect(latest()!.heapUsedBytes).to.be.within(100_000, 1e9)
        expect(latest()!.heapTotalBytes).to.be.at.least(latest()!.heapUsedBytes!)
        expect(latest()!.externalBytes).to.be.above(0)
        expect(latest()!.loopUtilization).to.be.within(0, 1)
        if (process.platform === 'linux') {
          await until(() => latest()?.cpuPercent !== undefined, 'the processor time of the worker')
          expect(latest()!.cpuPercent).to.be.within(0, 150)
        }
        await worker.terminate()
        const seen = samples.length
        await until(() => samples.length > seen)
        expect(latest()).to.equal(undefined)
      } finally {
        await worker.terminate()
        subscription.unsubscribe()
      }
    })

    it('says nothing of its own to the entry, nor to threads that the entry starts', async () => {
      const worker = await spawnWorker<Misbehave>(entries.entry('misbehave'), {
        deadlineMs: 60_000,
        workerData: { seed: 7 },
      })
      try {
        expect(await worker.call('workerData', [])).to.deep.equal({ seed: 7 })
        expect(await worker.call('environmentOfThread', [])).to.equal(0)
      } finally {
        await worker.terminate()
      }
    })
  })

  describe('in a pipeline', () => {
    let folder: TestFolder
    before(async () => (folder = await TestFolder.create()))
    after(() => folder.remove())

    it('is windowed, joined and written like market data', async () => {
      const rows = async (file: string): Promise<Record<string, unknown>[]> => {
        const text = await readFile(path.join(folder.outDir, file), 'utf8').catch(() => '')
        return text
          .split('\n')
          .filter((line) => line.endsWith('}'))
          .map((line) => JSON.parse(line) as Record<string, unknown>)
      }
      const ofSample = {
        eventTimeUs: ({ timeUs }: ProcessSample) => timeUs,
        source: () => 'process',
        key: () => 'process',
      }
      const order = { outOfOrderMs: 0, idleMs: 1_000, clock: liveClock }
      const run = pipeline('watched', ({ source, sink }) => {
        const edge = { capacity: 10_000, onFull: 'dropOldest' } as const
        const samples = source('samples', processMetrics({ everyMs: 20 }), edge)
        const slower = processMetrics({ everyMs: 100 }).pipe(map((sample) => [sample]))
        const batches = samples.through(
          'batches',
          map((sample) => [sample]),
        )
        const busiest = batches.through(
          'busiest',
          windows.tumbling({
            ...order,
            ...ofSample,
            everyMs: 200,
            aggregate: {
              start: () => ({ samples: 0, heap: 0 }),
              add: ({ samples: count, heap }, { heapUsedBytes }) => ({
                samples: count + 1,
                heap: Math.max(heap, heapUsedBytes),
              }),
            },
          }),
        )
        const joined = batches.through(
          'joined',
          asOfJoin(slower, { ...order, direction: 'backward', left: ofSample, right: ofSample }),
        )
        sink(samples, jsonLines('samples.jsonl'), { ...edge, flushMs: 0 })
        sink(
          busiest.through(
            'windows',
            mergeMap((batch) => batch),
          ),
          jsonLines('windows.jsonl'),
          { ...edge, flushMs: 0 },
        )
        sink(
          joined.through(
            'pairs',
            mergeMap((batch) => batch),
          ),
          jsonLines('pairs.jsonl'),
          { ...edge, flushMs: 0 },
        )
      }).start({ out: folder.outDir })
      try {
        await until(() => run.status().sinks.length === 3 && run.status().sinks.every(({ written }) => written > 2))
      } finally {
        const summary = await run.stop()
        expect(summary.problems).to.deep.equal([])
      }
      const samples = await rows('samples.jsonl')
      const known = new Map(samples.map((sample) => [sample['timeUs'], sample]))
      for (const sample of samples) expect(sample).to.include.keys('loopDelayMs', 'gc', 'workers', 'sockets')
      for (const { openTimeUs, closeTimeUs, count, value, closed } of (await rows('windows.jsonl')) as unknown as {
        openTimeUs: number
        closeTimeUs: number
        count: number
        value: { samples: number; heap: number }
        closed: boolean
      }[]) {
        if (!closed) continue
        const inside = samples.filter(({ timeUs }) => Number(timeUs) >= openTimeUs && Number(timeUs) < closeTimeUs)
        expect([count, value.samples]).to.deep.equal([inside.length, inside.length])
        expect(value.heap).to.equal(Math.max(...inside.map(({ heapUsedBytes }) => Number(heapUsedBytes))))
      }
      const pairs = (await rows('pairs.jsonl')) as unknown as { left: ProcessSample; right?: ProcessSample }[]
      expect(pairs.some(({ right }) => right !== undefined)).to.equal(true)
      for (const { left, right } of pairs) {
        expect(known.get(left.timeUs)).to.deep.equal(left)
        if (right === undefined) continue
        expect(right.timeUs).to.be.at.most(left.timeUs)
        expect(right.timeUs % 100_000).to.equal(0)
      }
    })
  })
})
