/**
 * The headlines of a run, as the README tells them. Costs of frames are those of processors (`cpu`): by the clock they would
 * also tell who else used the machine.
 */
import { rowsIn, type BenchDocument } from './document'
import type { Row } from './report'

const BEGIN = '<!-- numbers: written by `npm run bench -- --markdown README.md` -->'
const END = '<!-- end of numbers -->'

interface Headline {
  readonly title: string
  /** What the ratio is to, in the head of its column; without it there is none. */
  readonly against?: string
  readonly rows: readonly (readonly [name: string, says: string])[]
}

const HEADLINES: readonly Headline[] = [
  {
    title: 'Bytes to a book whose best prices are read (Binance depth stream, 50 symbols, 1,000 levels)',
    against: 'x `JSON.parse`',
    rows: [
      ['book.cpu.teamPipeline', 'RxJS pipeline as teams write it: parse, `Map`, sort on every update'],
      ['book.cpu.ccxtWatching', 'ccxt, awaiting `watchOrderBook`'],
      ['book.cpu.ccxt', 'ccxt, `handleMessage` alone'],
      ['book.cpu.tardis', 'tardis-dev, mapper and order book'],
      ['book.cpu.sortedArrays', '`JSON.parse` and a book in sorted typed arrays'],
      ['book.cpu.jsonParse', '`JSON.parse` alone: the floor'],
      ['book.cpu.millrace', '**millrace**, `fromFrames` and `toBooks`'],
    ],
  },
  {
    title: 'Recorded sessions to verified books',
    against: 'x `JSON.parse`',
    rows: [
      ['decode.binance.cpu.millrace', 'Binance spot'],
      ['decode.binance.cpu.tardis', 'the same by tardis-dev'],
      ['decode.binance.cpu.ccxt', 'the same by ccxt'],
      ['decode.binance-futures.cpu.millrace', 'Binance USD-M futures'],
      ['decode.binance-futures.cpu.tardis', 'the same by tardis-dev'],
      ['decode.bybit.cpu.millrace', 'Bybit'],
      ['decode.bybit.cpu.ccxt', 'the same by ccxt'],
      ['decode.kraken.cpu.millrace', 'Kraken, every checksum verified'],
      ['decode.kraken.cpu.tardis', 'the same by tardis-dev, none verified'],
      ['decode.okx.cpu.millrace', 'OKX, every checksum verified'],
      ['decode.okx.cpu.tardis', 'the same by tardis-dev, none verified'],
      ['decode.coinbase.cpu.millrace', 'Coinbase'],
      ['decode.coinbase.cpu.tardis', 'the same by tardis-dev'],
      ['decode.coinbase.cpu.ccxt', 'the same by ccxt'],
    ],
  },
  {
    title: 'Pipelines',
    against: 'x `JSON.parse`',
    rows: [
      ['pipeline.frames.cpu.millrace', 'bytes to books, four operators, JSON lines in a file'],
      ['pipeline.frames.cpu.teamPipeline', 'the same as teams write it'],
      ['pipeline.latency.p50.toSink', 'from when a frame was due to its row at the sink, p50, 5,000 frames/s'],
      ['pipeline.latency.p99.toSink', 'the same, p99'],
    ],
  },
  {
    title:
      'The flagship: three simulated exchanges over WebSockets in the same process, books, summaries, quotes, JSON lines',
    rows: [
      ['pipeline.flagship.p50.at5000', 'from receiving a frame to its quote in the file, p50, 5,000 frames/s'],
      ['pipeline.flagship.p99.at5000', 'the same, p99'],
      ['pipeline.flagship.cpu.at5000', 'processor time of an event, the simulator and its servers included'],
    ],
  },
  {
    title: 'From a WebSocket, another process sending, to books',
    against: 'x `ws` and `JSON.parse`',
    rows: [
      ['socketToBooks.wsParse.cpu', '`ws`, text and `JSON.parse`: the floor'],
      ['socketToBooks.wsCounting.cpu', '`ws` that counts frames'],
      ['socketToBooks.connectionCounting.cpu', "**millrace**'s connection that counts frames"],
      ['socketToBooks.live.cpu', '**millrace**, a live feed and `toBooks`'],
    ],
  },
  {
    title: 'The event loop of a live feed, 50,000 frames/s into 50 books',
    rows: [
      ['socketToBooks.loopDelayP99.idle', 'loop delay p99, idle'],
      ['socketToBooks.loopDelayP99.at50000', 'loop delay p99, at work'],
      ['socketToBooks.cpu.at50000', 'processor time'],
    ],
  },
  {
    title: 'A hop to another thread, events of four numbers',
    against: 'x `postMessage`',
    rows: [
      ['hop.oneWay.message', '`postMessage` of each'],
      ['hop.oneWay.handedOver', 'batches of columns, handed over'],
      ['hop.oneWay.ring', 'the ring in shared memory'],
      ['hop.oneWay.onWorker', '`onWorker`'],
    ],
  },
  {
    title: 'What a hop frees, and what it carries',
    rows: [
      ['hop.oneWay.ring.rate', 'events over the ring, one way'],
      ['hop.sort.100.worker.share', "the loop's time for having a book of 100 levels sorted elsewhere"],
      ['hop.sort.10000.worker.share', 'the same of 10,000 levels'],
      ['hop.feeds.scale.wall', 'two feeds on two workers, by the clock'],
      ['hop.feeds.scale.processors', 'the same by processor time: what free cores would give'],
    ],
  },
  {
    title: 'RxJS, a value or an event of a batch',
    against: 'x Subject',
    rows: [
      ['rxjs.subject', 'a Subject alone'],
      ['rxjs.operators4', 'four operators, event by event'],
      ['rxjs.batches64', 'four operators over batches of 64'],
      ['rxjs.mergeMapAsync', '`mergeMap` of promises'],
      ['rxjs.mergeMapByKeyAsync', '`mergeMapByKey` of promises, in order per key'],
      ['rxjs.concatMapAsync', '`concatMap` of promises'],
    ],
  },
  {
    title: 'Rows into files',
    against: 'x `JSON.stringify` and a stream',
    rows: [
      ['sinks.time.plain', '`JSON.stringify` and a write stream, 512 rows a chunk'],
      ['sinks.time.stringifyStream', '`JSON.stringify` and a write stream, row by row'],
      ['sinks.time.jsonLines', '`drain` into `jsonLines`'],
    ],
  },
  {
    title: 'Rows into sinks, each beside what its library does by itself',
    against: 'x the plain library',
    rows: [
      ['sinks.gzip.time.jsonLines', '`jsonLines`, gzip'],
      ['sinks.csv.time.csv', '`csv`'],
      ['sinks.csvGzip.time.csv', '`csv`, gzip'],
      ['sinks.report.time.jsonReport', '`jsonReport`, one of all rows'],
      ['sinks.parquet.time.parquet', '`parquet`; hyparquet-writer'],
      ['sinks.arrow.time.arrow', '`arrow`; apache-arrow'],
      ['sinks.duckdb.time.duckdb', '`duckdb`; its appender'],
      ['sinks.postgres.time.postgres', '`postgres`; `COPY` by pg-copy-streams'],
      ['sinks.questdb.time.questdb', '`questdb`; its client'],
      ['sinks.http.time.http', '`http`; node:http'],
      ['sinks.websocket.time.websocketServer', '`websocketServer`; ws'],
    ],
  },
  {
    title: 'From what the project was made from: before and after',
    against: 'x before',
    rows: [
      ['S1.fastPath.p99.mergeMapByKey', 'S1 fast path p99 beside handlers of 0.6-1.2 s, in order per symbol'],
      ['S2.loopDelay.p99.books', 'S2 loop delay p99, 5,000 updates/s into books of 1,000 levels a side'],
      ['S3.loopDelay.p99.sampled', 'S3 loop delay p99, memory sampled beside the stream'],
      ['S4.loopDelay.p99.timers', 'S4 loop delay p99, 1,000 retries waiting'],
      ['S5.samples.longestGap.health', 'S5 longest time without a health sample while a check hangs'],
      ['S6.loopDelay.max.jsonReport', 'S6 longest stall of the loop while a 50 MB report is written'],
    ],
  },
  {
    title: "Looking at the process: the loop's time",
    against: 'x pidusage',
    rows: [
      ['watch.process.hot.pidusage', 'pidusage, called on the loop'],
      ['watch.process.hot.memoryUsage', '`process.memoryUsage()`'],
      ['watch.process.hot.processMetrics', 'a sample of `processMetrics`'],
      ['watch.process.first.processMetrics', 'the same, the first one, amid other work'],
    ],
  },
  {
    title: 'Scale: bytes to best prices',
    against: 'x `JSON.parse`',
    rows: [
      ['scale.symbols.1.cpu.millrace', '1 symbol of 1,000 levels'],
      ['scale.symbols.100.cpu.millrace', '100 symbols'],
      ['scale.symbols.5000.cpu.millrace', '5,000 symbols'],
      ['scale.levels.10.cpu.millrace', '50 symbols of 10 levels'],
      ['scale.levels.10000.cpu.millrace', '50 symbols of 10,000 levels'],
    ],
  },
  {
    title: 'Memory of books',
    rows: [
      ['scale.levels.10000.memory.level.millrace', 'a level, in books of 10,000'],
      ['scale.symbols.5000.memory.symbol.millrace', 'a book of 1,000 levels, of 5,000 such'],
    ],
  },
  {
    title: 'Start',
    rows: [
      ['startup.ms.millrace', "`import 'millrace'`, cold"],
      ['startup.cpu.millrace', 'the same in processor time'],
      ['startup.cpu.described', 'with a pipeline described, which loads what it names'],
      ['startup.cpu.rxjs', 'of that, `rxjs` alone'],
      ['startup.rss.millrace', 'resident memory it adds'],
    ],
  },
]

/** The text with the numbers between its marks; at its end, with marks, where it has none. */
export function markdownInto(text: string, document: BenchDocument): string {
  const marked = `${BEGIN}\n\n${markdownOf(document)}\n\n${END}`
  const begin = text.indexOf(BEGIN)
  const end = text.indexOf(END)
  if (begin < 0 || end < begin) return `${text}${text === '' ? '' : '\n'}${marked}\n`
  return `${text.slice(0, begin)}${marked}${text.slice(end + END.length)}`
}

export function markdownOf(document: BenchDocument): string {
  const known = rowsIn(document)
  const { cpu, cores, node, versions } = document.machine
  const peers = ['ccxt', 'tardis-dev'].flatMap((peer) =>
    versions[peer] === undefined ? [] : `${peer} ${versions[peer]}`,
  )
  const on = [`Node ${node.replace(/^v/, '')}`, `${cores} cores (${cpu})`, ...peers].join(', ')
  const tables = HEADLINES.flatMap(({ title, against, rows }) => {
    const lines = rows.flatMap(([name, says]) => {
      const row = known.get(name)
      return row === undefined
        ? []
        : [`| ${[says, valueOf(row), ...(against === undefined ? [] : [ratioOf(row)])].join(' | ')} |`]
    })
    if (lines.length === 0) return []
    const head = [title, 'median', ...(against === undefined ? [] : [against])]
    return [[`| ${head.join(' | ')} |`, `|---|${'--:|'.repeat(head.length - 1)}`, ...lines].join('\n')]
  })
  return [
    `${on}. Medians of interleaved repetitions; ratios within one run, with their range. Nanoseconds are processor time of all threads.`,
    ...tables,
  ].join('\n\n')
}

function valueOf({ value, unit }: Row): string {
  return `${figures(value)} ${unit}`
}

function ratioOf({ ratio, ratioMin, ratioMax }: Row): string {
  if (ratio === undefined) return '1'
  if (ratioMin === undefined || ratioMax === undefined) return figures(ratio)
  return `${figures(ratio)} (${figures(ratioMin)}-${figures(ratioMax)})`
}

/** As many figures as mean something. */
export function figures(value: number): string {
  const size = Math.abs(value)
  if (size >= 1_000) return Math.round(value).toLocaleString('en-US')
  return String(Number(value.toPrecision(size >= 100 ? 3 : 2)))
}
