/**
 * The six mistakes of the monitor that millrace was made from, each written into a pipeline as a user would: the doctor names
 * the stage and the very line of each. A line that it has to name ends in a comment, CULPRIT.
 */
import { expect } from 'chai'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import type { Diagnosis } from '../../src/pipeline/diagnosis/examine'
import type { PipelineFinding } from '../../src/pipeline/diagnosis/findings'
import { millrace, needsBuild, ROOT, temporaryFolder } from './millrace'

const FOLDER = path.join('test', 'cli', 'stalls')

/** Long enough on a slow and busy machine for what happens all the time to have happened often. */
const SECONDS = '6'

interface Mistake {
  readonly name: string
  readonly file: string
  readonly culprit?: string
  readonly check: PipelineFinding['check']
  readonly kind: string
  readonly stage: string
}

const MISTAKES: readonly Mistake[] = [
  {
    name: 'S1: messages awaited one after another',
    file: 'awaitsOneByOne.ts',
    check: 'waits',
    kind: 'awaiting',
    stage: 'awaits/enriched',
  },
  {
    name: 'S2: books sorted on the loop',
    file: 'sortsOnTheLoop.ts',
    check: 'blocked',
    kind: 'sort',
    stage: 'sorts/tops',
  },
  {
    name: 'S3: memory read with each message',
    file: 'readsMemory.ts',
    check: 'blocked',
    kind: 'memory',
    stage: 'memory/watched',
  },
  {
    name: 'S4: a retry that sleeps',
    file: 'sleepsToRetry.ts',
    check: 'blocked',
    kind: 'sleep',
    stage: 'retries/out/published',
  },
  {
    name: 'S4: a retry that awaits and holds up the stream',
    file: 'awaitsToRetry.ts',
    check: 'waits',
    kind: 'awaiting',
    stage: 'patience/publishing',
  },
  {
    name: 'S5: a program that is waited for',
    file: 'checksResources.ts',
    culprit: 'ps',
    check: 'blocked',
    kind: 'process',
    stage: 'checks/listed',
  },
  {
    name: "S5: the kernel's files read with each message",
    file: 'checksResources.ts',
    culprit: 'load',
    check: 'blocked',
    kind: 'file',
    stage: 'checks/checked',
  },
  {
    name: 'S6: synchronous JSON files',
    file: 'writesJson.ts',
    check: 'blocked',
    kind: 'file',
    stage: 'reports/reported',
  },
]

describe('the doctor of pipelines', function () {
  this.timeout(900_000)
  before(function () {
    needsBuild(this)
  })
  const folder = temporaryFolder()
  const examined = new Map<string, Promise<{ diagnosis: Diagnosis; status: number | null; err: string }>>()

  /** Each file is examined once, for however many of its mistakes. */
  const examine = (
    file: string,
    seconds = SECONDS,
  ): Promise<{ diagnosis: Diagnosis; status: number | null; err: string }> => {
    const known = examined.get(file)
    if (known !== undefined) return known
    const args = ['doctor', path.join(FOLDER, file), '--seconds', seconds, '--out', folder('out'), '--json']
    const ran = millrace(args, { withinMs: 600_000 }).then(({ out, err, status }) => {
      expect(out, err).to.match(/^\{"format":"millrace-doctor\/1"/)
      return { diagnosis: JSON.parse(out) as Diagnosis, status, err }
    })
    examined.set(file, ran)
    return ran
  }

  for (const { name, file, culprit = '', check, kind, stage } of MISTAKES) {
    it(`names the stage and the line of ${name}`, async () => {
      const { diagnosis, status, err } = await examine(file)
      const line = culpritOf(file, culprit)
      const found = diagnosis.findings.find((finding) => finding.line === line)
      expect(found, JSON.stringify(diagnosis.findings, null, 2)).to.include({
        ...{ check, kind, stage, line, state: 'wrong' },
        file: path.join(FOLDER, file),
      })
      expect(found!.advice).not.to.equal('')
      expect([diagnosis.ok, status]).to.deep.equal([false, 1])
      // A person is told the same.
      expect(err).to.contain(`${path.join(FOLDER, file)}:${line}`)
      expect(err).to.contain('What to do: ')
    })
  }

  it('finds nothing wrong with a pipeline that is well', async () => {
    const { diagnosis, status, err } = await examine('healthy.ts')
    expect(diagnosis.findings).to.deep.equal([])
    expect([diagnosis.ok, status]).to.deep.equal([true, 0])
    expect(diagnosis.summary).to.include({ format: 'millrace-run/1', pipeline: 'healthy' })
    expect(diagnosis.edges.map(({ to }) => to)).to.include('healthy/summaries')
    expect(err).to.contain('nothing is wrong with it')
    expect(err).to.contain('The event loop was busy for ')
  })

  it('names the stage and the line of a loop that does not come back, and ends it', async () => {
    const file = path.join(FOLDER, 'neverReturns.ts')
    const { signal, err, out } = await millrace(['doctor', file, '--seconds', '2', '--out', folder('out'), '--json'])
    expect([signal, out], err).to.deep.equal(['SIGKILL', ''])
    expect(err).to.match(/The event loop has been standing still for \d+ s: the stage stuck\/turned is at work, at /)
    expect(err).to.contain(`neverReturns.ts:${culpritOf('neverReturns.ts', '')}.`)
    expect(err).to.match(/\nIt does not come back: ended after \d+ s\.\n$/)
  })

  it('refuses what makes no sense, in a sentence', async () => {
    const file = path.join(FOLDER, 'healthy.ts')
    const cases: readonly (readonly [args: readonly string[], sentence: string])[] = [
      [['--seconds', '5'], '--seconds needs a pipeline'],
      [[file, '--offline'], '--offline is of the doctor without a pipeline'],
      [[file, '--live', '--simulate'], 'choose one of --live, --simulate'],
      [[file, '--speed', 'max'], '--speed goes with --replay'],
      [[file, '--replay', 'x.ndjson', '--rate', '5'], '--rate goes with --simulate'],
      [[file, file], 'One pipeline is examined at a time'],
      [[file, '--seconds', '0'], '--seconds is a number from 1'],
      [['nowhere.ts'], 'There is no file nowhere.ts'],
    ]
    for (const [args, sentence] of cases) {
      const { status, err, out } = await millrace(['doctor', ...args])
      expect(err, args.join(' ')).to.contain(sentence)
      expect([status, out]).to.deep.equal([2, ''])
    }
  })
})

/** The line that ends in the comment, counted from 1. */
function culpritOf(file: string, culprit: string): number {
  const lines = readFileSync(path.join(ROOT, FOLDER, file), 'utf8').split('\n')
  return lines.findIndex((line) => line.endsWith(`// CULPRIT ${culprit}`.trim())) + 1
}
