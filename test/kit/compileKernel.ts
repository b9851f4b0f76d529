/**
 * Compiles the kernel to WebAssembly and writes it into `wasm.ts`, as text: `npm run kernel`.
 *
 * Run it when `scan.ts`, `desk.ts`, `books.ts`, `digits.ts`, `text.ts`, `quote.ts` or `layout.ts` have changed; a test says when it was forgotten. What it
 * writes is part of the source tree, so that neither users nor their bundlers need a compiler or another file.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'

/** What `memory.ts` is in WebAssembly: each function one instruction. */
const MEMORY = `
@inline export function load8(at: i32): i32 { return <i32>load<u8>(at) }
@inline export function store8(at: i32, value: i32): void { store<u8>(at, <u8>value) }
@inline export function load16(at: i32): i32 { return <i32>load<u16>(at) }
@inline export function store16(at: i32, value: i32): void { store<u16>(at, <u16>value) }
@inline export function load32(at: i32): i32 { return load<i32>(at) }
@inline export function store32(at: i32, value: i32): void { store<i32>(at, value) }
@inline export function peek32(at: i32): i32 { return load<i32>(at) }
@inline export function poke32(at: i32, value: i32): void { store<i32>(at, value) }
@inline export function loadF64(at: i32): f64 { return load<f64>(at) }
@inline export function storeF64(at: i32, value: f64): void { store<f64>(at, value) }
@inline export function areSame8(a: i32, b: i32): bool { return load<u64>(a) === load<u64>(b) }
@inline export function copy8(to: i32, from: i32): void { store<u64>(to, load<u64>(from)) }
@inline export function bytesUntil(at: i32, stop: i32): i32 {
  const word = load<u64>(at) ^ (<u64>stop * 0x0101010101010101)
  const hits = (word - 0x0101010101010101) & ~word & 0x8080808080808080
  return hits === 0 ? 8 : <i32>(ctz<u64>(hits) >> 3)
}
@inline function escapesIn16(bytes: v128): i32 {
  const named = v128.or(i8x16.eq(bytes, i8x16.splat(34)), i8x16.eq(bytes, i8x16.splat(92)))
  return i8x16.bitmask(v128.or(named, i8x16.lt_u(bytes, i8x16.splat(32))))
}
@inline export function escapesIn32(at: i32): i32 {
  return escapesIn16(v128.load(at)) | (escapesIn16(v128.load(at, 16)) << 16)
}
@inline export function highBitsIn32(at: i32): i32 {
  return i8x16.bitmask(v128.load(at)) | (i8x16.bitmask(v128.load(at, 16)) << 16)
}
@inline export function copy32(to: i32, from: i32): void {
  const high = v128.load(from, 16)
  v128.store(to, v128.load(from))
  v128.store(to, high, 16)
}
@inline export function trailingZeros(value: i32): i32 { return ctz<i32>(value) }
@inline export function digitsAt(at: i32): i32 {
  // What a digit is to '0' is less than ten; a carry only reaches bytes behind the first that is none.
  const word = load<u64>(at) ^ 0x3030303030303030
  return <i32>(ctz<u64>(((word + 0x7676767676767676) | word) & 0x8080808080808080) >> 3)
}
@inline export function digitsOf(at: i32, count: i32): i32 {
  // Shifted up, fewer digits are eight with zeros in front.
  let word = (load<u64>(at) << <u64>(64 - (count << 3))) & 0x0F0F0F0F0F0F0F0F
  word = (word * 2561) >> 8
  word = ((word & 0x00FF00FF00FF00FF) * 6553601) >> 16
  return <i32>(((word & 0x0000FFFF0000FFFF) * 42949672960001) >> 32)
}
// Eight digits, one a byte, the first the lowest: split into fours, pairs and single ones, all side by side.
@inline function eightDigits(value: i32): u64 {
  const high = <u32>value / 10000
  const fours = <u64>high | (<u64>(<u32>value - high * 10000) << 32)
  const hundreds = ((fours * 10486) >> 20) & 0x0000007F0000007F
  const pairs = hundreds | ((fours - hundreds * 100) << 16)
  const tens = ((pairs * 103) >> 10) & 0x000F000F000F000F
  return tens | ((pairs - tens * 10) << 8)
}
@inline export function putWhole(at: i32, value: i32): i32 {
  const digits = eightDigits(value)
  const zeros = ctz<u64>(digits | 0x0100000000000000) & 56
  store<u64>(at, (digits + 0x3030303030303030) >> zeros)
  return at + 8 - <i32>(zeros >> 3)
}
@inline export function putEight(at: i32, value: i32): i32 {
  store<u64>(at, eightDigits(value) + 0x3030303030303030)
  return at + 8
}
@inline export function putFraction(at: i32, value: i32): i32 {
  const digits = eightDigits(value)
  store<u8>(at, 46)
  store<u64>(at + 1, digits + 0x3030303030303030)
  return value === 0 ? at : at + 9 - <i32>(clz<u64>(digits) >> 3)
}
@inline export function move(to: i32, from: i32, count: i32): void { memory.copy(to, from, count) }
@inline export function fill(at: i32, value: i32, count: i32): void { memory.fill(at, <u8>value, count) }
@inline export function toI32(value: f64): i32 { return <i32>value }
@inline export function isZero(at: i32): bool { return load<u64>(at) << 1 === 0 }
@inline export function smallWhole(value: f64): i32 { return <i32>reinterpret<u64>(value + 4503599627370496.0) }
@inline export function toF64(value: i32): f64 { return <f64>value }
@inline export function leadingZeros(value: i32): i32 { return clz<i32>(value) }
@inline export function unsigned(value: i32): f64 { return <f64><u32>value }
@inline export function times(a: i32, b: i32): i32 { return a * b }
@inline export function nearestWhole(value: f64): f64 { return floor<f64>(value + 0.5) }
@inline export function wholePart(value: f64): f64 { return floor<f64>(value) }
@inline export function magnitude(value: f64): f64 { return abs<f64>(value) }
export const NOT_A_NUMBER: f64 = NaN
`

/** What is used of the compiler; its own types would redefine names of Node. */
interface Compiler {
  main(
    options: readonly string[],
    api: {
      readFile(name: string): string | null
      writeFile(name: string, contents: string | Uint8Array): void
      listFiles(): string[]
    },
  ): Promise<{ readonly error: Error | null; readonly stderr: { toString(): string } }>
}

const COMPILER: string = 'assemblyscript/asc'

const KERNEL = path.resolve(__dirname, '../../src/kernel')

const SOURCES = ['main', 'scan', 'desk', 'books', 'digits', 'text', 'quote', 'layout']

/** Functions that are to be compiled into their callers are marked by a comment, since TypeScript has no word for it. */
function sourceFor(text: string): string {
  return text.replaceAll('// inline\n', '@inline\n')
}

/** The kernel in WebAssembly, compiled from its sources. */
export async function compileKernel(folder = KERNEL): Promise<Uint8Array> {
  const asc = (await import(COMPILER)) as Compiler
  const files = new Map<string, string>(
    SOURCES.map((name) => [`${name}.ts`, sourceFor(readFileSync(path.join(folder, `${name}.ts`), 'utf8'))]),
  )
  files.set('memory.ts', MEMORY)
  let compiled: Uint8Array | undefined
  const { error, stderr } = await asc.main(
    [
      'main.ts',
      '--outFile=kernel.wasm',
      '--optimizeLevel=3',
      '--shrinkLevel=0',
      '--converge',
      '--noAssert',
      '--runtime=stub',
      '--enable=simd',
      '--initialMemory=32',
    ],
    {
      readFile: (name: string) => files.get(name) ?? null,
      writeFile: (name: string, contents: string | Uint8Array) => {
        if (name === 'kernel.wasm' && typeof contents !== 'string') compiled = contents
      },
      listFiles: () => [],
    },
  )
  if (error !== null || compiled === undefined) throw new Error(`The kernel does not compile:\n${stderr.toString()}`)
  return compiled
}

/** The source file that holds a compiled kernel. */
export function sourceOf(kernel: Uint8Array): string {
  const lines =
    Buffer.from(kernel)
      .toString('base64')
      .match(/.{1,110}/g) ?? []
  return `/** The kernel in WebAssembly, base64. Written by \`npm run kernel\` from its sources: do not edit. */
export const KERNEL_BASE64 =
${lines.map((line) => `  '${line}'`).join(' +\n')}
`
}

if (require.main === module) {
  void compileKernel().then((kernel) => {
    writeFileSync(path.join(KERNEL, 'wasm.ts'), sourceOf(kernel))
    console.error(`The kernel has ${kernel.length} bytes.`)
  })
}
