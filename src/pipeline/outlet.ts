import { Observable, type Subscriber } from 'rxjs'

/**
 * A stream that is told what to emit and has as many readers as come: what a Subject does, without its cost at every value. A
 * reader that comes or goes while a value is told does not change who gets it.
 */
export class Outlet extends Observable<unknown> {
  private readonly state: OutletState

  constructor() {
    const state: OutletState = { readers: [], ended: false }
    super((reader) => {
      if (state.ended) {
        reader.complete()
        return
      }
      state.readers = [...state.readers, reader]
      reader.add(() => {
        state.readers = state.readers.filter((other) => other !== reader)
      })
    })
    this.state = state
  }

  /** What readers are given in the place of each value, while it is set. */
  shape: ((value: unknown) => unknown) | undefined

  next(given: unknown): void {
    const value = this.shape === undefined ? given : this.shape(given)
    const { readers } = this.state
    for (let index = 0; index < readers.length; index++) readers[index]!.next(value)
  }

  complete(): void {
    const { state } = this
    const { readers } = state
    state.ended = true
    state.readers = []
    for (const reader of readers) reader.complete()
  }
}

interface OutletState {
  /** Never changed, but replaced. */
  readers: readonly Subscriber<unknown>[]
  ended: boolean
}
