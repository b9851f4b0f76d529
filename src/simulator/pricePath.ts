/**
 * The hidden price of an asset, which all exchanges follow: a seeded path that looks like a random walk and can be read
 * at any step without walking there.
 *
 * It is a sum of noises, each four times as slow and twice as large as the last, so that its changes over n steps grow
 * with the root of n up to the slowest of them and stay bounded beyond (about 0.8 %). Being a function of the step alone,
 * it makes each book's sequence depend on the seed and on nothing that happens elsewhere.
 */
import { mix32 } from './random'

const OCTAVES = 11
/** Of the fastest noise, as a fraction of the price: 0.04 basis points. */
const STEP = 4e-6

export class PricePath {
  private readonly cells = new Float64Array(OCTAVES).fill(-1)
  private readonly from = new Float64Array(OCTAVES)
  private readonly to = new Float64Array(OCTAVES)

  /** @param seed  32 bits; paths of one seed are equal */
  constructor(private readonly seed: number) {}

  /** The deviation from the starting price at a step, as a fraction of it. */
  at(step: number): number {
    let sum = 0
    let period = 1
    let amplitude = STEP
    for (let octave = 0; octave < OCTAVES; octave++) {
      const cell = Math.floor(step / period)
      if (cell !== this.cells[octave]) {
        this.cells[octave] = cell
        this.from[octave] = this.noise(octave, cell)
        this.to[octave] = this.noise(octave, cell + 1)
      }
      const from = this.from[octave]!
      sum += amplitude * (from + (this.to[octave]! - from) * (step / period - cell))
      period *= 4
      amplitude *= 2
    }
    return sum
  }

  private noise(octave: number, cell: number): number {
    return mix32(mix32(this.seed + Math.imul(octave + 1, 0x9e37_79b1)) + cell) / 0x8000_0000 - 1
  }
}
