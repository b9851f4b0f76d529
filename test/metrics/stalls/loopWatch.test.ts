import { expect } from 'chai'
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { LoopWatch } from '../../../src/metrics/stalls/loopWatch'
import type { Stall } from '../../../src/metrics/stalls/stall'
import { stageMarks } from '../../../src/metrics/stageMarks'
import { eventually } from '../../kit/eventually'

/** Puts this thread to sleep, as nothing in a pipeline should. */
function sleep(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

/** Where `sleep` does, counted from 1. */
const SLEEPS_AT =
  readFileSync(__filename, 'utf8')
    .split('\n')
    .findIndex((line) => /^ {2}Atomics\.wait\(/.test(line)) + 1

const SOURCE = path.join(__dirname, '../../../src/metrics/stalls/loopWatch')

interface Watched {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly out: string
  readonly err: string
}

/** A process of its own that watches its loop and then does something to it. */
function watching(options: string, then: string): Promise<Watched> {
  const script = `
    const { LoopWatch } = require(${JSON.stringify(SOURCE)})
    const watch = new LoopWatch({ afterMs: 100, onStall: () => {}, ${options} })
    ${then}`
  const folder = mkdtempSync(path.join(tmpdir(), 'millrace-watch-'))
  const file = path.join(folder, 'watching.js')
  writeFileSync(file, script)
  const child = spawn(process.execPath, ['-r', 'ts-node/register/transpile-only', file], {
    cwd: path.join(__dirname, '../../..'),
  })
  let out = ''
  let err = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text))
  return new Promise<Watched>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => resolve({ code, signal, out, err }))
  }).finally(() => rmSync(folder, { recursive: true }))
}

describe('the watch over the event loop', () => {
  it('tells of a loop that slept, with the stage that was at work', async () => {
    const stalls: Stall[] = []
    const watch = new LoopWatch({ afterMs: 100, onStall: (stall) => stalls.push(stall) })
    const stage = stageMarks.numberOf('watched/sleeper')
    try {
      const stall = await eventually(() => {
        // A thread that is still starting sees nothing: until it does, the loop is put to sleep again and again.
        stageMarks.during(stage, () => sleep(400))
        const found = stalls.find((each) => each.cause === 'code' && each.stage === stage)
        if (found === undefined) throw new Error('no stall was told of')
        return found
      })
      expect(stall.ownMs).to.be.at.least(100)
      if (stall.asleepMs !== undefined) expect(stall.asleepMs).to.be.greaterThan(stall.ownMs / 2)
    } finally {
      watch.stop()
    }
  })

  it('names the line through the inspector, also of a call that sleeps in the system', async () => {
    const watch = new LoopWatch({
      afterMs: 100,
      onStall: () => undefined,
      lines: { ownFolders: [path.resolve(__dirname, '../../../src') + path.sep], sampleEveryUs: 500 },
    })
    try {
      await watch.startLines()
      for (let times = 0; times < 5; times++) {
        sleep(100)
        await new Promise((resolve) => setImmediate(resolve))
      }
      const { spots, sampledMs } = await watch.lines({ places: [{ url: __filename, line: 1 }] })
      const slept = spots.find(({ place }) => place?.text.startsWith('Atomics.wait(') === true)
      expect(slept?.place).to.include({ file: __filename, line: SLEEPS_AT })
      expect(slept!.ms).to.be.within(1, sampledMs)
    } finally {
      watch.stop()
    }
  })

  it('says that there is no answer once it was stopped', async () => {
    const watch = new LoopWatch({ afterMs: 100, onStall: () => undefined })
    watch.stop()
    watch.stop()
    const fault = await watch.collectGarbage().then(
      () => undefined,
      (thrown: unknown) => thrown,
    )
    expect(fault).to.have.property('code', 'WORKER_DIED')
  })

  it('keeps no process alive', async () => {
    const { code, err } = await watching('', `console.log('done')`)
    expect([code, err]).to.deep.equal([0, ''])
  })

  it('survives a process that is told to exit while it is sampled', async () => {
    const { code, out } = await watching(
      `lines: { ownFolders: [], sampleEveryUs: 500 }`,
      `watch.startLines().then(() => { console.log('sampling'); process.exit(7) })`,
    )
    expect([code, out]).to.deep.equal([7, 'sampling\n'])
  })

  it('tells on standard error of a loop that does not come back, with the line where lines are wanted', async () => {
    const { code, err } = await watching(
      `hangMs: 300, lines: { ownFolders: [], sampleEveryUs: 500 }`,
      `watch.startLines().then(() => {
        for (const end = Date.now() + 5_000; Date.now() < end; );
        process.exit(0)
      })`,
    )
    expect(code).to.equal(0)
    expect(err).to.match(
      /The event loop has been standing still for \d+ s: no stage is at work, at \S+watching\.js:5\.\n/,
    )
  })

  it('ends the process of a loop that does not come back, where that is wanted, and says so', async () => {
    const { signal, err } = await watching(
      `hangMs: 300, endMs: 800`,
      `for (const end = Date.now() + 60_000; Date.now() < end; );`,
    )
    expect(signal).to.equal('SIGKILL')
    expect(err).to.match(
      /standing still for \d+ s: no stage is at work\.\nIt does not come back: ended after \d+ s\.\n$/,
    )
  })
})
