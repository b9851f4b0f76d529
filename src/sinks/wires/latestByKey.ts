import type { Outgoing } from './clientQueue'

/** The latest value of each key, up to a number of keys and bytes: beyond, the key that has been silent longest is forgotten. */
export class LatestByKey {
  private readonly kept = new Map<string, Outgoing>()
  private bytes = 0

  constructor(
    private readonly keysMax: number,
    private readonly bytesMax: number,
  ) {}

  get size(): number {
    return this.kept.size
  }

  set(value: Outgoing): void {
    const { key, data } = value
    if (key === undefined || this.keysMax === 0) return
    this.forget(key)
    this.kept.set(key, value)
    this.bytes += data.length
    for (const oldest of this.kept.keys()) {
      if (this.kept.size <= this.keysMax && this.bytes <= this.bytesMax) break
      this.forget(oldest)
    }
  }

  /** The one that was set last is last. */
  of(wants: (key: string | undefined) => boolean): Outgoing[] {
    return [...this.kept.values()].filter(({ key }) => wants(key))
  }

  clear(): void {
    this.kept.clear()
    this.bytes = 0
  }

  private forget(key: string): void {
    const older = this.kept.get(key)
    if (older === undefined) return
    this.bytes -= older.data.length
    this.kept.delete(key)
  }
}
