import { Fault } from '../model/fault'
import { isLoopback } from '../sinks/wires/websocketGate'

export interface ServeAddress {
  /** Without brackets. */
  readonly host: string
  /** 0: any that is free. */
  readonly port: number
}

/** Where a run is served unless told otherwise. */
export const LOOPBACK = '127.0.0.1'

/**
 * Reads `[HOST:]PORT`: `8080`, `0.0.0.0:8080`, `[::1]:8080`, `desk.example:8080`.
 *
 * @throws `OPTION_INVALID`
 */
export function parseServeAddress(text: string): ServeAddress {
  const [, bracketed, plain, digits] = /^(?:(?:\[([\da-fA-F:.]+)\]|([\w.-]+)):)?(\d{1,5})$/.exec(text) ?? []
  const port = Number(digits)
  if (port <= 65_535) return { host: bracketed ?? plain ?? LOOPBACK, port }
  throw new Fault(
    'OPTION_INVALID',
    `--serve ${JSON.stringify(text.slice(0, 100))} is not an address: give a port (8080; 0 takes a free one), or host and port (0.0.0.0:8080, [::1]:8080).`,
    { option: 'serve' },
  )
}

/** The address of a page for whoever sits at this machine: a server on all its addresses is met on the loopback. */
export function urlOf({ host, port }: ServeAddress, token: string | undefined): string {
  const reached = host === '0.0.0.0' ? LOOPBACK : host === '::' ? '::1' : host
  const name = reached.includes(':') ? `[${reached}]` : reached
  return `http://${name}:${port}/${token === undefined ? '' : `?token=${encodeURIComponent(token)}`}`
}

/** Whether only this machine can reach it. */
export function isPrivate(host: string): boolean {
  return isLoopback(host)
}
