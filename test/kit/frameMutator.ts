/**
 * Harms frames, from a seed: what an exchange, a proxy or an enemy might send instead of what is documented.
 *
 * Half of the harm is done to the characters (bits, digits, cuts, splices), half to the JSON (order of keys, doubled and
 * missing keys, other numbers, other words, escapes, white space), whose numbers stay as they are written.
 */
import { Random } from '../../src/simulator/random'

type Node = string | Branch
interface Branch {
  readonly open: '{' | '['
  readonly items: Item[]
}
interface Item {
  /** With its quotes; undefined in a list. */
  key: string | undefined
  value: Node
}

const CHARACTERS = [
  ...Array.from(' \t\n\r\0\u0001\u007f\\"{}[]:,-+.eE0159/_zé€'),
  '\u2028',
  '\ud83d\ude00',
  '\ud800',
  '\ufeff',
]
const NUMBERS = [
  '0',
  '00',
  '-0',
  '0.0',
  '-1',
  '1',
  '2',
  '0.00000001',
  '1e3',
  '1E-5',
  '1e400',
  '1.',
  '.5',
  '+1',
  '0x10',
  '01',
  '007.50',
  'NaN',
  'Infinity',
  '999999999999999',
  '9999999999999999',
  '9007199254740991',
  '9007199254740993',
  '123456789012345678',
  '0.1234567890123456789012345',
  '1234567.12345678',
  '12345678.12345678',
  '99999999.99999999',
  '0.00000000000000000000001',
  '1000000000000000000000000',
  '946684799999',
  '946684800000',
  '4102444800000',
  '4102444800001',
  '1e-7',
]
const VALUES = [
  'null',
  'true',
  'false',
  '""',
  '" "',
  '"x"',
  '[]',
  '{}',
  '[[]]',
  '[["1","1"]]',
  '{"a":{"b":[1,2,{"c":null}]}}',
  '"buy"',
  '"sell"',
  '"Buy"',
  '"Sell"',
  '"b"',
  '"s"',
  '"delta"',
  '"snapshot"',
  '"update"',
  '"MARKET"',
  '"NA"',
  '"trade"',
  '"match"',
  '"last_match"',
  '"depthUpdate"',
  '"books5"',
  '"book-10"',
  '"2021-02-29T16:43:37.075687Z"',
  '"2024-02-29T23:59:59Z"',
  '"2021-04-31T16:43:37.075687Z"',
  '"2021-12-31T24:00:00.000000Z"',
  '"2021-12-31T23:59:60.000000Z"',
  '"0001-01-01T00:00:00.000000Z"',
  '"2000-02-29T00:00:00.1234567890Z"',
  '"2099-12-31T23:59:59.999999999+00:00"',
  '"1618678133.365913999"',
  '"1618678133"',
  '"1618678133."',
  '"__proto__"',
]
const KEYS = ['"x"', '"s"', '"a"', '"b"', '"p"', '"u"', '"type"', '"data"', '"symbol"', '"__proto__"', '"seq"', '""']

export class FrameMutator {
  private readonly random: Random

  /** @param frames  what splices and foreign values are taken from */
  constructor(
    seed: number,
    private readonly frames: readonly string[],
  ) {
    this.random = new Random(seed, 'harm')
  }

  /** A whole number below `count`. */
  below(count: number): number {
    return this.random.below(count)
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!
  }

  /** The frame with one to three harms, as text or as bytes. */
  harmed(frame: string): string | Uint8Array {
    let text = frame
    for (let harms = this.pick([1, 1, 1, 2, 3]); harms > 0; harms--) {
      text = this.below(2) === 0 ? this.harmCharacters(text) : this.harmTree(text)
    }
    if (this.below(2) === 0) return text
    const bytes = Buffer.from(text, 'utf8')
    if (this.below(16) === 0 && bytes.length > 0) {
      bytes[this.below(bytes.length)] = this.pick([0x80, 0xc0, 0xff, 0xfe, 0xed, 0xf8])
    }
    return bytes
  }

  private harmCharacters(text: string): string {
    const at = this.below(text.length + 1)
    const near = at + 1 + this.below(8)
    switch (this.below(9)) {
      case 0:
        return replaced(text, at, at + 1, String.fromCharCode(text.charCodeAt(at) ^ (1 << this.below(7))))
      case 1:
      case 2:
        return this.withOtherDigit(text)
      case 3:
        return replaced(text, at, near, '')
      case 4:
        return text.slice(0, at)
      case 5:
        return replaced(text, at, at, text.slice(at, near))
      case 6:
        return replaced(text, at, at, this.pick(CHARACTERS))
      case 7: {
        const other = this.pick(this.frames)
        return text.slice(0, at) + other.slice(this.below(other.length))
      }
      default: {
        // Two frames that part at the same token: more often something that is nearly right.
        const other = this.pick(this.frames)
        const token = /[^"]*"[^"]*"/.exec(text.slice(at))?.[0] ?? '"'
        const there = other.indexOf(token)
        return there < 0 ? text + other : text.slice(0, at) + other.slice(there)
      }
    }
  }

  private withOtherDigit(text: string): string {
    const from = this.below(text.length)
    const at = text.slice(from).search(/\d/)
    return at < 0 ? text : replaced(text, from + at, from + at + 1, String(this.below(10)))
  }

  private harmTree(text: string): string {
    const root = parse(text)
    if (typeof root !== 'object') return this.harmCharacters(text)
    const branches: Branch[] = []
    collect(root, branches)
    const branch = this.pick(branches)
    const { items } = branch
    if (items.length === 0) {
      items.push({ key: branch.open === '{' ? this.pick(KEYS) : undefined, value: this.pick(VALUES) })
      return print(root)
    }
    const at = this.below(items.length)
    const item = items[at]!
    switch (this.below(12)) {
      case 0: {
        const other = this.below(items.length)
        items[at] = items[other]!
        items[other] = item
        break
      }
      case 1:
        items.splice(this.below(items.length + 1), 0, { ...item })
        break
      case 2:
        items.splice(this.below(items.length + 1), 0, { key: item.key, value: this.value() })
        break
      case 3:
        items.splice(at, 1)
        break
      case 4:
        if (item.key !== undefined) item.key = this.pick(KEYS)
        else item.value = this.value()
        break
      case 5:
        item.value = this.value()
        break
      case 6:
      case 7:
      case 8:
        item.value = typeof item.value === 'string' ? this.otherScalar(item.value) : this.value()
        break
      case 9:
        return print(
          root,
          this.below(3) === 0 ? ' ' : undefined,
          this.below(40),
          this.pick([' ', '\n', '\t', '\u00a0']),
        )
      case 10:
        items.push({ key: branch.open === '{' ? this.pick(KEYS) : undefined, value: this.value() })
        break
      default: {
        // The same frame with a value of another one in the same place.
        const foreign = parse(this.pick(this.frames))
        const scalars: string[] = []
        collectScalars(foreign, scalars)
        if (scalars.length > 0) item.value = this.pick(scalars)
      }
    }
    return print(root)
  }

  private value(): Node {
    const number = this.pick(NUMBERS)
    switch (this.below(4)) {
      case 0:
        return number
      case 1:
        return `"${number}"`
      case 2:
        return this.pick(VALUES)
      default:
        return this.below(20) === 0
          ? '['.repeat(70) + ']'.repeat(70)
          : `"${'x'.repeat(this.pick([1, 128, 129, 256, 300]))}"`
    }
  }

  private otherScalar(scalar: string): string {
    const quoted = scalar.startsWith('"')
    const inner = quoted ? scalar.slice(1, -1) : scalar
    const quote = quoted ? '"' : ''
    const at = this.below(inner.length)
    const harmed = (): string => {
      switch (this.below(14)) {
        case 0:
          return '0' + inner
        case 1:
          return '-' + inner
        case 2:
          return inner + this.pick(['e0', 'e1', 'E-2', 'e+3'])
        case 3:
          return inner + '0'.repeat(1 + this.below(12))
        case 4:
          return inner + (inner.includes('.') ? '' : '.') + String(this.below(1e9)) + String(this.below(1e9))
        case 5:
          return String(this.below(1e9)) + inner
        case 6:
          return replaced(inner, at, at + 1, `\\u00${inner.charCodeAt(at).toString(16).padStart(2, '0')}`)
        case 7:
          return replaced(inner, at, at, this.pick(CHARACTERS))
        case 8:
          return this.pick(NUMBERS)
        case 9:
          return inner.replaceAll(/\d/g, '0')
        case 10:
          return inner.replaceAll(/\d/g, () => String(this.below(10)))
        case 11:
          return inner.length < 140 ? inner + inner : inner.slice(0, 1)
        case 12:
          return inner.slice(0, at)
        default:
          return ''
      }
    }
    if (this.below(12) === 0) return quoted ? inner : `"${inner}"`
    return quote + harmed() + quote
  }
}

function replaced(text: string, from: number, to: number, by: string): string {
  return text.slice(0, from) + by + text.slice(to)
}

/** JSON as a tree whose leaves are as they are written; undefined for what is not JSON. */
function parse(text: string): Node | undefined {
  let at = 0
  const node = (): Node | undefined => {
    const c = text[at]
    if (c === '"') return string()
    if (c !== '{' && c !== '[') {
      const from = at
      while (at < text.length && !',]}'.includes(text[at]!)) at++
      return at > from ? text.slice(from, at) : undefined
    }
    const close = c === '{' ? '}' : ']'
    const items: Item[] = []
    at++
    if (text[at] === close) {
      at++
      return { open: c, items }
    }
    for (;;) {
      let key: string | undefined
      if (c === '{') {
        key = text[at] === '"' ? string() : undefined
        if (key === undefined || text[at++] !== ':') return undefined
      }
      const value = node()
      if (value === undefined) return undefined
      items.push({ key, value })
      const after = text[at++]
      if (after === close) return { open: c, items }
      if (after !== ',') return undefined
    }
  }
  const string = (): string | undefined => {
    const from = at++
    while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1
    at++
    return at <= text.length ? text.slice(from, at) : undefined
  }
  const root = node()
  return at === text.length ? root : undefined
}

function collect(branch: Branch, into: Branch[]): void {
  into.push(branch)
  for (const { value } of branch.items) if (typeof value === 'object') collect(value, into)
}

function collectScalars(node: Node | undefined, into: string[]): void {
  if (typeof node === 'string') into.push(node)
  else if (node !== undefined) for (const { value } of node.items) collectScalars(value, into)
}

/**
 * @param everywhere  white space between all tokens
 * @param place       of the token before which `once` stands
 */
function print(root: Node, everywhere = '', place = -1, once = ''): string {
  let tokens = 0
  const gap = (): string => (tokens++ === place ? once : everywhere)
  const of = (node: Node): string => {
    if (typeof node === 'string') return node
    const items = node.items.map(({ key, value }) => gap() + (key === undefined ? '' : `${key}:${gap()}`) + of(value))
    return node.open + items.join(',') + gap() + (node.open === '{' ? '}' : ']')
  }
  return of(root)
}
