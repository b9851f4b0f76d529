/**
 * A process that speaks as Binance does and sends depth frames from memory: over a socket, from another process, so that what
 * reads them is measured and nothing else.
 *
 * `/stream` is the exchange: subscriptions are acknowledged, and when the snapshots of all books have been asked for, the
 * stream begins. `/raw` begins at once. Either sends all frames once: as fast as they are taken, or at a pace every other second. `/api/v3/...` are
 * the REST answers, `/touches` the best prices of each book after the last frame.
 *
 *     node .bench/benchmarks/kit/depthServer.js FRAMES [PER_SECOND]
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { performance } from 'node:perf_hooks'
import type { Duplex } from 'node:stream'
import { WebSocketServer } from 'ws'
import { depthStream, type Touch } from './depthStream'

/** Where a server listens. */
export interface DepthServer {
  readonly host: string
  stop(): void
}

/** @param perSecond  undefined for as fast as they are taken */
export async function startDepthServer(frames: number, perSecond?: number): Promise<DepthServer> {
  const child = fork(__filename, [String(frames), ...(perSecond === undefined ? [] : [String(perSecond)])])
  const [port] = (await once(child, 'message')) as [number]
  return { host: `127.0.0.1:${port}`, stop: () => child.disconnect() }
}

/** Symbols and the best prices at the end, by symbol. */
export type Touches = readonly (readonly [symbol: string, touch: Touch])[]

/** Bytes that are written at once. */
const WRITE_BYTES = 256 * 1024

function serve(count: number, perSecond: number | undefined): void {
  const { frames, instruments, snapshots, touches } = depthStream({ frames: count })
  const { bytes, ends } = onTheWire(frames)
  const bodies = new Map(snapshots.map(({ symbol, body }) => [symbol, body]))
  const asked = new Set<string>()
  let begin = (): void => undefined

  const server = createServer((request, response) => {
    const url = new URL(`http://server${request.url ?? '/'}`)
    const symbol = url.searchParams.get('symbol') ?? ''
    if (url.pathname === '/touches') response.end(JSON.stringify([...touches]))
    else if (url.pathname === '/api/v3/exchangeInfo') response.end(instruments)
    else {
      response.end(bodies.get(symbol))
      asked.add(symbol)
      if (asked.size === bodies.size) response.on('close', () => begin())
    }
  })
  const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false })
  server.on('upgrade', (request, socket, head) => {
    socket.on('error', () => socket.destroy())
    sockets.handleUpgrade(request, socket, head, (websocket) => {
      const send = (): void => {
        if (perSecond === undefined) sendAll(socket, bytes)
        else sendPaced(socket, bytes, ends, perSecond)
      }
      if (request.url === '/raw') {
        send()
        return
      }
      asked.clear()
      begin = () => {
        begin = () => undefined
        send()
      }
      websocket.on('message', (data: Buffer) => {
        const { id } = JSON.parse(data.toString()) as { id: number }
        websocket.send(JSON.stringify({ result: null, id }))
      })
    })
  })
  server.listen(0, '127.0.0.1', () => process.send!((server.address() as AddressInfo).port))
  process.on('disconnect', () => process.exit())
}

function sendAll(socket: Duplex, bytes: Buffer, from = 0): void {
  if (from >= bytes.length || socket.destroyed) return
  socket.write(bytes.subarray(from, from + WRITE_BYTES), () => sendAll(socket, bytes, from + WRITE_BYTES))
}

/** What is due is sent every millisecond, or as soon after that as this process is run: for a second, then nothing for a second. */
function sendPaced(socket: Duplex, bytes: Buffer, ends: Uint32Array, perSecond: number): void {
  const beganMs = performance.now()
  let sent = 0
  const timer = setInterval(() => {
    const seconds = (performance.now() - beganMs) / 1_000
    const busySeconds = Math.floor(seconds / 2) + Math.min(1, seconds % 2)
    const due = Math.min(ends.length, Math.floor(busySeconds * perSecond))
    if (due > sent) socket.write(bytes.subarray(sent === 0 ? 0 : ends[sent - 1], ends[due - 1]))
    sent = due
    if (sent === ends.length || socket.destroyed) clearInterval(timer)
  }, 1)
}

/** All frames as an exchange's server frames them, one behind the other, and where each ends. */
function onTheWire(frames: readonly Uint8Array[]): { bytes: Buffer; ends: Uint32Array } {
  const ends = new Uint32Array(frames.length)
  const bytes = Buffer.allocUnsafe(frames.reduce((sum, { length }) => sum + length + 4, 0))
  let at = 0
  for (const [index, frame] of frames.entries()) {
    bytes[at++] = 0x81
    if (frame.length < 126) bytes[at++] = frame.length
    else {
      bytes[at++] = 126
      at = bytes.writeUInt16BE(frame.length, at)
    }
    bytes.set(frame, at)
    at += frame.length
    ends[index] = at
  }
  return { bytes: bytes.subarray(0, at), ends }
}

if (require.main === module) {
  const [frames, perSecond] = process.argv.slice(2).map(Number)
  serve(frames!, perSecond)
}
