/**
 * How a run is served while it goes on: what it says of itself (`/ping`, `/ready`, `/health`, `/metrics`), and its page.
 */
export interface ServeOptions {
  /** 0 takes one that is free. */
  readonly port: number
  /** Default `127.0.0.1`. Where others can reach it, whoever asks needs the token. */
  readonly host?: string
  /**
   * What whoever asks must show. Default: the environment's MILLRACE_TOKEN; without, none on the loopback, and elsewhere one
   * that is made for this run.
   */
  readonly token?: string
  /** Further names by which it may be asked: those of a proxy in front of it. Numbers and the loopback's go without saying. */
  readonly names?: readonly string[]
  /** Is told the address, with the token in it where there is one. Default: a line on standard error. */
  readonly onServing?: (url: string) => void
}
