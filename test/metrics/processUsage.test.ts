import { spawnSync } from 'node:child_process'
import path from 'node:path'
import { Worker } from 'node:worker_threads'
import { expect } from 'chai'
import { usageProbe, type UsageProbe } from '../../src/metrics/processUsage'
import { SharedFigures } from '../../src/metrics/sharedFigures'
import { turns, until } from '../sinks/support'

describe('the usage of the process', () => {
  let probe: UsageProbe | undefined
  let threads: Worker[] = []
  let memories: SharedArrayBuffer[] = []

  /** A thread that runs a script instead of asking pidusage. */
  const running = (script: string): UsageProbe => {
    probe = usageProbe((memory) => {
      const thread = new Worker(script, { eval: true })
      memories.push(memory)
      threads.push(thread)
      return thread
    })
    probe.every(1)
    return probe
  }
  const ended = (thread: Worker): boolean => thread.threadId === -1

  afterEach(async () => {
    probe?.stop()
    await until(() => threads.every(ended), 'the end of all threads')
    probe = undefined
    threads = []
    memories = []
  })

  it('is heard from pidusage on a thread, as it goes on', async () => {
    probe = usageProbe()
    probe.every(50)
    const { latest, soFar } = bound(probe)
    await until(() => latest() !== undefined, 'a first row')
    const first = latest()!
    expect(first.rssBytes).to.be.within(process.memoryUsage.rss() / 2, process.memoryUsage.rss() * 2)
    expect(first.cpuTimeMs).to.be.within(0, soFar().cpuTimeMs + 20)
    await until(() => latest()!.readAtMs > first.readAtMs, 'a second row')
    expect(latest()!.cpuTimeMs).to.be.at.least(first.cpuTimeMs)
  })

  it('is unknown, and not waited for, until a row has come, and when a question has failed', async () => {
    const { latest } = bound(running('setInterval(() => undefined, 1e6)'))
    expect(latest()).to.equal(undefined)
    await until(() => memories.length === 1)
    expect(latest()).to.equal(undefined)
    const figures = new SharedFigures(memories[0]!)
    figures.write([100, 5, 200])
    expect(latest()).to.deep.equal({ cpuTimeMs: 100, readAtMs: 5, rssBytes: 200 })
    expect(latest()).to.equal(latest())
    figures.write([NaN, 6, NaN])
    expect(latest()).to.equal(undefined)
  })

  it('tells the thread how often it is wanted', async () => {
    const changed = running("require('node:worker_threads').parentPort.on('message', () => process.exit())")
    await until(() => memories.length === 1)
    expect(new SharedFigures(memories[0]!).wantedMs).to.equal(1)
    changed.every(250)
    expect(new SharedFigures(memories[0]!).wantedMs).to.equal(250)
    await until(() => ended(threads[0]!), 'a thread that was told')
  })

  it('comes from another thread when one dies, five times in a row and no more', async () => {
    const { latest } = bound(running('throw new Error("no")'))
    await until(() => (latest(), threads.length === 5 && threads.every(ended)), 'the end of five threads')
    for (let looks = 0; looks < 10; looks++) {
      expect(latest()).to.equal(undefined)
      await turns()
    }
    expect(threads.length).to.equal(5)
  })

  it('is had from nobody when no thread can be started, and does not throw', async () => {
    let tried = 0
    probe = usageProbe(() => {
      tried++
      throw new Error('no more threads')
    })
    probe.every(1)
    const { latest } = bound(probe)
    await until(() => (latest(), tried === 5))
    expect(latest()).to.equal(undefined)
  })

  it('starts no thread when it is stopped before', async () => {
    running('').stop()
    await turns()
    expect(threads).to.deep.equal([])
  })

  it('keeps no process alive', () => {
    const module = path.resolve(__dirname, '../../src/metrics/processMetrics')
    const script = `
      const { processMetrics } = require(${JSON.stringify(module)})
      const clock = { nowUs: () => Date.now() * 1000, after: (ms, callback) => {
        const timer = setTimeout(callback, ms).unref()
        return { cancel: () => clearTimeout(timer) }
      } }
      processMetrics({ everyMs: 100, clock }).subscribe(({ rssBytes }) => {
        if (rssBytes === undefined) return
        console.log(rssBytes > 0)
        clearTimeout(deadline)
      })
      const deadline = setTimeout(() => {}, 110000)
    `
    const register = require.resolve('ts-node/register/transpile-only')
    const { status, stdout, stderr } = spawnSync(process.execPath, ['-r', register, '-e', script], {
      encoding: 'utf8',
      timeout: 120_000,
      cwd: path.resolve(__dirname, '../..'),
    })
    expect(stderr).to.equal('')
    expect(stdout).to.match(/^true\n/)
    expect(status).to.equal(0)
  })
})

function bound(probe: UsageProbe) {
  return { latest: () => probe.latest(performance.now()), soFar: () => probe.soFar() }
}
