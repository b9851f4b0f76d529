/**
 * Chance from a seed: sfc32, seeded by a number and a name, so that every book, fault and price path has a stream of
 * its own and adding one of them changes no other.
 *
 * Source    PractRand's sfc (Chris Doty-Humphrey), 32-bit variant; twelve rounds after seeding, as its author advises
 */
export class Random {
  private a: number
  private b: number
  private c: number
  private counter = 1

  constructor(seed: number, name: string) {
    this.a = hash32(seed, `${name} a`)
    this.b = hash32(seed, `${name} b`)
    this.c = hash32(seed, `${name} c`)
    for (let round = 0; round < 12; round++) this.uint32()
  }

  /** An integer of 0 to 2^32 - 1. */
  uint32(): number {
    const sum = (this.a + this.b + this.counter) | 0
    this.counter = (this.counter + 1) | 0
    this.a = this.b ^ (this.b >>> 9)
    this.b = (this.c + (this.c << 3)) | 0
    this.c = (((this.c << 21) | (this.c >>> 11)) + sum) | 0
    return sum >>> 0
  }

  /** A number of [0, 1). */
  unit(): number {
    return this.uint32() / 0x1_0000_0000
  }

  /** An integer of 0 to `count - 1`. */
  below(count: number): number {
    return Math.floor(this.unit() * count)
  }

  chance(probability: number): boolean {
    return this.unit() < probability
  }

  /** The wait until the next of events that come independently, on average every `mean`. */
  exponential(mean: number): number {
    return -Math.log(1 - this.unit()) * mean
  }
}

/** 32 well-mixed bits of a seed and a text: FNV-1a over the text, then murmur3's finaliser. */
export function hash32(seed: number, text: string): number {
  let hash = 0x811c_9dc5 ^ Math.imul(Math.floor(seed / 0x1_0000_0000), 0x85eb_ca6b) ^ seed
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x0100_0193)
  return mix32(hash)
}

/** murmur3's finaliser: every bit of the input stirs every bit of the result. */
export function mix32(value: number): number {
  let hash = value
  hash = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
