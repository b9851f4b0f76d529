import { kernel, type Kernel } from '../kernel/kernel'
import { ASKS, BIDS, DECIMALS, PRICES, SIZES } from '../kernel/layout'
import { DeltaPacker, type PackedColumns, type PackedDelta } from '../model/codec/packedDelta'
import type { ScannedDelta, Slot } from './scanner'

/** Packs the deltas that a scan has read, out of the kernel's columns: for all sessions of a run together. */
export class DeltaPacking {
  /** Whether they are to be packed: nobody reads their levels as they are. */
  wanted = false
  private readonly kernel: Kernel = kernel()
  private readonly packer = new DeltaPacker()

  /** The delta that was scanned last. */
  packed(exchange: string, slot: Slot, numbers: ScannedDelta, receiveTimeUs: number): PackedDelta {
    return this.packer.pack(exchange, slot, numbers, receiveTimeUs, this.kernel.doubles, BID_COLUMNS, ASK_COLUMNS)
  }
}

const BID_COLUMNS = columnsAt(BIDS)
const ASK_COLUMNS = columnsAt(ASKS)

function columnsAt(side: number): PackedColumns {
  return { prices: (side + PRICES) >> 3, sizes: (side + SIZES) >> 3, decimals: (side + DECIMALS) >> 3 }
}
