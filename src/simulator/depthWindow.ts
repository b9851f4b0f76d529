/**
 * The best N levels of a side as a channel of limited depth shows them: turns a step's changes into what its subscribers
 * are told, so that their best N levels equal the book's.
 *
 * Both kinds of exchange re-send a level that comes back into the window. They differ in what is said of a level that is
 * pushed out of it: Bybit and OKX remove it, Kraken says nothing and leaves the cutting to the client.
 */
import { LevelChanges, type BookSide } from './bookSide'

export class DepthWindow {
  private edge: number
  /** What to tell after the last {@link update}: in `prior`, 0 stands at levels that came (back) into the window. */
  readonly told = new LevelChanges()
  /** Index into `told` from which levels only came back: they did not change. */
  returnedFrom = 0

  constructor(
    private readonly side: BookSide,
    private readonly depth: number,
    private readonly removesPushedOut: boolean,
  ) {
    this.edge = side.edge(depth)
  }

  /** Starts anew from the side as it is: nobody has been told anything. */
  reset(): void {
    this.edge = this.side.edge(this.depth)
  }

  /** Reads the changes of the side's last step. */
  update(): LevelChanges {
    const { side, told } = this
    const { changes, keys, lots } = side
    const before = this.edge
    const after = side.edge(this.depth)
    told.clear()
    for (let index = 0; index < changes.count; index++) {
      const key = changes.keys[index]!
      const size = changes.lots[index]!
      if (size === 0 ? key >= before : key >= after) told.add(key, size, changes.prior[index]!)
    }
    if (this.removesPushedOut && after > before) {
      for (let index = side.size - this.depth - 1; index >= 0 && keys[index]! >= before; index--) {
        if (!changes.brought(keys[index]!)) told.add(keys[index]!, 0, lots[index]!)
      }
    }
    this.returnedFrom = told.count
    if (after < before) {
      for (let index = Math.max(0, side.size - this.depth); index < side.size && keys[index]! < before; index++) {
        if (!changes.has(keys[index]!)) told.add(keys[index]!, lots[index]!, 0)
      }
    }
    this.edge = after
    return told
  }
}
