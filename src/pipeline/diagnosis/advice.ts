/**
 * What to do about what blocks, by its sort.
 */

export type BlockingKind =
  | 'memory'
  | 'process'
  | 'file'
  | 'sleep'
  | 'sort'
  | 'json'
  | 'crunching'
  | 'computing'
  | 'awaiting'
  | 'slowSink'
  | 'garbage'

/** By what was called, and by the text of the line where what was called has no name of its own in a profile. */
const KINDS: readonly { readonly kind: BlockingKind; readonly callee: RegExp; readonly text: RegExp }[] = [
  {
    kind: 'memory',
    callee: /^(memoryUsage|rss|resourceUsage|cpuUsage|pidusage|getHeapStatistics|freemem|loadavg|cpus)$/,
    text: /\b(process\.(memoryUsage|resourceUsage|cpuUsage)|pidusage|getHeapStatistics)\b/,
  },
  {
    kind: 'process',
    callee: /^(execSync|execFileSync|spawnSync)$/,
    text: /\b(execSync|execFileSync|spawnSync)\s*\(/,
  },
  { kind: 'sleep', callee: /^(wait|sleepSync|msleep|usleep)$/, text: /\bAtomics\.wait\s*\(|\bsleepSync\s*\(/ },
  {
    kind: 'file',
    callee: /^(?!exec|spawn|deflate|inflate|gzip|gunzip|brotli|pbkdf2|scrypt|hkdf|generate|random|sleep)\w+Sync$/,
    text: /\b(read|write|append|copy|rm|mkdir|mkdtemp|readdir|rename|unlink|stat|lstat|exists|access|open|fsync)\w*Sync\s*\(/,
  },
  {
    kind: 'crunching',
    callee: /^(deflate|inflate|gzip|gunzip|brotli|pbkdf2|scrypt|hkdf|generate|random)\w*Sync$/,
    text: /\b(deflate|inflate|gzip|gunzip|brotli|pbkdf2|scrypt)\w*Sync\s*\(/,
  },
  // A loop that looks at the clock until it is time.
  {
    kind: 'sleep',
    callee: /^$/,
    text: /\b(while|for)\s*\(.*(\b(now|getTime)\(\)|\bhr[t]ime\b)/,
  },
  { kind: 'sort', callee: /^(sort|toSorted)$/, text: /\.(sort|toSorted)\s*\(/ },
  { kind: 'json', callee: /^(stringify|parse)$/, text: /\bJSON\.(stringify|parse)\s*\(/ },
]

const ADVICE: Readonly<Record<BlockingKind, string>> = {
  memory:
    'Take it off the road of the messages: `source("resources", processMetrics({ everyMs: 1_000 }), ...)` samples memory and CPU from beside, once for all.',
  process:
    'Start no program on the loop. Resources of the process are in `processMetrics({ everyMs })`; other checks go into `health({ everyMs, checks })` with `execFile` of node:child_process, which calls back, and a deadline each.',
  file: 'Use no synchronous file calls while data flows: write through a sink (`jsonReport`, `jsonLines`, `csv`), which encodes in turns and writes beside the loop; read before the pipeline begins, or with node:fs/promises; what /proc tells is in `processMetrics({ everyMs })`.',
  sleep:
    'Never put the loop to sleep: `retryWithBackoff({ ... })` waits on timers, can be stopped, and lets everything else go on; `mergeMapByKey` keeps one instrument that waits from holding up the others.',
  sort: 'Do not sort whole books at each update: `toBooks({ depth })` keeps them sorted and gives the best levels at once; what has to be sorted goes to a thread with `sortBooks(...)` or `onWorker(...)`, or is done at intervals (`sampleEvery`, `collectLatest`).',
  json: 'Encode nothing large on the loop: `jsonReport(path, { everyMs })` and `jsonLines(path)` encode in turns that let others in.',
  crunching:
    'Use the asynchronous form of the call, or move it to a thread with `onWorker(entry, ...)`: compressed files are written by the sinks themselves (`compression`).',
  computing:
    'Do less for each message (at intervals, by `sampleEvery` or `collectLatest`, or incrementally), or move it to a thread with `onWorker(entry, ...)`.',
  awaiting:
    'Let the work of different instruments go on at once, in order within each: `mergeMapByKey(key, work, { concurrency, perKey: 1, capacity, onFull, deadlineMs })` in the place of `concatMap` and of loops that await; retry with `retryWithBackoff`, which holds up nobody else.',
  slowSink:
    'Write batches rather than values (`batchMax`, and one request for each batch), give the edge more capacity for bursts, or choose what may be lost (`dropOldest`, `keepLatest`, a spill) if the destination is slower for good.',
  garbage:
    'Allocate less for each message: hand views and batches on rather than copies, and build what is only looked at now and then at intervals.',
}

export function kindOf(callee: string | undefined, text: string): BlockingKind {
  const name = callee?.split('.').at(-1) ?? ''
  if (name !== '') {
    const byName = KINDS.find((each) => each.callee.test(name))
    if (byName !== undefined) return byName.kind
  }
  return KINDS.find((each) => each.text.test(text))?.kind ?? 'computing'
}

export function adviceFor(kind: BlockingKind): string {
  return ADVICE[kind]
}
