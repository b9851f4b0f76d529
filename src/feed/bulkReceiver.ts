/**
 * Puts a frame cutter between a WebSocket of `ws` and its socket, once the handshake is done.
 *
 * The socket has one reader, `ws`'s. It is replaced by one that cuts what it can and passes the rest on to it, so that `ws`
 * still answers pings, says goodbye and refuses what is against the rules: with its state, its limits and its close codes. When
 * the cutter has nothing more to do, `ws`'s reader is put back and everything is as if it had never been away.
 *
 * A connection that cannot be read like this stays as it is: one with an extension (compression), or one whose socket has
 * readers other than the one expected, as in a later version of `ws`. That costs time, and nothing else.
 *
 * Pausing  is honoured between two frames: what follows goes back to the socket
 */
import type { Duplex } from 'node:stream'
import type WebSocket from 'ws'
import { FrameCutter } from './frameCutter'

/** A message, as in `ConnectionEvents.received`. */
export type Received = (bytes: Uint8Array, isText: boolean) => void

/**
 * To be called while `ws` tells that it is open, before anything was read.
 *
 * @param socket    that the WebSocket was made of
 * @param received  gets the messages that were cut; others are told by the `message` event, as ever
 * @returns         false when the connection stays as it is
 */
export function receiveInBulk(
  websocket: WebSocket,
  socket: Duplex,
  payloadBytesMax: number,
  received: Received,
): boolean {
  const [reader, ...others] = socket.listeners('data') as ((this: Duplex, bytes: Uint8Array) => void)[]
  if (reader === undefined || others.length > 0 || websocket.extensions !== '') return false

  let messages = 0
  let isOver = false
  // To a socket that is no more nothing can be given back, and `ws` too gives what was read of it.
  const goesOn = (): boolean => !websocket.isPaused || isOver || socket.destroyed

  const cutter = new FrameCutter(payloadBytesMax, {
    frame(bytes, isText) {
      received(bytes, isText)
      return goesOn()
    },
    lend(bytes, ends) {
      const before = messages
      reader.call(socket, bytes)
      // A message that `ws` does not give is one that it has refused.
      if (ends && messages === before) return 'left'
      return goesOn() ? 'more' : 'hold'
    },
    leave(bytes) {
      stop()
      socket.on('data', reader)
      reader.call(socket, bytes)
    },
  })
  const cut = (chunk: Buffer): void => {
    const taken = cutter.cut(chunk)
    if (taken < chunk.length) socket.unshift(chunk.subarray(taken))
  }
  const count = (): void => {
    messages++
  }
  /** What was read and not taken, because reading was paused when the line broke: `ws` would take it for the beginning of a frame. */
  const finish = (): void => {
    isOver = true
    const rest = socket.read() as Buffer | null
    if (rest !== null) cut(rest)
    stop()
  }
  const stop = (): void => {
    socket.off('data', cut)
    socket.off('close', finish)
    websocket.off('message', count)
    websocket.off('error', stop)
  }

  socket.off('data', reader)
  socket.on('data', cut)
  socket.prependListener('close', finish)
  websocket.on('message', count)
  // It has refused what it was lent, and reads no more.
  websocket.on('error', stop)
  return true
}
