import { createRequire } from 'node:module'
import { request as requestHttps } from 'node:https'
import path from 'node:path'
import { EXCHANGES } from '../../exchanges/exchanges'
import { proxyFor, tunnelTo } from '../../feed/proxy'
import { messageOf } from '../../model/fault'
import { EXIT, optionsHelp, parse, print, UsageError, type Command, type OptionSpec, type ParsedArgs } from '../command'
import { doctorPipeline, type DoctorPipelineOptions } from './doctorPipeline'
import { OPTIONAL_PARTS } from '../../sinks/optionalPart'
import { table } from '../table'

const OPTIONS = {
  json: { meaning: 'print the findings as one JSON object' },
  offline: { meaning: 'without a pipeline: do not try to reach the exchanges' },
  simulate: { meaning: 'with a pipeline: the exchange simulator on loopback (default)' },
  live: { meaning: 'with a pipeline: the exchanges themselves' },
  replay: {
    value: 'FILE',
    meaning: 'with a pipeline: recordings in the place of the exchanges; further files may follow',
    multiple: true,
  },
  speed: { value: 'SPEED', meaning: 'of a replay: max (default), real, or a multiple such as 10x' },
  seconds: { value: 'N', meaning: 'with a pipeline: observe it for N seconds (default 20)' },
  rate: { value: 'N', meaning: 'of the simulator: market messages per second, up to 50000 (default 500)' },
  seed: { value: 'N', meaning: 'of the simulator (default 1)' },
  faults: { value: 'SPEC', meaning: 'of the simulator: faults, such as drop=10s,skip=5s' },
  out: { value: 'DIR', meaning: 'folder for what sinks write (default out)' },
} satisfies Record<string, OptionSpec>

interface Finding {
  readonly check: string
  readonly state: 'ok' | 'missing' | 'wrong'
  readonly found: string
  /** What to do about it; empty when nothing. */
  readonly advice: string
}

export const doctor: Command = {
  name: 'doctor',
  summary: 'checks this machine, or a pipeline, and says what to do',
  help: `Usage: millrace doctor [--offline] [--json]
       millrace doctor PIPELINE [--simulate | --live | --replay FILE...] [--seconds N] [--json]

Without a pipeline: checks Node, TypeScript and ts-node (they must fit each other), the parts that some features need, the
machine's clock, and whether the exchanges can be reached, and says what to do about each.

With a pipeline: runs it for a while, a little slower than \`millrace run\` would, and says in sentences what is wrong with it,
with the stage, the line of your file and what to do:

  blocked   a line keeps the event loop busy or asleep, and everything else waits for it: synchronous files and programs,
            memory read with each message, a sleep between retries, books sorted at each update, large JSON
  waits     a stage awaits its values one after another while the loop is idle, and they pile up inside it
  edge      an edge is full, or gives values up; and why what it leads to does not keep up
  garbage   collections of garbage take much of the time; and which function allocates most

Collections of garbage, the compiling of the first seconds and a machine that is busy with other things are told apart from
that. Below the findings are shown how busy the loop was, how full the edges were, and which functions allocated.

${optionsHelp(OPTIONS)}

  millrace doctor
  millrace doctor pipelines/market-monitor.ts
  millrace doctor pipelines/market-monitor.ts --rate 5000 --seconds 60
  millrace doctor pipelines/market-monitor.ts --replay today.ndjson.gz --speed real --json

Give it the rate that you expect: what costs little at 500 messages a second may be most of the time at 20,000.

A pipeline in which the loop does not come back is named after ten seconds, with its line, and ended (SIGKILL) when it has
stood still for the time of observation more.

Exit status: 0 nothing is wrong; 1 something is; 2 wrong usage or an invalid pipeline. Of the machine, what is optional and
missing is only said.`,
  async run(args) {
    const parsed = parse(args, OPTIONS)
    const [file] = parsed.positionals
    return file === undefined ? doctorMachine(parsed) : doctorPipeline({ file, ...pipelineOptions(parsed) })
  },
}

/** Options that mean something for a pipeline alone. */
const OF_PIPELINES = ['simulate', 'live', 'replay', 'speed', 'seconds', 'rate', 'seed', 'faults', 'out'] as const

function pipelineOptions(parsed: ParsedArgs): Omit<DoctorPipelineOptions, 'file'> {
  if (parsed.flag('offline')) {
    throw new UsageError(
      '--offline is of the doctor without a pipeline; with one, --simulate and --replay need no exchange.',
    )
  }
  const [, ...further] = parsed.positionals
  const replayed = parsed.texts('replay')
  if (replayed.length === 0 && further.length > 0) {
    throw new UsageError(
      `One pipeline is examined at a time; ${further.join(', ')} is more. Recordings are named with --replay.`,
    )
  }
  const chosen = [
    parsed.flag('live') ? '--live' : '',
    parsed.flag('simulate') ? '--simulate' : '',
    replayed.length > 0 ? '--replay' : '',
  ].filter(Boolean)
  if (chosen.length > 1)
    throw new UsageError(`A run is live, simulated or a replay: choose one of ${chosen.join(', ')}.`)
  const mode = chosen[0] ?? '--simulate'
  const only = (option: string, of: string): void => {
    if (parsed.text(option) !== undefined && of !== mode) {
      throw new UsageError(`--${option} goes with ${of}; this run is ${mode}.`)
    }
  }
  only('speed', '--replay')
  for (const option of ['rate', 'seed', 'faults']) only(option, '--simulate')
  const rate = parsed.number('rate', { min: 1, max: 50_000 })
  const seed = parsed.number('seed', { min: 0, max: 2 ** 32 - 1, integer: true })
  const [speed, faults, out] = [parsed.text('speed'), parsed.text('faults'), parsed.text('out')]
  return {
    run: {
      ...(mode === '--live' ? { live: true } : mode === '--replay' ? { replay: [...replayed, ...further] } : {}),
      ...(rate === undefined ? {} : { messagesPerSecond: rate }),
      ...(seed === undefined ? {} : { seed }),
      ...(speed === undefined ? {} : { speed }),
      ...(faults === undefined ? {} : { faults }),
      ...(out === undefined ? {} : { out }),
    },
    seconds: parsed.number('seconds', { min: 1, max: 86_400 }),
    json: parsed.flag('json'),
  }
}

async function doctorMachine(parsed: ParsedArgs): Promise<number> {
  for (const option of OF_PIPELINES) {
    if (parsed.flag(option) || parsed.text(option) !== undefined) {
      throw new UsageError(`--${option} needs a pipeline: millrace doctor pipelines/market-monitor.ts --${option} ...`)
    }
  }
  const findings = [
    node(),
    typescript(),
    tsNode(),
    clockSource(),
    optional('tslab', 'notebooks: npm install --save-dev tslab@1.0.22'),
    ...Object.entries(OPTIONAL_PARTS).map(([name, { version, use }]) =>
      optional(name, `${use}: npm install ${name}@${version}`),
    ),
  ]
  if (!parsed.flag('offline'))
    findings.push(...(await Promise.all([...EXCHANGES.values()].map(({ id, hosts }) => reach(id, hosts.rest)))))
  const ok = !findings.some(({ state }) => state === 'wrong')
  if (parsed.flag('json')) print(JSON.stringify({ format: 'millrace-doctor/1', ok, findings }, null, 2))
  else
    print(
      table(
        ['check', 'state', 'found', 'what to do'],
        findings.map(({ check, state, found, advice }) => [check, state, found, advice]),
      ),
    )
  return ok ? EXIT.done : EXIT.faults
}

function node(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  const fits = major > 20 || (major === 20 && minor >= 19)
  return {
    check: 'node',
    state: fits ? 'ok' : 'wrong',
    found: process.version,
    advice: fits ? '' : 'Node 20.19 or newer is needed: https://nodejs.org',
  }
}

function typescript(): Finding {
  const version = versionOf('typescript')
  if (version === undefined) {
    return {
      check: 'typescript',
      state: 'missing',
      found: '-',
      advice: 'pipelines in .ts: npm install --save-dev typescript@6.0.3',
    }
  }
  const major = Number(version.split('.')[0])
  const fits = major >= 5 && major < 7
  return {
    check: 'typescript',
    state: fits ? 'ok' : 'wrong',
    found: version,
    advice: fits ? '' : 'ts-node does not start on it: npm install --save-dev typescript@6.0.3',
  }
}

function tsNode(): Finding {
  const version = versionOf('ts-node')
  return version === undefined
    ? {
        check: 'ts-node',
        state: 'missing',
        found: '-',
        advice: 'pipelines in .ts: npm install --save-dev ts-node@10.9.2',
      }
    : { check: 'ts-node', state: 'ok', found: version, advice: '' }
}

/** The receive stamps rest on a clock that does not step backwards. */
function clockSource(): Finding {
  const wallMs = Date.now()
  const monotonicMs = performance.timeOrigin + performance.now()
  const apartMs = Math.abs(wallMs - monotonicMs)
  return {
    check: 'clock',
    state: 'ok',
    found: `wall and monotonic clock ${apartMs.toFixed(0)} ms apart`,
    advice: apartMs > 1_000 ? 'the wall clock was set while this process started: use NTP' : '',
  }
}

function optional(name: string, advice: string): Finding {
  const version = versionOf(name)
  return version === undefined
    ? { check: name, state: 'missing', found: '-', advice }
    : { check: name, state: 'ok', found: version, advice: '' }
}

/** The version that a project in the working directory would get, else the one beside millrace. */
function versionOf(name: string): string | undefined {
  for (const place of [path.join(process.cwd(), 'package.json'), path.join(__dirname, 'package.json')]) {
    try {
      return (createRequire(place)(`${name}/package.json`) as { version: string }).version
    } catch {
      continue
    }
  }
  return undefined
}

const REACH_WITHIN_MS = 5_000

/** Any answer of the REST host will do; its date tells how far the clocks are apart. */
function reach(id: string, rest: string): Promise<Finding> {
  const proxy = proxyFor(rest, process.env)
  return new Promise((resolve) => {
    const failed = (why: string): void =>
      resolve({
        check: id,
        state: 'missing',
        found: `${rest}: ${why}`,
        advice: 'live runs need it; --simulate and --replay do not. Behind a proxy set HTTPS_PROXY',
      })
    const sentMs = Date.now()
    const request = requestHttps(
      rest,
      {
        method: 'HEAD',
        timeout: REACH_WITHIN_MS,
        ...(proxy === undefined ? {} : { createConnection: tunnelTo(rest, proxy, REACH_WITHIN_MS) }),
      },
      (response) => {
        response.resume()
        const theirMs = Date.parse(response.headers.date ?? '')
        const apartMs = Math.abs(theirMs - (sentMs + Date.now()) / 2)
        const known = !Number.isNaN(apartMs)
        resolve({
          check: id,
          state: 'ok',
          found: `answers ${response.statusCode}${known ? `, clocks within ${(apartMs / 1_000).toFixed(0)} s` : ''}`,
          advice: known && apartMs > 2_000 ? 'set the clock by NTP: latencies from exchange time are off' : '',
        })
      },
    )
    request.on('timeout', () => request.destroy(new Error(`no answer within ${REACH_WITHIN_MS / 1_000} s`)))
    request.on('error', (error) => failed(messageOf(error)))
    request.end()
  })
}
