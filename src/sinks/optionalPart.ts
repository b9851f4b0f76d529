/**
 * Packages that are loaded only when a sink or an option needs them.
 *
 * `import 'millrace'` loads none of them, and a pipeline that does not name such a sink needs none installed.
 */
import { Fault, messageOf } from '../model/fault'

/** What is needed of each, as in the peer dependencies of package.json, and what for. */
export const OPTIONAL_PARTS = {
  '@bokuweb/zstd-wasm': { version: '0.0.27', use: 'zstd files on Node below 22.15' },
  '@duckdb/node-api': { version: '1.5.6-r.1', use: 'the sinks duckdb and parquet' },
  '@opentelemetry/api': { version: '1.9.1', use: 'OpenTelemetry (run --open-telemetry)' },
  'apache-arrow': { version: '21.2.0', use: 'the sink arrow' },
  'lz4-napi': { version: '2.10.0', use: 'lz4 files' },
  pg: { version: '8.23.1', use: 'the sink postgres' },
  'pg-copy-streams': { version: '7.0.0', use: 'the sink postgres' },
} as const

export type OptionalPart = keyof typeof OPTIONAL_PARTS

/**
 * Loads an optional package: `await loadPart('pg', () => import('pg'), sink.name)`.
 *
 * @throws `OPTION_INVALID` with the command that installs it
 */
export async function loadPart<T>(part: OptionalPart, load: () => Promise<T>, who: string): Promise<T> {
  try {
    return await load()
  } catch (cause) {
    const { version } = OPTIONAL_PARTS[part]
    throw new Fault(
      'OPTION_INVALID',
      `${who} needs the package ${part}, which cannot be loaded (${messageOf(cause).split('\n')[0]}): npm install ${part}@${version}`,
      { part, version },
      { cause },
    )
  }
}
