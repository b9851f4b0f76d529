/**
 * Harms frames and compares what the scanner and the plain decoder make of them, as the suite does, only more of them:
 *
 *     npx tsc -p tsconfig.bench.json && node .bench/benchmarks/scannerFuzz.js --frames 1000000 [--seed 1] [--books] [EXCHANGE...]
 *
 * Why      a clever mistake in a scanner is a wrong price, and the suite harms only some thousand frames of each exchange
 *
 * With `--books` streams are played whose books live, with little harm in them, and the books that sessions keep are compared with
 * those of the plain road. `--frames` counts per exchange. One JSON line an exchange; the first difference ends the run with its
 * frame and status 1.
 */
import { parseArgs } from 'node:util'
import { EXCHANGES } from '../src/exchanges/exchanges'
import { fuzzBooks } from '../test/kit/booksFuzz'
import { fuzzScanner } from '../test/kit/scannerFuzz'

// Most harmed frames end in a fault: where it was made is not asked.
Error.stackTraceLimit = 0

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    frames: { type: 'string', default: '100000' },
    seed: { type: 'string', default: '1' },
    books: { type: 'boolean', default: false },
  },
})
const fuzz = values.books ? fuzzBooks : fuzzScanner
for (const exchange of positionals.length > 0 ? positionals : EXCHANGES.keys()) {
  const started = performance.now()
  const report = fuzz(exchange, Number(values.frames), Number(values.seed))
  console.log(JSON.stringify({ ...report, seconds: Math.round((performance.now() - started) / 1_000) }))
}
