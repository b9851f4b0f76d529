/** The workers, looked at by one who looks again and again: what they have done since. */
import { performance } from 'node:perf_hooks'
import { knownWorkers, type KnownWorker, type LoopGauge } from './knownWorkers'
import type { WorkerGauge, WorkerSample } from './processSample'
import { latestReport, type ThreadReport } from './threadReport'

interface Busy {
  readonly idle: number
  readonly active: number
}

/** How busy loops were since the look before; one that is seen for the first time, since its start. */
class LoopWindow {
  private before = new Map<LoopGauge, Busy>()
  private now = new Map<LoopGauge, Busy>()

  read(gauge: LoopGauge): number | undefined {
    try {
      const total = gauge.eventLoopUtilization()
      this.now.set(gauge, total)
      const last = this.before.get(gauge)
      const active = total.active - (last?.active ?? 0)
      const all = active + total.idle - (last?.idle ?? 0)
      return all > 0 ? active / all : 0
    } catch {
      return undefined
    }
  }

  /** Forgets those that were not read since the last call. */
  turn(): void {
    const gone = this.before
    this.before = this.now
    this.now = gone
    gone.clear()
  }
}

/** Workers that were named: of them only their loops are known. */
export class NamedWorkers {
  private readonly loops = new LoopWindow()

  constructor(private readonly list: () => readonly WorkerGauge[]) {}

  read(): WorkerSample[] {
    const samples = this.list().map(({ name, performance: gauge }): WorkerSample => ({
      name,
      loopUtilization: this.loops.read(gauge),
      cpuPercent: undefined,
      heapUsedBytes: undefined,
      heapTotalBytes: undefined,
      externalBytes: undefined,
    }))
    this.loops.turn()
    return samples
  }
}

interface Told {
  readonly report: ThreadReport
  readonly cpuPercent: number | undefined
}

const NONE: readonly WorkerSample[] = []
const SILENT_MS_MIN = 2_000

/** Those that millrace started. */
export class StartedWorkers {
  private readonly loops = new LoopWindow()
  private readonly told = new WeakMap<KnownWorker, Told>()

  constructor(private readonly everyMs: number) {}

  /**
   * @param nowMs  by the machine's `performance.now`
   * @param heard  gets what each has said of itself, where that is not too old
   */
  read(nowMs: number, heard: (report: ThreadReport) => void): readonly WorkerSample[] {
    const workers = knownWorkers()
    if (workers.size === 0) return NONE
    const oldest = performance.timeOrigin + nowMs - SILENT_MS_MIN - 2 * this.everyMs
    const samples: WorkerSample[] = []
    for (const worker of workers) {
      const told = this.hear(worker)
      const fresh = told !== undefined && told.report.writtenAtMs >= oldest ? told : undefined
      if (fresh !== undefined) heard(fresh.report)
      samples.push({
        name: worker.name,
        loopUtilization: this.loops.read(worker.performance),
        cpuPercent: fresh?.cpuPercent,
        heapUsedBytes: fresh?.report.heapUsedBytes,
        heapTotalBytes: fresh?.report.heapTotalBytes,
        externalBytes: fresh?.report.externalBytes,
      })
    }
    this.loops.turn()
    return samples
  }

  private hear(worker: KnownWorker): Told | undefined {
    const before = this.told.get(worker)
    const report = latestReport(worker.figures)
    if (report === undefined || report.writtenAtMs === before?.report.writtenAtMs) return before
    const told = { report, cpuPercent: cpuPercentOf(before?.report, report) }
    this.told.set(worker, told)
    return told
  }
}

/** Of the time between two reports; of a first one nothing, because when its thread began is not in it. */
function cpuPercentOf(before: ThreadReport | undefined, after: ThreadReport): number | undefined {
  if (before?.cpuTimeMs === undefined || after.cpuTimeMs === undefined) return undefined
  return percentOf(after.cpuTimeMs - before.cpuTimeMs, after.writtenAtMs - before.writtenAtMs)
}

/** Of one core, to a tenth; undefined of no time. */
export function percentOf(cpuMs: number, elapsedMs: number): number | undefined {
  return elapsedMs > 0 ? Math.max(0, Math.round((cpuMs / elapsedMs) * 1_000) / 10) : undefined
}
