/** WebSocket frames as a server may send them, lawful and not, and streams of them to draw from. */
import fc from 'fast-check'

export interface WireFrame {
  readonly opcode: number
  readonly payload: Uint8Array
  /** Default true. */
  readonly isFinal?: boolean
  /** Reserved bits: 0x40, 0x20, 0x10. */
  readonly reserved?: number
  readonly mask?: boolean
  /** How the length is written; default as short as it can be. `huge` is a length of which nothing comes. */
  readonly length?: 'shortest' | 16 | 64 | 'huge'
}

export const CONTINUATION = 0
export const TEXT = 1
export const BINARY = 2
export const CLOSE = 8
export const PING = 9
export const PONG = 10

export function wireFrame({
  opcode,
  payload,
  isFinal = true,
  reserved = 0,
  mask,
  length = 'shortest',
}: WireFrame): Buffer {
  const size = payload.length
  const form = length === 'shortest' ? (size < 126 ? 7 : size < 65_536 ? 16 : 64) : length
  const header = [(isFinal ? 0x80 : 0) | reserved | opcode]
  const masked = mask === true ? 0x80 : 0
  if (form === 7) header.push(masked | size)
  else if (form === 16) header.push(masked | 126, size >> 8, size & 0xff)
  else if (form === 64)
    header.push(masked | 127, 0, 0, 0, 0, size >>> 24, (size >> 16) & 0xff, (size >> 8) & 0xff, size & 0xff)
  else header.push(masked | 127, 0, 0x20, 0, 0, 0, 0, 0, 1)
  const key = mask === true ? [1, 2, 3, 4] : []
  return Buffer.from([...header, ...key, ...payload.map((byte, at) => byte ^ (key[at % 4] ?? 0))])
}

export function textFrame(text: string): Buffer {
  return wireFrame({ opcode: TEXT, payload: Buffer.from(text) })
}

export function closeFrame(code: number, reason = ''): Buffer {
  const payload = Buffer.alloc(2 + Buffer.byteLength(reason))
  payload.writeUInt16BE(code)
  payload.write(reason, 2)
  return wireFrame({ opcode: CLOSE, payload })
}

/** Bytes of one message that streams are drawn for. */
export const PAYLOAD_BYTES_MAX = 700

const text = fc.oneof(
  { weight: 6, arbitrary: fc.string({ maxLength: 40 }) },
  { weight: 3, arbitrary: fc.string({ unit: 'grapheme', maxLength: 60 }) },
  { weight: 2, arbitrary: fc.string({ minLength: 110, maxLength: 300 }) },
  { weight: 1, arbitrary: fc.constant('') },
)
const bytes = fc.uint8Array({ maxLength: 200 })
const length = fc.constantFrom('shortest' as const, 'shortest' as const, 16 as const, 64 as const)

const texts = fc
  .tuple(text, length)
  .map(([words, form]): WireFrame[] => [{ opcode: TEXT, payload: Buffer.from(words), length: form }])
const binaries = fc
  .tuple(bytes, length)
  .map(([payload, form]): WireFrame[] => [{ opcode: BINARY, payload, length: form }])
const signs = fc
  .tuple(fc.constantFrom(PING, PONG), fc.uint8Array({ maxLength: 125 }))
  .map(([opcode, payload]): WireFrame[] => [{ opcode, payload }])
/** A message in fragments, which may be empty and part a character, with signs of life between them. */
const fragments = fc
  .tuple(text, fc.boolean(), fc.array(fc.nat(400), { maxLength: 4 }), fc.array(fc.option(signs), { maxLength: 5 }))
  .map(([words, isText, cuts, between]): WireFrame[] => {
    const payload = Buffer.from(words)
    const places = [0, ...cuts.map((cut) => Math.min(cut, payload.length)).sort((a, b) => a - b), payload.length]
    return places.slice(1).flatMap((end, index): WireFrame[] => [
      ...(index === 0 ? [] : (between[index - 1] ?? [])),
      {
        opcode: index > 0 ? CONTINUATION : isText ? TEXT : BINARY,
        payload: payload.subarray(places[index], end),
        isFinal: index === places.length - 2,
      },
    ])
  })
const closes = fc
  .tuple(
    fc.constantFrom(1_000, 1_001, 1_005, 1_006, 1_011, 1_015, 2_999, 3_000, 4_999, 5_000, 0),
    fc.string({ maxLength: 20 }),
  )
  .map(([code, reason]): WireFrame[] => {
    const payload = Buffer.alloc(2 + Buffer.byteLength(reason))
    payload.writeUInt16BE(code)
    payload.write(reason, 2)
    return [{ opcode: CLOSE, payload }]
  })
/** Anything that has the form of a frame. */
const odd = fc
  .record({
    opcode: fc.nat(15),
    payload: fc.oneof(
      bytes,
      text.map((words) => Buffer.from(words)),
      fc.uint8Array({ minLength: 300, maxLength: 900 }),
    ),
    isFinal: fc.boolean(),
    reserved: fc.constantFrom(0, 0, 0, 0x40, 0x20, 0x10, 0x70),
    mask: fc.constantFrom(false, false, true),
    length: fc.constantFrom('shortest' as const, 16 as const, 64 as const, 'huge' as const),
  })
  .map((frame): WireFrame[] => [frame])
/** Too large a message, in one piece or in several. */
const oversized = fc.constantFrom<WireFrame[]>(
  [{ opcode: TEXT, payload: Buffer.alloc(PAYLOAD_BYTES_MAX, 'a') }],
  [{ opcode: TEXT, payload: Buffer.alloc(PAYLOAD_BYTES_MAX + 1, 'a') }],
  [
    { opcode: BINARY, payload: Buffer.alloc(PAYLOAD_BYTES_MAX), isFinal: false },
    { opcode: CONTINUATION, payload: Buffer.alloc(1) },
  ],
  [
    { opcode: BINARY, payload: Buffer.alloc(PAYLOAD_BYTES_MAX - 1), isFinal: false },
    { opcode: CONTINUATION, payload: Buffer.alloc(1) },
  ],
)
/** A ping in fragments; a message within another; a text that is no UTF-8, or only together with the frame after it. Something follows. */
const broken = fc.constantFrom<WireFrame[]>(
  [
    { opcode: TEXT, payload: Uint8Array.of(0x61), isFinal: false },
    { opcode: TEXT, payload: Uint8Array.of(0x62) },
    { opcode: CONTINUATION, payload: Uint8Array.of(0x63) },
  ],
  [
    { opcode: PING, payload: Uint8Array.of(1), isFinal: false },
    { opcode: TEXT, payload: Uint8Array.of(0x61) },
  ],
  [{ opcode: TEXT, payload: Uint8Array.of(0x61, 0xff) }],
  [
    { opcode: TEXT, payload: Uint8Array.of(0x61, 0xc3) },
    { opcode: TEXT, payload: Uint8Array.of(0xa9, 0x61) },
  ],
  [
    { opcode: TEXT, payload: Uint8Array.of(0xe2, 0x98), isFinal: false },
    { opcode: CONTINUATION, payload: Uint8Array.of(0x83, 0xc3) },
  ],
)

const lawful = fc.oneof(
  { weight: 10, arbitrary: texts },
  { weight: 3, arbitrary: binaries },
  { weight: 2, arbitrary: signs },
  { weight: 2, arbitrary: fragments },
)
const anything = fc.oneof(
  { weight: 20, arbitrary: lawful },
  { weight: 1, arbitrary: closes },
  { weight: 1, arbitrary: odd },
  { weight: 1, arbitrary: oversized },
  { weight: 1, arbitrary: broken },
)

/** What a socket gives: the bytes of many frames, cut anywhere, perhaps with a byte that was changed on the way. */
export const streams = fc
  .record({
    frames: fc.oneof(
      { weight: 2, arbitrary: fc.array(lawful, { maxLength: 40 }) },
      { weight: 3, arbitrary: fc.array(anything, { maxLength: 40 }) },
    ),
    cuts: fc.oneof(fc.array(fc.nat(10_000), { maxLength: 12 }), fc.constant('everywhere' as const)),
    harm: fc.option(fc.tuple(fc.nat(5_000), fc.nat(255)), { freq: 8 }),
    end: fc.option(fc.nat(5_000), { freq: 4 }),
  })
  .map(({ frames, cuts, harm, end }) => {
    const all = Buffer.concat(frames.flat().map(wireFrame))
    if (harm !== null && harm[0] < all.length) all[harm[0]]! ^= harm[1]
    return inPieces(end === null ? all : all.subarray(0, end), cuts)
  })

function inPieces(all: Buffer, cuts: readonly number[] | 'everywhere'): Buffer[] {
  const places =
    cuts === 'everywhere'
      ? Array.from({ length: all.length }, (_, at) => at)
      : cuts.map((cut) => cut % (all.length + 1)).sort((a, b) => a - b)
  return [...places, all.length]
    .map((end, index) => all.subarray(places[index - 1] ?? 0, end))
    .filter((each) => each.length > 0)
}
