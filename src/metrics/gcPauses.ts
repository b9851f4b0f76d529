/**
 * The garbage collections of this thread, by kind, with how long they held it up.
 *
 * Node tells of each by a `PerformanceObserver`, some time after it: that costs the loop 30 to 60 µs a collection, which
 * itself takes hundreds, and nothing while there is none.
 */
import { constants, PerformanceObserver, type PerformanceEntry } from 'node:perf_hooks'

/**
 * scavenge       of what is young
 * markSweep      of everything
 * incremental    a step of marking on the way to that
 * weakCallbacks  of what is held weakly
 */
export type GcKind = 'scavenge' | 'markSweep' | 'incremental' | 'weakCallbacks'

export const GC_KINDS: readonly GcKind[] = ['scavenge', 'markSweep', 'incremental', 'weakCallbacks']

export interface GcPauses {
  readonly count: number
  readonly pauseMs: number
  readonly pauseMsMax: number
}

export interface GcSummary extends GcPauses {
  readonly byKind: Readonly<Record<GcKind, GcPauses>>
}

const {
  NODE_PERFORMANCE_GC_MAJOR: MARK_SWEEP,
  NODE_PERFORMANCE_GC_INCREMENTAL: INCREMENTAL,
  NODE_PERFORMANCE_GC_WEAKCB: WEAK_CALLBACKS,
} = constants

/** Another collector of what is young, which V8 has under another number, counts as the scavenger. */
function kindOf(entry: PerformanceEntry): GcKind {
  const { kind } = (entry as PerformanceEntry & { readonly detail: { readonly kind?: number } }).detail
  if (kind === MARK_SWEEP) return 'markSweep'
  if (kind === INCREMENTAL) return 'incremental'
  return kind === WEAK_CALLBACKS ? 'weakCallbacks' : 'scavenge'
}

/** Calls back for each collection until the returned function is called. */
export function observeGc(told: (kind: GcKind, pauseMs: number) => void): () => void {
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) told(kindOf(entry), entry.duration)
  })
  observer.observe({ entryTypes: ['gc'] })
  return () => observer.disconnect()
}

class Pauses {
  count = 0
  pauseMs = 0
  pauseMsMax = 0

  add(pauseMs: number): void {
    this.count++
    this.pauseMs += pauseMs
    this.pauseMsMax = Math.max(this.pauseMsMax, pauseMs)
  }

  take(): GcPauses {
    const { count, pauseMs, pauseMsMax } = this
    this.count = 0
    this.pauseMs = 0
    this.pauseMsMax = 0
    return { count, pauseMs, pauseMsMax }
  }
}

const NO_PAUSES: GcPauses = { count: 0, pauseMs: 0, pauseMsMax: 0 }
const NO_COLLECTIONS: GcSummary = {
  ...NO_PAUSES,
  byKind: { scavenge: NO_PAUSES, markSweep: NO_PAUSES, incremental: NO_PAUSES, weakCallbacks: NO_PAUSES },
}

/** The collections since the last look. */
export class GcWindow {
  private readonly all = new Pauses()
  private readonly kinds: Readonly<Record<GcKind, Pauses>> = {
    scavenge: new Pauses(),
    markSweep: new Pauses(),
    incremental: new Pauses(),
    weakCallbacks: new Pauses(),
  }

  add(kind: GcKind, pauseMs: number): void {
    this.all.add(pauseMs)
    this.kinds[kind].add(pauseMs)
  }

  read(): GcSummary {
    if (this.all.count === 0) return NO_COLLECTIONS
    const { scavenge, markSweep, incremental, weakCallbacks } = this.kinds
    const { count, pauseMs, pauseMsMax } = this.all.take()
    const byKind = {
      scavenge: scavenge.take(),
      markSweep: markSweep.take(),
      incremental: incremental.take(),
      weakCallbacks: weakCallbacks.take(),
    }
    return { count, pauseMs, pauseMsMax, byKind }
  }
}
