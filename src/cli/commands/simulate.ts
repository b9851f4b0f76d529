import { EXCHANGES } from '../../exchanges/exchanges'
import { startSimulator, type RunningSimulator } from '../../simulator/simulator'
import { EXIT, optionsHelp, optionsOnly, parse, print, say, type Command, type OptionSpec } from '../command'
import { onInterrupt } from '../onInterrupt'
import { table } from '../table'

const OPTIONS = {
  exchanges: { value: 'A,B', meaning: 'which exchanges (default all)' },
  instruments: { value: 'A,B', meaning: 'unified names to list (default the usual ones)' },
  seed: { value: 'N', meaning: 'the same seed gives the same market (default 1)' },
  faults: { value: 'SPEC', meaning: 'faults on average every so often: drop=10s,skip=5s,kraken:checksum=7s' },
  port: { value: 'N', meaning: "the first exchange's port; the others follow (default any free ones)" },
  rate: { value: 'N', meaning: 'market messages per second over everything subscribed, up to 50000 (default 500)' },
  seconds: { value: 'N', meaning: 'stop after N seconds' },
  json: { meaning: 'print the addresses as one JSON object' },
} satisfies Record<string, OptionSpec>

export const simulate: Command = {
  name: 'simulate',
  summary: 'runs the exchange simulator alone',
  help: `Usage: millrace simulate [--exchanges a,b] [--seed N] [--faults SPEC] [--port N] [--json]

Runs real WebSocket and REST servers on loopback that speak the exchanges' protocols from a seeded market, and prints the
address of each. Any client that speaks to the exchange can be pointed there. Runs until Ctrl-C.

${optionsHelp(OPTIONS)}

  millrace simulate --exchanges kraken,okx --port 9000 --faults drop=30s
  millrace record --exchange kraken --instruments BTC-USDT --channels book,trades --url ws://127.0.0.1:9000 --rest-url http://127.0.0.1:9000 --out session.ndjson.gz`,
  async run(args) {
    const parsed = parse(args, OPTIONS)
    optionsOnly('simulate', parsed)
    const list = (option: string): readonly string[] | undefined =>
      parsed
        .text(option)
        ?.split(',')
        .map((each) => each.trim())
        .filter(Boolean)
    const exchanges = list('exchanges')
    const instruments = list('instruments')
    const seed = parsed.number('seed', { min: 0, max: 2 ** 32 - 1, integer: true })
    const port = parsed.number('port', { min: 0, max: 65_535, integer: true })
    const rate = parsed.number('rate', { min: 1, max: 50_000 })
    const faults = parsed.text('faults')
    const seconds = parsed.number('seconds', { min: 0.001, max: 1e9 })
    const simulator = await startSimulator({
      ...(exchanges === undefined ? {} : { exchanges }),
      ...(instruments === undefined ? {} : { instruments }),
      ...(seed === undefined ? {} : { seed }),
      ...(port === undefined ? {} : { port }),
      ...(rate === undefined ? {} : { messagesPerSecond: rate }),
      ...(faults === undefined ? {} : { faults }),
    })
    announce(simulator, parsed.flag('json'))
    await new Promise<void>((resolve) => {
      const timer = seconds === undefined ? undefined : setTimeout(resolve, seconds * 1_000)
      onInterrupt(() => {
        clearTimeout(timer)
        resolve()
      })
    })
    await simulator.stop()
    return EXIT.done
  },
}

function announce(simulator: RunningSimulator, json: boolean): void {
  const rows = [...simulator.addresses].map(([exchange, { ws, rest }]) => ({
    exchange,
    ws,
    rest,
    paths: Object.values(EXCHANGES.get(exchange)?.endpoints ?? {}).map((endpoint) => endpoint.path),
    instruments: simulator.symbols(exchange),
  }))
  if (json) {
    print(
      JSON.stringify({
        format: 'millrace-simulator/1',
        seed: simulator.seed,
        exchanges: Object.fromEntries(rows.map(({ exchange, ...row }) => [exchange, row])),
      }),
    )
    return
  }
  say(
    table(
      ['exchange', 'WebSocket', 'REST', 'instruments'],
      rows.map((row) => [row.exchange, row.ws, row.rest, row.instruments.map(({ name }) => name).join(' ')]),
    ),
  )
  say(`Seed ${simulator.seed}. Ctrl-C stops.`)
}
