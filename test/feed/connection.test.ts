import { expect } from 'chai'
import { VirtualClock } from '../../src/clock/virtualClock'
import { Connection, type ConnectionEnd } from '../../src/feed/connection'
import { socketGauges } from '../../src/metrics/socketGauges'
import { eventually } from '../kit/eventually'
import { startRawServer, type RawClient, type RawServer } from './rawServer'
import { BINARY, closeFrame, CONTINUATION, PING, TEXT, textFrame, wireFrame } from './wireFrames'

describe('Connection', () => {
  let server: RawServer | undefined

  afterEach(() => server?.stop())

  it('hands frames over as slices of what the socket read', async () => {
    const { heard, end } = await connect(
      textFrame('é'),
      textFrame('b'),
      wireFrame({ opcode: BINARY, payload: Uint8Array.of(7) }),
    )
    expect(heard.map(({ words }) => words)).to.deep.equal(['text é', 'text b', 'binary \u0007'])
    expect(new Set(heard.map(({ memory }) => memory)).size).to.equal(1)
    expect(end).to.deep.equal({ how: 'closed', code: 1_000, reason: 'bye', waitMs: undefined })
  })

  it('puts fragments together, answers pings, and takes them for signs of life', async () => {
    const ping = wireFrame({ opcode: PING, payload: Buffer.from('?') })
    const { heard, signs, sent } = await connect(
      wireFrame({ opcode: TEXT, payload: Buffer.from('{"a"'), isFinal: false }),
      ping,
      wireFrame({ opcode: CONTINUATION, payload: Buffer.from(':1}') }),
      textFrame('next'),
    )
    expect(heard.map(({ words }) => words)).to.deep.equal(['text {"a":1}', 'text next'])
    expect([signs, sent]).to.deep.equal([1, ['10 3f', '8 03e8627965']])
  })

  it('ends with what ws says of a frame that is too large, a text that is no UTF-8, or a mask', async () => {
    const outcomes: [ConnectionEnd['how'], number, string][] = []
    for (const frame of [
      textFrame('x'.repeat(1_001)),
      wireFrame({ opcode: TEXT, payload: Buffer.of(0xff) }),
      wireFrame({ opcode: TEXT, payload: Buffer.of(0x61), mask: true }),
    ]) {
      const { heard, end, sent } = await connect(textFrame('fine'), frame, textFrame('never'))
      expect(heard.map(({ words }) => words)).to.deep.equal(['text fine'])
      outcomes.push([end.how, end.code, sent.join()])
      await server!.stop()
    }
    expect(outcomes).to.deep.equal([
      ['tooLarge', 1_006, '8 03f1'],
      ['closed', 1_006, '8 03ef'],
      ['closed', 1_006, '8 03ea'],
    ])
  })

  it('gives nothing after the frame on which it is cut', async () => {
    const { heard } = await connect(textFrame('cut'), textFrame('never'))
    expect(heard.map(({ words }) => words)).to.deep.equal(['text cut'])
  })

  it('is looked at for what waits in it, while it is open', async () => {
    let client: RawClient | undefined
    server = await startRawServer((each) => (client = each))
    const before = socketGauges.look()
    const limits = { env: {}, connectMs: 10_000, closeMs: 2_000, maxPayloadBytes: 10_000 }
    const connection = new Connection(
      { url: server.url, clock: new VirtualClock(1_000_000), ...limits },
      {
        opened: () => connection.pause(),
        received: () => undefined,
        signed: () => undefined,
        ended: () => undefined,
      },
    )
    await eventually(() => expect(socketGauges.look().count).to.equal(before.count + 1))
    await client!.write([textFrame('x'.repeat(5_000))])
    await eventually(() => expect(socketGauges.look().unreadBytes).to.be.at.least(before.unreadBytes + 5_000))
    connection.cut()
    await eventually(() => expect(socketGauges.look()).to.deep.equal(before))
  })

  interface Heard {
    readonly words: string
    readonly memory: ArrayBufferLike
  }

  interface Outcome {
    readonly heard: readonly Heard[]
    readonly signs: number
    readonly end: ConnectionEnd
    /** What the server was sent. */
    readonly sent: readonly string[]
  }

  /** What is heard of a server that sends these frames and says goodbye. A frame that says `cut` has it cut. */
  async function connect(...frames: Uint8Array[]): Promise<Outcome> {
    let client: RawClient | undefined
    server = await startRawServer((each) => {
      client = each
      each.socket.end(Buffer.concat([...frames, closeFrame(1_000, 'bye')]))
    })
    const heard: Heard[] = []
    let signs = 0
    let end: ConnectionEnd | undefined
    const limits = { env: {}, connectMs: 10_000, closeMs: 2_000, maxPayloadBytes: 1_000 }
    const connection = new Connection(
      { url: server.url, clock: new VirtualClock(1_000_000), ...limits },
      {
        opened: () => undefined,
        received(bytes, isText) {
          const words = `${isText ? 'text' : 'binary'} ${Buffer.from(bytes).toString()}`
          heard.push({ words, memory: bytes.buffer })
          if (words === 'text cut') connection.cut()
        },
        signed: () => signs++,
        ended: (how) => (end = how),
      },
    )
    await eventually(() => expect(client?.socket.readableEnded === true || client?.socket.destroyed).to.equal(true))
    if (heard.at(-1)?.words !== 'text cut') await eventually(() => expect(end).to.not.equal(undefined))
    return { heard, signs, end: end!, sent: client!.frames() }
  }
})
