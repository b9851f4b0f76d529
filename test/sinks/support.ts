import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { VirtualClock } from '../../src/clock/virtualClock'
import { type Fault } from '../../src/model/fault'
import { type Sink, type SinkCounters, sinkCounters } from '../../src/sinks/sink'

/** A folder of its own for one test. */
export class TestFolder {
  private constructor(readonly outDir: string) {}

  static async create(): Promise<TestFolder> {
    return new TestFolder(path.join(await mkdtemp(path.join(tmpdir(), 'millrace-sinks-')), 'out'))
  }

  file(name: string): string {
    return path.join(this.outDir, name)
  }

  /** The folder has gone, and a file stands in its place. */
  async vanish(): Promise<void> {
    await rename(this.outDir, `${this.outDir}.away`)
    await writeFile(this.outDir, 'in the way')
  }

  async comeBack(): Promise<void> {
    await rm(this.outDir)
    await rename(`${this.outDir}.away`, this.outDir)
  }

  async remove(): Promise<void> {
    await rm(path.dirname(this.outDir), { recursive: true, force: true })
  }
}

/** Waits for what real files and promises bring about, not longer than a deadline. */
export async function until(condition: () => boolean, what = 'the condition', deadlineMs = 60_000): Promise<void> {
  const end = Date.now() + deadlineMs
  while (!condition()) {
    if (Date.now() > end) throw new Error(`${what} did not come true within ${deadlineMs} ms`)
    await new Promise((resolve) => setTimeout(resolve, 1)) // others need the processor that turns would keep busy
  }
}

/** Lets everything run that needs no time. */
export async function turns(count = 5): Promise<void> {
  for (let at = 0; at < count; at++) await turn()
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** What an action was refused with. */
export async function faultOf(action: Promise<unknown>): Promise<Fault> {
  try {
    await action
  } catch (fault) {
    return fault as Fault
  }
  throw new Error('it was not refused')
}

/** A sink that does what a test tells it. */
export class ScriptedSink<T> implements Sink<T> {
  readonly name = 'scripted'
  readonly counters: SinkCounters = sinkCounters()
  readonly batches: T[][] = []
  readonly calls: string[] = []
  readonly resumed: (boolean | undefined)[] = []
  /** Called with the number of the attempt, from 1; may throw or wait. */
  onWrite: (attempt: number, batch: readonly T[]) => Promise<void> | void = () => undefined
  onOpen: (attempt: number) => Promise<void> | void = () => undefined
  onClose: (attempt: number) => Promise<void> | void = () => undefined
  attempts = 0
  opens = 0
  closes = 0
  private busy = false

  async open({ resume }: { resume?: boolean }): Promise<void> {
    this.calls.push('open')
    this.resumed.push(resume)
    await this.onOpen(++this.opens)
  }

  async write(batch: readonly T[]): Promise<void> {
    if (this.busy) throw new Error('two writes at once')
    this.busy = true
    try {
      this.calls.push('write')
      await this.onWrite(++this.attempts, batch)
      this.batches.push([...batch])
      this.counters.written += batch.length
    } finally {
      this.busy = false
    }
  }

  async close(): Promise<void> {
    this.calls.push('close')
    await this.onClose(++this.closes)
  }

  get values(): T[] {
    return this.batches.flat()
  }
}

export { VirtualClock }
