import { expect } from 'chai'
import fc from 'fast-check'
import { BookGuard, guardCounts, type GuardCounts, type GuardOptions } from '../../src/book/bookGuard'
import { krakenChecksum } from '../../src/book/checksum'
import { Level2Book } from '../../src/book/level2Book'
import {
  linkedAfterSnapshot,
  linkedInStream,
  rangeAfterSnapshot,
  stepOfOne,
  unnumbered,
} from '../../src/book/sequencing'
import type { BookChange, Level } from '../../src/model/events'
import { Fault } from '../../src/model/fault'
import { delta, snapshot } from '../kit/marketEvents'

describe('BookGuard', () => {
  const plain: GuardOptions = {
    exchange: 'okx',
    sequencing: linkedInStream,
    checksum: undefined,
    crossingMeansLoss: false,
    bufferMax: 10,
  }

  /** A guard, and what it lets through and says, in order. */
  const guarded = (options: Partial<GuardOptions> = {}) => {
    const said: string[] = []
    const faults: Fault[] = []
    const counts: GuardCounts = guardCounts()
    const guard = new BookGuard('BTC/USD', { ...plain, ...options }, counts, {
      event: ({ kind, seq }) => said.push(`${kind} ${seq ?? '-'}`),
      notice: (code) => said.push(code),
      fault: (fault) => {
        faults.push(fault)
        said.push(fault.code)
      },
    })
    return { guard, said, faults, counts }
  }
  const snap = (seq: number): BookChange => snapshot([], [], { seq })
  const linked = (prevSeq: number, seq: number): BookChange => delta([], [], { prevSeq, seq })
  const ranged = (firstSeq: number, seq: number): BookChange => delta([], [], { firstSeq, seq })

  describe('where frames of a recording are missing', () => {
    it('empties a book that neither numbers nor checksums vouch for, once', () => {
      const { guard, said, faults, counts } = guarded({ sequencing: unnumbered, crossingMeansLoss: true })
      guard.interrupted('before there is a book')
      guard.receive(snapshot([], []))
      guard.interrupted('3 lines are missing')
      guard.interrupted('and again')
      expect(said).to.deep.equal(['snapshot -', 'gap', 'BOOK_GAP'])
      expect(faults[0]!.message).to.match(/BTC\/USD.*3 lines are missing/)
      expect(guard.state).to.equal('awaitingSnapshot')
      expect(counts.gaps).to.equal(1)
    })

    it('leaves it to numbers and checksums where there are any', () => {
      const numbered = guarded()
      numbered.guard.receive(snap(5))
      numbered.guard.interrupted('nothing of this book')
      numbered.guard.receive(linked(5, 6))
      expect(numbered.said).to.deep.equal(['snapshot 5', 'delta 6'])
      const checked = guarded({ sequencing: unnumbered, checksum: krakenChecksum })
      checked.guard.receive(snapshot([], []))
      checked.guard.interrupted('nothing of this book')
      expect(checked.guard.state).to.equal('live')
    })
  })

  describe('of a book whose snapshots come in the stream', () => {
    it('lets nothing through before the snapshot', () => {
      const { guard, said, counts } = guarded()
      guard.receive(linked(1, 2))
      expect(said).to.deep.equal([])
      expect(guard.state).to.equal('awaitingSnapshot')
      expect(counts).to.include({ unanchored: 1, deltas: 0, gaps: 0 })
    })

    it('lets a snapshot and what extends it through', () => {
      const { guard, said, counts } = guarded()
      for (const change of [snap(5), linked(5, 6), linked(6, 9)]) guard.receive(change)
      expect(said).to.deep.equal(['snapshot 5', 'delta 6', 'delta 9'])
      expect(guard.state).to.equal('live')
      expect(counts).to.include({ snapshots: 1, deltas: 2, sequenceChecked: 2, gaps: 0, stale: 0 })
    })

    it('empties the book and says so once when a change does not follow, and stays silent until a snapshot', () => {
      const { guard, said, faults, counts } = guarded()
      for (const change of [snap(5), linked(6, 7), linked(7, 8), linked(8, 9)]) guard.receive(change)
      expect(said).to.deep.equal(['snapshot 5', 'gap', 'BOOK_GAP'])
      expect(guard.state).to.equal('awaitingSnapshot')
      expect(faults[0]!.message).to.match(/BTC\/USD.*stands at 5.*continues 6/)
      guard.receive(snap(20))
      guard.receive(linked(20, 21))
      expect(said.slice(3)).to.deep.equal(['resynced', 'snapshot 20', 'delta 21'])
      expect(counts).to.include({ gaps: 1, resyncs: 1, unanchored: 2 })
    })

    it('drops a delta that is repeated', () => {
      const { guard, said, counts } = guarded()
      for (const change of [snap(5), linked(5, 6), linked(5, 6), linked(6, 7)]) guard.receive(change)
      expect(said).to.deep.equal(['snapshot 5', 'delta 6', 'delta 7'])
      expect(counts).to.include({ stale: 1, gaps: 0 })
    })

    it('takes a delta from before the snapshot for a gap, since it cannot know better', () => {
      const { guard, said } = guarded()
      for (const change of [snap(5), linked(3, 4)]) guard.receive(change)
      expect(said).to.deep.equal(['snapshot 5', 'gap', 'BOOK_GAP'])
    })

    it('knows the late deltas of a book that it has replaced by a snapshot, and drops what that contains', () => {
      const { guard, said, counts } = guarded()
      for (const change of [snap(5), linked(5, 6), snap(9), linked(6, 8), linked(8, 9), linked(9, 10)]) {
        guard.receive(change)
      }
      expect(said).to.deep.equal(['snapshot 5', 'delta 6', 'snapshot 9', 'delta 10'])
      expect(counts).to.include({ gaps: 0, stale: 2 })
    })

    it('does not vouch for a late delta that goes beyond the snapshot, or does not extend the book before it', () => {
      for (const late of [linked(6, 10), linked(7, 8), delta([], [], { prevSeq: 6 })]) {
        const { guard, said } = guarded()
        for (const change of [snap(5), linked(5, 6), snap(9), late]) guard.receive(change)
        expect(said.slice(2)).to.deep.equal(['snapshot 9', 'gap', 'BOOK_GAP'])
      }
    })

    it('takes a new snapshot at any time', () => {
      const { guard, said } = guarded()
      for (const change of [snap(5), linked(5, 6), snap(1), linked(1, 2)]) guard.receive(change)
      expect(said).to.deep.equal(['snapshot 5', 'delta 6', 'snapshot 1', 'delta 2'])
    })

    it('does not report a resynchronisation after a reconnection: that is not the repair of a gap', () => {
      const { guard, said } = guarded()
      guard.receive(snap(5))
      guard.reset()
      expect(guard.state).to.equal('awaitingSnapshot')
      guard.receive(linked(5, 6))
      guard.receive(snap(9))
      expect(said).to.deep.equal(['snapshot 5', 'snapshot 9'])
    })
  })

  describe('of a book whose snapshots come by REST', () => {
    const sequencing = rangeAfterSnapshot

    it('keeps deltas until the snapshot is there, drops what it contains, and applies the rest', () => {
      const { guard, said, counts } = guarded({ sequencing })
      for (const change of [ranged(1, 3), ranged(4, 6), ranged(7, 9), snap(5), ranged(10, 10)]) guard.receive(change)
      expect(said).to.deep.equal(['snapshot 5', 'delta 6', 'delta 9', 'delta 10'])
      expect(counts).to.include({ buffered: 3, stale: 1, deltas: 3, sequenceChecked: 2 })
    })

    it('asks for another snapshot when it is older than what waits, and keeps waiting', () => {
      const { guard, said } = guarded({ sequencing })
      for (const change of [ranged(10, 12), snap(5)]) guard.receive(change)
      expect(said).to.deep.equal(['SNAPSHOT_FAILED'])
      expect([guard.state, guard.unjoined]).to.deep.equal(['awaitingSnapshot', true])
      guard.receive(snap(11))
      expect(said.slice(1)).to.deep.equal(['snapshot 11', 'delta 12'])
      expect([guard.state, guard.unjoined]).to.deep.equal(['live', false])
    })

    it('waits for a delta that joins when the snapshot is newer than all that waits', () => {
      const { guard, said } = guarded({ sequencing })
      for (const change of [ranged(1, 3), snap(5), ranged(4, 5), ranged(6, 7)]) guard.receive(change)
      expect(said).to.deep.equal(['snapshot 5', 'delta 7'])
    })

    it('notices a delta that is missing among those that waited', () => {
      const { guard, said } = guarded({ sequencing })
      for (const change of [ranged(4, 6), ranged(8, 9), ranged(10, 11), snap(5)]) guard.receive(change)
      expect(said).to.deep.equal(['snapshot 5', 'delta 6', 'gap', 'BOOK_GAP'])
      // What came after the gap waits for the next snapshot.
      guard.receive(snap(9))
      expect(said.slice(4)).to.deep.equal(['resynced', 'snapshot 9', 'delta 11'])
    })

    it('notices a delta that is missing between the snapshot and the first delta after it', () => {
      const { guard, said } = guarded({ sequencing })
      for (const change of [snap(5), ranged(7, 8)]) guard.receive(change)
      expect(said).to.deep.equal(['snapshot 5', 'gap', 'BOOK_GAP'])
    })

    it('gives up what waits, and asks again, when too much does', () => {
      const { guard, said, counts } = guarded({ sequencing, bufferMax: 3 })
      for (let seq = 1; seq <= 4; seq++) guard.receive(ranged(seq, seq))
      expect(said).to.deep.equal(['BOOK_BUFFER_FULL'])
      guard.receive(snap(3))
      expect(said.slice(1)).to.deep.equal(['snapshot 3', 'delta 4'])
      expect(counts.gaps).to.equal(0)
    })

    describe('when an answer comes while it is live', () => {
      const live = (...changes: readonly BookChange[]) => {
        const made = guarded({ sequencing })
        for (const change of [snap(5), ...changes]) made.guard.receive(change)
        made.said.splice(0)
        return made
      }

      it('lets one that is newer than the stream through', () => {
        const { guard, said, counts } = live(ranged(6, 7))
        guard.answer(snap(9))
        for (const change of [ranged(8, 9), ranged(10, 11)]) guard.receive(change)
        expect(said).to.deep.equal(['snapshot 9', 'delta 11'])
        expect(counts).to.include({ gaps: 0, stale: 1, snapshots: 2 })
      })

      it('lets one that is older through together with what came after it', () => {
        const { guard, said, counts } = live(ranged(6, 7), ranged(8, 9), ranged(10, 11))
        guard.answer(snap(8))
        expect(said).to.deep.equal(['snapshot 8', 'delta 9', 'delta 11'])
        guard.receive(ranged(12, 12))
        expect(said.slice(3)).to.deep.equal(['delta 12'])
        expect(counts).to.include({ gaps: 0, snapshots: 2, deltas: 4 })
      })

      it('lets one of the same time through alone', () => {
        const { guard, said } = live(ranged(6, 7))
        guard.answer(snap(7))
        guard.receive(ranged(8, 8))
        expect(said).to.deep.equal(['snapshot 7', 'delta 8'])
      })

      it('repeats the snapshot that it has when no delta has come since and the answer is older', () => {
        const { guard, said } = live()
        guard.answer(snap(3))
        guard.receive(ranged(6, 6))
        expect(said).to.deep.equal(['snapshot 5', 'delta 6'])
      })

      it('drops one that is older than the deltas it has kept, and says nothing', () => {
        const deltas = Array.from({ length: 200 }, (_, index) => ranged(6 + index, 6 + index))
        const { guard, said, counts } = live(...deltas)
        guard.answer(snap(5 + 200 - 129))
        expect(said).to.deep.equal([])
        expect(counts).to.include({ stale: 1, gaps: 0 })
        expect(guard.state).to.equal('live')
        guard.answer(snap(5 + 200 - 128))
        expect(said).to.have.length(129)
      })

      it('gives what it has kept as it was, digits and all', () => {
        const events: BookChange[] = []
        const guard = new BookGuard('BTC/USD', { ...plain, sequencing }, guardCounts(), {
          event: (change) => events.push(change),
          notice: () => undefined,
          fault: () => undefined,
        })
        guard.receive(snap(5))
        const sides: [string, string][][] = [
          [],
          [['100.50', '0']],
          [
            ['0.1', '12345678901234567890'],
            ['7', '1.000'],
          ],
        ]
        for (let seq = 6; seq < 206; seq++) {
          const numbers = { firstSeq: seq, seq, receiveTimeUs: 1_760_000_000_000_000 + seq }
          const more = [{ exchangeTimeUs: 1_759_999_999_999_999 }, { prevSeq: seq - 1 }, { checksum: -7, depth: 10 }]
          guard.receive(delta(sides[seq % 3]!, sides[(seq >> 2) % 3]!, { ...numbers, ...more[seq % 3] }))
        }
        const kept = events.slice(-100)
        guard.answer(snap(105))
        expect(events.slice(-101)).to.deep.equal([snap(105), ...kept])
      })

      it('keeps no more than so many levels', () => {
        const side = Array.from({ length: 6_000 }, (_, index): [string, string] => [String(index + 1), '1'])
        const large = (seq: number, times = 1): BookChange =>
          delta(Array.from({ length: times }, () => side).flat(), [], { firstSeq: seq, seq })
        const { guard, said } = live(large(6), large(7), ranged(8, 8))
        guard.answer(snap(5))
        expect(said).to.deep.equal([])
        guard.answer(snap(6))
        expect(said.splice(0)).to.deep.equal(['snapshot 6', 'delta 7', 'delta 8'])
        for (const change of [large(9, 2), ranged(10, 10)]) guard.receive(change)
        said.splice(0)
        guard.answer(snap(8))
        expect(said).to.deep.equal([])
        guard.answer(snap(9))
        expect(said).to.deep.equal(['snapshot 9', 'delta 10'])
      })

      it('forgets what it has kept with the book', () => {
        const { guard, said } = live(ranged(6, 7), ranged(9, 9))
        expect(said).to.deep.equal([])
        guard.answer(snap(8))
        guard.answer(snap(6))
        expect(said).to.deep.equal(['resynced', 'snapshot 8', 'delta 9'])
      })

      it('repairs with one that comes while it is not', () => {
        const { guard, said } = guarded({ sequencing })
        guard.receive(ranged(6, 7))
        guard.answer(snap(5))
        expect(said).to.deep.equal(['snapshot 5', 'delta 7'])
      })

      it('drops an older snapshot of the stream, which nobody has asked for', () => {
        const { guard, said } = live(ranged(6, 7))
        guard.receive(snap(6))
        expect(said).to.deep.equal([])
      })
    })

    it('forgets what waits when the connection ends', () => {
      const { guard, said } = guarded({ sequencing })
      for (const change of [ranged(1, 3), ranged(4, 6)]) guard.receive(change)
      guard.reset()
      guard.receive(snap(2))
      expect(said).to.deep.equal(['snapshot 2'])
    })
  })

  describe('of a book with checksums', () => {
    const options = { sequencing: unnumbered, checksum: krakenChecksum }
    const truth = (...changes: BookChange[]): number => {
      const book = new Level2Book()
      for (const change of changes) {
        if (change.kind === 'snapshot') book.snapshot(change)
        else book.delta(change)
      }
      return krakenChecksum.compute(book)
    }
    const first = snapshot([['9', '1']], [['11', '1']])
    const second = delta([['8', '2']], [])

    it('lets changes through whose checksum is right', () => {
      const { guard, said, counts } = guarded(options)
      guard.receive({ ...first, checksum: truth(first) })
      guard.receive({ ...second, checksum: truth(first, second) })
      expect(said).to.deep.equal(['snapshot -', 'delta -'])
      expect(counts).to.include({ checksumsChecked: 2, checksumsFailed: 0 })
    })

    it('holds back the change that shows that one before it was lost', () => {
      const { guard, said, counts } = guarded(options)
      guard.receive(first)
      guard.receive({ ...second, checksum: truth(first, delta([['7', '1']], []), second) })
      guard.receive(second)
      expect(said).to.deep.equal(['snapshot -', 'gap', 'BOOK_CHECKSUM'])
      expect(counts).to.include({ checksumsChecked: 1, checksumsFailed: 1, gaps: 0 })
      guard.receive(first)
      expect(said.slice(3)).to.deep.equal(['resynced', 'snapshot -'])
    })

    it('does not compute a checksum where none was sent', () => {
      const { guard, counts } = guarded(options)
      guard.receive(first)
      expect(counts.checksumsChecked).to.equal(0)
    })

    it('asks again, without a gap to tell, when the first snapshot is wrong already', () => {
      const { guard, said } = guarded(options)
      guard.receive({ ...first, checksum: 1 })
      expect(said).to.deep.equal(['BOOK_CHECKSUM'])
      expect(guard.state).to.equal('awaitingSnapshot')
      guard.receive(second)
      guard.receive(first)
      expect(said.slice(1)).to.deep.equal(['snapshot -'])
    })

    it('tells a gap once, also when the snapshots that should repair it are wrong', () => {
      const { guard, said } = guarded(options)
      guard.receive(first)
      guard.receive({ ...first, checksum: 1 })
      guard.receive({ ...first, checksum: 1 })
      guard.receive(first)
      expect(said).to.deep.equal(['snapshot -', 'gap', 'BOOK_CHECKSUM', 'BOOK_CHECKSUM', 'resynced', 'snapshot -'])
    })
  })

  it('takes a crossed book for a loss where nothing else can show one, and only there', () => {
    for (const crossingMeansLoss of [true, false]) {
      const { guard, said } = guarded({ sequencing: unnumbered, crossingMeansLoss })
      guard.receive(snapshot([['9', '1']], [['11', '1']]))
      guard.receive(delta([['11', '1']], []))
      expect(said).to.deep.equal(['snapshot -', ...(crossingMeansLoss ? ['gap', 'BOOK_CROSSED'] : ['delta -'])])
    }
  })

  it('gives up a live book when a frame of it could not be read, and nothing when there is none', () => {
    const lost = new Fault('FRAME_UNREADABLE', 'A frame could not be read.')
    const { guard, said } = guarded()
    guard.lose(lost)
    expect(said).to.deep.equal([])
    guard.receive(snap(5))
    guard.lose(lost)
    guard.lose(lost)
    guard.receive(linked(5, 6))
    expect(said).to.deep.equal(['snapshot 5', 'gap', 'FRAME_UNREADABLE'])
  })

  /**
   * The exchange's side of the model: a history of unit changes, each of which sets one level, packed into six deltas. A
   * book at a number is all unit changes up to it, so for every number the true book is known.
   */
  describe('in every order in which deltas and snapshots can come', () => {
    const UNITS = 12
    const DELTAS = 6
    const levelAfter = (unit: number): Level => [100 + ((unit * 5) % 4), unit % 5 === 0 ? 0 : unit]
    const booksByUnit = Array.from({ length: UNITS + 1 }, (_, units) => {
      const book = new Map<number, number>()
      for (let unit = 1; unit <= units; unit++) setLevel(book, levelAfter(unit))
      return book
    })

    interface Family {
      readonly title: string
      readonly options: Partial<GuardOptions>
      /** The number of the book after this many unit changes. */
      seqOf(unit: number): number
      numbers(fromUnit: number, toUnit: number): Partial<BookChange>
      /** After how many unit changes snapshots are taken; undefined: at the moment they are sent. */
      readonly snapshotUnits: readonly number[] | undefined
    }
    const families: Family[] = [
      {
        title: 'ranges after a REST snapshot',
        options: { sequencing: rangeAfterSnapshot },
        seqOf: (unit) => 1_000 + unit,
        numbers: (from, to) => ({ firstSeq: 1_000 + from, seq: 1_000 + to }),
        snapshotUnits: [0, 2, 3, 6, 9, 12],
      },
      {
        title: 'links after a REST snapshot',
        options: { sequencing: linkedAfterSnapshot },
        seqOf: (unit) => 1_000 + 10 * unit,
        numbers: (from, to) => ({
          firstSeq: 1_000 + 10 * from,
          seq: 1_000 + 10 * to,
          prevSeq: 1_000 + 10 * (from - 1),
        }),
        snapshotUnits: [0, 2, 3, 6, 9, 12],
      },
      {
        title: 'links in the stream',
        options: { sequencing: linkedInStream },
        seqOf: (unit) => 1_000 + 10 * unit,
        numbers: (from, to) => ({ seq: 1_000 + 10 * to, prevSeq: 1_000 + 10 * (from - 1) }),
        snapshotUnits: undefined,
      },
      {
        title: 'steps of one in the stream',
        options: { sequencing: stepOfOne },
        seqOf: (unit) => 1_000 + unit / 2,
        numbers: (_from, to) => ({ seq: 1_000 + to / 2, prevSeq: 1_000 + to / 2 - 1 }),
        snapshotUnits: undefined,
      },
    ]

    for (const family of families) {
      const deltas = Array.from({ length: DELTAS }, (_, index): BookChange => {
        const [from, to] = [2 * index + 1, 2 * index + 2]
        return change('delta', [levelAfter(from), levelAfter(to)], family.numbers(from, to))
      })
      const snapshots = booksByUnit.map((book, unit): BookChange =>
        change('snapshot', [...book], { seq: family.seqOf(unit) }),
      )
      const unitOfSeq = new Map(booksByUnit.map((_, unit) => [family.seqOf(unit), unit]))

      /** Sends a sequence through a new guard; whatever it lets through must be the true book at its number. */
      const check = (
        sequence: readonly BookChange[],
      ): { guard: BookGuard; book: Map<number, number>; last: BookChange | undefined } => {
        const book = new Map<number, number>()
        let last: BookChange | undefined
        let silent = true
        const guard: BookGuard = new BookGuard('X', { ...plain, ...family.options }, guardCounts(), {
          event(change) {
            if (change.kind === 'snapshot') book.clear()
            else if (silent) throw new Error('a delta without a snapshot before it')
            silent = false
            for (const level of change.bids) setLevel(book, level)
            last = change
            const truth = booksByUnit[unitOfSeq.get(change.seq!)!]!
            if (!sameBook(book, truth)) throw new Error(`the book at ${change.seq!} is not the true one`)
          },
          notice(code) {
            if (code === 'gap') silent = true
          },
          fault: () => undefined,
        })
        for (const message of sequence) {
          guard.receive(message)
          if ((guard.state === 'live') === silent) throw new Error('its state is not what it has said')
        }
        return { guard, book, last }
      }

      it(`is right or silent with any deltas missing and two snapshots anywhere: ${family.title}`, function () {
        this.timeout(60_000)
        let sequences = 0
        for (let missing = 0; missing < 2 ** DELTAS; missing++) {
          for (let first = 0; first <= DELTAS; first++) {
            for (let second = first; second <= DELTAS; second++) {
              for (const firstUnit of family.snapshotUnits ?? [2 * first]) {
                for (const secondUnit of family.snapshotUnits ?? [2 * second]) {
                  const sequence: BookChange[] = []
                  for (let index = 0; index <= DELTAS; index++) {
                    if (index === first) sequence.push(snapshots[firstUnit]!)
                    if (index === second) sequence.push(snapshots[secondUnit]!)
                    if (index < DELTAS && (missing & (1 << index)) === 0) sequence.push(deltas[index]!)
                  }
                  check(sequence)
                  sequences++
                }
              }
            }
          }
        }
        expect(sequences).to.equal(64 * 28 * (family.snapshotUnits?.length ?? 1) ** 2)
      })

      it(`is right or silent with any one delta repeated at any time: ${family.title}`, () => {
        for (let repeated = 0; repeated < DELTAS; repeated++) {
          for (let after = repeated + 1; after <= DELTAS; after++) {
            for (let at = 0; at <= DELTAS; at++) {
              for (const unit of family.snapshotUnits ?? [2 * at]) {
                const sequence: BookChange[] = [...deltas.slice(0, after), deltas[repeated]!, ...deltas.slice(after)]
                sequence.splice(at > after ? at + 1 : at, 0, snapshots[unit]!)
                check(sequence)
              }
            }
          }
        }
      })

      it(`is right or silent with two neighbours swapped: ${family.title}`, () => {
        for (let swapped = 0; swapped + 1 < DELTAS; swapped++) {
          for (let at = 0; at <= DELTAS; at++) {
            for (const unit of family.snapshotUnits ?? [2 * at]) {
              const sequence = [...deltas]
              sequence.splice(swapped, 2, deltas[swapped + 1]!, deltas[swapped]!)
              sequence.splice(at, 0, snapshots[unit]!)
              check(sequence)
            }
          }
        }
      })

      it(`goes live and stays so to the end when nothing is missing and the snapshot fits: ${family.title}`, () => {
        for (let at = 0; at <= DELTAS; at++) {
          // A REST answer is of the time between its request and its arrival: not older than the first delta that waits.
          for (const unit of family.snapshotUnits?.filter((units) => units <= 2 * at + 2) ?? [2 * at]) {
            const sequence: BookChange[] = [...deltas]
            sequence.splice(at, 0, snapshots[unit]!)
            const { guard, book, last } = check(sequence)
            expect(guard.state).to.equal('live')
            expect(unitOfSeq.get(last!.seq!)).to.equal(UNITS)
            expect(sameBook(book, booksByUnit[UNITS]!)).to.equal(true)
          }
        }
      })

      if (family.snapshotUnits === undefined) checkRenewals()
      else {
        checkAnswers(family.snapshotUnits)
        checkManyAnswers()
      }

      /** One answer makes the book live, another comes at every place, of every time; up to two deltas are missing. */
      function checkAnswers(units: readonly number[]): void {
        it(`begins a live book again without harm, with up to two deltas missing: ${family.title}`, function () {
          this.timeout(60_000)
          let served = 0
          let tooOld = 0
          for (let missing = 0; missing < 2 ** DELTAS; missing++) {
            if (missing.toString(2).replaceAll('0', '').length > 2) continue
            for (let first = 0; first <= DELTAS; first++) {
              for (let second = first; second <= DELTAS; second++) {
                for (const firstUnit of units) {
                  for (const secondUnit of booksByUnit.keys()) {
                    const market = stages()
                    for (let index = 0; index <= DELTAS; index++) {
                      if (index === first) market.answer(snapshots[firstUnit]!)
                      if (index === second) {
                        const wasLive = market.guard.state === 'live'
                        const before = market.guarding
                        market.restartStage()
                        market.answer(snapshots[secondUnit]!)
                        if (wasLive) {
                          if (market.guard.state !== 'live') throw new Error('the book was lost')
                          if (market.fresh.silent) tooOld++
                          else served++
                          // Nobody is set back: after the batch the book is as new as it was.
                          if (market.old.unit < before) throw new Error('a stage was set back')
                        }
                      }
                      if (index < DELTAS && (missing & (1 << index)) === 0) market.receive(deltas[index]!)
                    }
                    if (missing === 0 && market.toldGaps > 0) throw new Error('a gap that is none')
                    if (!market.fresh.silent && !sameBook(market.fresh.book, market.old.book))
                      throw new Error('two books')
                  }
                }
              }
            }
          }
          expect(served).to.be.greaterThan(5 * tooOld)
        })
      }

      /** Every message is an answer of any time or the next delta, which may be missing; each answer has a new stage behind it. */
      function checkManyAnswers(): void {
        it(`begins a live book again without harm as often as one likes: ${family.title}`, () => {
          const answerOrDelta = fc.oneof(
            { weight: 2, arbitrary: fc.record({ answer: fc.nat(UNITS) }) },
            { weight: 3, arbitrary: fc.constant({ missing: false }) },
            { weight: 1, arbitrary: fc.constant({ missing: true }) },
          )
          fc.assert(
            fc.property(fc.array(answerOrDelta, { maxLength: 16 }), (messages) => {
              const market = stages()
              let next = 0
              for (const message of messages) {
                if ('answer' in message) {
                  const [wasLive, before] = [market.guard.state === 'live', market.guarding]
                  market.restartStage()
                  market.answer(snapshots[message.answer]!)
                  if (wasLive && (market.guard.state !== 'live' || market.old.unit < before)) {
                    throw new Error('an answer did harm')
                  }
                } else if (next < DELTAS && !message.missing) market.receive(deltas[next++]!)
                else next++
                if (!market.fresh.silent && !sameBook(market.fresh.book, market.old.book)) throw new Error('two books')
              }
            }),
            { numRuns: 20_000 },
          )
        })
      }

      /** The topic is left and asked for anew at every place: what the stream sends then, in every way it can. */
      function checkRenewals(): void {
        it(`is not disturbed by a renewed subscription: ${family.title}`, () => {
          for (let at = 0; at <= DELTAS; at++) {
            for (let taken = 0; taken <= DELTAS; taken++) {
              // Deltas in between are left out with the subscription; or a snapshot of an earlier time is caught up with.
              const restart = [...deltas.slice(0, at), snapshots[2 * taken]!, ...deltas.slice(taken)]
              // The deltas of the old subscription are still on their way.
              const late = [...deltas.slice(0, at), snapshots[2 * taken]!, ...deltas.slice(at)]
              for (const sequence of taken >= at ? [restart, late] : [restart]) {
                const market = stages()
                market.receive(snapshots[0]!)
                sequence.forEach((change, index) => {
                  if (index === at) market.restartStage()
                  market.receive(change)
                })
                expect([market.toldGaps, market.guard.state]).to.deep.equal([0, 'live'])
                expect([market.old.unit, market.fresh.unit]).to.deep.equal([UNITS, UNITS])
                expect(sameBook(market.old.book, market.fresh.book)).to.equal(true)
              }
            }
          }
        })
      }

      /** A guard with two stages behind it: one from the start, and one that begins anew, without a book, when told. */
      function stages() {
        const stage = () => ({ book: new Map<number, number>(), silent: true, unit: 0 })
        const state = {
          guard: undefined as unknown as BookGuard,
          old: stage(),
          fresh: stage(),
          toldGaps: 0,
          guarding: 0,
        }
        const apply = (of: ReturnType<typeof stage>, change: BookChange): void => {
          if (change.kind === 'snapshot') {
            of.book.clear()
            of.silent = false
          }
          if (of.silent) return
          for (const level of change.bids) setLevel(of.book, level)
          of.unit = unitOfSeq.get(change.seq!)!
          if (!sameBook(of.book, booksByUnit[of.unit]!))
            throw new Error(`the book at ${change.seq!} is not the true one`)
        }
        state.guard = new BookGuard('X', { ...plain, ...family.options }, guardCounts(), {
          event(change) {
            apply(state.old, change)
            apply(state.fresh, change)
          },
          notice(code) {
            if (code !== 'gap') return
            state.toldGaps++
            state.old.silent = state.fresh.silent = true
          },
          fault: () => undefined,
        })
        const settled = (): void => {
          if ((state.guard.state === 'live') === state.old.silent) throw new Error('its state is not what it has said')
          state.guarding = state.old.unit
        }
        return Object.assign(state, {
          receive(change: BookChange) {
            state.guard.receive(change)
            settled()
          },
          answer(change: BookChange) {
            state.guard.answer(change)
            settled()
          },
          restartStage() {
            state.fresh = stage()
          },
        })
      }

      it(`notices that any one delta is missing as soon as the next comes: ${family.title}`, () => {
        for (let missing = 0; missing + 1 < DELTAS; missing++) {
          const sequence = [snapshots[0]!, ...deltas.slice(0, missing), ...deltas.slice(missing + 1)]
          expect(check(sequence).guard.state).to.equal('awaitingSnapshot')
        }
      })
    }

    function change(kind: BookChange['kind'], levels: readonly Level[], numbers: Partial<BookChange>): BookChange {
      const texts = levels.map(([price, size]): [string, string] => [String(price), String(size)])
      return kind === 'snapshot' ? snapshot(texts, [], numbers) : delta(texts, [], numbers)
    }

    function setLevel(book: Map<number, number>, [price, size]: Level): void {
      if (size === 0) book.delete(price)
      else book.set(price, size)
    }

    function sameBook(a: ReadonlyMap<number, number>, b: ReadonlyMap<number, number>): boolean {
      if (a.size !== b.size) return false
      for (const [price, size] of a) if (b.get(price) !== size) return false
      return true
    }
  })
})
