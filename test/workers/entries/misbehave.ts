import { threadId, Worker, workerData } from 'node:worker_threads'
import { Fault } from '../../../src/model/fault'
import { exposeEntry, transferred } from '../../../src/workers/entry'

/** Everything a worker can do right or wrong, on request. */
const api = {
  echo: (value: unknown): unknown => value,
  threadId: (): number => threadId,
  workerData: (): unknown => workerData as unknown,
  /** How much a thread that is started here finds in its environment data. */
  environmentOfThread: (): Promise<number> =>
    new Promise((resolve, reject) => {
      const script = `
        const { getEnvironmentData, parentPort } = require('node:worker_threads')
        parentPort.postMessage(getEnvironmentData('millrace.threadReport') === undefined ? 0 : 1)
      `
      new Worker(script, { eval: true }).on('message', resolve).on('error', reject)
    }),
  async wait(ms: number): Promise<string> {
    await new Promise((resolve) => setTimeout(resolve, ms))
    return 'waited'
  },
  sum: (values: Float64Array): number => values.reduce((sum, value) => sum + value, 0),
  double(values: Float64Array) {
    const doubled = values.map((value) => value * 2)
    return transferred(doubled, [doubled.buffer])
  },
  exit(code: number): Promise<never> {
    process.exit(code)
  },
  throwFault(): never {
    const details = { symbol: 'BTC-USDT', expected: 7, callback: () => undefined }
    throw new Fault('BOOK_GAP', 'Change 9 does not follow 7.', details, { cause: new RangeError('inner') })
  },
  throwError(): never {
    throw new TypeError('not a book')
  },
  throwText(): never {
    // eslint-disable-next-line @typescript-eslint/only-throw-error -- others do
    throw 'just text'
  },
  reject: (): Promise<never> => Promise.reject(new TypeError('rejected')),
  throwLater(): Promise<never> {
    setTimeout(() => {
      throw new Error('late throw')
    }, 1)
    return new Promise(() => undefined)
  },
  rejectLater(): Promise<never> {
    // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- others do
    setTimeout(() => void Promise.reject('late rejection'), 1)
    return new Promise(() => undefined)
  },
  useMemory(): never {
    const hoard: number[][] = []
    for (;;) hoard.push(Array.from({ length: 10_000 }, (_, index) => index * 1.5))
  },
  spin(): never {
    for (;;);
  },
  sendFunction: (): unknown => () => undefined,
}

export type Misbehave = typeof api

exposeEntry(api)
