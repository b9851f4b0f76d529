/**
 * The memory of the kernel as TypeScript sees it: one buffer, read and written by address.
 *
 * The kernel (`scan.ts`, `books.ts`, `digits.ts`) is written once, in the part of TypeScript that AssemblyScript compiles
 * to WebAssembly too. There these functions are single instructions (`test/kit/compileKernel.ts` puts others of the same names in their
 * place); here they index typed arrays. So both run the same lines and give the same results.
 *
 * Addresses are bytes. `load32` and the `F64` pair want aligned ones; `peek32` takes any.
 */
declare global {
  /** The names that AssemblyScript gives to numbers. */
  type i32 = number
  type f64 = number
}

let bytes = new Uint8Array(0)
let words = new Int32Array(0)
let halves = new Uint16Array(0)
let doubles = new Float64Array(0)
let view = new DataView(new ArrayBuffer(0))

/** Puts a buffer under the kernel; what addresses mean is what it holds. */
export function attach(buffer: ArrayBuffer): void {
  bytes = new Uint8Array(buffer)
  words = new Int32Array(buffer)
  halves = new Uint16Array(buffer)
  doubles = new Float64Array(buffer)
  view = new DataView(buffer)
}

export function load8(at: i32): i32 {
  return bytes[at]!
}

export function store8(at: i32, value: i32): void {
  bytes[at] = value
}

export function load16(at: i32): i32 {
  return halves[at >> 1]!
}

export function store16(at: i32, value: i32): void {
  halves[at >> 1] = value
}

export function load32(at: i32): i32 {
  return words[at >> 2]!
}

export function store32(at: i32, value: i32): void {
  words[at >> 2] = value
}

/** Four bytes from any address, the first the lowest. */
export function peek32(at: i32): i32 {
  return view.getInt32(at, true)
}

export function poke32(at: i32, value: i32): void {
  view.setInt32(at, value, true)
}

/** True when eight bytes are the same at both addresses. */
export function areSame8(a: i32, b: i32): boolean {
  return view.getInt32(a, true) === view.getInt32(b, true) && view.getInt32(a + 4, true) === view.getInt32(b + 4, true)
}

/** Copies eight bytes. */
export function copy8(to: i32, from: i32): void {
  const [low, high] = [view.getInt32(from, true), view.getInt32(from + 4, true)]
  view.setInt32(to, low, true)
  view.setInt32(to + 4, high, true)
}

/** Copies 32 bytes that do not overlap. */
export function copy32(to: i32, from: i32): void {
  bytes.copyWithin(to, from, from + 32)
}

/** How many of eight bytes stand before the first that is `stop`; 8 when none is. */
export function bytesUntil(at: i32, stop: i32): i32 {
  let count = 0
  while (count < 8 && bytes[at + count] !== stop) count++
  return count
}

/** Which of 32 bytes a JSON string must escape: a bit each, the lowest that of the first. */
export function escapesIn32(at: i32): i32 {
  let mask = 0
  for (let index = 0; index < 32; index++) {
    const byte = bytes[at + index]!
    if (byte < 32 || byte === 34 || byte === 92) mask |= 1 << index
  }
  return mask
}

/** Which of 32 bytes are beyond ASCII, as `escapesIn32`. */
export function highBitsIn32(at: i32): i32 {
  let mask = 0
  for (let index = 0; index < 32; index++) mask |= (bytes[at + index]! >> 7) << index
  return mask
}

/** How many of the eight bytes from an address are digits, up to the first that is none. */
export function digitsAt(at: i32): i32 {
  if (areDigits(view.getInt32(at, true))) {
    if (areDigits(view.getInt32(at + 4, true))) return 8
    at += 4
    return 4 + digitsOfFour(at)
  }
  return digitsOfFour(at)
}

/** The number that one to eight digits make. */
export function digitsOf(at: i32, count: i32): i32 {
  if (count === 8) return numberOf(view.getInt32(at, true)) * 10_000 + numberOf(view.getInt32(at + 4, true))
  let number = 0
  for (let index = 0; index < count; index++) number = number * 10 + bytes[at + index]! - 48
  return number
}

function digitsOfFour(at: number): number {
  let count = 0
  while (count < 3 && bytes[at + count]! >= 48 && bytes[at + count]! <= 57) count++
  return count
}

function areDigits(word: number): boolean {
  return (word & 0xf0f0f0f0) === 0x30303030 && ((word + 0x06060606) & 0xf0f0f0f0) === 0x30303030
}

function numberOf(word: number): number {
  const pairs = Math.imul(word - 0x30303030, 10) + ((word - 0x30303030) >> 8)
  return Math.imul(pairs & 255, 100) + ((pairs >> 16) & 255)
}

/** Writes a number below 10^8 without zeros in front; returns where it ends. Eight bytes from there on may change. */
export function putWhole(at: i32, value: i32): i32 {
  let [end, rest] = [at + 1, value]
  while ((rest = (rest / 10) | 0) > 0) end++
  rest = value
  for (let place = end - 1; place >= at; place--) {
    bytes[place] = 48 + (rest % 10)
    rest = (rest / 10) | 0
  }
  return end
}

/** Writes a number below 10^8 as eight digits; returns where they end. */
export function putEight(at: i32, value: i32): i32 {
  let rest = value
  for (let place = at + 7; place >= at; place--) {
    bytes[place] = 48 + (rest % 10)
    rest = (rest / 10) | 0
  }
  return at + 8
}

/** Writes a point and eight digits without the zeros at their end, nothing for 0; returns where it ends. As `putWhole`. */
export function putFraction(at: i32, value: i32): i32 {
  if (value === 0) return at
  let [places, rest] = [8, value]
  while (rest % 10 === 0) {
    places--
    rest = rest / 10
  }
  bytes[at] = 46
  for (let place = at + places; place > at; place--) {
    bytes[place] = 48 + (rest % 10)
    rest = (rest / 10) | 0
  }
  return at + places + 1
}

export function loadF64(at: i32): f64 {
  return doubles[at >> 3]!
}

export function storeF64(at: i32, value: f64): void {
  doubles[at >> 3] = value
}

/** True when a double is zero. */
export function isZero(at: i32): boolean {
  return doubles[at >> 3] === 0
}

/** Moves bytes; the places may overlap. */
export function move(to: i32, from: i32, count: i32): void {
  bytes.copyWithin(to, from, from + count)
}

export function fill(at: i32, value: i32, count: i32): void {
  bytes.fill(value, at, at + count)
}

/** The whole part of a number between -2^31 and 2^31. */
export function toI32(value: f64): i32 {
  return value | 0
}

/** A number that is whole, and between 0 and 2^31. */
export function smallWhole(value: f64): i32 {
  return value | 0
}

export function toF64(value: i32): f64 {
  return value
}

/** The lower half of a product. */
export function times(a: i32, b: i32): i32 {
  return Math.imul(a, b)
}

/** 0 to 32: how many bits lie above the highest that is set. */
export function leadingZeros(value: i32): i32 {
  return Math.clz32(value)
}

/** 0 to 32: how many bits lie below the lowest that is set. */
export function trailingZeros(value: i32): i32 {
  return value === 0 ? 32 : 31 - Math.clz32(value & -value)
}

/** A word that is read as one without a sign. */
export function unsigned(value: i32): f64 {
  return value >>> 0
}

/** Halves are rounded up. */
export function nearestWhole(value: f64): f64 {
  return Math.floor(value + 0.5)
}

export function wholePart(value: f64): f64 {
  return Math.floor(value)
}

export function magnitude(value: f64): f64 {
  return Math.abs(value)
}

export const NOT_A_NUMBER: f64 = NaN
