import type { Fault } from '../model/fault'

/** A promise that is settled once, and replaced when there is hope again. */
export class Readiness {
  readonly promise: Promise<void>
  private state: 'open' | 'ready' | 'given up' = 'open'
  private settle!: { resolve: () => void; reject: (fault: Fault) => void }

  constructor() {
    this.promise = new Promise((resolve, reject) => {
      this.settle = { resolve, reject }
    })
    this.promise.catch(() => undefined) // not everyone who starts a feed waits for it
  }

  resolve(): void {
    if (this.state !== 'open') return
    this.state = 'ready'
    this.settle.resolve()
  }

  reject(fault: Fault): void {
    if (this.state !== 'open') return
    this.state = 'given up'
    this.settle.reject(fault)
  }

  /** A new one if this was given up. */
  again(): Readiness {
    return this.state === 'given up' ? new Readiness() : this
  }
}
