/**
 * Where the time goes between an exchange and a sink: some frames are followed, and what each part of their way took adds up
 * to the whole, because each moment is looked at once and ends one part and begins the next.
 *
 *     exchange --- receive --- decode --- operator --- sink
 *
 * exchange  the stamp of the exchange, on its clock. Where that is ahead of ours, the way begins at the receipt
 * receive   the stamp in the socket's callback
 * decode    the frame is events
 * operator  what the operators have made of it comes to the edge of a sink: all that waited in mailboxes and windows is before
 * sink      it is safe at the destination
 *
 * A value is followed by the receive stamp that it carries: whatever an operator makes of a frame and gives `receiveTimeUs`
 * is measured, at each sink that it comes to. Which frames are followed depends on a scramble of their stamps, so that they
 * are spread like all the others, and whoever sees a value can tell at once. Of the first thousand all are followed, later
 * one in 64; each stands for those that are not.
 */
import { LatencyHistogram } from './histogram'

export const LATENCY_PARTS = [
  'exchangeToReceive',
  'receiveToDecode',
  'decodeToOperator',
  'operatorToSink',
  'receiveToSink',
  'exchangeToSink',
] as const

export type LatencyPart = (typeof LATENCY_PARTS)[number]

/** Frames of which each is followed, and how many each stands for after that. */
const FIRST_FRAMES = 1_024
const ONE_IN = 64

/** Frames that are remembered, until a sink has what was made of them: those of the last minute at 16,000 frames a second. */
const FOLLOWED_MAX = 16_384

/** Values of followed frames that may be on the edge of one sink. */
const UNDER_WAY_MAX = 4_096

/** A frame that is followed. */
interface Followed {
  /** Undefined where the exchange does not say. */
  readonly exchangeUs: number | undefined
  readonly receiveUs: number
  readonly decodeUs: number
  /** How many frames it stands for. */
  readonly times: number
}

interface UnderWay {
  readonly followed: Followed
  readonly operatorUs: number
  /** How many frames it stands for. */
  readonly times: number
}

export class LatencyBudget {
  /** Of all that has come to a sink. */
  readonly parts: Readonly<Record<LatencyPart, LatencyHistogram>>
  /** Frames whose exchange's clock was ahead of ours. */
  ahead = 0
  private frames = 0
  /** A frame is followed when its scrambled stamp has none of these bits. */
  private mask = 0
  private readonly followed = new Map<number, Followed>()
  /** Their stamps in a ring: to find the oldest in the map, all that went before it would be passed over. */
  private readonly order: number[] = []
  private oldest = 0

  /** @param nowUs  the clock that receive stamps are taken from */
  constructor(private readonly nowUs: () => number) {
    this.parts = Object.fromEntries(LATENCY_PARTS.map((part) => [part, new LatencyHistogram()])) as typeof this.parts
  }

  /**
   * A frame has become events, of which the first says the exchange's time. Called for every frame: next to nothing is done
   * for those that are not followed.
   */
  decoded(receiveUs: number, events: readonly { readonly exchangeTimeUs: number | undefined }[]): void {
    if (this.mayFollow(receiveUs)) this.follow(receiveUs, events[0]?.exchangeTimeUs)
  }

  /** What is behind an edge, told by its sink. */
  sink(): SinkLatency {
    return new SinkLatency(this, this.nowUs)
  }

  /** False of a frame that is not followed; most are not, and this is all that they cost. */
  mayFollow(receiveUs: number): boolean {
    return receiveUs > 0 && (scrambled(receiveUs) & this.mask) === 0
  }

  /** The frame with this receive stamp, if it is followed. */
  find(receiveUs: number): Followed | undefined {
    return this.followed.get(receiveUs)
  }

  /** What was made of a frame is safe at a sink. */
  arrived({ followed, operatorUs, times }: UnderWay, sinkUs: number): void {
    const { exchangeUs, receiveUs, decodeUs } = followed
    const { parts } = this
    // Each moment no earlier than the one before it: clocks may disagree, and stamps of one microsecond be made distinct.
    const atOperatorUs = Math.max(decodeUs, operatorUs)
    const atSinkUs = Math.max(atOperatorUs, sinkUs)
    parts.receiveToDecode.record(decodeUs - receiveUs, times)
    parts.decodeToOperator.record(atOperatorUs - decodeUs, times)
    parts.operatorToSink.record(atSinkUs - atOperatorUs, times)
    parts.receiveToSink.record(atSinkUs - receiveUs, times)
    if (exchangeUs === undefined) return
    const beganUs = Math.min(exchangeUs, receiveUs)
    parts.exchangeToReceive.record(receiveUs - beganUs, times)
    parts.exchangeToSink.record(atSinkUs - beganUs, times)
  }

  private follow(receiveUs: number, exchangeUs: number | undefined): void {
    const times = this.mask + 1
    this.frames++
    if (this.frames === FIRST_FRAMES) this.mask = ONE_IN - 1
    if (exchangeUs !== undefined && exchangeUs > receiveUs) this.ahead += times
    if (!this.followed.has(receiveUs)) this.makeRoom(receiveUs)
    const decodeUs = Math.max(receiveUs, this.nowUs())
    this.followed.set(receiveUs, { exchangeUs, receiveUs, decodeUs, times })
  }

  private makeRoom(receiveUs: number): void {
    const { order, oldest } = this
    if (order.length < FOLLOWED_MAX) {
      order.push(receiveUs)
      return
    }
    this.followed.delete(order[oldest]!)
    order[oldest] = receiveUs
    this.oldest = (oldest + 1) % FOLLOWED_MAX
  }
}

/** The values of followed frames on the edge of one sink. */
export class SinkLatency {
  private readonly underWay = new Map<number, UnderWay>()

  constructor(
    private readonly budget: LatencyBudget,
    private readonly nowUs: () => number,
  ) {}

  /** A value, or each of a batch, comes to the edge. */
  came(value: unknown): void {
    if (!Array.isArray(value)) {
      this.look(value)
      return
    }
    for (let index = 0; index < value.length; index++) this.look(value[index])
  }

  /** Values are safe at the destination. */
  written(values: readonly unknown[]): void {
    if (this.underWay.size === 0) return
    let sinkUs: number | undefined
    for (let index = 0; index < values.length; index++) {
      const receiveUs = receiveTimeOf(values[index])
      if (!this.budget.mayFollow(receiveUs)) continue
      const underWay = this.underWay.get(receiveUs)
      if (underWay === undefined) continue
      this.forgetUpTo(receiveUs)
      this.budget.arrived(underWay, (sinkUs ??= this.nowUs()))
    }
  }

  private look(value: unknown): void {
    const receiveUs = receiveTimeOf(value)
    if (this.budget.mayFollow(receiveUs)) this.follow(receiveUs)
  }

  private follow(receiveUs: number): void {
    const followed = this.budget.find(receiveUs)
    // Of several values of a frame the first counts.
    if (followed === undefined || this.underWay.has(receiveUs)) return
    if (this.underWay.size >= UNDER_WAY_MAX) this.thinOut()
    this.underWay.set(receiveUs, { followed, operatorUs: this.nowUs(), times: followed.times })
  }

  /** Every second one goes, and the others stand for them: what waits longest must not be what is left out. */
  private thinOut(): void {
    let goes = false
    for (const [receiveUs, underWay] of this.underWay) {
      if (goes) this.underWay.delete(receiveUs)
      else this.underWay.set(receiveUs, { ...underWay, times: 2 * underWay.times })
      goes = !goes
    }
  }

  /** A sink is given its values in order: those that came before this one, and were not written, were dropped. */
  private forgetUpTo(receiveUs: number): void {
    for (const each of this.underWay.keys()) {
      this.underWay.delete(each)
      if (each === receiveUs) return
    }
  }
}

/** NaN of a value that is made of no frame. */
function receiveTimeOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return NaN
  const { receiveTimeUs } = value as { readonly receiveTimeUs?: unknown }
  return typeof receiveTimeUs === 'number' ? receiveTimeUs : NaN
}

/** Spreads what follows a beat over all numbers of 32 bits. */
function scrambled(timeUs: number): number {
  let bits = Math.imul(timeUs | 0, 0x9e3779b1)
  bits ^= bits >>> 15
  return Math.imul(bits, 0x85ebca6b) >>> 16
}
