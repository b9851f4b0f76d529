/**
 * Debian's Prometheus for tests: its judge of texts, and a real server on a free loopback port with its data in a temporary
 * folder.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { eventually } from './eventually'

const PROMTOOL = '/usr/bin/promtool'
const PROMETHEUS = '/usr/bin/prometheus'

/** Why there is none; undefined when there is. */
export const PROMTOOL_MISSING =
  existsSync(PROMTOOL) && existsSync(PROMETHEUS)
    ? undefined
    : 'Prometheus is not installed (apt-get install prometheus)'

/** What `promtool check metrics` says of a text; empty when it has nothing against it. */
export async function promtoolCheck(text: string): Promise<string> {
  const tool = spawn(PROMTOOL, ['check', 'metrics'], { stdio: ['pipe', 'pipe', 'pipe'] })
  let said = ''
  tool.stdout.on('data', (data: Buffer) => (said += data.toString()))
  tool.stderr.on('data', (data: Buffer) => (said += data.toString()))
  tool.stdin.on('error', () => undefined) // it may end before it has read everything
  tool.stdin.end(text)
  const [code] = (await once(tool, 'close')) as [number | null]
  return code === 0 ? said : said || `promtool ended with ${code}`
}

export class Prometheus {
  private said = ''

  private constructor(
    private readonly server: ChildProcess,
    private readonly folder: string,
    private readonly port: number,
  ) {
    const listen = (data: Buffer): void => void (this.said = (this.said + data.toString()).slice(-4_000))
    server.stdout!.on('data', listen)
    server.stderr!.on('data', listen)
  }

  /** Scrapes `target` (`127.0.0.1:8080`) four times a second. */
  static async start(target: string, token?: string): Promise<Prometheus> {
    const folder = await mkdtemp(path.join(tmpdir(), 'millrace-prometheus-'))
    const config = {
      global: { scrape_interval: '250ms', scrape_timeout: '250ms' },
      scrape_configs: [
        {
          job_name: 'millrace',
          static_configs: [{ targets: [target] }],
          ...(token === undefined ? {} : { authorization: { credentials: token } }),
        },
      ],
    }
    const file = path.join(folder, 'prometheus.yml')
    await writeFile(file, JSON.stringify(config)) // JSON is YAML
    const port = await freePort()
    const server = spawn(
      PROMETHEUS,
      [
        `--config.file=${file}`,
        `--storage.tsdb.path=${path.join(folder, 'data')}`,
        `--web.listen-address=127.0.0.1:${port}`,
        '--log.level=warn',
      ],
      { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] },
    )
    return new Prometheus(server, folder, port)
  }

  /** The value of a query with one answer; rejects while there is none. */
  async value(query: string): Promise<number> {
    const answer = await fetch(`http://127.0.0.1:${this.port}/api/v1/query?query=${encodeURIComponent(query)}`)
    const { data } = (await answer.json()) as { data: { result: { value: [number, string] }[] } }
    if (data.result.length !== 1) throw new Error(`${query} has ${data.result.length} answers. ${this.said}`)
    return Number(data.result[0]!.value[1])
  }

  /** Why the last scrape failed; empty when it did not. */
  async lastError(): Promise<string> {
    const answer = await fetch(`http://127.0.0.1:${this.port}/api/v1/targets`)
    const { data } = (await answer.json()) as { data: { activeTargets: { lastError: string }[] } }
    return data.activeTargets[0]!.lastError
  }

  /** Waits until a query has an answer that `fits`. */
  until(query: string, fits: (value: number) => boolean): Promise<number> {
    return eventually(async () => {
      const value = await this.value(query)
      if (!fits(value)) throw new Error(`${query} is ${value}. ${await this.lastError()}`)
      return value
    })
  }

  async stop(): Promise<void> {
    const { server } = this
    if (server.exitCode === null && server.signalCode === null) {
      server.kill('SIGKILL')
      await once(server, 'exit')
    }
    await rm(this.folder, { recursive: true, force: true })
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
