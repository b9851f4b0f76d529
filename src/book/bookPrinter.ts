/**
 * Writes the JSON text of views of one book, in the kernel (`kernel/text.ts`).
 *
 * It holds the name of the book and slots for the texts of its levels: 32 bytes each, twice as many as the most levels that were
 * ever written at once (256 at least). They are the book's, which gives them back with its own memory.
 */
import type { Kernel } from '../kernel/kernel'
import {
  BOOK_SLOTS,
  BOOK_SLOTS_LACKED,
  BOOK_SLOT_CAPACITY,
  BOOK_SLOT_NEXT,
  SLOTS_MAX,
  SLOT_BYTES,
} from '../kernel/layout'
import type { Epoch } from './bookLog'
import { LEVEL_CHARS, textRoom } from './levelsText'

/** Memory of the kernel; at 0 there is none. */
export interface Block {
  at: number
  bytes: number
}

export interface PrinterBlocks {
  slots: Block
  name: Block
}

/** Levels of a view that are written in one piece. */
const LEVELS_MAX = 8_192
/** Of a view's text, beside its name and its levels. */
const HEAD_CHARS = 256
const SLOTS_MIN = 256
/** True of a text whose characters are one byte each. */
const LATIN = /^[\x00-\xff]*$/

export class BookPrinter {
  private name: string | undefined
  private nameAt = 0
  /** 0 when the name has letters of other scripts: then it is put before the rest of the text. */
  private nameLength = 0

  /** @param at  address of the book */
  constructor(
    private readonly memory: Kernel,
    private readonly at: number,
    private readonly blocks: PrinterBlocks,
  ) {}

  /**
   * The text of a view whose levels are those of now.
   *
   * @param bids  at most as many as there are, likewise `asks`
   * @returns undefined when they are too many, or a number is not one that the kernel prints
   */
  text(epoch: Epoch, position: number, bids: number, asks: number): string | undefined {
    const { memory, at } = this
    const levels = bids + asks
    if (levels > LEVELS_MAX) return undefined
    const { nameText } = epoch
    if (nameText !== this.name) this.keepName(nameText)
    const { nameAt, nameLength } = this
    const room = textRoom(memory, HEAD_CHARS + nameLength + levels * LEVEL_CHARS)
    const end = memory.code.viewText(room, at, nameAt, nameLength, bids, asks, epoch.headerAddress(position))
    if (memory.words[(at + BOOK_SLOTS_LACKED) >> 2] !== 0) this.makeSlots(levels)
    if (end === 0) return undefined
    const text = latinText(memory.bytes, room, end)
    return nameLength === 0 ? nameText + text : text
  }

  private keepName(name: string): void {
    const { memory, blocks } = this
    if (blocks.name.at !== 0) memory.release(blocks.name.at, blocks.name.bytes)
    const bytes = name.length + 8
    blocks.name = { at: memory.allocate(bytes), bytes }
    this.nameAt = blocks.name.at
    this.nameLength = LATIN.test(name) ? memory.bytes.write(name, this.nameAt, 'latin1') : 0
    this.name = name
  }

  /** More slots, or, when there are enough, all of them anew: those of levels that are gone are lost until then. */
  private makeSlots(levels: number): void {
    const { memory, at, blocks } = this
    const capacity = memory.words[(at + BOOK_SLOT_CAPACITY) >> 2]!
    const wanted = Math.min(SLOTS_MAX, Math.max(SLOTS_MIN, 2 ** Math.ceil(Math.log2(2 * levels))))
    memory.words[(at + BOOK_SLOTS_LACKED) >> 2] = 0
    if (wanted <= capacity) {
      memory.code.forgetTexts(at)
      return
    }
    const bytes = (wanted + 1) * SLOT_BYTES
    const block = { at: memory.allocate(bytes), bytes }
    const slots = aligned(block.at)
    if (capacity === 0) memory.words[(at + BOOK_SLOT_NEXT) >> 2] = 1
    else {
      const before = aligned(blocks.slots.at)
      memory.bytes.copyWithin(slots, before, before + capacity * SLOT_BYTES)
      memory.release(blocks.slots.at, blocks.slots.bytes)
    }
    blocks.slots = block
    memory.words[(at + BOOK_SLOTS) >> 2] = slots
    memory.words[(at + BOOK_SLOT_CAPACITY) >> 2] = wanted
  }
}

type LatinText = (this: Buffer, from: number, to: number) => string

/** What `toString('latin1', from, to)` comes down to in Node; it first looks at what it was given, which a small text feels. */
const { latin1Slice } = Buffer.prototype as unknown as { readonly latin1Slice?: LatinText }

function latinText(bytes: Buffer, from: number, to: number): string {
  return latin1Slice === undefined ? bytes.toString('latin1', from, to) : latin1Slice.call(bytes, from, to)
}

/** The first address from one on at which a slot may begin. */
function aligned(at: number): number {
  return (at + SLOT_BYTES - 1) & -SLOT_BYTES
}
