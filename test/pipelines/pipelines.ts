/**
 * Loads a pipeline of `pipelines/` as it is shipped: on the compiled package.
 */
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { exchangeById } from '../../src/exchanges/exchanges'
import type { SessionRecord } from '../../src/feed/record'
import { replayRecords } from '../../src/feed/recording/mergeRecordings'
import { Sessions } from '../../src/feed/sessions'
import type { MarketEvent } from '../../src/model/events'
import type { Pipeline } from '../../src/pipeline/pipeline'
import { skipped } from '../kit/shared'

const ROOT = path.resolve(__dirname, '../..')

/** Skips the running suite when nothing has been built. */
export function shippedPipeline(context: Mocha.Context, name: string): Pipeline {
  if (!existsSync(path.join(ROOT, 'dist/index.js'))) {
    skipped.count++
    context.skip()
  }
  const load = createRequire(__filename)
  return (load(path.join(ROOT, 'pipelines', name)) as { default: Pipeline }).default
}

/** What a recording holds, decoded and verified, by record. */
export async function eventsOf(file: string): Promise<{ record: SessionRecord; events: readonly MarketEvent[] }[]> {
  const sessions = new Sessions({ protocolOf: exchangeById })
  const all: { record: SessionRecord; events: readonly MarketEvent[] }[] = []
  const records = replayRecords([file], {
    onFault: (fault) => {
      throw fault
    },
  })
  for await (const batch of records) for (const record of batch) all.push({ record, events: sessions.apply(record) })
  return all
}
