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
import type { Pipeline, RunOptions } from '../../src/pipeline/pipeline'
import type { RunStatus, RunSummary } from '../../src/pipeline/runSummary'
import { eventually } from '../kit/eventually'
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

/** Runs until `seen` no longer throws, then stops at once: how long the machine takes to get there is its affair. */
export async function runUntil(
  pipeline: Pipeline,
  options: RunOptions,
  seen: (status: RunStatus) => unknown,
): Promise<RunSummary> {
  const run = pipeline.start(options)
  let isOver = false
  const over = (): void => void (isOver = true)
  run.done.then(over, over)
  try {
    await eventually(() => (isOver ? undefined : seen(run.status())), { everyMs: 50 })
  } finally {
    void run.stop().catch(() => undefined)
  }
  return run.done
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
