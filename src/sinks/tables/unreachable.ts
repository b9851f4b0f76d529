/** Why a server was not reached, and what to do, by the code of the network's error. */
export const UNREACHABLE: ReadonlyMap<string, string> = new Map([
  ['ECONNREFUSED', 'no server listens there; start it, or check the host and the port.'],
  ['ECONNRESET', 'it has closed the connection; check that it runs.'],
  ['EPIPE', 'it has closed the connection; check that it runs.'],
  ['ENOTFOUND', 'its host is not known; check the name.'],
  ['EAI_AGAIN', 'its host cannot be looked up; check the network.'],
  ['ETIMEDOUT', 'its host cannot be reached; check the network.'],
  ['EHOSTUNREACH', 'its host cannot be reached; check the network.'],
])
