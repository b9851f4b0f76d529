import { createRequire } from 'node:module'
import type * as connections from './connection'
import type * as rest from './rest'
import type { Transport } from './transport'

/** `ws` and Node's HTTP clients are loaded with the first connection: a replay or a script without one does not wait for them. */
const load = createRequire(__filename)

/** The network of the machine. */
export const networkTransport: Transport = {
  connect: (options, events) => new (load('./connection') as typeof connections).Connection(options, events),
  rest: (options) => new (load('./rest') as typeof rest).RestClient(options),
}
