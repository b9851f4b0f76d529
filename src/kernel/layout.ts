/**
 * Where things lie in the kernel's memory: numbers that both its sides, and both its languages, agree on.
 */

// ── Registers: what a scan has read ─────────────────────────────────────────────────────────────────────────────────
/** Doubles, one of each name below. */
export const REGISTERS: i32 = 1_024
export const REGISTER_COUNT: i32 = 64
/** Words: where texts stand that were kept, and how long they are. */
export const TEXTS: i32 = 1_536

// ── Tables ──────────────────────────────────────────────────────────────────────────────────────────────────────────
/** 10^0 to 10^22: the powers of ten that doubles hold exactly. */
export const POWERS: i32 = 2_048
export const POWERS_MAX: i32 = 22
/** CRC32 of all bytes, and of those with one to seven bytes behind them. */
export const CRC: i32 = 4_096
/** 0000 to 9999 as four characters each. */
export const QUADS: i32 = 16_384

// ── Columns: the levels of one change, one set a side ───────────────────────────────────────────────────────────────
/** Levels a side that a frame may have; others go through the plain decoder. */
export const LEVELS_MAX: i32 = 4_096
export const BIDS: i32 = 65_536
/** Of one column: with room behind it, or all columns would want the same lines of the processor's cache. */
export const COLUMN_BYTES: i32 = LEVELS_MAX * 8 + 320
export const SIDE_BYTES: i32 = COLUMN_BYTES * 4
export const ASKS: i32 = BIDS + SIDE_BYTES
/** Within a side, each as doubles: prices, sizes, decimals (`priceDecimals * 128 + sizeDecimals`), and a word each: their places in the book. */
export const PRICES: i32 = 0
export const SIZES: i32 = COLUMN_BYTES
export const DECIMALS: i32 = COLUMN_BYTES * 2
export const PLACES: i32 = COLUMN_BYTES * 3

// ── Rows: trades of one frame ───────────────────────────────────────────────────────────────────────────────────────
/** Each row is a copy of the registers and texts of its fields. */
export const ROWS_MAX: i32 = 1_024
export const ROWS: i32 = ASKS + SIDE_BYTES
export const ROW_REGISTERS: i32 = 16
export const ROW_BYTES: i32 = 160

// ── The frame, and a place to write texts for checksums ─────────────────────────────────────────────────────────────
export const SCRATCH: i32 = ROWS + ROWS_MAX * ROW_BYTES
export const SCRATCH_BYTES: i32 = 8_192
export const FRAME: i32 = SCRATCH + SCRATCH_BYTES
/** Larger frames go through the plain decoder. */
export const FRAME_BYTES_MAX: i32 = 262_144
/** Zeros behind a frame, so that reading a little past its end finds nothing. */
export const FRAME_SLACK: i32 = 64
/** The longest text of a level in a checksum: price and size of sixteen characters, and a colon before each. */
export const LEVEL_CHARS_MAX: i32 = 34
/** What so many zero bytes make of a CRC, 0 to LEVEL_CHARS_MAX of them: of each a table for each of its bytes. Written with the first table of CRCs. */
export const ZEROS: i32 = FRAME + FRAME_BYTES_MAX + FRAME_SLACK
export const ZEROS_BYTES: i32 = 4_096
/** Everything else (programs, tables of keys, books, logs) is allocated from here on. */
export const HEAP: i32 = ZEROS + (LEVEL_CHARS_MAX + 1) * ZEROS_BYTES

// ── A book ──────────────────────────────────────────────────────────────────────────────────────────────────────────
/**
 * The book's tick as two doubles, `unit / power` (power of ten), and its inverse; then two sides of the same form.
 * Ticks are counted towards the touch on both sides: asks as negative numbers. So better is always larger.
 */
export const BOOK_UNIT: i32 = 0
export const BOOK_POWER: i32 = 8
export const BOOK_PER_PRICE: i32 = 16
/** Where the log of the book goes on, 0 without one, and where its room ends. */
export const BOOK_LOG_AT: i32 = 24
export const BOOK_LOG_STOP: i32 = 28
export const BOOK_BIDS: i32 = 32
export const BOOK_ASKS: i32 = 112
/** Table of the CRCs of its levels' texts, for the checksums of one exchange; 0: it has none yet. */
export const BOOK_CRCS: i32 = 192
/** Slots for the texts of levels: where they are, how many there are, the next that is free, and how many more were wanted. */
export const BOOK_SLOTS: i32 = 196
export const BOOK_SLOT_CAPACITY: i32 = 200
export const BOOK_SLOT_NEXT: i32 = 204
export const BOOK_SLOTS_LACKED: i32 = 208
export const BOOK_HEAD_BYTES: i32 = 216

/** Levels a side that checksums are over. */
export const KRAKEN_LEVELS: i32 = 10
export const OKX_LEVELS: i32 = 25
/** Of an entry of a table of CRCs: the level whose text it is of, the CRC of that alone, and how many characters it has. */
export const CRC_TICK: i32 = 0
export const CRC_SIZE: i32 = 8
export const CRC_DECIMALS: i32 = 16
export const CRC_VALUE: i32 = 20
export const CRC_LENGTH: i32 = 24
export const CRC_ENTRY_BYTES: i32 = 32
/**
 * Of each side there are two sets, the best level first: which of them was written last (0 or 1), how many entries it has, and the
 * CRC of a text that begins with them, where it was computed.
 */
export const CRCS_TURN: i32 = 0
export const CRCS_COUNT: i32 = 4
export const CRCS_JOINED: i32 = 8
export const CRCS_HEAD_BYTES: i32 = 16
export const CRCS_SET_BYTES: i32 = OKX_LEVELS * CRC_ENTRY_BYTES
export const CRCS_SIDE_BYTES: i32 = CRCS_HEAD_BYTES + 2 * CRCS_SET_BYTES
export const CRCS_BYTES: i32 = 2 * CRCS_SIDE_BYTES

/** Prices of more ticks have no place: a double's product with a power of ten is not sure to be the right number any more. */
export const TICKS_MAX: f64 = 999999999999999.0
/** Ticks near the touch that have a place of their own each. */
export const WINDOW: i32 = 1_024
/** Of a window that is moved, the part that lies at and below the touch. */
export const WINDOW_BELOW: i32 = 768

/** Of a side: the ladder, and a bit for each of its places. */
export const SIDE_LADDER: i32 = 0
export const SIDE_LADDER_BITS: i32 = 8
export const SIDE_LADDER_COUNT: i32 = 12
/** Index of the best level in the ladder, -1 without one. */
export const SIDE_BEST: i32 = 16
/** Of a side: what lies below the ladder, sorted, the best last. */
export const SIDE_REST_TICKS: i32 = 20
export const SIDE_REST_SIZES: i32 = 24
export const SIDE_REST_DECIMALS: i32 = 28
export const SIDE_REST_COUNT: i32 = 32
export const SIDE_REST_CAPACITY: i32 = 36
/** 1 for bids, -1 for asks. */
export const SIDE_SIGN: i32 = 40
/** Tick of the ladder's first place. */
export const SIDE_BASE: i32 = 48
/** NaN on an empty side. */
export const SIDE_BEST_PRICE: i32 = 56
export const SIDE_BEST_SIZE: i32 = 64
/** Not 0 when levels of the side have changed since their CRCs were gathered. */
export const SIDE_IS_CHANGED: i32 = 72

/**
 * A place of a ladder: its size as a double (0: no level), its decimals and the slot of its text (0: none) as a word each. They lie
 * in one line of the processor's cache, and whether there is a level is seen from its size: an update, which most changes are,
 * touches nothing else. With its decimals stands whether the text in its slot is of the size of now: whoever changes the size
 * writes the decimals too, and so takes that back.
 */
export const PLACE_BYTES: i32 = 16
export const PLACE_DECIMALS: i32 = 8
export const PLACE_SLOT: i32 = 12
export const DECIMALS_MASK: i32 = 32_767
export const TEXT_IS_KEPT: i32 = 32_768
export const LADDER_BYTES: i32 = WINDOW * PLACE_BYTES + WINDOW / 8
export const BOOK_BYTES: i32 = BOOK_HEAD_BYTES + 2 * LADDER_BYTES
/** A level that lies below the ladder: tick, size, and a word: decimals as in a place, and from bit 16 on the slot of its text. */
export const REST_LEVEL_BYTES: i32 = 20
export const REST_SLOT_SHIFT: i32 = 16
export const REST_WORD_MASK: i32 = 65_535

// ── Texts of levels that were printed as JSON ───────────────────────────────────────────────────────────────────────
/**
 * A slot belongs to one price of a book: the text `price,size`, how much of it is the price with its comma (0: nothing is written
 * yet), and its length. Half a line of the processor's cache, if the first is aligned.
 */
export const SLOT_BYTES: i32 = 32
export const SLOT_CHARS_MAX: i32 = 30
export const SLOT_PRICE_LENGTH: i32 = 30
export const SLOT_LENGTH: i32 = 31
/** Slots are numbered from 1, in sixteen bits. */
export const SLOTS_MAX: i32 = 65_536

/** The texts between the fields of a view, and of a line of a recording, each with its length before it. */
export const WORDS: i32 = 12_288
export const WORD_BYTES: i32 = 32
export const WORD_EXCHANGE_TIME: i32 = WORDS
export const WORD_RECEIVE_TIME: i32 = WORDS + WORD_BYTES
export const WORD_BIDS: i32 = WORDS + 2 * WORD_BYTES
export const WORD_ASKS: i32 = WORDS + 3 * WORD_BYTES
export const WORD_SEQ: i32 = WORDS + 4 * WORD_BYTES
export const WORD_END: i32 = WORDS + 5 * WORD_BYTES
export const WORD_LINE: i32 = WORDS + 6 * WORD_BYTES
export const WORD_RECEIVED: i32 = WORDS + 7 * WORD_BYTES
export const WORD_CONNECTION: i32 = WORDS + 8 * WORD_BYTES
export const WORD_RAW: i32 = WORDS + 9 * WORD_BYTES
/** More than the words of such a line, its numbers, and what is written over behind its end. */
export const LINE_BYTES: i32 = 128
/** What a view says beside its levels, where that stands in a log outside of this memory. */
export const VIEW_HEADER: i32 = WORDS + 10 * WORD_BYTES

// ── The log: what each change replaced ──────────────────────────────────────────────────────────────────────────────
/** A record is the price (negative for asks), the size that was there before, and the one that is there from then on (0: none). */
export const LOG_RECORD_BYTES: i32 = 24
export const LOG_BEFORE: i32 = 8
export const LOG_AFTER: i32 = 16
/** What a view writes, as two records: `[NaN, receiveTimeUs, exchangeTimeUs]`, `[NaN, seq, 0]`; NaN is what was not said. */
export const LOG_HEADER_BYTES: i32 = 2 * LOG_RECORD_BYTES
export const HEADER_RECEIVE_TIME: i32 = 8
export const HEADER_EXCHANGE_TIME: i32 = 16
export const HEADER_SEQ: i32 = 32

// ── A desk: where the deltas of one book are taken without being looked at outside ──────────────────────────────────
/** Address of the book; 0 while its deltas have to be looked at. */
export const DESK_BOOK: i32 = 0
/** Doubles: the book's number, the one before it, and when it was last received; NaN without. */
export const DESK_SEQ: i32 = 8
export const DESK_PREV_SEQ: i32 = 16
export const DESK_RECEIVED: i32 = 24
export const DESK_BYTES: i32 = 32

// ── Programs ────────────────────────────────────────────────────────────────────────────────────────────────────────
export const OP_END: i32 = 0
export const OP_LITERAL: i32 = 1
export const OP_KEY: i32 = 2
export const OP_SYMBOL: i32 = 3
export const OP_INTEGER: i32 = 4
export const OP_TIME_MS: i32 = 5
export const OP_TIME_RFC3339: i32 = 6
export const OP_TIME_SECONDS: i32 = 7
export const OP_DECIMAL: i32 = 8
export const OP_LEVELS: i32 = 9
export const OP_CHOICE: i32 = 10
export const OP_TEXT: i32 = 11
export const OP_SKIP_TEXT: i32 = 12
export const OP_SKIP_NUMBER: i32 = 13
export const OP_ROWS: i32 = 14
export const OP_ROW_END: i32 = 15
export const OP_PAIRS: i32 = 16
/** The end of a frame that changes a book. */
export const OP_BOOK_END: i32 = 17

/** How the deltas of a book chain, as `book/sequencing.ts` defines it. */
export const CHAIN_NONE: i32 = 0
/** `firstSeq` is one more than the last `seq`. */
export const CHAIN_RANGE: i32 = 1
/** `prevSeq` is the last `seq`. */
export const CHAIN_LINK: i32 = 2
/** `seq` is one more than the last. */
export const CHAIN_STEP: i32 = 3

/** How a book is verified. */
export const VERIFY_NONE: i32 = 0
export const VERIFY_KRAKEN: i32 = 1
export const VERIFY_OKX: i32 = 2
/** A crossed book has lost something. */
export const VERIFY_UNCROSSED: i32 = 3

/** How a scan ends. */
export const MISSED: i32 = 0
export const READ: i32 = 1
/** Everything was read, but the key is not in the table, or there with another symbol. */
export const UNKNOWN_KEY: i32 = 2
/** Everything was read, the delta extends its book and has changed it, which is verified; its view is in the log. */
export const TAKEN: i32 = 3
/** As TAKEN, but the book does not look as it should, and no view was written. */
export const DOUBTED: i32 = 4
/** As TAKEN, but a price lies between the book's ticks: BIDS_DONE and ASKS_DONE say how far it got. */
export const BETWEEN: i32 = 5

/** A table of keys: its mask and a spare word, then entries of eight words (`scan.ts`). */
export const TABLE_HEAD_BYTES: i32 = 8
export const ENTRY_BYTES: i32 = 32
export const ENTRY_KEY: i32 = 0
/** 0: the entry is free; -1: its key is forgotten. */
export const ENTRY_KEY_LENGTH: i32 = 4
export const ENTRY_SLOT: i32 = 8
export const ENTRY_SYMBOL: i32 = 12
export const ENTRY_SYMBOL_LENGTH: i32 = 16
/** Keeps the keys of one shape apart from those of others. */
export const ENTRY_SALT: i32 = 20
/** The desk that takes the deltas with this key; 0 without. */
export const ENTRY_DESK: i32 = 24
/** Levels a side that the book of this key keeps; 0: all. */
export const ENTRY_DEPTH: i32 = 28

// ── Registers by name ───────────────────────────────────────────────────────────────────────────────────────────────
/** The first of the fields that a shape names; the place 0 of a field means that a shape has none. */
export const R_FIELDS: i32 = 8

/** Words that a scan leaves: which program of a chain has read the frame, which slot, and how much. */
export const RESULTS: i32 = 1_920
export const PROGRAM: i32 = RESULTS
export const SLOT: i32 = RESULTS + 4
export const BID_COUNT: i32 = RESULTS + 8
export const ASK_COUNT: i32 = RESULTS + 12
export const ROW_COUNT: i32 = RESULTS + 16
/** How many lists of levels it had, and where what is in each begins and ends. */
export const LIST_COUNT: i32 = RESULTS + 28
export const LISTS: i32 = RESULTS + 32
export const LISTS_MAX: i32 = 4
/** Words that an update leaves: how many levels of each side it has changed. */
export const BIDS_DONE: i32 = RESULTS + 20
export const ASKS_DONE: i32 = RESULTS + 24
/** Text 0: the key. */
export const T_KEY: i32 = 0
