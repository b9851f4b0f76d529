import { Connection } from './connection'
import { RestClient } from './rest'
import type { Transport } from './transport'

/** The network of the machine. */
export const networkTransport: Transport = {
  connect: (options, events) => new Connection(options, events),
  rest: (options) => new RestClient(options),
}
