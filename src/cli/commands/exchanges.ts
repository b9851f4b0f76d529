import { EXCHANGES } from '../../exchanges/exchanges'
import { CHANNELS, type ExchangeProtocol } from '../../exchanges/protocol'
import { EXIT, optionsHelp, optionsOnly, parse, print, type Command, type OptionSpec } from '../command'
import { table } from '../table'

const OPTIONS = { json: { meaning: 'one JSON object instead of the table' } } satisfies Record<string, OptionSpec>

export const exchanges: Command = {
  name: 'exchanges',
  summary: 'lists exchanges, channels and how books are verified',
  help: `Usage: millrace exchanges [--json]

Lists the exchanges that millrace speaks, their channels, and how each book is verified.

${optionsHelp(OPTIONS)}`,
  run(args) {
    const parsed = parse(args, OPTIONS)
    optionsOnly('exchanges', parsed)
    if (parsed.flag('json')) {
      print(
        JSON.stringify({ format: 'millrace-exchanges/1', exchanges: [...EXCHANGES.values()].map(describe) }, null, 2),
      )
    } else {
      const rows = [...EXCHANGES.values()].map((protocol) => [
        protocol.id,
        ...CHANNELS.map((channel) => (offers(protocol, channel) ? 'yes' : '-')),
        protocol.book.verified,
      ])
      print(table(['exchange', ...CHANNELS, 'book verified by'], rows))
    }
    return Promise.resolve(EXIT.done)
  },
}

function describe(protocol: ExchangeProtocol): Record<string, unknown> {
  return {
    id: protocol.id,
    title: protocol.title,
    docs: protocol.docs,
    markets: protocol.markets,
    channels: CHANNELS.filter((channel) => offers(protocol, channel)),
    book: {
      verified: protocol.book.verified,
      sequencing: protocol.book.sequencing.name,
      snapshot: protocol.book.sequencing.snapshot,
    },
  }
}

function offers(protocol: ExchangeProtocol, channel: (typeof CHANNELS)[number]): boolean {
  return protocol.channels[channel] !== undefined
}
