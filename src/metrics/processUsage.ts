/**
 * CPU time and memory of this process, asked of pidusage on a thread of its own.
 *
 * One thread per process, started when the first asks and stopped when the last has released it; it never keeps the
 * process alive. A thread that dies or does not answer is replaced at the next question, a limited number of times in a
 * row: after that the answers stay undefined, and whoever samples carries on without them.
 */
import { createRequire } from 'node:module'
import path from 'node:path'
import { Worker } from 'node:worker_threads'
import type { UsageAnswer, UsageRequest } from './pidusageEntry'

export interface Usage {
  /** Since the start of the process, user and system. */
  readonly cpuTimeMs: number
  /** When it was read, milliseconds since 1970. */
  readonly readAtMs: number
  readonly rssBytes: number
}

export interface UsageProbe {
  /** Calls back once, or never: the caller has a deadline. Not before this call has returned. */
  ask(answered: (usage: Usage | undefined) => void): void
  /** The last question was not answered in time. */
  missed(): void
  release(): void
}

/** Questions that wait for an answer; of more, the oldest is forgotten. */
const ASKED_MAX = 8
/** Questions without an answer in a row, after which a thread that has answered before is taken for hung. */
const MISSED_MAX = 3
const STARTS_IN_A_ROW_MAX = 5

export function acquireUsageProbe(): UsageProbe {
  shared ??= new UsageThread()
  const thread = shared
  thread.users++
  let released = false
  return {
    ask: (answered) => {
      if (!released) thread.ask(answered)
    },
    missed: () => {
      if (!released) thread.missed()
    },
    release: () => {
      if (released) return
      released = true
      if (--thread.users > 0) return
      if (shared === thread) shared = undefined
      thread.stop()
    },
  }
}

let shared: UsageThread | undefined

class UsageThread {
  users = 0
  private worker: Worker | undefined
  private lastId = 0
  private readonly asked = new Map<number, (usage: Usage | undefined) => void>()
  /** It has answered: a thread that is still starting is slow, not hung. */
  private ready = false
  private missedInARow = 0
  private startsInARow = 0

  ask(answered: (usage: Usage | undefined) => void): void {
    for (const oldest of this.asked.keys()) {
      if (this.asked.size < ASKED_MAX) break
      this.asked.delete(oldest)
    }
    const worker = (this.worker ??= this.start())
    if (worker === undefined) return
    const id = ++this.lastId
    this.asked.set(id, answered)
    worker.postMessage({ id } satisfies UsageRequest)
  }

  missed(): void {
    if (this.ready && ++this.missedInARow >= MISSED_MAX) this.stop()
  }

  stop(): void {
    const { worker } = this
    this.worker = undefined
    this.ready = false
    this.missedInARow = 0
    this.asked.clear()
    void worker?.terminate()
  }

  private start(): Worker | undefined {
    if (this.startsInARow >= STARTS_IN_A_ROW_MAX) return undefined
    this.startsInARow++
    let worker: Worker
    try {
      worker = spawn()
    } catch {
      // Too many threads, or no memory for one: the next question tries again.
      return undefined
    }
    worker.on('message', (answer: UsageAnswer) => this.take(answer))
    // Without a listener its error would be an uncaught exception of this thread.
    worker.on('error', () => this.gone(worker))
    worker.on('exit', () => this.gone(worker))
    // Last: a listener to messages holds the process again.
    worker.unref()
    return worker
  }

  private gone(worker: Worker): void {
    if (this.worker === worker) this.stop()
  }

  private take({ id, cpuTimeMs, readAtMs, rssBytes }: UsageAnswer): void {
    const answered = this.asked.get(id)
    if (answered === undefined) return
    this.asked.delete(id)
    this.ready = true
    this.missedInARow = 0
    if (cpuTimeMs === undefined || readAtMs === undefined || rssBytes === undefined) {
      answered(undefined)
      return
    }
    this.startsInARow = 0
    answered({ cpuTimeMs, readAtMs, rssBytes })
  }
}

/** The entry lies beside this file, as TypeScript in development and as JavaScript when built. */
function spawn(): Worker {
  const extension = path.extname(__filename)
  const entry = path.join(__dirname, `pidusageEntry${extension}`)
  const options = { name: 'millrace-pidusage', execArgv: [] }
  if (extension !== '.ts') return new Worker(entry, { ...options, resourceLimits: { maxOldGenerationSizeMb: 32 } })
  const register = createRequire(__filename).resolve('ts-node/register/transpile-only')
  const bootstrap =
    "const { register, entry } = require('node:worker_threads').workerData; require(register); require(entry)"
  return new Worker(bootstrap, { ...options, eval: true, workerData: { register, entry } })
}
