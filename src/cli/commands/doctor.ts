import { createRequire } from 'node:module'
import { request as requestHttps } from 'node:https'
import path from 'node:path'
import { EXCHANGES } from '../../exchanges/exchanges'
import { proxyFor, tunnelTo } from '../../feed/proxy'
import { messageOf } from '../../model/fault'
import { EXIT, optionsHelp, optionsOnly, parse, print, type Command, type OptionSpec } from '../command'
import { OPTIONAL_PARTS } from '../../sinks/optionalPart'
import { table } from '../table'

const OPTIONS = {
  json: { meaning: 'print the findings as one JSON object' },
  offline: { meaning: 'do not try to reach the exchanges' },
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
  summary: 'checks this machine and says what to do',
  help: `Usage: millrace doctor [--offline] [--json]

Checks Node, TypeScript and ts-node (they must fit each other), the parts that some features need, the machine's clock,
and whether the exchanges can be reached, and says what to do about each.

${optionsHelp(OPTIONS)}

Exit status: 0 all that is needed is there; 1 something needed is wrong. What is optional and missing is only said.`,
  async run(args) {
    const parsed = parse(args, OPTIONS)
    optionsOnly('doctor', parsed)
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
  },
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
