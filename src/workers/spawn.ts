import { createRequire } from 'node:module'
import path from 'node:path'
import type { EventLoopUtilization } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import { Worker, type ResourceLimits } from 'node:worker_threads'
import type * as Threads from 'threads'
import { LONGEST_WAIT_MS, type Clock } from '../clock/clock'
import { liveClock } from '../clock/liveClock'
import { noteWorker } from '../metrics/knownWorkers'
import { reportMemory, startWith } from '../metrics/threadReport'
import { Fault, messageOf } from '../model/fault'
import { thrownFromData, type Answer } from './crossing'
import type { WorkerMessage } from './handedOver'
import { Link, LINK_FUNCTION, type Asker } from './link'
import type { Transferred } from './transferred'

/**
 * Starting worker threads: the only place on this side that names the library `threads` (1.7.0; its worker half is in
 * `entry.ts`).
 *
 * The library gives calls, their results and transfer lists. What it does not give is added here: a worker that exits,
 * crashes, runs out of memory or fails to load rejects the spawn and every call under way at once (the library leaves
 * them pending for ever, or for ten seconds); entries are named by absolute path; values that are falsy and faults with
 * their codes arrive whole; and its SIGINT and SIGTERM handlers, which would end the process in the middle of a drain,
 * are taken off again.
 */
export async function spawnWorker<Api extends object>(
  entry: string | URL,
  options: SpawnOptions,
): Promise<WorkerHandle<Api>> {
  const { deadlineMs, clock = liveClock, signal } = options
  const file = resolveEntry(entry)
  if (!(deadlineMs > 0 && deadlineMs <= LONGEST_WAIT_MS)) {
    const message = `The deadline of worker ${path.basename(file)} is ${deadlineMs} ms: give a number above 0.`
    throw new Fault('OPTION_INVALID', message, { deadlineMs })
  }
  signal?.throwIfAborted()
  const figures = reportMemory()
  const worker = startWith(figures, () => start(file, options))
  const life = new Life(worker, path.basename(file))

  return new Promise<WorkerHandle<Api>>((resolve, reject) => {
    const timer = clock.after(deadlineMs, () => {
      life.end('deadline', `was not ready within ${deadlineMs} ms: it must call exposeEntry when it has loaded`, {})
    })
    const abort = (): void => void life.stop()
    signal?.addEventListener('abort', abort)
    const settled = (): void => {
      timer.cancel()
      signal?.removeEventListener('abort', abort)
    }
    void life.ended.then((fault) => {
      settled()
      reject(signal?.aborted ? (signal.reason as Error) : fault)
    })
    // Its own timeout would not be cancelled when the worker dies first; the one above is, and it follows the clock.
    threads()
      .spawn(worker as unknown as Threads.Worker, { timeout: LONGEST_WAIT_MS })
      .then(
        (thread) => {
          if (life.fault !== undefined) return
          const ready = (): void => {
            settled()
            const handle = new ThreadHandle<Api>(worker, life, thread, clock)
            void life.ended.then(noteWorker(life.name, handle, figures))
            resolve(handle)
          }
          const take = Object.hasOwn(thread, LINK_FUNCTION) ? thread[LINK_FUNCTION] : undefined
          if (options.ringBytes === undefined || take === undefined) {
            ready()
            return
          }
          const link = new Link(life.name, options.ringBytes, clock)
          life.link = link
          const ends = [link.ends] as unknown as ArrayBuffer
          take(threads().Transfer(ends, [link.ends.port as unknown as ArrayBuffer])).then(
            () => {
              if (life.fault !== undefined) return
              link.open()
              ready()
            },
            (cause: unknown) => life.end('error', `could not be given its rings: ${messageOf(cause)}`, {}, cause),
          )
        },
        (cause: unknown) => life.end('error', `could not be spoken to: ${messageOf(cause)}`, {}, cause),
      )
  })
}

export interface SpawnOptions {
  /** How long loading the entry may take, milliseconds, > 0. */
  readonly deadlineMs: number
  /** Memory of the thread; it dies when it needs more, and nothing else does. */
  readonly resourceLimits?: ResourceLimits
  /**
   * Gives the worker two rings in shared memory, each with so much room, for {@link WorkerHandle.ask}: a power of two, 128 or
   * more. An entry that does not use `exposeEntry`, or offers no `run`, gets none.
   */
  readonly ringBytes?: number
  /** What the entry finds as `workerData` of `node:worker_threads`; a structured clone. */
  readonly workerData?: unknown
  /** Stops the worker, also while it is loading; afterwards it has no effect. */
  readonly signal?: AbortSignal
  readonly clock?: Clock
}

export interface CallOptions {
  /** Buffers that are handed over instead of copied; they are empty on this side afterwards. */
  readonly transfer?: Iterable<ArrayBufferLike>
  /** How long the answer may take: a `DEADLINE_EXCEEDED` fault then. The worker itself goes on, if it can. */
  readonly deadlineMs?: number
}

/** A running worker, by what its entry offers. */
export interface WorkerHandle<Api extends object> {
  /** The file name of its entry. */
  readonly name: string
  /**
   * Calls a function that the entry offers (`run` when it offers just one).
   * Rejects with what it threw, as a `Fault`; with `WORKER_DIED` as soon as the thread has ended for whatever reason.
   */
  call<Name extends keyof Api & string>(
    name: Name,
    args: Arguments<Api[Name]>,
    options?: CallOptions,
  ): Promise<Result<Api[Name]>>
  /**
   * Calls `run` with one argument over the rings (`ringBytes`), as {@link call} does and much cheaper, and tells `asker` of
   * what came of it; undefined where there are none. The worker takes up what it is asked in order.
   */
  readonly ask?: (message: WorkerMessage, asker: Asker) => void
  /** What this thread has spent on reading answers of {@link ask}, µs. */
  readonly readUs?: number
  /** Resolves, never rejects, with why the thread has ended; also after {@link terminate}. */
  readonly died: Promise<Fault>
  /** Why the thread has ended; undefined while it runs. */
  readonly fault: Fault | undefined
  /** How busy the thread has been since it started, or since an earlier answer of this. */
  eventLoopUtilization(since?: EventLoopUtilization): EventLoopUtilization
  /** Ends the thread. May be called twice. */
  terminate(): Promise<void>
}

export type Arguments<F> = F extends (...args: infer A) => unknown ? A : never

export type Result<F> = F extends (...args: never[]) => infer R ? Untransferred<Awaited<R>> : never

type Untransferred<R> = R extends Transferred<infer T> ? T : R

/** What `threads` makes of a module: its functions, each taking one argument here, the arguments of the call. */
type Thread = Readonly<Record<string, ((args: unknown) => PromiseLike<Answer>) | undefined>>

class ThreadHandle<Api extends object> implements WorkerHandle<Api> {
  readonly name: string
  readonly died: Promise<Fault>
  readonly ask?: (message: WorkerMessage, asker: Asker) => void

  constructor(
    private readonly worker: Worker,
    private readonly life: Life,
    private readonly thread: Thread,
    private readonly clock: Clock,
  ) {
    this.name = life.name
    this.died = life.ended
    const { link } = life
    if (link !== undefined) this.ask = (message, asker) => link.ask(message, asker)
  }

  get fault(): Fault | undefined {
    return this.life.fault
  }

  get readUs(): number {
    return this.life.link?.readUs ?? 0
  }

  call<Name extends keyof Api & string>(
    name: Name,
    args: Arguments<Api[Name]>,
    { transfer = [], deadlineMs }: CallOptions = {},
  ): Promise<Result<Api[Name]>> {
    return new Promise((resolve, reject) => {
      if (this.fault !== undefined) {
        reject(this.fault)
        return
      }
      const run = Object.hasOwn(this.thread, name) ? this.thread[name] : undefined
      if (run === undefined) {
        const offered = Object.keys(this.thread)
          .filter((each) => each !== LINK_FUNCTION)
          .join(', ')
        const message = `Worker ${this.name} offers no function "${name}"; it offers ${offered || 'none'}.`
        reject(new Fault('OPTION_INVALID', message, { worker: this.name, function: name }))
        return
      }
      const settle = (finish: () => void): void => {
        timer?.cancel()
        this.life.calls.delete(abandon)
        finish()
      }
      const abandon = (fault: Fault): void => settle(() => reject(fault))
      const timer =
        deadlineMs === undefined
          ? undefined
          : this.clock.after(deadlineMs, () => abandon(noAnswer(this.name, name, deadlineMs)))
      this.life.calls.add(abandon)

      // An answer to a call that was abandoned finds its promise settled already.
      run(threads().Transfer(args as unknown as ArrayBuffer, [...transfer] as ArrayBuffer[])).then(
        (answer) =>
          settle(() => {
            if ('thrown' in answer) reject(thrownFromData(answer.thrown))
            else resolve(answer.value as Result<Api[Name]>)
          }),
        (cause: unknown) => abandon(notSendable(this.name, name, cause)),
      )
    })
  }

  eventLoopUtilization(since?: EventLoopUtilization): EventLoopUtilization {
    return this.worker.performance.eventLoopUtilization(since)
  }

  terminate(): Promise<void> {
    return this.life.stop()
  }
}

/** The life of one thread: it ends once, for one reason, and everybody who waits for it hears of that. */
class Life {
  readonly ended: Promise<Fault>
  fault: Fault | undefined
  /** The calls under way. A set, because a promise raced by every call would remember all of them until it settles. */
  readonly calls = new Set<(fault: Fault) => void>()
  link: Link | undefined
  private settle!: (fault: Fault) => void

  constructor(
    private readonly worker: ThreadWorker,
    readonly name: string,
  ) {
    this.ended = new Promise((resolve) => (this.settle = resolve))
    worker.setMaxListeners(0) // each call under way listens
    worker.on('error', (error: unknown) => {
      const outOfMemory = (error as NodeJS.ErrnoException).code === 'ERR_WORKER_OUT_OF_MEMORY'
      if (outOfMemory) this.end('memory', 'ran out of memory: give it more, or smaller batches', {}, error)
      else this.end('error', `failed outside of a call: ${messageOf(error)}`, {}, error)
    })
    worker.on('messageerror', (error) => {
      this.end('message', `sent something that could not be read: ${messageOf(error)}`, {}, error)
    })
    worker.on('message', (message: unknown) => {
      if (!isUncaughtError(message)) return
      this.end('error', `failed outside of a call: ${messageOf(message.error.message)}`, {})
    })
    worker.on('exit', (exitCode) => this.end('exit', `exited with code ${exitCode}`, { exitCode }))
  }

  end(reason: EndReason, sentence: string, details: Readonly<Record<string, unknown>>, cause?: unknown): void {
    if (this.fault !== undefined) return
    const fault = new Fault(
      'WORKER_DIED',
      `Worker ${this.name} ${sentence}.`,
      { worker: this.name, reason, ...details, callsLost: this.calls.size + (this.link?.asking ?? 0) },
      cause === undefined ? undefined : { cause },
    )
    this.fault = fault
    this.settle(fault)
    for (const abandon of [...this.calls]) abandon(fault)
    this.link?.end(fault)
    this.worker.introduce()
    void this.worker.terminate()
  }

  async stop(): Promise<void> {
    this.end('stopped', 'was stopped', {})
    await this.worker.terminate()
  }
}

type EndReason = 'error' | 'exit' | 'memory' | 'message' | 'deadline' | 'stopped'

function isUncaughtError(message: unknown): message is { error: { message: unknown } } {
  return (
    typeof message === 'object' &&
    message !== null &&
    (message as { type?: unknown }).type === 'uncaughtError' &&
    typeof (message as { error?: unknown }).error === 'object'
  )
}

/** Node's worker with the few browser methods that `threads` calls on it. */
class ThreadWorker extends Worker {
  private readonly adapters = new Map<ThreadsListener, (message: unknown) => void>()

  addEventListener(event: string, listener: ThreadsListener): void {
    const adapter = (message: unknown): void => {
      if (!isUncaughtError(message)) listener({ data: message }) // `Life` has dealt with those
    }
    this.adapters.set(listener, adapter)
    this.on(event, adapter)
  }

  removeEventListener(event: string, listener: ThreadsListener): void {
    const adapter = this.adapters.get(listener)
    if (adapter === undefined) return
    this.adapters.delete(listener)
    this.off(event, adapter)
  }

  /**
   * Says for a thread that has ended that it was ready: `threads` may still be waiting for that, with a timer that would
   * keep the process alive. An event would not reach it: Node has taken the listeners off by then.
   */
  introduce(): void {
    for (const listener of [...this.adapters.keys()])
      listener({ data: { type: 'init', exposed: { type: 'function' } } })
  }
}

type ThreadsListener = (event: { readonly data: unknown }) => void

/** The file of an entry, from an absolute path (the extension may be left out) or a `file:` address. */
function resolveEntry(entry: string | URL): string {
  const asked = String(entry)
  const file = asked.startsWith('file:') ? fileURLToPath(asked) : asked
  if (!path.isAbsolute(file)) {
    const message = `The worker entry "${asked}" is not an absolute path: write path.join(__dirname, ${JSON.stringify(asked)}), or new URL(…, import.meta.url).`
    throw new Fault('OPTION_INVALID', message, { entry: asked })
  }
  try {
    return load.resolve(file)
  } catch (cause) {
    throw new Fault('OPTION_INVALID', `There is no worker entry ${file}.`, { entry: file }, { cause })
  }
}

function start(file: string, { resourceLimits, workerData }: SpawnOptions): ThreadWorker {
  const options = { workerData, ...(resourceLimits === undefined ? {} : { resourceLimits }) }
  try {
    if (!/\.[cm]?tsx?$/.test(file)) return new ThreadWorker(file, options)
    return new ThreadWorker(typeScriptBootstrap(file), { ...options, eval: true })
  } catch (cause) {
    if (cause instanceof Fault) throw cause
    const name = path.basename(file)
    const message = `Worker ${name} could not be started: ${messageOf(cause)}`
    throw new Fault('WORKER_DIED', message, { worker: name, reason: 'start' }, { cause })
  }
}

/** The thread is told its TypeScript compiler by path, and reads the tsconfig beside the entry, wherever it was started. */
function typeScriptBootstrap(file: string): string {
  const paths = [path.dirname(file), __dirname, process.cwd()]
  let tsNode: string
  try {
    tsNode = load.resolve('ts-node', { paths })
  } catch (cause) {
    const message = `The worker entry ${file} is TypeScript and ts-node is not installed: install it, or point to the compiled entry.`
    throw new Fault('OPTION_INVALID', message, { entry: file }, { cause })
  }
  const settings = {
    transpileOnly: true,
    projectSearchDir: path.dirname(file),
    compilerOptions: { module: 'nodenext', moduleResolution: 'nodenext' },
  }
  return `require(${JSON.stringify(tsNode)}).register(${JSON.stringify(settings)}); require(${JSON.stringify(file)})`
}

const load = createRequire(__filename)
let loaded: typeof Threads | undefined

/**
 * The library, loaded at the first spawn: whoever starts no worker does not pay for it. Loading it installs handlers
 * that call `process.exit(0)` on SIGINT and SIGTERM; those that appear while it loads are taken off, any others stay.
 */
function threads(): typeof Threads {
  if (loaded !== undefined) return loaded
  const signals = ['SIGINT', 'SIGTERM'] as const
  const before = signals.map((signal) => process.listeners(signal))
  loaded = load('threads') as typeof Threads
  signals.forEach((signal, index) => {
    for (const listener of process.listeners(signal)) {
      if (!before[index]!.includes(listener)) process.off(signal, listener)
    }
  })
  return loaded
}

function noAnswer(worker: string, name: string, deadlineMs: number): Fault {
  const message = `Worker ${worker} did not answer "${name}" within ${deadlineMs} ms.`
  return new Fault('DEADLINE_EXCEEDED', message, { worker, function: name, deadlineMs })
}

function notSendable(worker: string, name: string, cause: unknown): Fault {
  const message = `The arguments or the result of "${name}" of worker ${worker} could not cross the thread: ${messageOf(cause)}`
  return new Fault('STAGE_FAILED', message, { worker, function: name }, { cause })
}
