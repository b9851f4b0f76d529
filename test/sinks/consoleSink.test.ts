import { expect } from 'chai'
import { Writable } from 'node:stream'
import { consoleSink } from '../../src/sinks/consoleSink'
import { conformsAsSink, rows, type Row } from './conformance'
import { VirtualClock, faultOf, turns } from './support'

class Screen extends Writable {
  text = ''
  broken = false
  held: (() => void) | undefined

  constructor(readonly hold = false) {
    super({ autoDestroy: false, emitClose: false })
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error) => void): void {
    if (this.broken) {
      done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }))
      return
    }
    this.text += chunk.toString()
    if (this.hold) this.held = () => done()
    else done()
  }
}

conformsAsSink('consoleSink', {
  keeps: 'all',
  create: () => {
    // A stream that has failed stays failed: whoever repairs it puts another in its place.
    let screen = new Screen()
    let before = ''
    const to = new Writable({
      autoDestroy: false,
      write: (chunk: Buffer, _encoding, done) => {
        if (screen.broken) done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }))
        else screen.write(chunk, done)
      },
    })
    // Node keeps the first error of a stream for ever; a terminal that comes back has none.
    const forget = (): void => {
      const { _writableState } = to as unknown as { _writableState: { errored: unknown; errorEmitted: boolean } }
      _writableState.errored = null
      _writableState.errorEmitted = false
    }
    return {
      sink: consoleSink<Row>({ to }),
      read: () =>
        Promise.resolve(
          (before + screen.text)
            .split('\n')
            .slice(0, -1)
            .map((line) => JSON.parse(line) as Row),
        ),
      breakIt: () => void (screen.broken = true),
      repairIt: () => {
        before += screen.text
        screen = new Screen()
        forget()
      },
    }
  },
})

describe('consoleSink', () => {
  const context = { outDir: 'out', clock: new VirtualClock() }

  it('prints one line a value, in the format that is given', async () => {
    const screen = new Screen()
    const sink = consoleSink<Row>({ to: screen, format: ({ n }) => `row ${n}` })
    await sink.open(context)
    await sink.write(rows(2))
    expect(screen.text).to.equal('row 0\nrow 1\n')
    expect(sink.counters).to.include({ written: 2, bytes: 12 })
  })

  it('prints control characters as their code, so that no text from outside drives the terminal', async () => {
    const screen = new Screen()
    const sink = consoleSink<string>({ to: screen, format: (value) => value })
    await sink.open(context)
    await sink.write(['\u001b[2Jgone', '\u009b31m', 'a\tb', 'bell\u0007', 'back\rover'])
    expect(screen.text).to.equal('\\u001b[2Jgone\n\\u009b31m\na\tb\nbell\\u0007\nback\\u000dover\n')
  })

  it('waits for a reader that is slow', async () => {
    const screen = new Screen(true)
    const sink = consoleSink<number>({ to: screen })
    await sink.open(context)
    let done = false
    const writing = sink.write([1]).then(() => (done = true))
    await turns()
    expect(done).to.equal(false)
    screen.held?.()
    await writing
  })

  it('refuses with the reason when its reader has gone, and ends no process', async () => {
    const screen = new Screen()
    const sink = consoleSink<number>({ to: screen })
    await sink.open(context)
    screen.broken = true
    const fault = await faultOf(sink.write([1]))
    await sink.close()
    await turns()
    expect(fault.message).to.contain('the reader at the other end has gone')
    expect(screen.listenerCount('error')).to.equal(0)
  })

  it('refuses to write before it is opened', async () => {
    expect((await faultOf(consoleSink<number>({ to: new Screen() }).write([1]))).message).to.contain('not open')
  })

  it('leaves no listener on the stream', async () => {
    const screen = new Screen()
    const sink = consoleSink<number>({ to: screen })
    for (let run = 0; run < 20; run++) {
      await sink.open(context)
      await sink.close()
    }
    await turns()
    expect(screen.listenerCount('error')).to.equal(0)
  })

  it('leaves out a value whose format throws', async () => {
    const sink = consoleSink<number>({
      to: new Screen(),
      format: () => {
        throw new Error('no format')
      },
    })
    await sink.open(context)
    const fault = await faultOf(sink.write([1]))
    expect(fault.code).to.equal('VALUE_INVALID')
    expect(fault.details).to.include({ index: 0 })
  })

  it('digests what it printed', async () => {
    const sink = consoleSink<number>({ to: new Screen() })
    sink.enableDigest?.()
    await sink.open(context)
    await sink.write([1])
    expect(sink.digest?.()).to.equal('sha256:4355a46b19d348dc2f57c046f8ef63d4538ebb936000f3c9ee954a27460dd865')
  })
})
