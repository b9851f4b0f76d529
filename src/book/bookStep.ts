import type { BookChange, Level, LevelDigits } from '../model/events'
import type { BookView } from './bookView'

/**
 * What one frame has done to a book that is kept already, in the place of its changes: for whoever wants books and nothing else.
 * Its levels are those of its view.
 *
 * It is a snapshot where one of the changes was.
 */
export class BookStep implements BookChange {
  readonly prevSeq = undefined
  readonly firstSeq = undefined
  readonly checksum = undefined
  readonly depth = undefined

  /** @param view  the book after the frame, with all its levels */
  constructor(
    readonly view: BookView,
    readonly kind: 'snapshot' | 'delta',
  ) {}

  get exchange(): string {
    return this.view.exchange
  }

  get symbol(): string {
    return this.view.symbol
  }

  get instrument(): string | undefined {
    return this.view.instrument
  }

  get exchangeTimeUs(): number | undefined {
    return this.view.exchangeTimeUs
  }

  get receiveTimeUs(): number {
    return this.view.receiveTimeUs
  }

  get seq(): number | undefined {
    return this.view.seq
  }

  get bids(): readonly Level[] {
    return NO_LEVELS
  }

  get asks(): readonly Level[] {
    return NO_LEVELS
  }

  get bidDigits(): LevelDigits {
    return NO_DIGITS
  }

  get askDigits(): LevelDigits {
    return NO_DIGITS
  }
}

const NO_LEVELS: readonly Level[] = []
const NO_DIGITS: LevelDigits = { decimals: [], texts: undefined }
