import { toDot, toMermaid } from '../../pipeline/graph'
import { EXIT, optionsHelp, parse, print, UsageError, type Command, type OptionSpec } from '../command'
import { loadPipeline } from '../loadPipeline'

const OPTIONS = {
  format: { value: 'FORMAT', meaning: 'mermaid (default), dot or json' },
} satisfies Record<string, OptionSpec>

export const graph: Command = {
  name: 'graph',
  summary: 'draws a pipeline without running it',
  help: `Usage: millrace graph PIPELINE [--format mermaid|dot|json]

Prints the picture of a pipeline without running it: nothing is connected to, no file is opened. Thick lines are edges
where values wait, with their capacity and what happens when they are full; dotted ones close a loop; frames are groups,
which share a supervisor. \`millrace run --graph FILE\` draws the same picture while the pipeline runs.

${optionsHelp(OPTIONS)}

  millrace graph pipelines/market-monitor.ts
  millrace graph pipelines/market-monitor.ts --format dot | dot -Tsvg > monitor.svg`,
  run(args) {
    const parsed = parse(args, OPTIONS)
    const [file, ...more] = parsed.positionals
    if (more.length > 0) throw new UsageError(`One pipeline is drawn at a time; ${more.join(', ')} is more.`)
    const format = parsed.text('format') ?? 'mermaid'
    if (!['mermaid', 'dot', 'json'].includes(format)) {
      throw new UsageError(`--format is mermaid, dot or json; it is ${JSON.stringify(format)}.`)
    }
    const picture = loadPipeline(file).graph()
    if (format === 'json') print(JSON.stringify(picture, null, 2))
    else process.stdout.write(format === 'dot' ? toDot(picture) : toMermaid(picture))
    return Promise.resolve(EXIT.done)
  },
}
