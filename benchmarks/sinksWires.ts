/**
 * Rows over wires to another process.
 *
 * Why      what is sent to others must not hold back the sockets it came from
 * Input    a million trades in batches of 512, to a process on the same machine that reads and keeps nothing
 * Variants of `sinks.http`, `sinks.websocket`; texts are made by `JSON.stringify` in all of them, in ours by `encodeEvent`
 *          `plain`            one request a batch over a kept connection of node:http, the next when it was answered; a
 *                             `WebSocketServer` of ws and a `send` a row
 *          `http`, `websocketServer`   our sinks, through their queue
 *          To a reader of WebSockets at most 16,384 rows are under way, so that nobody has to drop any
 * Measures `time` ns a row, until the other side has had all; `cpu` ns a row of this process; `size` bytes a row; `loopDelay`
 *          milliseconds by which the loop was late
 * Baseline `plain`. The aim is a ratio above 0.77: no more than 1.3 times its time
 */
import { once } from 'node:events'
import { Agent, request, type IncomingMessage } from 'node:http'
import { WebSocketServer, type WebSocket } from 'ws'
import type { Trade } from '../src/model/events'
import { encodeEvent } from '../src/sinks/encode'
import { http } from '../src/sinks/http'
import type { Sink } from '../src/sinks/sink'
import { websocketServer } from '../src/sinks/websocketServer'
import { OtherSide } from './kit/otherSide'
import { plainJson } from './kit/plainJson'
import { BATCH, batchesOf, perRow, ROW_MEASURES, throughDrain } from './kit/tradeRows'
import { measure, type Sample } from './kit/variants'

/** Rows that are sent and not yet seen at the other side, at most, within a batch. */
const UNDER_WAY = 16_384

async function plainHttp(): Promise<Sample> {
  const receiver = await OtherSide.start('http')
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const post = async (text: string): Promise<void> => {
    const asked = request({ agent, port: receiver.port, host: '127.0.0.1', method: 'POST' })
    asked.end(text)
    const [answer] = (await once(asked, 'response')) as [IncomingMessage]
    answer.resume()
    await once(answer, 'end')
  }
  try {
    return await received(receiver, async (rows) => {
      for (const batch of batchesOf(rows)) await post(`[${batch.map(plainJson).join(',')}]`)
    })
  } finally {
    agent.destroy()
    await receiver.stop()
  }
}

async function ourHttp(): Promise<Sample> {
  const receiver = await OtherSide.start('http')
  try {
    return await received(receiver, (rows) =>
      throughDrain(http<Trade>(`http://127.0.0.1:${receiver.port}/`, { encode: encodeEvent }), rows, {}),
    )
  } finally {
    await receiver.stop()
  }
}

/** What sending costs, and how many bytes of it the other side has had. */
function received(receiver: OtherSide, send: (rows: number) => Promise<void>): Promise<Sample> {
  return perRow(async (rows) => {
    const before = await receiver.had()
    await send(rows)
    return (await receiver.had()).bytes - before.bytes
  })
}

async function plainWebsocket(): Promise<Sample> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await once(server, 'listening')
  const connected = once(server, 'connection')
  const reader = await OtherSide.start('websocket', `ws://127.0.0.1:${(server.address() as { port: number }).port}/`)
  const [socket] = (await connected) as [WebSocket]
  const flow = new Flow(reader)
  try {
    return await received(reader, async (rows) => {
      for (const batch of batchesOf(rows)) {
        for (const trade of batch) socket.send(plainJson(trade))
        await flow.sent(batch.length)
      }
      await flow.end()
    })
  } finally {
    await reader.stop()
    server.close()
  }
}

async function ourWebsocket(): Promise<Sample> {
  return perRow(async (rows) => {
    const server = websocketServer<Trade>({
      port: 0,
      capacity: 2 * UNDER_WAY,
      onFull: 'disconnect',
      encode: encodeEvent,
    })
    let reader: OtherSide | undefined
    let flow: Flow | undefined
    let bytes = 0
    const sink: Sink<Trade> = {
      name: server.name,
      counters: server.counters,
      async open(context) {
        await server.open(context)
        reader = await OtherSide.start('websocket', server.url!)
        flow = new Flow(reader)
      },
      async write(batch, key) {
        await server.write(batch, key)
        await flow!.sent(batch.length)
      },
      async close() {
        bytes = (await flow?.end())?.bytes ?? bytes
        await reader?.stop()
        reader = undefined
        flow = undefined
        await server.close()
      },
    }
    await throughDrain(sink, rows, {})
    return bytes
  })
}

/** Holds the sender back while too much is under way. */
class Flow {
  private count = 0
  private seen = 0

  constructor(private readonly reader: OtherSide) {}

  async sent(rows: number): Promise<void> {
    this.count += rows
    if (this.count - this.seen > UNDER_WAY) {
      this.seen = (await this.reader.untilHad(this.count - UNDER_WAY + BATCH)).messages
    }
  }

  end(): Promise<{ readonly bytes: number }> {
    return this.reader.untilHad(this.count)
  }
}

void measure(__filename, [
  {
    name: 'sinks.http',
    measures: ROW_MEASURES,
    baseline: 'plain',
    again: false,
    variants: [
      { name: 'plain', run: plainHttp },
      { name: 'http', run: ourHttp },
    ],
  },
  {
    name: 'sinks.websocket',
    measures: ROW_MEASURES,
    baseline: 'plain',
    again: false,
    variants: [
      { name: 'plain', run: plainWebsocket },
      { name: 'websocketServer', run: ourWebsocket },
    ],
  },
])
