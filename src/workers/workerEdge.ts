import path from 'node:path'
import { BoundedQueue } from '../actors/boundedQueue'
import { drop, pass, type Ledger } from '../actors/ledger'
import type { Clock, Timer } from '../clock/clock'
import { Fault, messageOf } from '../model/fault'
import { handedOver, type WorkerMessage } from './handedOver'
import type { Asker } from './link'
import type { OnWorkerOptions } from './onWorker'
import type { PlacementRule } from './placement'
import { RebuildLog } from './rebuildLog'
import type { WorkerHandle } from './spawn'
import { SupervisedWorker } from './supervisedWorker'

/** Where an edge's results go. */
export interface EdgeOutput<R> {
  readonly closed: boolean
  next(result: R): void
  error(error: unknown): void
  /** Everything that was received has come back and gone on, after {@link WorkerEdge.end}. */
  complete(): void
}

/** What an edge takes of its surroundings. */
export interface EdgeSurroundings {
  readonly clock: Clock
  readonly random: () => number
  readonly ledger: Ledger
  readonly ringBytes: number
  readonly placement: PlacementRule
  /** False: there is no thread, everything is done here. */
  readonly hasThread: boolean
}

/** What the entry offers: `exposeEntry` with one function calls it `run`. The others are for `rebuild`. */
interface EntryApi {
  run(message: unknown): unknown
  save(): unknown
  restore(saved: unknown): void
}

/** Values that travel together. */
interface Batch<T, R> {
  readonly values: readonly T[]
  /** `again`: its worker died, it waits to be offered once more. `back` and `lost` are final. */
  state: 'away' | 'again' | 'back' | 'lost'
  offers: number
  results: readonly R[]
  /** What it has cost this thread so far. */
  spentUs: number
}

/** One worker of a subscription: the queue, the thread, and the batches between them. */
export class WorkerEdge<T, R> {
  private readonly entry: string
  private readonly clock: Clock
  private readonly ledger: Ledger
  private readonly placement: PlacementRule
  private readonly queue: BoundedQueue<T>
  private readonly concurrency: number
  private readonly supervisor: SupervisedWorker<EntryApi> | undefined
  private readonly log: RebuildLog<T> | undefined
  /** The thread, once it is what the one before it was. */
  private worker: WorkerHandle<EntryApi> | undefined
  /** What was read from it when it was last looked at, µs. */
  private readUs = 0

  /** Sent and not yet emitted, in the order of the source: what holds results back for their order. */
  private readonly sent: Batch<T, R>[] = []
  /** Those of `sent` that the worker had when it died, waiting to be offered once more, each alone. */
  private again: Batch<T, R>[] = []
  private away = 0
  /** The batch that is away may have killed a worker: nothing travels with it. */
  private alone = false

  private sourceEnded = false
  private isOver = false
  private progressUs = 0
  private watch: Timer | undefined
  private turnPlanned = false
  private sending = false
  private releasing = false

  constructor(
    entry: string | URL,
    private readonly options: OnWorkerOptions<T, R>,
    { clock, random, ledger, ringBytes, placement, hasThread }: EdgeSurroundings,
    private readonly out: EdgeOutput<R>,
  ) {
    const { capacity, onFull, pressure, concurrency = 2, rebuild } = options
    this.clock = clock
    this.ledger = ledger
    this.placement = placement
    this.concurrency = concurrency
    this.entry = path.basename(String(entry))
    this.queue = new BoundedQueue({ capacity, onFull, pressure, ledger })
    this.log = rebuild === undefined ? undefined : new RebuildLog(rebuild)
    if (!hasThread) return
    this.supervisor = new SupervisedWorker<EntryApi>(entry, { ...options, ringBytes }, clock, random, {
      started: (worker) => this.started(worker),
      died: (fault) => this.died(fault),
      gaveUp: (fault) => out.error(fault),
    })
  }

  receive(value: T): void {
    if (!this.queue.add(value)) {
      this.out.error(this.queue.full(`The edge to onWorker ${this.entry}`))
      return
    }
    if (this.worker === undefined && this.options.here === undefined) return
    if (this.queue.size >= this.options.batchMax || this.placement.isHere) {
      this.send()
    } else if (!this.turnPlanned) {
      this.turnPlanned = true // what else comes in this turn of the loop travels along
      void TURN.then(this.takeTurn) // several times cheaper than `queueMicrotask`, which keeps a context for each
    }
  }

  private readonly takeTurn = (): void => {
    this.turnPlanned = false
    this.send()
  }

  /** Nothing more comes. */
  end(): void {
    this.sourceEnded = true
    this.finishWhenDone()
  }

  close(): void {
    this.watch?.cancel()
    const held = this.sent.reduce((sum, { state, values }) => sum + (state === 'lost' ? 0 : values.length), 0)
    drop(this.ledger, 'stopped', held)
    this.sent.length = 0
    this.again = []
    this.queue.clear('stopped')
    void this.supervisor?.stop()
  }

  private send(): void {
    if (this.sending) return // a batch that cannot be encoded is lost within the call; the loop below goes on to the next
    this.sending = true
    while (!this.out.closed && this.sendOne());
    this.sending = false
  }

  /** False when there is nothing that can be sent now. */
  private sendOne(): boolean {
    const { worker } = this
    if (this.again.length > 0) {
      if (worker === undefined || this.away > 0) return false
      this.alone = true
      this.offer(worker, this.again.shift()!, this.clock.nowUs())
      return true
    }
    if (this.alone && this.away > 0) return false
    this.alone = false
    if (worker !== undefined && this.log?.isSaveDue) {
      if (this.away === 0) this.save(worker, this.log)
      return false
    }
    if (this.sent.length >= this.concurrency || this.queue.size === 0) return false
    const startedUs = this.clock.nowUs()
    const place = this.placement.next(startedUs, worker !== undefined)
    if (place === 'worker' && worker === undefined) return false
    const batch: Batch<T, R> = {
      values: this.queue.take(this.options.batchMax),
      state: 'again',
      offers: 0,
      results: [],
      spentUs: 0,
    }
    this.sent.push(batch)
    if (place === 'worker') this.offer(worker!, batch, startedUs)
    else this.doHere(batch, startedUs)
    return true
  }

  private offer(worker: WorkerHandle<EntryApi>, batch: Batch<T, R>, startedUs: number): void {
    const { encode } = this.options
    let sending: WorkerMessage
    try {
      sending = encode === undefined ? { message: batch.values } : encode(batch.values)
    } catch (error) {
      this.lose(batch, asFault('encode', error))
      return
    }
    batch.state = 'away'
    batch.offers++
    if (this.away++ === 0) this.progressUs = startedUs
    this.watchProgress(this.options.deadlineMs)
    ask(worker, sending, {
      answered: (reply) => this.came(batch, worker, reply),
      failed: (fault) => {
        // Of a death `died` is told, for all batches together; anything else is about this one.
        if (worker.fault !== undefined || batch.state !== 'away') return
        this.landed()
        this.log?.answered(batch.values)
        this.lose(batch, fault)
        this.send()
      },
    })
    batch.spentUs = this.clock.nowUs() - startedUs
  }

  private came(batch: Batch<T, R>, worker: WorkerHandle<EntryApi>, reply: unknown): void {
    if (batch.state !== 'away' || this.out.closed) return
    const decode = this.options.decode ?? (decodeArray as (reply: unknown) => R[])
    const startedUs = this.clock.nowUs()
    this.landed()
    this.log?.answered(batch.values)
    try {
      batch.results = [...decode(reply, batch.values)]
      const { readUs = 0 } = worker
      const nowUs = this.clock.nowUs()
      const us = batch.spentUs + readUs - this.readUs + nowUs - startedUs
      this.readUs = readUs
      this.placement.spent(nowUs, 'worker', us, batch.values.length)
      batch.state = 'back'
      this.release()
    } catch (error) {
      this.lose(batch, asFault('decode', error))
    }
    this.send()
  }

  private doHere(batch: Batch<T, R>, startedUs: number): void {
    try {
      batch.results = [...this.options.here!(batch.values)]
      const nowUs = this.clock.nowUs()
      this.placement.spent(nowUs, 'loop', nowUs - startedUs, batch.values.length)
      batch.state = 'back'
      this.release()
    } catch (error) {
      this.lose(batch, asFault('do', error))
    }
  }

  private landed(): void {
    this.away--
    this.progressUs = this.clock.nowUs()
    this.supervisor?.succeeded()
  }

  private lose(batch: Batch<T, R>, fault: Fault): void {
    batch.state = 'lost'
    drop(this.ledger, 'failed', batch.values.length)
    if (this.options.onFault === undefined) this.out.error(fault)
    else this.report(fault)
    this.release()
  }

  private report(fault: Fault): void {
    try {
      this.options.onFault?.(fault)
    } catch (error) {
      this.out.error(error)
    }
  }

  /** Emits, in order, whatever no longer waits for anything before it. */
  private release(): void {
    if (this.releasing) return
    this.releasing = true
    for (let batch = this.sent[0]; batch?.state === 'back' || batch?.state === 'lost'; batch = this.sent[0]) {
      this.sent.shift()
      if (batch.state === 'lost') continue
      pass(this.ledger, batch.values.length)
      for (const result of batch.results) this.out.next(result)
    }
    this.releasing = false
    this.finishWhenDone()
  }

  private finishWhenDone(): void {
    if (!this.sourceEnded || this.isOver || this.queue.size > 0 || this.sent.length > 0 || this.out.closed) return
    this.isOver = true
    this.out.complete()
  }

  private started(worker: WorkerHandle<EntryApi>): void {
    this.readUs = worker.readUs ?? 0
    if (this.log === undefined || this.log.isEmpty) {
      this.worker = worker
      this.send()
    } else void this.rebuild(worker, this.log)
  }

  /** Makes a new thread what the one before it was. One that dies meanwhile is followed by another, as always. */
  private async rebuild(worker: WorkerHandle<EntryApi>, log: RebuildLog<T>): Promise<void> {
    const { deadlineMs, encode } = this.options
    try {
      if (log.saved !== undefined) await worker.call('restore', [log.saved.state], { deadlineMs })
      for (const values of log.since) {
        this.away = 1 // the deadline holds for each batch of these, too
        this.progressUs = this.clock.nowUs()
        this.watchProgress(deadlineMs)
        // What throws now threw before, and has been told of.
        await new Promise<void>((resolve) => {
          const settled = { answered: () => resolve(), failed: () => resolve() }
          ask(worker, encode === undefined ? { message: values } : encode(values), settled)
        })
        if (worker.fault !== undefined || this.out.closed) return
        this.away = 0
      }
      this.worker = worker
      this.send()
    } catch (error) {
      this.cannotRebuild(worker, 'restored', error)
    }
  }

  /** Asks for the worker's state; nothing is sent meanwhile. */
  private save(worker: WorkerHandle<EntryApi>, log: RebuildLog<T>): void {
    this.worker = undefined
    worker.call('save', [], { deadlineMs: this.options.deadlineMs }).then(
      (state) => {
        if (worker.fault !== undefined || this.out.closed) return
        log.save(state)
        this.worker = worker
        this.send()
      },
      (error: unknown) => this.cannotRebuild(worker, 'saved', error),
    )
  }

  /** Of a death `died` is told. A thread that does not answer is as good as dead; one that refuses will refuse again. */
  private cannotRebuild(worker: WorkerHandle<EntryApi>, what: 'saved' | 'restored', error: unknown): void {
    if (worker.fault !== undefined || this.out.closed) return
    if (error instanceof Fault && error.code === 'DEADLINE_EXCEEDED') {
      this.supervisor?.condemn(tooSlow(this.entry, this.options.deadlineMs))
      return
    }
    const message = `The state of worker ${worker.name} could not be ${what}, so that it could not be rebuilt if it died: ${messageOf(error)} An entry with \`rebuild\` offers run, save and restore.`
    this.out.error(new Fault('STAGE_FAILED', message, { worker: worker.name }, { cause: error }))
  }

  private died(fault: Fault): void {
    this.worker = undefined
    this.away = 0
    this.alone = false
    const interrupted = this.sent.filter(({ state }) => state === 'away')
    const givenUp = interrupted.filter(({ offers }) => offers > 1)
    for (const batch of interrupted) batch.state = 'again'
    this.again = [...interrupted.filter((batch) => !givenUp.includes(batch)), ...this.again]
    this.report(fault)
    for (const batch of givenUp) this.lose(batch, diedTwice(fault, batch.values.length))
  }

  /** One timer, not one for each batch: it fires, looks at the last answer, and sleeps for what remains. */
  private watchProgress(delayMs: number): void {
    this.watch ??= this.clock.after(delayMs, () => {
      this.watch = undefined
      if (this.away === 0) return
      const { deadlineMs } = this.options
      const remainingMs = deadlineMs - (this.clock.nowUs() - this.progressUs) / 1_000
      if (remainingMs > 0) this.watchProgress(remainingMs)
      else this.supervisor?.condemn(tooSlow(this.entry, deadlineMs))
    })
  }
}

/** Over the rings where there are any: a thread that is simulated, or an entry that does not use `exposeEntry`, has none. */
function ask(worker: WorkerHandle<EntryApi>, sending: WorkerMessage, asker: Asker): void {
  if (worker.ask !== undefined) {
    worker.ask(sending, asker)
    return
  }
  const { message, transfer = [] } = sending.transfer === undefined ? handedOver(sending.message) : sending
  worker.call('run', [message], { transfer }).then(
    (reply) => asker.answered(reply),
    (error: unknown) => asker.failed(error as Fault),
  )
}

const TURN = Promise.resolve()

function decodeArray(reply: unknown): unknown[] {
  if (Array.isArray(reply)) return reply
  throw new TypeError('The worker did not answer with an array of results: give `decode`, or answer with one.')
}

function asFault(step: 'encode' | 'decode' | 'do', error: unknown): Fault {
  if (error instanceof Fault) return error
  const message = `onWorker could not ${step} ${step === 'do' ? 'the work on ' : ''}a batch: ${messageOf(error)}`
  return new Fault('STAGE_FAILED', message, { step }, { cause: error })
}

function diedTwice(cause: Fault, values: number): Fault {
  const given = values === 1 ? 'one value' : `${values} values`
  const message = `Gave up ${given}: the worker died each of the two times it had ${values === 1 ? 'it' : 'them'}. ${cause.message}`
  return new Fault('WORKER_DIED', message, { ...cause.details, values }, { cause })
}

function tooSlow(worker: string, deadlineMs: number): Fault {
  const message = `Worker ${worker} had work and gave no answer for ${deadlineMs} ms: raise \`deadlineMs\`, or send smaller batches.`
  return new Fault('WORKER_DIED', message, { worker, reason: 'deadline', deadlineMs })
}
