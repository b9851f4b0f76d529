/**
 * The receiver of `ws` is the oracle: with a cutter before it, and without, the same bytes give the same messages, signs of life,
 * goodbyes and refusals, in the same order.
 */
import { expect } from 'chai'
import fc from 'fast-check'
import type { Writable } from 'node:stream'
import WebSocket from 'ws'
import { FrameCutter } from '../../src/feed/frameCutter'
import { BINARY, closeFrame, PAYLOAD_BYTES_MAX, PING, streams, TEXT, textFrame, wireFrame } from './wireFrames'

const { Receiver } = WebSocket as unknown as { Receiver: new (options: object) => Writable }

describe('FrameCutter', () => {
  it('with the receiver of ws behind it gives what that gives alone, whatever comes', async function () {
    this.timeout(120_000)
    const seen = { messages: 0, refusals: 0, goodbyes: 0, cut: 0 }
    await fc.assert(
      fc.asyncProperty(streams, fc.array(fc.boolean(), { maxLength: 20 }), async (chunks, holds) => {
        const alone = new Ws()
        for (const chunk of chunks) alone.take(chunk)
        const behind = new Ws()
        const { messages } = feed(behind, chunks, holds)
        await new Promise((resolve) => setImmediate(resolve))
        expect(behind.heard).to.deep.equal(alone.heard)
        seen.cut += messages
        for (const word of alone.heard) {
          if (/^(text|binary)/.test(word)) seen.messages++
          else if (word.startsWith('refused')) seen.refusals++
          else if (word.startsWith('goodbye')) seen.goodbyes++
        }
      }),
      { numRuns: 4_000 },
    )
    // Streams were drawn that show something.
    expect(seen.cut).to.be.greaterThan(seen.messages * 0.6)
    expect(seen.refusals).to.be.greaterThan(600)
    expect(seen.goodbyes).to.be.greaterThan(50)
  })

  it('cuts every frame of a chunk in one call, as slices of the chunk', () => {
    const texts = Array.from({ length: 3_000 }, (_, index) => `{"é":${index}}`)
    const chunk = Buffer.concat(texts.map(textFrame))
    const slices: Uint8Array[] = []
    const cutter = new FrameCutter(1_000, taking({ frame: (bytes) => slices.push(bytes) > 0 }))
    expect(cutter.cut(chunk)).to.equal(chunk.length)
    expect(slices.map(String)).to.have.length(3_000)
    expect(slices.every(({ buffer }) => buffer === chunk.buffer)).to.equal(true)
    expect(slices.map((bytes) => Buffer.from(bytes).toString())).to.deep.equal(texts)
  })

  it('tells text from binary frames, in one row and in any mixture', () => {
    const heard: string[] = []
    const cutter = new FrameCutter(
      1_000,
      taking({
        frame: (bytes, isText) => heard.push(`${isText ? 'text' : 'binary'} ${Buffer.from(bytes).toString('hex')}`) > 0,
      }),
    )
    const binary = wireFrame({ opcode: BINARY, payload: Uint8Array.of(0xff) })
    cutter.cut(Buffer.concat([textFrame('a'), binary, textFrame('é'), binary, binary]))
    cutter.cut(Buffer.concat([binary, binary]))
    expect(heard).to.deep.equal([
      'text 61',
      'binary ff',
      'text c3a9',
      'binary ff',
      'binary ff',
      'binary ff',
      'binary ff',
    ])
  })

  it('stops between two frames when asked to hold, and leaves the bytes of the others as they came', () => {
    const frames = Buffer.concat(
      Array.from({ length: 40 }, (_, index) => textFrame('x'.repeat(index * 9))).concat(
        wireFrame({ opcode: TEXT, payload: Buffer.from('long form'), length: 16 }),
      ),
    )
    const heard: number[] = []
    const cutter = new FrameCutter(1_000, taking({ frame: (bytes) => heard.push(bytes.length) % 7 > 0 }))
    const chunk = Buffer.from(frames)
    let at = 0
    for (let calls = 0; at < chunk.length; calls++) {
      expect(calls).to.be.lessThan(10)
      expect(chunk.subarray(at).equals(frames.subarray(at))).to.equal(true)
      at += cutter.cut(chunk.subarray(at))
    }
    expect(heard).to.deep.equal([...Array.from({ length: 40 }, (_, index) => index * 9), 9])
  })

  it('holds after what it lends as well', () => {
    const ping = wireFrame({ opcode: PING, payload: Buffer.from('?') })
    const chunk = Buffer.concat([ping, textFrame('a'), ping])
    const cutter = new FrameCutter(1_000, taking({ frame: () => false, lend: () => 'hold' }))
    const taken = [0, 1, 2].map((from) => cutter.cut(chunk.subarray(3 * from)))
    expect(taken).to.deep.equal([3, 3, 3])
  })

  it('uses memory again for what is spread over chunks, and not the chunk', () => {
    const chunks = [textFrame('first'), textFrame('second')].flatMap((frame) => [
      frame.subarray(0, 4),
      frame.subarray(4),
    ])
    const slices: Uint8Array[] = []
    const cutter = new FrameCutter(1_000, taking({ frame: (bytes) => slices.push(bytes) > 0 }))
    for (const chunk of chunks) cutter.cut(chunk)
    expect(slices[0]!.buffer).to.equal(slices[1]!.buffer)
    expect(slices[0]!.buffer.byteLength).to.be.lessThan(5_000)
    expect(Buffer.from(slices[1]!).toString()).to.equal('second')
  })

  it('takes memory for a large message as it comes, not as its header promises, and gives it back', () => {
    const size = 8 * 1024 * 1024
    const frame = wireFrame({ opcode: BINARY, payload: Buffer.alloc(size, 7) })
    const slices: Uint8Array[] = []
    const cutter = new FrameCutter(16 * 1024 * 1024, taking({ frame: (bytes) => slices.push(bytes) > 0 }))
    const before = process.memoryUsage().arrayBuffers
    cutter.cut(frame.subarray(0, 100_000))
    expect(process.memoryUsage().arrayBuffers - before).to.be.lessThan(400_000)
    for (let at = 100_000; at < frame.length; at += 65_536) cutter.cut(frame.subarray(at, at + 65_536))
    cutter.cut(textFrame('small').subarray(0, 3))
    cutter.cut(textFrame('small').subarray(3))
    expect(slices.map(({ length }) => length)).to.deep.equal([size, 5])
    expect(slices[1]!.buffer).to.not.equal(slices[0]!.buffer)
  })

  it('leaves the first byte against the rules, and everything after it', () => {
    const left: string[] = []
    const heard: string[] = []
    const cutter = new FrameCutter(
      10,
      taking({
        frame: (bytes) => heard.push(Buffer.from(bytes).toString()) > 0,
        leave: (bytes) => void left.push(Buffer.from(bytes).toString('hex')),
      }),
    )
    expect(cutter.cut(Buffer.concat([textFrame('ok'), textFrame('more than ten'), textFrame('no')]))).to.equal(23)
    expect(cutter.cut(textFrame('never'))).to.equal(7)
    expect(heard).to.deep.equal(['ok'])
    expect(left).to.deep.equal([
      Buffer.concat([textFrame('more than ten'), textFrame('no')]).toString('hex'),
      textFrame('never').toString('hex'),
    ])
  })

  it('lends pings and goes on, and leaves a close frame, also one that came byte by byte', () => {
    const lent: string[] = []
    const left: string[] = []
    const heard: string[] = []
    const cutter = new FrameCutter(
      100,
      taking({
        frame: (bytes) => heard.push(Buffer.from(bytes).toString()) > 0,
        lend: (bytes) => {
          lent.push(Buffer.from(bytes).toString('hex'))
          return 'more'
        },
        leave: (bytes) => void left.push(Buffer.from(bytes).toString('hex')),
      }),
    )
    const ping = wireFrame({ opcode: PING, payload: Buffer.from('?') })
    cutter.cut(Buffer.concat([textFrame('a'), ping, textFrame('b')]))
    for (const byte of closeFrame(1_000)) cutter.cut(Buffer.of(byte))
    expect([heard, lent, left.join('')]).to.deep.equal([
      ['a', 'b'],
      [ping.toString('hex')],
      closeFrame(1_000).toString('hex'),
    ])
  })
})

function taking(
  own: Partial<ConstructorParameters<typeof FrameCutter>[1]>,
): ConstructorParameters<typeof FrameCutter>[1] {
  return { frame: () => true, lend: () => 'more', leave: () => undefined, ...own }
}

/** The receiver of `ws`, and what is heard of it. */
class Ws {
  readonly heard: string[] = []
  private readonly receiver = new Receiver({ maxPayload: PAYLOAD_BYTES_MAX, isServer: false })
  /** As in `ws`, which stops reading then. */
  private isOver = false

  constructor() {
    this.receiver.on('message', (data: Buffer, isBinary: boolean) => this.message(data, !isBinary))
    this.receiver.on('ping', (data: Buffer) => void this.heard.push(`ping ${data.toString('hex')}`))
    this.receiver.on('pong', (data: Buffer) => void this.heard.push(`pong ${data.toString('hex')}`))
    this.receiver.on('conclude', (code: number, reason: Buffer) => {
      this.isOver = true
      this.heard.push(`goodbye ${code} ${reason.toString('hex')}`)
    })
    this.receiver.on('error', (error: Error & { code: string }) => {
      this.isOver = true
      const [status] = Object.getOwnPropertySymbols(error)
      this.heard.push(`refused ${error.code} ${String(error[status as unknown as keyof Error])}`)
    })
  }

  get messages(): number {
    return this.heard.filter((word) => /^(text|binary)/.test(word)).length
  }

  message(data: Uint8Array, isText: boolean): void {
    this.heard.push(`${isText ? 'text' : 'binary'} ${Buffer.from(data).toString('hex')}`)
  }

  take(bytes: Uint8Array): void {
    if (!this.isOver) this.receiver.write(bytes)
  }
}

/** Feeds chunks through a cutter, as `receiveInBulk` does. The memory of a chunk is written over afterwards where nobody may keep it. */
function feed(ws: Ws, chunks: readonly Buffer[], holds: readonly boolean[]): { messages: number } {
  let turn = 0
  let messages = 0
  const goesOn = (): boolean => holds[turn++ % Math.max(1, holds.length)] !== true
  const cutter = new FrameCutter(PAYLOAD_BYTES_MAX, {
    frame(bytes, isText) {
      messages++
      ws.message(bytes, isText)
      return goesOn()
    },
    lend(bytes, ends) {
      const before = ws.messages
      ws.take(Buffer.from(bytes))
      if (ends && ws.messages === before) return 'left'
      return goesOn() ? 'more' : 'hold'
    },
    leave: (bytes) => ws.take(Buffer.from(bytes)),
  })
  for (const chunk of chunks) {
    let rest = Buffer.from(chunk)
    while (rest.length > 0) {
      const taken = cutter.cut(rest)
      rest.fill(0xaa, 0, taken)
      rest = rest.subarray(taken)
    }
  }
  return { messages }
}
