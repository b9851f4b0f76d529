import { expect } from 'chai'
import { callsNamed } from '../../../src/metrics/stalls/lineDetective'
import {
  addProfile,
  fileOf,
  isUsers,
  type CpuProfile,
  type ProfileNode,
  type ProfileSums,
  type Spot,
} from '../../../src/metrics/stalls/profile'
import { entered, numberFrom, NUMBERS_MAX } from '../../../src/metrics/stalls/stageDigits'

const OWN = ['/app/millrace/dist/']
const ENGINE = 'file:///app/millrace/dist/pipeline/stageRunner.js'
const USER = 'file:///home/quant/strategy.ts'
const FS = 'node:fs'

let lastId = 0
/** A node of a profile; what it has called follows. */
function node(
  functionName: string,
  url: string,
  ticks: Readonly<Record<number, number>>,
  ...children: readonly ProfileNode[]
): ProfileNode & { readonly below: readonly ProfileNode[] } {
  return {
    id: ++lastId,
    callFrame: { functionName, url, scriptId: url, lineNumber: 10, columnNumber: 2 },
    children: children.map(({ id }) => id),
    positionTicks: Object.entries(ticks).map(([line, count]) => ({ line: Number(line), ticks: count })),
    below: children,
  }
}

function all(root: ProfileNode): ProfileNode[] {
  const below = (root as Partial<ReturnType<typeof node>>).below ?? []
  return [root, ...below.flatMap(all)]
}

/** A stage with a number around some work, as `entered` puts it on the stack. */
function stage(number: number, work: ProfileNode): ProfileNode {
  let inner = work
  for (let place = 0, rest = number; place < 3; place++, rest = Math.floor(rest / 8)) {
    inner = node(`stageDigit${rest % 8}`, 'file:///app/millrace/dist/metrics/stalls/stageDigits.js', {}, inner)
  }
  return inner
}

/** Spots of a profile in which each of some nodes was sampled so often, every half millisecond. */
function spotsOf(root: ProfileNode, samples: readonly ProfileNode[], more: Partial<CpuProfile> = {}): Spot[] {
  return [...sumsOf(root, samples, more).spots.values()]
}

function sumsOf(root: ProfileNode, samples: readonly ProfileNode[], more: Partial<CpuProfile> = {}): ProfileSums {
  const sums: ProfileSums = { sampledMs: 0, gcMs: 0, spots: new Map() }
  const profile = {
    nodes: all(root),
    startTime: 0,
    samples: samples.map(({ id }) => id),
    timeDeltas: samples.map(() => 500),
    ...more,
  }
  const excused = [{ startedUs: 100_000, endedUs: 200_000 }]
  const stalls = [
    { startedUs: 1_000, endedUs: 1_900, stages: [], ranUs: undefined, starvedUs: undefined, watchdogLateUs: 0 },
  ]
  addProfile(sums, profile, { ownFolders: OWN, sampleEveryUs: 500, stalls, excused })
  return sums
}

describe('a profile', () => {
  it('is read as lines of the function that was at work, in the stage whose number is on the stack', () => {
    const work = node('sortBook', USER, { 12: 1, 14: 3 })
    const [a, b] = spotsOf(node('(root)', '', {}, stage(77, work)), [work, work, work, work])
    expect(a).to.deep.include({ stage: 77, line: 12, callee: undefined, ms: 0.5 })
    expect(b).to.deep.include({ stage: 77, line: 14, ms: 1.5 })
    expect(b!.frame).to.include({ functionName: 'sortBook', url: USER })
  })

  it('blames the innermost stage alone: what a stage hands on is not its work', () => {
    const inner = node('receive', ENGINE, { 40: 1 })
    const outer = node('project', USER, {}, node('next', '/x/node_modules/rxjs/Subscriber.js', {}, stage(2, inner)))
    const [spot] = spotsOf(node('(root)', '', {}, stage(1, outer)), [inner])
    expect(spot).to.include({ stage: 2, frame: undefined })
  })

  it('names what the user had called where that is code of Node or of a package', () => {
    const leaf = node('spawn', '', { 1109: 2 })
    const call = node('execSync', 'node:child_process', {}, node('spawnSync', 'node:child_process', {}, leaf))
    const [spot] = spotsOf(node('(root)', '', {}, stage(3, node('check', USER, {}, call))), [leaf])
    expect(spot).to.include({ stage: 3, callee: 'execSync', line: undefined })
  })

  it('knows the line of a call of something built in, which bears that of its caller', () => {
    const leaf = node('memoryUsage', '', { 21: 5 })
    const [spot] = spotsOf(node('(root)', '', {}, stage(3, node('check', USER, {}, leaf))), [leaf])
    expect(spot).to.include({ callee: 'memoryUsage', line: 21 })
  })

  it('finds lines of the user outside of any stage too, and leaves the engine out', () => {
    const mine = node('onTimer', USER, { 5: 1 })
    const ours = node('drain', ENGINE, { 9: 1 })
    const root = node('(root)', '', {}, mine, ours)
    const spots = spotsOf(root, [mine, ours, ours])
    expect(spots).to.have.length(1)
    expect(spots[0]).to.include({ stage: undefined, line: 5 })
  })

  it('adds up collections of garbage, and lets a long gap stand for a few samples at most', () => {
    const gc = node('(garbage collector)', '', {})
    const root = node('(root)', '', {}, gc)
    const sums = sumsOf(root, [gc, gc], { timeDeltas: [500, 90_000] })
    expect(sums.gcMs).to.equal(2.5)
  })

  it('leaves out what was sampled while the looking itself kept the loop waiting', () => {
    const work = node('work', USER, { 3: 1 })
    const sums = sumsOf(node('(root)', '', {}, work), [work, work, work], { timeDeltas: [500, 120_000, 500] })
    expect(sums.sampledMs).to.equal(0.5)
  })

  it('says what of a stall was spent where', () => {
    const work = node('work', USER, { 3: 1 })
    const root = node('(root)', '', {}, work)
    const [spot] = spotsOf(root, [work, work, work, work, work])
    expect([...spot!.stalls]).to.deep.equal([[1_000, 1]])
  })

  it('survives a profile of nothing, and nodes that are not there', () => {
    const root = node('(root)', '', {})
    expect(spotsOf(root, [])).to.deep.equal([])
    expect(spotsOf(root, [{ ...root, id: 999_999 }])).to.deep.equal([])
  })

  it('takes for the user what is neither of Node, nor of a package, nor ours', () => {
    expect(isUsers(USER, OWN)).to.equal(true)
    expect(isUsers('/home/quant/strategy.js', OWN)).to.equal(true)
    for (const other of [FS, '', ENGINE, '/home/quant/node_modules/lodash/sortBy.js', 'evalmachine.<anonymous>']) {
      expect(isUsers(other, OWN), other).to.equal(false)
    }
    expect(fileOf('file:///a%20b/c.js')).to.equal('/a b/c.js')
  })
})

describe('the number of a stage on the stack', () => {
  it('is written by as many functions as it has digits, and read from the inside out', () => {
    for (const number of [1, 7, 8, 77, 500, NUMBERS_MAX, NUMBERS_MAX + 100]) {
      let seen: string[] = []
      entered(number, (value) => {
        seen = (new Error().stack ?? '').split('\n').flatMap((line) => /stageDigit(\d)/.exec(line)?.[1] ?? [])
        expect(value).to.equal('a value')
      })('a value')
      expect(numberFrom(seen.map(Number))).to.equal(Math.min(number, NUMBERS_MAX))
    }
  })

  it('is unknown where digits are missing', () => {
    expect(numberFrom([1, 2])).to.equal(undefined)
  })
})

describe('the calls of a function', () => {
  const call = (lineNumber: number, columnNumber: number) => ({ lineNumber, columnNumber, type: 'call' })

  it('are found by the name of what is called, before or behind the place that V8 gives', () => {
    const lines = [
      '  const text = JSON.stringify(x);',
      '  (0, node_fs_1.writeFileSync)(file, text);',
      '  fs.writeFileSync(file, text);',
      '  return rewriteFileSync(file) ?? new Report(writeFileSyncs);',
    ]
    const locations = [
      call(0, 20),
      call(1, 30),
      call(2, 5),
      call(3, 9),
      call(3, 34),
      { lineNumber: 2, columnNumber: 5 },
    ]
    expect(callsNamed('writeFileSync', locations, lines)).to.deep.equal([call(1, 30), call(2, 5)])
    expect(callsNamed('stringify', locations, lines)).to.deep.equal([call(0, 20)])
    expect(callsNamed('Report', locations, lines)).to.deep.equal([call(3, 34)])
    expect(callsNamed('', locations, lines)).to.deep.equal([])
  })
})
