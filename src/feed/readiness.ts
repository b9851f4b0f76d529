/** A promise that is settled once, and replaced when there is hope again. */
export class Readiness {
  readonly promise: Promise<void>
  private state: 'open' | 'ready' | 'given up' = 'open'
  private settle!: { resolve: () => void; reject: (error: Error) => void }

  constructor() {
    this.promise = new Promise((resolve, reject) => {
      this.settle = { resolve, reject }
    })
    this.promise.catch(() => undefined) // not everyone waits for it
  }

  resolve(): void {
    if (this.state !== 'open') return
    this.state = 'ready'
    this.settle.resolve()
  }

  reject(error: Error): void {
    if (this.state !== 'open') return
    this.state = 'given up'
    this.settle.reject(error)
  }

  /** A new one if this was given up. */
  again(): Readiness {
    return this.state === 'given up' ? new Readiness() : this
  }
}
