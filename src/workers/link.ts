/**
 * Questions to a worker and their answers, in order, over two rings in shared memory.
 *
 * Why      `threads` (and a bare message) costs the asking thread some tens of microseconds for each question, and clones
 *          what it holds. Over a ring a question of columns costs one copy of them, and its answer another
 * Order    the rings hold it. What has no form as words, what is handed over and what is too large for a ring is posted
 *          through a port, and a record in the ring holds its place: the reader takes it from the port when it comes to that
 *          record. A message is in the port's queue as soon as it was posted, so it is always there by then
 * Flow     questions that find no room wait here; an answer that comes is the credit for the next. So their number is for
 *          whoever asks to bound (`concurrency` of `onWorker`). Answers that find no room wait in the worker, which takes no
 *          more questions meanwhile
 * Sleep    both sides by `Atomics.waitAsync`: some ten microseconds later than a thread that does nothing but wait, and its
 *          timers, its messages and what it awaits go on
 *
 * Life and death are the spawner's business; when the other thread is gone it calls {@link Link.end}.
 */
import { MessageChannel, receiveMessageOnPort, type MessagePort } from 'node:worker_threads'
import type { Clock } from '../clock/clock'
import { Fault, messageOf } from '../model/fault'
import { thrownFromData, thrownToData, type Answer, type ThrownData } from './crossing'
import { Transferred } from './transferred'
import { handedOver, type WorkerMessage } from './handedOver'
import { recordWordsMax, RingReader, ringMemory, RingWriter, type RingMemory } from './ring'
import { readValue, wordsOf, writeValue } from './ringValues'

/** What the other side needs: given to it once, as a message. */
export interface LinkEnds {
  readonly questions: RingMemory
  readonly answers: RingMemory
  readonly port: MessagePort
}

/** The function of a worker by which it is given its side. */
export const LINK_FUNCTION = '$link'

/** Looks at the answers that may follow each other without a turn of the loop between them. */
const ROUNDS_A_TURN = 64

/** Where a record's content is: the words after its number, or the port; and what was thrown in the place of an answer. */
const IN_RING = 1
const IN_PORT = 2
const THROWN_IN_PORT = 3
/** The words of a record before its content: its number. */
const NUMBER_WORDS = 1

export class Link {
  /** For the other thread, with what is to be handed over. */
  readonly ends: LinkEnds
  /** What this thread has spent on reading answers, µs. */
  readUs = 0
  private readonly port: MessagePort
  private readonly questions: RingWriter
  private readonly answers: RingReader
  private readonly waiting = new Map<number, Asker>()
  /** Asked and not yet written, because there was no room; in order. */
  private unsent: { readonly number: number; readonly message: WorkerMessage }[] = []
  private asked = 0
  private ended: Fault | undefined

  /** @param ringBytes  the room of each ring: a power of two, 128 or more */
  constructor(
    private readonly worker: string,
    ringBytes: number,
    private readonly clock: Clock,
  ) {
    const { port1, port2 } = new MessageChannel()
    this.port = port1
    this.ends = { questions: ringMemory(ringBytes / 8), answers: ringMemory(ringBytes / 8), port: port2 }
    this.questions = new RingWriter(this.ends.questions)
    this.answers = new RingReader(this.ends.answers)
  }

  /** To be called when the other thread has its side. */
  open(): void {
    void this.listen()
  }

  /** Questions that have no answer yet. */
  get asking(): number {
    return this.waiting.size
  }

  /**
   * Tells what the worker answers; what it threw, as a `Fault`; or the fault of {@link end}. Questions are taken up by the
   * worker in the order in which they were asked. Told by calls and not by promises, which at each hop would be a quarter
   * of what the loop has to do.
   */
  ask(message: WorkerMessage, asker: Asker): void {
    if (this.ended !== undefined) {
      asker.failed(this.ended)
      return
    }
    const number = this.asked++
    this.waiting.set(number, asker)
    if (this.unsent.length > 0 || !this.send(number, message)) this.unsent.push({ number, message })
  }

  /** The other thread is gone, or no longer wanted: everything that waits for it is told. May be called twice. */
  end(fault: Fault): void {
    if (this.ended !== undefined) return
    this.ended = fault
    this.questions.abort()
    this.answers.abort()
    this.port.close()
    this.unsent = []
    const waiting = [...this.waiting.values()]
    this.waiting.clear()
    for (const asker of waiting) asker.failed(fault)
  }

  /** False when there is no room in the ring. */
  private send(number: number, message: WorkerMessage): boolean {
    const { questions } = this
    const words = message.transfer === undefined ? wordsOf(message.message, contentMax(questions)) : -1
    if (words >= 0) {
      if (!questions.reserve(NUMBER_WORDS + words, IN_RING)) return false
      questions.words[questions.at] = number
      writeValue(questions, questions.at + NUMBER_WORDS, message.message)
    } else {
      if (!questions.reserve(NUMBER_WORDS, IN_PORT)) return false
      questions.words[questions.at] = number
      try {
        const { message: sent, transfer = [] } = message.transfer === undefined ? handedOver(message.message) : message
        this.port.postMessage(sent, [...transfer] as ArrayBuffer[])
      } catch (cause) {
        const text = `What was to be asked of worker ${this.worker} could not cross the thread: ${messageOf(cause)}`
        this.askerOf(number)?.failed(new Fault('STAGE_FAILED', text, { worker: this.worker }, { cause }))
        return true // the record that was reserved is not committed: there is no question
      }
    }
    questions.commit()
    questions.publish()
    return true
  }

  private async listen(): Promise<void> {
    const { answers } = this
    for (let rounds = 1; !answers.isOver; rounds++) {
      if (rounds % ROUNDS_A_TURN === 0) await new Promise(setImmediate) // a worker that is quick must not keep the loop
      while (answers.next()) this.take()
      while (this.unsent.length > 0 && this.send(this.unsent[0]!.number, this.unsent[0]!.message)) this.unsent.shift()
      await answers.published()
    }
  }

  /**
   * Buffers that are handed over are the collector's to free, and only for those that were made here it looks in time, which
   * is when one is made: without that they pile up until all of the heap is marked because of them. So a small one is made.
   */
  private take(): void {
    const { answers } = this
    const startedUs = this.clock.nowUs()
    const number = answers.words[answers.at]!
    let value: unknown
    let fault: Fault | undefined
    try {
      if (answers.tag === IN_RING) value = readValue(answers, answers.at + NUMBER_WORDS)
      else {
        new ArrayBuffer(LITTER_BYTES)
        const { message } = receiveMessageOnPort(this.port) as { readonly message: unknown }
        if (answers.tag === THROWN_IN_PORT) fault = thrownFromData(message as ThrownData)
        else value = message
      }
    } catch (cause) {
      fault = unreadable(this.worker, cause)
    }
    answers.release()
    this.readUs += this.clock.nowUs() - startedUs
    const asker = this.askerOf(number)
    if (fault === undefined) asker?.answered(value)
    else asker?.failed(fault)
  }

  private askerOf(number: number): Asker | undefined {
    const asker = this.waiting.get(number)
    this.waiting.delete(number)
    return asker
  }
}

/** More than what a typed array keeps within itself. */
const LITTER_BYTES = 128

/** Who waits for an answer; one of the two is called, once, and must not throw. It may be within the question itself. */
export interface Asker {
  answered(value: unknown): void
  failed(fault: Fault): void
}

/**
 * The worker's side: answers questions by `run` until the link ends. Those whose answer is a promise are worked on at once;
 * all others one after another.
 */
export function serveLink({ questions, answers, port }: LinkEnds, run: (message: never) => unknown): void {
  const asked = new RingReader(questions)
  const replies = new RingWriter(answers)
  /** The answer before, while it waits for room. */
  let before: Promise<void> | undefined
  void serve()

  async function serve(): Promise<void> {
    let inARow = 0
    while (!asked.isOver) {
      while (asked.next()) {
        answerOne()
        if (before !== undefined) await before
        if (++inARow % QUESTIONS_A_TURN === 0) await new Promise(setImmediate) // timers and messages have a turn
      }
      await asked.published()
    }
  }

  function answerOne(): void {
    const number = asked.words[asked.at]!
    let result: unknown
    try {
      const message: unknown =
        asked.tag === IN_RING ? readValue(asked, asked.at + NUMBER_WORDS) : receiveMessageOnPort(port)!.message
      asked.release()
      result = run(message as never)
    } catch (thrown) {
      asked.release()
      reply(number, { thrown: thrownToData(thrown) })
      return
    }
    if (!isPromise(result)) {
      reply(number, { value: result })
      return
    }
    result.then(
      (value) => reply(number, { value }),
      (thrown: unknown) => reply(number, { thrown: thrownToData(thrown) }),
    )
  }

  function reply(number: number, answer: Answer): void {
    if (before === undefined && write(number, answer)) return
    const waited = (before ?? Promise.resolve()).then(async () => {
      while (!write(number, answer)) {
        if (replies.state !== 'open') return
        await replies.roomMade()
      }
    })
    before = waited
    void waited.then(() => {
      if (before === waited) before = undefined
    })
  }

  /** False when there is no room. */
  function write(number: number, answer: Answer): boolean {
    const words =
      'value' in answer && !(answer.value instanceof Transferred) ? wordsOf(answer.value, contentMax(replies)) : -1
    if (words >= 0) {
      if (!replies.reserve(NUMBER_WORDS + words, IN_RING)) return false
      replies.words[replies.at] = number
      writeValue(replies, replies.at + NUMBER_WORDS, (answer as { readonly value: unknown }).value)
    } else {
      if (!replies.reserve(NUMBER_WORDS, IN_PORT)) return false
      if (!post(answer)) replies.reserve(NUMBER_WORDS, THROWN_IN_PORT) // the same room
      replies.words[replies.at] = number
    }
    replies.commit()
    replies.publish()
    return true
  }

  /** False for what was thrown. */
  function post(answer: Answer): boolean {
    if ('thrown' in answer) {
      port.postMessage(answer.thrown)
      return false
    }
    const { value } = answer
    try {
      if (value instanceof Transferred) port.postMessage(value.value, [...value.buffers])
      else port.postMessage(value)
      return true
    } catch (cause) {
      const message = `What the worker answered could not cross the thread: ${messageOf(cause)}`
      port.postMessage(thrownToData(new Fault('STAGE_FAILED', message, {}, { cause })))
      return false
    }
  }
}

/** Questions that are answered at once; then whatever else the worker has to do has a turn. */
const QUESTIONS_A_TURN = 16

function contentMax({ memory }: RingWriter): number {
  return recordWordsMax(memory) - NUMBER_WORDS
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === 'function'
}

function unreadable(worker: string, cause: unknown): Fault {
  return new Fault(
    'STAGE_FAILED',
    `What worker ${worker} answered could not be read: ${messageOf(cause)}`,
    { worker },
    { cause },
  )
}
