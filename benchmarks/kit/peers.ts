/**
 * Libraries that millrace is measured beside. They are installed by the benchmarks alone, into a folder that git does not
 * know, in the versions named here: the product depends on none of them.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'

export const PEERS = { ccxt: '4.5.84', 'tardis-dev': '13.35.3' } as const

export type Peer = keyof typeof PEERS

/** `.bench/peers`: two folders up as compiled. */
const FOLDER = path.resolve(__dirname, '../..', __dirname.includes('.bench') ? 'peers' : '.bench/peers')
const INSTALL_MS_MAX = 180_000

/** Says that peers take no part, though they may be installed; also tells the processes that run benchmarks. */
export const NO_PEERS = 'MILLRACE_BENCH_NO_PEERS'

export function isInstalled(peer: Peer): boolean {
  return process.env[NO_PEERS] === undefined && existsSync(path.join(FOLDER, 'node_modules', peer, 'package.json'))
}

/** Installs what is missing. Returns a sentence when that was not possible: the suites then run without it. */
export function installPeers(): string | undefined {
  const missing = (Object.keys(PEERS) as Peer[]).filter((peer) => !isInstalled(peer))
  if (missing.length === 0) return undefined
  mkdirSync(FOLDER, { recursive: true })
  writeFileSync(path.join(FOLDER, 'package.json'), '{ "private": true }\n')
  const wanted = missing.map((peer) => `${peer}@${PEERS[peer]}`)
  const args = ['install', '--prefix', FOLDER, '--ignore-scripts', '--no-audit', '--no-fund', '--save-exact', ...wanted]
  const { status, stderr, error } = spawnSync('npm', args, {
    encoding: 'utf8',
    timeout: INSTALL_MS_MAX,
    stdio: ['ignore', 'ignore', 'pipe'],
    shell: process.platform === 'win32',
  })
  if (status === 0) return undefined
  const why = (
    error?.message ??
    stderr.split('\n').find((line) => line.includes('npm')) ??
    `npm ended with status ${status ?? 'none'}`
  ).trim()
  return `${wanted.join(' and ')} could not be installed, so what is measured beside them is left out (${why}).`
}

/** A peer as it exports itself; the caller knows its shape. */
export function requirePeer(peer: Peer): unknown {
  return createRequire(path.join(FOLDER, 'package.json'))(peer)
}

/** The versions of the peers that take part. */
export function peerVersions(): Record<string, string> {
  return Object.fromEntries(Object.entries(PEERS).filter(([peer]) => isInstalled(peer as Peer)))
}
