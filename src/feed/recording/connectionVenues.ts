/**
 * Which exchange each connection of a recording is of: the one the header names, until a line of the connection says
 * otherwise. Writer and reader keep the same memory, so that the writer knows what it need not say again.
 */
import { SEVERAL } from './recordingHeader'

export class ConnectionVenues {
  private readonly named = new Map<number, string>()

  constructor(private readonly headerVenue: string) {}

  /** Undefined where nothing has said it. */
  of(connection: number): string | undefined {
    return this.named.get(connection) ?? this.ofHeader()
  }

  /** What lines without a connection of their own are of. */
  ofHeader(): string | undefined {
    return this.headerVenue === SEVERAL ? undefined : this.headerVenue
  }

  learn(connection: number, venue: string): void {
    if (this.named.get(connection) === venue) return
    if (this.named.size >= CONNECTIONS_MAX) {
      const [oldest] = this.named.keys()
      this.named.delete(oldest!)
    }
    this.named.set(connection, venue)
  }

  forget(connection: number): void {
    this.named.delete(connection)
  }
}

/** Connections that are remembered at once; the oldest is forgotten first. */
const CONNECTIONS_MAX = 65_536
