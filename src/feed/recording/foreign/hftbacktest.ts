/**
 * Files of hftbacktest's collector: one for each symbol and UTC day, `<symbol>_<YYYYMMDD>.gz`.
 *
 * Truth  https://github.com/nkaz001/hftbacktest, collector/src/file.rs and collector/src/binance/mod.rs (read 2026-11-28)
 * Lines  nanoseconds since 1970, a space, the frame as received
 * Book   what Binance answers to a request for a snapshot stands among the frames, bare, at the time it came
 * Left   the exchange is not named; acknowledgements and addresses are not kept. On Bybit it connects to the linear
 *        contracts
 */
import type { ExchangeProtocol } from '../../../exchanges/protocol'
import { exchangeById } from '../../../exchanges/exchanges'
import { Fault } from '../../../model/fault'
import type { SessionRecord } from '../../record'
import path from 'node:path'
import { LeftOut, timeOfNanoseconds, type ForeignFile, type ForeignFormat, type LineDecoder } from './foreignFormat'

export const hftbacktest: ForeignFormat = {
  name: 'hftbacktest',
  title: "hftbacktest's collector",
  needsExchange: true,
  recognises: (start) => /^\d{16,19} [[{]/.test(start),
  decoder: (file) => new Decoder(file),
}

/** Exchanges whose collector connects to one market of several. */
const URLS: ReadonlyMap<string, string> = new Map([['bybit', 'wss://stream.bybit.com/v5/public/linear']])

/** The exchanges that hftbacktest's own converters read and millrace speaks. */
export const COLLECTED: readonly string[] = ['binance', 'binance-futures', 'bybit']

const SNAPSHOT = /^\s*\{\s*"lastUpdateId"\s*:/
const SYMBOL = /"s"\s*:\s*"([^"\\]{1,64})"/

class Decoder implements LineDecoder {
  readonly leftOut = new LeftOut()
  private readonly protocol: ExchangeProtocol
  private readonly url: string | undefined
  private symbol: string | undefined
  private opened = false

  constructor(private readonly file: ForeignFile) {
    if (file.exchange === undefined) {
      throw new Fault(
        'OPTION_INVALID',
        `The file ${file.path} of hftbacktest's collector does not say which exchange it is of; name it.`,
        {
          path: file.path,
        },
      )
    }
    this.protocol = exchangeById(file.exchange)
    this.url = file.url ?? URLS.get(this.protocol.id)
  }

  line(text: string, out: SessionRecord[]): string | undefined {
    if (text === '') return undefined
    const space = text.indexOf(' ')
    const time = timeOfNanoseconds(text.slice(0, Math.max(0, space)))
    if (time === undefined) return 'does not begin with nanoseconds and a space'
    const data = text.slice(space + 1)
    if (data === '') return 'has no frame'
    const base = { ...time, connection: this.file.connection, exchange: this.protocol.id }
    const { snapshot } = this.protocol.book
    if (snapshot !== undefined && SNAPSHOT.test(data)) {
      const url =
        this.protocol.hosts.rest + snapshot.path(this.symbolOfFile(), { depth: undefined, intervalMs: 60_000 })
      out.push({ ...base, dir: 'rest', method: 'GET', url, role: 'book-snapshot', body: data })
      return undefined
    }
    if (!this.opened && this.url !== undefined) out.push({ ...base, dir: 'open', url: this.url })
    this.opened = true
    this.symbol ??= SYMBOL.exec(data)?.[1]
    out.push({ ...base, dir: 'in', data })
    return undefined
  }

  end(): void {
    // nothing is held back
  }

  /** A snapshot names no symbol: it is that of the frames before it, else that of the file's name. */
  private symbolOfFile(): string {
    return this.symbol ?? path.basename(this.file.path).split(/[_.]/)[0]!.toUpperCase()
  }
}
