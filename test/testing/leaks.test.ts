import { expect } from 'chai'
import { connect, createServer } from 'node:net'
import { createServer as createHttpServer, get } from 'node:http'
import { spawn } from 'node:child_process'
import { watch } from 'node:fs'
import { MessageChannel, Worker } from 'node:worker_threads'
import { EventEmitter, once } from 'node:events'
import { interval, of, Subject, type Subscription } from 'rxjs'
import { VirtualClock } from '../../src/clock/virtualClock'
import { leakCheck, watched, withoutLeaks, type Leak, type LeakOptions } from '../../src/testing/leaks'
import { rejectionOf } from './failureOf'

const HERE = __filename

describe('The leak assertion', () => {
  /** What is ended after each test, so that the leaks of tests are none. */
  const ends: (() => unknown)[] = []
  afterEach(async () => {
    for (const end of ends.splice(0)) await end()
  })

  it('holds when nothing is left, and gives what the body gave', async () => {
    const given = await withoutLeaks(
      async () => {
        clearTimeout(setTimeout(() => undefined, 60_000))
        const server = createServer()
        server.listen(0, '127.0.0.1')
        await once(server, 'listening')
        server.close()
        const listener = (): void => undefined
        process.on('SIGUSR2', listener)
        process.off('SIGUSR2', listener)
        watched(interval(60_000)).subscribe().unsubscribe()
        const worker = new Worker('', { eval: true })
        await once(worker, 'exit')
        return 7
      },
      { withinMs: 60_000 },
    )
    expect(given).to.equal(7)
  })

  it('waits for what closes by itself, within its deadline', async () => {
    await withoutLeaks(() => void setTimeout(() => undefined, 30), { withinMs: 60_000 })
    await withoutLeaks(
      async () => {
        const server = createHttpServer((_, answer) => answer.end('x'))
        server.listen(0, '127.0.0.1')
        await once(server, 'listening')
        const { port } = server.address() as { port: number }
        await new Promise<void>((resolve, reject) => {
          get({ port, agent: false }, (answer) => answer.resume().on('end', resolve)).on('error', reject)
        })
        server.close() // answers are over, and the port closes a little later
      },
      { withinMs: 60_000 },
    )
  })

  it('does not look at the timers of the test runner', async function () {
    await withoutLeaks(() => this.timeout(30_000))
  })

  it('does not look at what was there before', async () => {
    const timer = setInterval(() => undefined, 1)
    const subscription = watched(interval(1)).subscribe()
    ends.push(
      () => clearInterval(timer),
      () => subscription.unsubscribe(),
    )
    await withoutLeaks(() => new Promise((resolve) => setTimeout(resolve, 10)))
  })

  it('rejects with what the body threw, whatever was left', async () => {
    let thrown: unknown
    await withoutLeaks(() => {
      const timer = setTimeout(() => undefined, 60_000)
      ends.push(() => clearTimeout(timer))
      throw new RangeError('mine')
    }).catch((error: unknown) => (thrown = error))
    expect(thrown).to.be.instanceOf(RangeError)
  })

  describe('fails with what was left and where it was made:', () => {
    it('a timer, also one that lets the process end', async () => {
      const message = await leftBy(() => {
        const timer = setTimeout(() => undefined, 60_000)
        ends.push(() => clearTimeout(timer))
      })
      expect(message).to.match(/^One thing was left behind after \d+ ms:\n {2}a timer, made\n {6}at /)
      expect(message).to.include(HERE).and.not.include('node:internal')
      const unreferenced = await leftBy(() => {
        const timer = setInterval(() => undefined, 60_000).unref()
        ends.push(() => clearInterval(timer))
      })
      expect(unreferenced).to.include('a timer, made')
    })

    it('timers that set one another', async () => {
      let on = true
      ends.push(() => (on = false))
      const again = (): void => {
        if (on) setTimeout(again, 1)
      }
      expect(await leftBy(again))
        .to.include('a timer, made')
        .and.include(HERE)
    })

    it('immediates that set one another', async () => {
      let on = true
      ends.push(() => (on = false))
      const again = (): void => {
        if (on) setImmediate(again)
      }
      expect(await leftBy(again)).to.include('an immediate, made')
    })

    it('a listening port', async () => {
      const message = await leftBy(async () => {
        const server = createServer()
        ends.push(() => server.close())
        server.listen(0)
        await once(server, 'listening')
      })
      expect(message).to.include('a listening port, made').and.include(HERE)
    })

    it('a socket, on both sides', async () => {
      const server = createServer()
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      ends.push(() => server.close())
      const { port } = server.address() as { port: number }
      const message = await leftBy(async () => {
        const socket = connect(port, '127.0.0.1')
        ends.push(() => socket.destroy())
        await once(server, 'connection')
      })
      expect(message).to.match(/2 things were left behind/)
      expect(message.match(/^ {2}a socket/gm)).to.have.length(2)
    })

    it('a worker thread', async () => {
      const message = await leftBy(async () => {
        const worker = new Worker('setInterval(() => undefined, 1_000)', { eval: true })
        ends.push(() => worker.terminate())
        await once(worker, 'online')
      })
      expect(message).to.match(/One thing was left .*\n {2}worker thread \d+, made\n/)
      expect(message).to.include(HERE)
    })

    it('a child process, a message port, a watched file', async () => {
      const message = await leftBy(() => {
        const child = spawn('sleep', ['60'], { stdio: 'ignore' })
        const { port1 } = new MessageChannel()
        const watcher = watch(__dirname)
        ends.push(
          () => child.kill(),
          () => port1.close(),
          () => watcher.close(),
        )
      })
      expect(message).to.include('a child process, made').and.include('a message port').and.include('a file watcher')
    })

    it('a listener of the process', async () => {
      const message = await leftBy(() => {
        const listener = (): void => undefined
        process.once('SIGUSR2', listener)
        ends.push(() => process.off('SIGUSR2', listener))
      })
      expect(message).to.include("a listener of the process to 'SIGUSR2', made").and.include(HERE)
    })

    it('a listener of a watched emitter or signal', async () => {
      const emitter = new EventEmitter()
      const { signal } = new AbortController()
      const before = (): void => undefined
      emitter.on('data', before)
      signal.addEventListener('abort', before)
      const message = await leftBy(
        () => {
          emitter.off('data', before)
          emitter.on('data', before)
          emitter.on('data', () => undefined)
          signal.addEventListener('abort', () => undefined)
        },
        { listened: [emitter, signal] },
      )
      expect(message).to.match(/^2 things were left/)
      expect(message).to.include("a listener of a watched EventEmitter to 'data', made")
      expect(message).to.include("a listener of a watched AbortSignal to 'abort'")
      expect(emitter.listenerCount('newListener'), 'its own are gone').to.equal(0)
    })

    it('a timer of a watched clock, and leaves the clock as it was', async () => {
      const clock = new VirtualClock()
      const fired: number[] = []
      const message = await leftBy(
        () => {
          clock.after(5, () => fired.push(clock.nowUs()))
          clock.after(6, () => undefined).cancel()
          clock.after(7, () => fired.push(clock.nowUs()))
          clock.advance(5)
        },
        { clocks: [clock] },
      )
      expect(message).to.match(
        /^One thing was left behind after \d+ ms:\n {2}a timer of 7 ms on a watched clock, made\n/,
      )
      expect(message).to.include(HERE)
      expect(Object.hasOwn(clock, 'after')).to.equal(false)
      clock.advance(2)
      expect(fired).to.deep.equal([5_000, 7_000])
    })

    it('a subscription to a watched observable', async () => {
      const source = new Subject<number>()
      let open: Subscription | undefined
      const message = await leftBy(() => {
        const trades = watched(source, 'the trades')
        trades.subscribe().unsubscribe()
        watched(of(1)).subscribe()
        open = trades.subscribe()
      })
      expect(message).to.match(/^One thing .*\n {2}a subscription to the trades, made\n/)
      expect(message).to.include(HERE).and.not.include('node_modules')
      open!.unsubscribe()
      expect(source.observed).to.equal(false)
    })
  })

  it('names no more than a screen of leaks', async () => {
    const message = await leftBy(() => {
      const timers = Array.from({ length: 50 }, () => setTimeout(() => undefined, 60_000))
      ends.push(() => timers.forEach(clearTimeout))
    })
    expect(message).to.match(/^50 things were left/)
    expect(message.match(/a timer, made/g)).to.have.length(20)
    expect(message).to.match(/ {2}and 30 more$/)
  })

  it('begins and ends apart from a body, says at any time what there is, and lets stay what may', async () => {
    const check = leakCheck({ withinMs: 20 })
    const timer = setTimeout(() => undefined, 60_000)
    expect(check.left().map(({ kind, what }) => [kind, what])).to.deep.equal([['timer', 'a timer']])
    expect(check.left()[0]!.madeAt[0]).to.include(HERE)
    expect(await rejectionOf(() => check.stop())).to.include('a timer, made')
    clearTimeout(timer)

    const told: Leak[] = []
    const lenient = leakCheck({ withinMs: 20, mayStay: (leak) => told.push(leak) > 0 })
    const other = setTimeout(() => undefined, 60_000)
    await lenient.stop()
    clearTimeout(other)
    expect(told[0]).to.include({ kind: 'timer' })
  })

  it('watches within another', async () => {
    await withoutLeaks(async () => {
      const timer = setTimeout(() => undefined, 60_000)
      await withoutLeaks(() => undefined)
      clearTimeout(timer)
    })
  })

  it('refuses a deadline that is none', () => {
    for (const withinMs of [-1, NaN, Infinity]) {
      expect(() => leakCheck({ withinMs })).to.throw(`withinMs = ${withinMs}`)
    }
  })
})

function leftBy(body: () => unknown, options: LeakOptions = {}): Promise<string> {
  return rejectionOf(() => withoutLeaks(body, { withinMs: 20, ...options }))
}
