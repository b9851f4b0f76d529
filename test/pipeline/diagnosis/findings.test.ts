import { expect } from 'chai'
import type { FoundSpot } from '../../../src/metrics/stalls/lineDetective'
import type { Stall } from '../../../src/metrics/stalls/stall'
import { kindOf } from '../../../src/pipeline/diagnosis/advice'
import {
  findingsOf,
  type Evidence,
  type ObservedEdge,
  type ObservedStage,
} from '../../../src/pipeline/diagnosis/findings'

const FILE = '/home/quant/strategy.ts'
const at = (line: number, text = '') => ({ file: FILE, line, text })

const spot = (more: Partial<FoundSpot> = {}): FoundSpot => ({
  stage: 2,
  place: at(20, 'const x = process.memoryUsage()'),
  functionName: 'watch',
  functionPlace: at(18),
  callee: 'memoryUsage',
  ms: 50,
  slices: 40,
  stalls: [],
  ...more,
})

const stage = (more: Partial<ObservedStage> = {}): ObservedStage => ({
  number: 2,
  path: 'monitor/best',
  kind: 'stage',
  place: at(40),
  received: 10_000,
  objects: 10_000,
  held: 3,
  begun: 0,
  waits: [],
  ...more,
})

const edge = (more: Partial<ObservedEdge> = {}): ObservedEdge => ({
  from: 'monitor/market',
  to: 'monitor/best',
  capacity: 1_000,
  onFull: 'block',
  looks: 80,
  full: 0,
  in: 10_000,
  overflowed: 0,
  highWater: 100,
  ...more,
})

const stall = (more: Partial<Stall & { early: boolean }> = {}): Evidence['stalls'][number] => ({
  startedUs: 5_000_000,
  lastedMs: 300,
  stage: 2,
  cause: 'code',
  ownMs: 280,
  asleepMs: 0,
  gcMs: 0,
  starvedMs: 0,
  early: false,
  ...more,
})

function evidence({ spots = [], ...more }: Partial<Evidence> & { spots?: readonly FoundSpot[] } = {}): Evidence {
  return {
    mode: 'simulate',
    seconds: 20,
    stages: [stage()],
    edges: [],
    stalls: [],
    lines: { sampledMs: 20_000, gcMs: 200, spots, places: [], allocations: [], allocatedBytes: 1e6 },
    loopUtilization: 0.3,
    heldBackSeconds: 0,
    ...more,
  }
}

const wait = { place: at(31, 'await call()'), times: 20, ms: 18_000, promised: 20 }

describe('the findings of a diagnosis', () => {
  it('are none of a pipeline that is well', () => {
    expect(findingsOf(evidence({ edges: [edge(), edge({ capacity: 0 })] }))).to.deep.equal([])
  })

  it('name stage, line and what to do for a blocking call that is made again and again, however little it takes', () => {
    const [found, ...others] = findingsOf(evidence({ spots: [spot()] }))
    expect(others).to.deep.equal([])
    expect(found).to.include({
      check: 'blocked',
      state: 'wrong',
      stage: 'monitor/best',
      file: FILE,
      line: 20,
      kind: 'memory',
    })
    expect(found!.found).to.contain(`\`memoryUsage\` at ${FILE}:20 in the stage monitor/best took 50 ms`)
    expect(found!.advice).to.contain('processMetrics')
  })

  it('leave alone what is called a few times, as when a file is read at the start', () => {
    const reading = { place: at(3, "readFileSync('config.json')"), callee: 'readFileSync' }
    expect(findingsOf(evidence({ spots: [spot({ ...reading, ms: 30, slices: 1 })] }))).to.deep.equal([])
  })

  it('leave alone what is computed in a small share of the time, and sorted in hardly any', () => {
    const computing = spot({ place: at(5, 'sum += price'), callee: undefined, ms: 2_000 })
    const sorting = spot({ place: at(6, 'rows.sort(byTime)'), callee: undefined, ms: 30 })
    expect(findingsOf(evidence({ spots: [computing, sorting] }))).to.deep.equal([])
  })

  it('find sorting and computing that take much, and in a replay only what takes most', () => {
    const computing = spot({ place: at(5, 'sum += price'), callee: undefined, ms: 6_000 })
    const sorting = spot({ place: at(6, 'levels.sort(byPrice)'), callee: undefined, ms: 400 })
    const found = findingsOf(evidence({ spots: [computing, sorting] }))
    expect(found.map(({ kind, line }) => [kind, line])).to.deep.equal([
      ['computing', 5],
      ['sort', 6],
    ])
    const replayed = findingsOf(evidence({ mode: 'replay', spots: [computing, sorting] }))
    expect(replayed.map(({ line }) => line)).to.deep.equal([6])
  })

  it('blame a line for stalls that were spent there, with the longest', () => {
    const json = spot({
      place: at(9, 'const text = JSON.stringify(report)'),
      callee: undefined,
      ms: 600,
      slices: 3,
      stalls: [
        { startedUs: 5_000_000, ms: 270 },
        { startedUs: 9_000_000, ms: 260 },
      ],
    })
    const stalls = [stall(), stall({ startedUs: 9_000_000, lastedMs: 410 })]
    const [found] = findingsOf(evidence({ spots: [json], stalls }))
    expect(found).to.include({ kind: 'json', line: 9, longestMs: 410 })
    expect(found!.found).to.contain('stood still 2 times for it, 410 ms at the longest')
  })

  it('blame nobody for stalls of collections, of the machine, or of the first seconds', () => {
    const json = spot({ place: at(9, 'JSON.stringify(x)'), callee: undefined, ms: 300, slices: 2 })
    const spots = [{ ...json, stalls: [{ startedUs: 5_000_000, ms: 270 }] }]
    for (const innocent of [stall({ cause: 'gc' }), stall({ cause: 'machine' }), stall({ early: true })]) {
      expect(findingsOf(evidence({ spots, stalls: [innocent] }))).to.deep.equal([])
    }
    expect(findingsOf(evidence({ spots, stalls: [stall({ early: true, ownMs: 650 })] }))).to.have.length(1)
  })

  it('blame no line for a stall of which it took a small part', () => {
    const spots = [spot({ place: at(9, 'f()'), callee: undefined, ms: 50, stalls: [{ startedUs: 5_000_000, ms: 50 }] })]
    expect(findingsOf(evidence({ spots, stalls: [stall()] }))).to.deep.equal([])
  })

  it('find the stage of what goes on after an await: by its function, by the await, by what was described before', () => {
    const stages = [stage({ waits: [wait] }), stage({ number: 3, path: 'monitor/other', place: at(60) })]
    const stageOf = (...spots: FoundSpot[]): string | undefined => findingsOf(evidence({ stages, spots })).at(-1)?.stage
    const blocked = spot({
      stage: undefined,
      functionPlace: at(100),
      place: at(105, 'execSync(x)'),
      callee: 'execSync',
    })
    expect(stageOf(blocked)).to.equal(undefined)
    expect(stageOf({ ...blocked, functionPlace: at(29), place: at(33, 'execSync(x)') })).to.equal('monitor/best')
    expect(stageOf({ ...blocked, functionPlace: at(61), place: at(62, 'execSync(x)') })).to.equal('monitor/other')
    expect(stageOf(spot({ stage: 3, functionPlace: at(100), place: at(101) }), blocked)).to.equal('monitor/other')
  })

  it('find a stage in which values wait for those before them, with the line that is awaited', () => {
    const [found] = findingsOf(
      evidence({ stages: [stage({ received: 1_000, objects: 1_000, held: 970, waits: [wait] })] }),
    )
    expect(found).to.include({ check: 'waits', stage: 'monitor/best', line: 31, kind: 'awaiting' })
    expect(found!.found).to.contain('970 of the 1000 values that it was given wait in it, each wait takes some 900 ms')
    expect(found!.advice).to.contain('mergeMapByKey')
  })

  it('name the stage itself where nothing of the user is awaited', () => {
    const waits = [{ place: undefined, times: 20, ms: 18_000, promised: 0 }]
    const [found] = findingsOf(evidence({ stages: [stage({ received: 1_000, objects: 1_000, held: 970, waits })] }))
    expect(found).to.include({ check: 'waits', line: 40 })
  })

  it('find it where values are numbers, which cannot be followed one by one', () => {
    const [found] = findingsOf(evidence({ stages: [stage({ received: 1_000, objects: 0, held: 0, waits: [wait] })] }))
    expect(found).to.include({ check: 'waits', line: 31 })
  })

  it('leave alone stages that await many at once, that collect for a while, and that keep what they were given', () => {
    const well = [
      stage({ held: 90, waits: [{ ...wait, times: 9_000 }] }),
      stage({ held: 2_000, waits: [{ place: undefined, times: 20, ms: 19_000, promised: 0 }] }),
      stage({ held: 10_000 }),
      stage({ objects: 0, waits: [{ place: undefined, times: 20, ms: 19_000, promised: 0 }] }),
    ]
    for (const each of well) expect(findingsOf(evidence({ stages: [each] }))).to.deep.equal([])
  })

  it('find a full edge, and why what it leads to does not keep up', () => {
    const sink = stage({ kind: 'sink', path: 'monitor/table', waits: [wait] })
    const full = edge({ to: 'monitor/table', full: 60 })
    const [found] = findingsOf(evidence({ stages: [sink], edges: [full], heldBackSeconds: 4 }))
    expect(found).to.include({ check: 'edge', stage: 'monitor/table', line: 31, kind: 'slowSink' })
    expect(found!.found).to.contain('it was full at 60 of 80 looks, and the sources were held back for 4.0 of 20 s')
    expect(found!.found).to.contain('some 900 ms each time')
  })

  it('find an edge that gives values up, also in a replay', () => {
    const losing = edge({ onFull: 'dropOldest', overflowed: 500 })
    const found = findingsOf(evidence({ mode: 'replay', edges: [losing], loopUtilization: 1 }))
    expect(found[0]!.found).to.contain('500 of 10000 values were given up (onFull: dropOldest)')
  })

  it('leave alone edges that are full by design, and edges of a replay that hold it back', () => {
    const byDesign = ['keepLatest', 'conflate', 'sample'].map((onFull) => edge({ onFull, capacity: 1, full: 80 }))
    expect(findingsOf(evidence({ edges: byDesign }))).to.deep.equal([])
    expect(findingsOf(evidence({ mode: 'replay', edges: [edge({ full: 80 })] }))).to.deep.equal([])
  })

  it('find garbage that takes much of the time, and who makes most of it', () => {
    const allocations = [{ place: at(50), functionName: 'copy', bytes: 9e8 }]
    const lines = { sampledMs: 10_000, gcMs: 3_000, spots: [], places: [], allocations, allocatedBytes: 1e9 }
    const [found] = findingsOf(evidence({ lines }))
    expect(found).to.include({ check: 'garbage', line: 50 })
    expect(found!.found).to.contain('30 % of the time')
  })
})

describe('the sort of what blocks', () => {
  const cases: readonly (readonly [callee: string | undefined, text: string, kind: string])[] = [
    ['memoryUsage', '', 'memory'],
    ['pidusage', 'await pidusage(process.pid)', 'memory'],
    ['execSync', '', 'process'],
    ['spawnSync', '', 'process'],
    ['writeFileSync', '', 'file'],
    ['fs.readFileSync', '', 'file'],
    [undefined, 'writeFileSync(file, JSON.stringify(report))', 'file'],
    [undefined, 'Atomics.wait(pause, 0, 0, 500)', 'sleep'],
    [undefined, 'while (Date.now() < end) {', 'sleep'],
    [undefined, 'const top = [...levels].sort((a, b) => a - b)[0]', 'sort'],
    [undefined, 'const text = JSON.stringify(report)', 'json'],
    ['gzipSync', '', 'crunching'],
    [undefined, 'sum += price * size', 'computing'],
    ['compute', 'lib.compute(x)', 'computing'],
  ]
  for (const [callee, text, kind] of cases) {
    it(`is ${kind} for ${callee ?? text}`, () => expect(kindOf(callee, text)).to.equal(kind))
  }
})
