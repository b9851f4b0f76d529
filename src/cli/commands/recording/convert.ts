import { liveClock } from '../../../clock/liveClock'
import { convertRecordings, isWhole, type ConvertOptions, type ConvertReport } from '../../../feed/recording/convert'
import { formatNamed, FORMAT_NAMES } from '../../../feed/recording/foreign/foreignFormats'
import { EXIT, optionsHelp, parse, print, say, UsageError, type Command, type OptionSpec } from '../../command'
import { faultLog } from '../../faultLog'
import { printable } from '../../printable'
import { bytesText, counted } from '../../quantities'
import { FORCE, longWork, required } from './work'

const OPTIONS = {
  out: { value: 'PATH', meaning: 'the file to write; of hftbacktest and cryptofeed a folder' },
  to: { value: 'FORMAT', meaning: 'millrace (default), hftbacktest, cryptofeed or tardis-raw' },
  'from-format': { value: 'FORMAT', meaning: 'of the files, where how they begin does not tell' },
  exchange: { value: 'ID', meaning: 'the exchange, where files do not say it (hftbacktest, tardis-raw)' },
  url: { value: 'URL', meaning: 'the address that was connected to, where it tells the market (Bybit)' },
  'data-type': { value: 'TYPE', meaning: 'trades or liquidations, of CSV files whose names do not say it' },
  force: FORCE,
  json: { meaning: 'print the report as one JSON object (millrace-recording-convert/1)' },
} satisfies Record<string, OptionSpec>

export const convert: Command = {
  name: 'convert',
  summary: 'turns recordings of other tools into ours, and ours into theirs',
  help: `Usage: millrace recording convert FILE... --out PATH [--to FORMAT] [OPTIONS]

Reads recordings of any format that is known, told by how they begin, and writes one in another. Several files become one
in order of time. What a format has no room for is counted and said. The output appears under its name when it is whole.

  format       what                                                              read  written
  millrace     our recordings, with the .rest file beside them                   yes   yes
  hftbacktest  its collector's SYMBOL_DAY.gz; needs --exchange                   yes   yes, a folder
  cryptofeed   its raw capture lines, EXCHANGE.ws.1.0 and EXCHANGE.http.0.0      yes   yes, a folder
  tardis-raw   tardis.dev's raw feeds, from its API, its cache or tardis-machine yes   yes
  tardis-csv   tardis.dev's CSV files: trades, incremental_book_L2,              yes   no
               book_snapshot_N, quotes, book_ticker, derivative_ticker, liquidations

CSV files are decoded already: they become a recording of normalised frames, which pipelines, audit and decode read as
they read the exchange itself. Its events carry the exchange's own id.

${optionsHelp(OPTIONS)}

  millrace recording convert btcusdt_20240808.gz --exchange binance-futures --out btc.ndjson.gz
  millrace recording convert BINANCE.ws.1.0 BINANCE.http.0.0 BINANCE.0 --out binance.ndjson.gz
  millrace recording convert binance_trades_2026-08-01_BTCUSDT.csv.gz binance_incremental_book_L2_2026-08-01_BTCUSDT.csv.gz --out btc.ndjson.gz
  millrace run pipeline.ts --replay btc.ndjson.gz
  millrace recording convert session.ndjson.gz --to hftbacktest --out collected/

Exit status: 0 done; 1 lines could not be read (the others are in the output), or the output could not be written; 2 wrong
usage, or files of no format that is known.`,
  async run(args) {
    const parsed = parse(args, OPTIONS)
    const files = parsed.positionals
    if (files.length === 0) throw new UsageError(`Name at least one file, of ${FORMAT_NAMES.join(', ')}.`)
    const from = parsed.text('from-format')
    return runConversion(
      {
        files,
        out: required(parsed.text('out'), 'with --out where it is to be written'),
        to: formatNamed(parsed.text('to') ?? 'millrace'),
        from: from === undefined ? undefined : formatNamed(from),
        exchange: parsed.text('exchange'),
        url: parsed.text('url'),
        dataType: parsed.text('data-type'),
        replace: parsed.flag('force'),
      },
      parsed.flag('json'),
    )
  },
}

/** Converts, and tells what came of it; resolves with the exit status. */
export function runConversion(
  options: Omit<ConvertOptions, 'clock' | 'onFault' | 'onProgress' | 'signal'>,
  json: boolean,
): Promise<number> {
  return longWork(async (signal, progress) => {
    const log = faultLog(process.stderr.isTTY)
    const report = await convertRecordings({
      ...options,
      clock: liveClock,
      onFault: log.add,
      onProgress: (lines, share) => progress.update({ done: lines, share }),
      signal,
    })
    progress.end()
    log.close()
    tell(report)
    if (json) print(JSON.stringify(report))
    return isWhole(report) ? EXIT.done : EXIT.faults
  })
}

/** Files that are said one by one. */
const SAID_MAX = 20

function tell(report: ConvertReport): void {
  const { inputs, outputs, records, exchanges, leftOut } = report
  for (const { path, format, lines, unreadable, cut } of inputs.slice(0, SAID_MAX)) {
    const bad = unreadable === 0 ? '' : `, ${counted(unreadable, 'of them unreadable', 'of them unreadable')}`
    say(`${printable(path)}  ${format}, ${counted(lines, 'line')}${bad}${cut ? ', damaged or cut' : ''}`)
  }
  if (inputs.length > SAID_MAX) say(`… ${counted(inputs.length - SAID_MAX, 'more file')}`)
  for (const [reason, count] of Object.entries(leftOut)) say(`Left out: ${count.toLocaleString('en')} ${reason}.`)
  say(`${counted(records, 'record')} of ${exchanges.join(', ')}:`)
  for (const { path, bytes } of outputs.slice(0, SAID_MAX)) say(`${printable(path)}  ${bytesText(bytes)}`)
  if (outputs.length > SAID_MAX) say(`… ${counted(outputs.length - SAID_MAX, 'more file')}`)
}
