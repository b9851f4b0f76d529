/**
 * What a stage fails on is kept with the bytes it came in, within bounds, and can be tried again.
 */
import { expect } from 'chai'
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { map, mergeMap, Observable, type OperatorFunction } from 'rxjs'
import { currentClock } from '../../src/clock/currentClock'
import { liveClock } from '../../src/clock/liveClock'
import type { SessionRecord } from '../../src/feed/record'
import type { Batch, MarketEvent } from '../../src/model/events'
import { Fault } from '../../src/model/fault'
import { actor } from '../../src/operators/actor'
import { pipeline, type Pipeline } from '../../src/pipeline/pipeline'
import { openQuarantine, type Quarantine, type QuarantineLimits } from '../../src/pipeline/quarantine'
import { readQuarantineLine, type QuarantinedMessage } from '../../src/pipeline/quarantinedMessage'
import { feed } from '../../src/pipeline/sources'
import type { StageFailure } from '../../src/pipeline/stageRunner'
import { memory } from '../../src/sinks/memory'
import { trade, viewOf } from '../kit/marketEvents'

const AT_US = 1_760_000_000_000_000
const URL = 'wss://stream.binance.com:9443/ws?token=hidden'

describe('The quarantine', () => {
  let folder = ''
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'millrace-quarantine-'))
  })
  afterEach(() => rm(folder, { recursive: true, force: true }))

  describe('of a run', () => {
    it('keeps the message with its fault, its input, its value and the frame as it was recorded', async () => {
      const { summary, messages, recorded } = await replayed('trade-checks', refusing('13'))
      expect(messages).to.have.length(1)
      const [{ at, fault, frames, value, ...message }] = messages as [QuarantinedMessage]
      expect(message).to.deep.equal({
        format: 'millrace-quarantine/1',
        pipeline: 'trade-checks',
        stage: 'trade-checks/check',
        streamTimeUs: AT_US + 3,
        directive: 'restart',
        input: {
          values: 1,
          kind: 'trade',
          exchange: 'binance',
          symbol: 'BTCUSDT',
          id: '13',
          receiveTimeUs: AT_US + 3,
        },
      })
      expect(fault.code).to.equal('STAGE_FAILED')
      expect(fault.message).to.equal(
        'The stage trade-checks/check failed on a trade of BTCUSDT on binance (id 13), received 2025-10-09T08:53:20.000003Z: unlucky',
      )
      expect(fault.stack).to.contain('unlucky').and.to.contain('quarantine.test.ts')
      expect(frames).to.deep.equal([
        {
          ...{ exchange: 'binance', connection: 0, timeUs: AT_US + 3, ns: 0, dir: 'in' },
          url: 'wss://stream.binance.com:9443/ws?token=TOKEN',
          text: recorded[2],
        },
      ])
      expect(value).to.be.an('array').with.length(1)
      expect(Date.parse(at)).to.be.within(Date.now() - 60_000, Date.now() + 1_000)
      expect(summary.quarantine).to.deep.equal({
        ...{ kept: 1, unkept: 0, file: path.join(folder, 'quarantine/trade-checks.jsonl') },
      })
      expect(summary.stages.map(({ path: where, failures, restarts }) => [where, failures, restarts])).to.deep.equal([
        ['trade-checks/check', 1, 1],
      ])
      expect(summary.problems.join('\n')).to.contain('(id 13)')
      expect(summary.sinks[0]!.written, 'the others went on').to.equal(4)
    })

    it('touches no disk where nothing fails', async () => {
      const { summary } = await replayed('trade-checks', refusing('none'))
      expect(summary.quarantine).to.equal(undefined)
      expect(existsSync(path.join(folder, 'quarantine'))).to.equal(false)
    })

    it('tries a message again: it fails still, and passes once the stage is mended', async () => {
      const { messages } = await replayed('trade-checks', refusing('13'))
      expect(await checks('trade-checks', refusing('13')).retry(messages[0]!)).to.deep.equal({
        outcome: 'fails',
        given: 'value',
        message:
          'The stage trade-checks/check failed on a trade of BTCUSDT on binance (id 13), received 2025-10-09T08:53:20.000003Z: unlucky',
        values: 0,
        first: [],
      })
      const mended = await checks('trade-checks', refusing('none')).retry(messages[0]!)
      expect(mended).to.include({ outcome: 'passes', given: 'value', message: undefined, values: 1 })
      expect(JSON.parse(mended.first[0]!)).to.include({ kind: 'trade', id: '13', price: 13.5 })
    })

    it('keeps what an actor gave up while it went on with its state', async () => {
      const { summary, messages } = await replayed('resumed', unlucky, { onFailure: 'resume' })
      expect(messages.map(({ directive, input }) => [directive, input.id])).to.deep.equal([['resume', '13']])
      expect(summary.stages[0]).to.include({ failures: 1, restarts: 0, state: 'ended' })
    })
  })

  describe('within its bounds', () => {
    it('keeps so many of each stage, counts the others, and says so once', async () => {
      const { keeper, faults } = opened({ perStage: 2 })
      for (let at = 0; at < 5; at++) keeper.add(failure('p/a'))
      keeper.add(failure('p/b'))
      await keeper.close(5_000)
      expect(keeper.counts).to.deep.equal({ kept: 3, unkept: 3 })
      expect(Object.fromEntries(keeper.byStage)).to.deep.equal({ 'p/a': 5, 'p/b': 1 })
      expect(faults.map(({ message }) => message)).to.deep.equal([
        'The quarantine has no room for more: of the stage p/a, 2 messages are kept, and further ones are counted. Mend the stage, or move the file away.',
      ])
      expect(await kept()).to.have.length(3)
    })

    it('keeps so many messages and bytes of a run', async () => {
      const many = opened({ perRun: 3 })
      for (let at = 0; at < 9; at++) many.keeper.add(failure(`p/${at}`))
      await many.keeper.close(5_000)
      expect(many.keeper.counts).to.deep.equal({ kept: 3, unkept: 6 })
      expect(many.keeper.byStage.size, 'stages it remembers').to.be.at.most(3)
      expect(many.faults).to.have.length(1)

      const large = opened({ bytesPerRun: 10_000 })
      for (let at = 0; at < 9; at++) large.keeper.add(failure(`p/${at}`, ['x'.repeat(3_000)]))
      await large.keeper.close(5_000)
      expect(large.keeper.counts.kept).to.be.within(1, 3)
      expect(large.keeper.counts.kept + large.keeper.counts.unkept).to.equal(9)
      expect(large.faults[0]!.message).to.contain('0.0095 MiB of this run are kept')
    })

    it('goes on with the file of earlier runs, until that is full', async () => {
      for (const run of [1, 2, 3, 4]) {
        const { keeper, faults } = opened({ fileBytes: 10_000 })
        keeper.add(failure('p/a', ['x'.repeat(3_000)]))
        await keeper.close(5_000)
        expect(keeper.counts, `run ${run}`).to.deep.equal(run < 3 ? { kept: 1, unkept: 0 } : { kept: 0, unkept: 1 })
        expect(faults).to.have.length(run < 3 ? 0 : 1)
      }
      expect(await kept()).to.have.length(2)
    })

    it('counts as not kept what the disk refuses', async () => {
      await writeFile(path.join(folder, 'quarantine'), 'in the way')
      const { keeper, faults } = opened({})
      keeper.add(failure('p/a'))
      await keeper.close(200)
      expect(keeper.counts).to.deep.equal({ kept: 0, unkept: 1 })
      expect(faults.map(({ message }) => message).join('\n')).to.match(/a part of its path is a file|not closed within/)
    })

    it('keeps only what failed on a value', async () => {
      const { keeper } = opened({})
      keeper.add({ ...failure('p/a'), poison: undefined })
      await keeper.close(100)
      expect([keeper.counts, keeper.file]).to.deep.equal([{ kept: 0, unkept: 0 }, undefined])
    })
  })

  describe('names its file after the pipeline', () => {
    for (const [what, name, expected] of [
      ['as it is', 'trade-bars', /^trade-bars\.jsonl$/],
      ['without leaving its folder', '../../etc/passwd', /^______etc_passwd-[0-9a-f]{8}\.jsonl$/],
      ['without dots, slashes and line ends', '.\\a\nb c', /^__a_b_c-[0-9a-f]{8}\.jsonl$/],
      ['when it has none', '', /^-[0-9a-f]{8}\.jsonl$/],
      ['however long it is', 'x'.repeat(1_000), /^x{80}-[0-9a-f]{8}\.jsonl$/],
    ] as const) {
      it(what, async () => {
        const { keeper } = opened({}, name)
        keeper.add(failure('p/a'))
        await keeper.close(5_000)
        const files = await readdir(path.join(folder, 'quarantine'))
        expect(files).to.have.length(1)
        expect(files[0]).to.match(expected)
        expect(keeper.file).to.equal(path.join(folder, 'quarantine', files[0]!))
      })
    }

    it('two that are spelled alike have two files', async () => {
      for (const name of ['a b', 'a_b', 'a/b']) {
        const { keeper } = opened({}, name)
        keeper.add(failure('p/a'))
        await keeper.close(5_000)
      }
      expect(await readdir(path.join(folder, 'quarantine'))).to.have.length(3)
    })
  })

  describe('says what it cannot keep', () => {
    it('a value without a form: its frame is there all the same, and is decoded to try it', async () => {
      const { keeper } = opened({}, 'trade-checks')
      keeper.saw({ ...at(1), dir: 'open', url: URL })
      keeper.saw({ ...at(2), dir: 'in', data: frame('13') })
      const value = [{ ...trade({ exchange: 'binance', receiveTimeUs: AT_US + 2 }), odd: () => 1 }]
      keeper.add(failure('trade-checks/check', value))
      await keeper.close(5_000)
      const [message] = await kept('trade-checks')
      expect(message).to.not.have.property('value')
      expect(message!.unencodable).to.contain('function')
      expect(message!.frames.map(({ text }) => text)).to.deep.equal([frame('13')])
      const trial = await checks('trade-checks', refusing('13')).retry(message!)
      expect(trial).to.include({ outcome: 'fails', given: 'frame' })
      expect(await checks('trade-checks', refusing('none')).retry(message!)).to.include({
        outcome: 'passes',
        values: 1,
      })
      const none = await checks('trade-checks', refusing('13')).retry({ ...message!, frames: [] })
      expect(none.outcome).to.equal('untried')
      expect(none.message).to.match(/^Its value was not kept \(.+\), and no frame of market data was\.$/)
    })

    it('a frame that is no longer at hand', async () => {
      const { keeper } = opened({})
      keeper.add(failure('p/a', [trade({ receiveTimeUs: 5 })]))
      await keeper.close(5_000)
      expect((await kept())[0]!.frames).to.deep.equal([])
    })
  })

  it('keeps the frames of all moments that a merged batch is of, binary ones as base64, and REST answers', async () => {
    const { keeper } = opened({})
    keeper.saw({ ...at(1), dir: 'open', url: URL })
    keeper.saw({ ...at(2), dir: 'in', data: Uint8Array.of(0, 255, 7) })
    const rest = {
      method: 'GET',
      url: 'https://api/depth?symbol=X&apiKey=abc',
      role: 'book-snapshot',
      body: '{}',
    } as const
    keeper.saw({ ...at(3), dir: 'rest', ...rest })
    keeper.saw({ ...at(4), dir: 'in', data: 'of another moment' })
    const moments = [3, 2, 2].map((us) => trade({ exchange: 'binance', receiveTimeUs: AT_US + us }))
    keeper.add(failure('p/a', moments))
    await keeper.close(5_000)
    expect((await kept())[0]!.frames).to.deep.equal([
      {
        ...{ exchange: 'binance', connection: 0, timeUs: AT_US + 3, ns: 0, dir: 'rest' },
        ...{ url: 'https://api/depth?symbol=X&apiKey=TOKEN', method: 'GET', role: 'book-snapshot', text: '{}' },
      },
      {
        ...{ exchange: 'binance', connection: 0, timeUs: AT_US + 2, ns: 0, dir: 'in' },
        ...{ url: 'wss://stream.binance.com:9443/ws?token=TOKEN', base64: 'AP8H' },
      },
    ])
  })

  describe('tries again', () => {
    const book = viewOf([[100.5, 1]], [[101, 2]], { receiveTimeUs: AT_US })

    it('with the value as it was, views of books included', async () => {
      const message = await messageFor('p/spread', [book])
      const seen: unknown[] = []
      const trial = await alone(
        'spread',
        map((batch: unknown) => (seen.push(batch), batch)),
      ).retry(message)
      expect(trial).to.include({ outcome: 'passes', values: 1 })
      const [view] = seen[0] as (typeof book)[]
      expect([view!.bestBid(), view!.bestAsk(), view!.symbol]).to.deep.equal([
        book.bestBid(),
        book.bestAsk(),
        book.symbol,
      ])
    })

    it('at the time of the stream, and with its own clock in force', async () => {
      const message = await messageFor('p/clocked', [trade({ receiveTimeUs: AT_US - 5 })])
      let timeUs = 0
      const clocked: OperatorFunction<unknown, unknown> = (source) =>
        new Observable((out) => {
          const clock = currentClock()
          return source.subscribe({ next: () => (timeUs = clock.nowUs()), complete: () => out.complete() })
        })
      await alone('clocked', clocked).retry(message)
      expect(timeUs, 'when it failed, which is later than when it was received').to.equal(AT_US)
    })

    it('waits for a stage that works asynchronously, and hears of its failure', async () => {
      const message = await messageFor('p/async', [1])
      const async = (work: () => Promise<unknown>): Pipeline => alone('async', mergeMap(work))
      expect(await async(() => Promise.resolve(['a', 'b'])).retry(message)).to.deep.include({
        ...{ outcome: 'passes', values: 2, first: ['"a"', '"b"'] },
      })
      const failed = await async(() => Promise.reject(new Error('too late'))).retry(message)
      expect(failed.outcome).to.equal('fails')
      expect(failed.message).to.equal('The stage p/async failed: too late')
    })

    it('does not wait for ever', async () => {
      const message = await messageFor('p/stuck', [1])
      const trial = await alone(
        'stuck',
        mergeMap(() => new Promise<never>(() => undefined)),
      ).retry(message, {
        withinMs: 20,
      })
      expect(trial).to.include({ outcome: 'passes', message: 'It did not end within 0.02 s of being told to.' })
    })

    it('with the frame, decoded anew, in the place of the value', async () => {
      const { messages } = await replayed('trade-checks', refusing('13'))
      const doctored = { ...messages[0]!, value: [trade({ exchange: 'binance', symbol: 'BTCUSDT', id: 'old' })] }
      const again = checks('trade-checks', refusing('none'))
      expect(idOf(await again.retry(doctored))).to.equal('old')
      const trial = await again.retry(doctored, { fromFrame: true })
      expect([trial.given, idOf(trial)]).to.deep.equal(['frame', '13'])
      expect(JSON.parse(trial.first[0]!)).to.include({ instrument: 'BTC-USD' })
    })

    it('says that a frame gives nothing any more, and falls back to the value where it cannot be read', async () => {
      const { messages } = await replayed('trade-checks', refusing('13'))
      const [message] = messages
      const withText = (text: string): QuarantinedMessage => ({
        ...message!,
        frames: [{ ...message!.frames[0]!, text }],
      })
      const again = checks('trade-checks', refusing('13'))
      expect(await again.retry(withText('{"result":null,"id":1}'), { fromFrame: true })).to.include({
        ...{ outcome: 'passes', given: 'frame', values: 0 },
        message: 'The frame gives no event any more, so the stage is not called.',
      })
      expect(await again.retry(withText('nonsense'), { fromFrame: true })).to.include({
        outcome: 'fails',
        given: 'value',
      })
    })

    it('finds a stage that was put into a group, and says which there are where there is none', async () => {
      const message = await messageFor('p/moved', [1])
      const grouped = pipeline('renamed', ({ source, sink, group }) => {
        const all = source('all', feed(WISH), roomy)
        sink(
          group('g', {}, () =>
            all.through(
              'moved',
              map(() => 1),
            ),
          ),
          memory({ capacity: 1 }),
          roomy,
        )
      })
      expect(await grouped.retry(message)).to.include({ outcome: 'passes', values: 1 })
      expect(await alone('other', map(String)).retry(message)).to.deep.equal({
        ...{ outcome: 'untried', given: undefined, values: 0, first: [] },
        message: 'The pipeline p has no stage p/moved: there are other.',
      })
    })

    it('does not believe a value that was changed by hand', async () => {
      const message = { ...(await messageFor('p/a', [1])), value: { $: ['nonsense'] } }
      const trial = await alone('a', map(String)).retry(message)
      expect(trial.outcome).to.equal('untried')
      expect(trial.message).to.contain('cannot be read back')
    })
  })

  describe('reads a line', () => {
    const line = {
      ...{
        format: 'millrace-quarantine/1',
        pipeline: 'p',
        stage: 'p/a',
        at: '2026-01-01T00:00:00.000Z',
        streamTimeUs: 1,
      },
      ...{ fault: { code: 'STAGE_FAILED', message: 'm', details: {} }, directive: 'restart', input: { values: 1 } },
      frames: [{ exchange: 'okx', connection: 0, timeUs: 1, ns: 0, dir: 'in', text: '' }],
      value: 1,
    }

    it('as it was written', () => {
      expect(readQuarantineLine(JSON.stringify(line))).to.deep.equal(line)
    })

    for (const [what, text] of [
      ['is not JSON', '{"format":'],
      ['is not a JSON object', '[1]'],
      ['is not a JSON object', 'null'],
      ['has no "format"', '{}'],
      ['is of the format "millrace-run/1"', '{"format":"millrace-run/1"}'],
      ['has no text "stage"', JSON.stringify({ ...line, stage: 7 })],
      ['has no number "streamTimeUs"', JSON.stringify({ ...line, streamTimeUs: 'now' })],
      [
        'has no "fault" with a code and a message',
        JSON.stringify({ ...line, fault: { code: 'toString', message: '' } }),
      ],
      ['has no "input"', JSON.stringify({ ...line, input: null })],
      ['has "frames" that are none', JSON.stringify({ ...line, frames: [{ ...line.frames[0], text: 1 }] })],
      [
        'has "frames" that are none',
        JSON.stringify({ ...line, frames: [{ ...line.frames[0], dir: 'rest', role: 'x' }] }),
      ],
      ['has "frames" that are none', JSON.stringify({ ...line, frames: {} })],
      ['has an "unencodable" that is no text', JSON.stringify({ ...line, unencodable: 1 })],
      ['has neither "value" nor "unencodable"', JSON.stringify({ ...line, value: undefined })],
    ] as const) {
      it(`and says of ${text.length > 40 ? `${text.slice(0, 39)}…` : text} that it ${what}`, () => {
        expect(readQuarantineLine(text)).to.equal(what)
      })
    }

    it('whose input is not what it should be, without believing it', () => {
      const read = readQuarantineLine(
        JSON.stringify({ ...line, input: { values: 'many', kind: 7, exchange: 'okx', __proto__: null, seq: 'x' } }),
      ) as QuarantinedMessage
      expect(read.input).to.deep.equal({ values: 1, exchange: 'okx' })
    })
  })

  function opened(limits: Partial<QuarantineLimits>, name = 'p'): { keeper: Quarantine; faults: Fault[] } {
    const faults: Fault[] = []
    const onFault = (fault: Fault): void => void faults.push(fault)
    return { keeper: openQuarantine({ pipeline: name, outDir: folder, clock: liveClock, onFault, limits }), faults }
  }

  async function kept(name = 'p'): Promise<QuarantinedMessage[]> {
    const text = await readFile(path.join(folder, 'quarantine', `${name}.jsonl`), 'utf8')
    return text
      .trimEnd()
      .split('\n')
      .map((line) => {
        const message = readQuarantineLine(line)
        expect(message, line).to.be.an('object')
        return message as QuarantinedMessage
      })
  }

  async function messageFor(stage: string, value: unknown): Promise<QuarantinedMessage> {
    const { keeper } = opened({})
    keeper.add(failure(stage, value))
    await keeper.close(5_000)
    return (await kept()).at(-1)!
  }

  /** Five trades through a stage, from a recording. */
  async function replayed(
    name: string,
    operator: OperatorFunction<Batch<MarketEvent>, Batch<MarketEvent>>,
    options: { onFailure?: 'resume' } = {},
  ): Promise<{
    summary: Awaited<ReturnType<Pipeline['run']>>
    messages: QuarantinedMessage[]
    recorded: readonly string[]
  }> {
    const recorded = ['11', '12', '13', '14', '15'].map(frame)
    const file = path.join(folder, 'trades.ndjson')
    const lines = [
      { format: 'millrace-recording/1', venue: 'binance', url: URL },
      { t: `${AT_US}000`, dir: 'open', url: URL },
      ...recorded.map((raw, index) => ({ t: `${AT_US + index + 1}000`, dir: 'in', raw })),
    ]
    await writeFile(file, lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
    const summary = await checks(name, operator, options).run({ replay: [file], out: folder })
    return { summary, messages: summary.quarantine === undefined ? [] : await kept(name), recorded }
  }
})

const WISH = { exchanges: ['binance'], instruments: ['BTC-USDT'], channel: 'trades' } as const
const roomy = { capacity: 1_000, onFull: 'block' } as const

function checks(
  name: string,
  operator: OperatorFunction<Batch<MarketEvent>, Batch<MarketEvent>>,
  options: { onFailure?: 'resume' } = {},
): Pipeline {
  return pipeline(name, ({ source, sink }) => {
    sink(source('trades', feed(WISH), roomy).through('check', operator, options), memory({ capacity: 10 }), roomy)
  })
}

/** A pipeline whose only stage may take anything. */
function alone(stage: string, operator: OperatorFunction<never, unknown>): Pipeline {
  return pipeline('p', ({ source, sink }) => {
    const all = source('all', feed(WISH), roomy)
    sink(all.through(stage, operator as unknown as OperatorFunction<unknown, unknown>), memory({ capacity: 1 }), roomy)
  })
}

function refusing(id: string): OperatorFunction<Batch<MarketEvent>, Batch<MarketEvent>> {
  return map((batch) => {
    for (const event of batch) if (event.kind === 'trade' && event.id === id) throw new Error('unlucky')
    return [...batch].filter(({ kind }) => kind === 'trade')
  })
}

const unlucky = actor<MarketEvent, MarketEvent>(() => ({
  receive: (event) => {
    if (event.kind === 'trade' && event.id === '13') throw new Error('unlucky')
  },
}))

function frame(id: string): string {
  return `{"e":"trade","E":1672515782136,"s":"BTCUSDT","t":${id},"p":"${id}.5","q":"100","T":1672515782136,"m":true,"M":true}`
}

function idOf({ first }: { readonly first: readonly string[] }): unknown {
  return (JSON.parse(first[0]!) as { id?: unknown }).id
}

function at(us: number): Pick<SessionRecord, 'exchange' | 'connection' | 'timeUs' | 'ns'> {
  return { exchange: 'binance', connection: 0, timeUs: AT_US + us, ns: 0 }
}

function failure(stage: string, value: unknown = [trade()]): StageFailure {
  const fault = new Fault('STAGE_FAILED', `The stage ${stage} failed: no.`, { stage })
  return { path: stage, fault, poison: { value }, directive: 'restart', streamTimeUs: AT_US }
}
