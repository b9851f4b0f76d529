import { expect } from 'chai'
import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { answerOf, INSTALL_WITHIN_MS, needsInstallation, RUN_WITHIN_MS, TSC, type Installation } from './installation'
import { runProcess, said, type ProcessResult } from './runProcess'

/** RxJS 9 as its authors mean it: operators are symbols, cancellation is a signal, `Observable` is the platform's. */
const PROGRAM = `
import { ColdObservable, Subject } from 'rxjs'
import { map } from 'rxjs/map'
import { take } from 'rxjs/take'
import { collect, fromForeign, memory, ofKind, pipeline, simulator, toAsyncIterable, toForeign } from 'millrace'

const answer = { pipeable: typeof new ColdObservable(() => {}).pipe, ours: typeof simulator }
const market = () => simulator({ exchanges: ['kraken'], instruments: ['BTC-USDT'], channel: 'trades' })
const trades = () => market().pipe(ofKind('trade'))

// Out: batches of a pipeline's source through operators of RxJS 9, which leave it after three.
answer.out = await new Promise((resolve, reject) => {
  const prices = []
  toForeign(trades(), ColdObservable)
    [map]((batch) => [...batch].every((trade) => trade.price > 0))
    [take](3)
    .subscribe({ next: (real) => prices.push(real), error: reject, complete: () => resolve(prices) })
})

// Out, cancelled by a signal from within a value.
answer.cancelled = await new Promise((resolve, reject) => {
  const stopping = new AbortController()
  let values = 0
  toForeign(trades(), ColdObservable).subscribe(
    {
      next: () => {
        values++
        stopping.abort()
        setTimeout(() => resolve(values), 300)
      },
      error: reject,
    },
    { signal: stopping.signal },
  )
})

// The platform's Observable shares its source, and lets go of it with its last subscriber.
const count = { subscribed: 0, stopped: 0 }
let send
const counted = fromForeign(
  new ColdObservable((out) => {
    count.subscribed++
    send = (value) => out.next(value)
    out.addTeardown(() => count.stopped++)
  }),
)
const shared = toForeign(counted, Observable)
const [first, second] = [new AbortController(), new AbortController()]
const seen = []
shared.subscribe((value) => seen.push(['first', value]), { signal: first.signal })
shared.subscribe((value) => seen.push(['second', value]), { signal: second.signal })
send(1)
first.abort()
send(2)
const before = { ...count }
second.abort()
send(3)
answer.shared = { seen, before, after: count }

// In: into a pipeline, and to its end.
const kept = memory({ capacity: 100 })
const own = pipeline('own', ({ source, sink }) => {
  const numbers = new ColdObservable((out) => {
    for (const value of [1, 2, 3]) out.next([{ value }])
    out.complete()
  })
  const EDGE = { capacity: 100, onFull: 'fail' }
  sink(source('numbers', fromForeign(numbers[map](([{ value }]) => [{ value: value * 10 }])), EDGE), kept, EDGE)
})
const summary = await own.run()
answer.pipeline = { problems: summary.problems, values: kept.values.map(({ value }) => value) }

// In, left after two values, also when they come endlessly within the call.
let stopped = 0
const endless = (Class) =>
  new Class((out) => {
    out.addTeardown(() => stopped++)
    for (let n = 0; out.active; n++) out.next(n)
  })
answer.left = {
  cold: await collect(fromForeign(endless(ColdObservable)), { take: 2 }),
  platform: await collect(fromForeign(endless(Observable)), { take: 2 }),
  stopped,
}

// A subject, and errors in both directions.
const subject = new Subject()
const fromSubject = collect(fromForeign(subject))
subject.next('a')
subject.complete()
answer.subject = await fromSubject
const failing = new ColdObservable((out) => out.error(new Error('theirs')))
answer.errors = [await collect(fromForeign(failing)).catch((error) => error.message)]
await new Promise((resolve) =>
  toForeign(fromForeign(failing), Observable).subscribe({
    error: (error) => resolve(answer.errors.push(error.message)),
  }),
)

// For await, left by break.
answer.awaited = 0
for await (const batch of toAsyncIterable(trades(), { capacity: 100, onFull: 'dropOldest' })) {
  answer.awaited += batch.length > 0 ? 1 : 0
  if (answer.awaited === 2) break
}
console.log(JSON.stringify(answer))
`

/** What it must compile as. Only the classes of RxJS 9 must be told their type: its subscriber hides it from inference. */
const TYPED = `
import { ColdObservable } from 'rxjs'
import { fromForeign, toAsyncIterable, toForeign } from 'millrace'

const theirs = new ColdObservable<number>((out) => out.next(1))
const ours = fromForeign(theirs)
ours.subscribe((value) => value.toFixed())
fromForeign(new Observable<string>((out) => out.next(''))).subscribe((value) => value.trim())
fromForeign([1]).subscribe((value) => value.toFixed())
fromForeign(Promise.resolve('')).subscribe((value) => value.trim())
const back: ColdObservable<number> = toForeign(ours, ColdObservable<number>)
const platform: Observable<number> = toForeign(ours, Observable<number>)
const values: AsyncIterable<number> = toAsyncIterable(ours, { capacity: 1, onFull: 'keepLatest' })
// @ts-expect-error what waits must have a policy
toAsyncIterable(ours, { capacity: 1 })
export { back, platform, values }
`

describe('millrace beside RxJS 9', () => {
  let folder: string
  let installed: Installation
  let result: ProcessResult

  before(async function () {
    installed = await needsInstallation(this)
    this.timeout(2 * INSTALL_WITHIN_MS)
    folder = path.join(path.dirname(installed.folder), 'rxjs9')
    const { dependencies } = JSON.parse(await installed.read('package.json')) as {
      dependencies: Record<string, string>
    }
    await mkdir(folder)
    const manifest = {
      private: true,
      dependencies: { millrace: dependencies['millrace'], rxjs: '9.0.0-beta.0' },
    }
    await writeFile(path.join(folder, 'package.json'), JSON.stringify(manifest))
    // It asks for Node 22, and runs on 20.
    const install = ['install', '--no-audit', '--no-fund', '--prefer-offline', '--engine-strict=false']
    const npm = await runProcess('npm', install, {
      cwd: folder,
      withinMs: INSTALL_WITHIN_MS,
    })
    if (npm.status !== 0) {
      if (!npm.ranTooLong && !UNREACHABLE.test(npm.stderr)) throw new Error(`npm install failed. ${said(npm)}`)
      console.log('Skipped: tests beside RxJS 9; the registry cannot be reached.')
      this.skip()
    }
    await writeFile(path.join(folder, 'own.mjs'), PROGRAM)
    result = await runProcess(process.execPath, ['own.mjs'], { cwd: folder, withinMs: RUN_WITHIN_MS })
    expect(result.status, said(result)).to.equal(0)
  })

  it('runs where `rxjs` is 9, on an rxjs 7 of its own', () => {
    expect(answerOf(result)).to.include({ pipeable: 'undefined', ours: 'function' })
  })

  it('gives its streams to RxJS 9, whose operators and signals leave them', () => {
    expect(answerOf(result)).to.deep.include({ out: [true, true, true], cancelled: 1 })
    expect(result.leftAlive, 'something it started is still running').to.equal(false)
  })

  it("is subscribed to once for all subscribers of the platform's Observable, and left with the last", () => {
    expect(answerOf(result)['shared']).to.deep.equal({
      seen: [
        ['first', 1],
        ['second', 1],
        ['second', 2],
      ],
      before: { subscribed: 1, stopped: 0 },
      after: { subscribed: 1, stopped: 1 },
    })
  })

  it('takes a stream of RxJS 9 into a pipeline, to its end', () => {
    expect(answerOf(result)['pipeline']).to.deep.equal({ problems: [], values: [10, 20, 30] })
  })

  it('leaves streams of RxJS 9, also when they emit endlessly within the call', () => {
    expect(answerOf(result)['left']).to.deep.equal({ cold: [0, 1], platform: [0, 1], stopped: 2 })
  })

  it('passes subjects, and errors in both directions', () => {
    expect(answerOf(result)).to.deep.include({ subject: ['a'], errors: ['theirs', 'theirs'] })
  })

  it('gives its streams to `for await`, which leaves them', () => {
    expect(answerOf(result)['awaited']).to.equal(2)
  })

  it('has types that check with those of RxJS 9', async function () {
    this.timeout(RUN_WITHIN_MS)
    await writeFile(path.join(folder, 'own.mts'), TYPED)
    const options = '--noEmit --strict --target es2023 --module nodenext --lib es2023,dom --skipLibCheck own.mts'
    const checked = await runProcess(process.execPath, [path.join(installed.folder, TSC), ...options.split(' ')], {
      cwd: folder,
      withinMs: RUN_WITHIN_MS,
    })
    expect(checked.status, said(checked)).to.equal(0)
  })
})

const UNREACHABLE = /E(?:NOTFOUND|AI_AGAIN|CONN\w+|TIMEDOUT|NETUNREACH|HOSTUNREACH|NOTCACHED)|ERR_SOCKET_TIMEOUT/
