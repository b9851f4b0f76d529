import { expect } from 'chai'
import type { ExchangeProtocol } from '../../src/exchanges/protocol'
import { planLinks, problemsOf, type FeedWish, type PlannedLink } from '../../src/feed/subscriptionPlan'
import { Fault } from '../../src/model/fault'
import { InstrumentTable } from '../../src/model/instrument'
import { fakeInstrument, fakeProtocol, type FakeOptions } from './fakeProtocol'

function plan(wishes: FeedWish[], options: FakeOptions = {}, symbols = ['AB', 'CD', 'EF', 'ABP']): PlannedLink[] {
  const protocols = new Map<string, ExchangeProtocol>()
  return planLinks(wishes, (id) => {
    let protocol = protocols.get(id)
    if (protocol === undefined) protocols.set(id, (protocol = fakeProtocol({ ...options, id })))
    return { protocol, instruments: new InstrumentTable(symbols.map((symbol) => fakeInstrument(symbol, id))) }
  })
}

function problemsIn(wishes: FeedWish[], options?: FakeOptions): string[] {
  try {
    plan(wishes, options)
  } catch (thrown) {
    expect(thrown).to.be.instanceOf(Fault).with.property('code', 'OPTION_INVALID')
    return (thrown as Fault).details['problems'] as string[]
  }
  return []
}

const keys = (links: PlannedLink[]): string[][] => links.map(({ topics }) => topics.map(({ topic }) => topic.key))

describe('planLinks', () => {
  it('finds instruments by unified name and by symbol, one connection for each endpoint', () => {
    const links = plan([{ exchange: 'fake', instruments: ['A-B', 'CD', 'A-B-PERP'], channels: ['trades', 'book'] }])
    expect(links.map(({ endpoint }) => endpoint)).to.deep.equal(['spot', 'linear'])
    expect(keys(links)).to.deep.equal([
      ['trades:AB', 'book:AB', 'trades:CD', 'book:CD'],
      ['trades:ABP', 'book:ABP'],
    ])
  })

  it('merges what several wishes have in common', () => {
    const links = plan([
      { exchange: 'fake', instruments: ['A-B'], channels: ['trades'] },
      { exchange: 'fake', instruments: ['AB', 'CD'], channels: ['trades', 'trades'] },
    ])
    expect(keys(links)).to.deep.equal([['trades:AB', 'trades:CD']])
  })

  it('keeps one book for an instrument: the deepest that was wished for', () => {
    const book = (depth?: number): FeedWish => ({ exchange: 'fake', instruments: ['A-B'], channels: ['book'], depth })
    expect(keys(plan([book(10), book(50), book(20)]))).to.deep.equal([['book50:AB']])
    expect(keys(plan([book(), book(10)]))).to.deep.equal([['book100:AB']])
    expect(keys(plan([book(), book()]))).to.deep.equal([['book:AB']])
  })

  it('asks for a book as often as the one of its wishes that wants it most often', () => {
    const book = (bookEveryMs?: number): FeedWish => ({
      exchange: 'fake',
      instruments: ['A-B'],
      channels: ['book'],
      bookEveryMs,
    })
    const pace = (...wishes: FeedWish[]) => plan(wishes)[0]!.topics.map(({ options }) => options.bookEveryMs)
    expect(pace(book(1_000), book(250))).to.deep.equal([250])
    expect(pace(book(1_000), book())).to.deep.equal([100])
    expect(pace(book(), book(0))).to.deep.equal([0])
    expect(pace(book(), book())).to.deep.equal([undefined])
  })

  it('asks for the tops of a book only when nobody wishes for its changes', () => {
    const book = (bookTops?: boolean): FeedWish => ({
      ...{ exchange: 'fake', instruments: ['A-B'], channels: ['book'], bookTops },
    })
    const tops = (...wishes: FeedWish[]) => plan(wishes)[0]!.topics.map(({ options }) => options.bookTops)
    expect([tops(book(true)), tops(book(true), book(true)), tops(book(true), book())]).to.deep.equal([
      [true],
      [true],
      [false],
    ])
  })

  it('spreads topics over as many connections as the exchange makes necessary', () => {
    const links = plan([{ exchange: 'fake', instruments: ['AB', 'CD', 'EF'], channels: ['trades', 'book'] }], {
      limits: { topicsPerConnection: 4 },
    })
    expect(keys(links)).to.deep.equal([
      ['trades:AB', 'book:AB', 'trades:CD', 'book:CD'],
      ['trades:EF', 'book:EF'],
    ])
  })

  it('gives a poll to the connection that has its instrument', () => {
    const links = plan([{ exchange: 'fake', instruments: ['AB', 'ABP'], channels: ['trades'] }], { pollMs: 1_000 })
    expect(links.map(({ endpoint, polls }) => [endpoint, ...polls.map(({ path }) => path)])).to.deep.equal([
      ['spot', '/last?symbol=AB'],
      ['linear', '/last?symbol=ABP'],
    ])
  })

  it('tells all problems at once, with the nearest names', () => {
    const problems = problemsIn([
      { exchange: 'fake', instruments: ['A-C', 'A-B'], channels: ['trades', 'liquidations'] },
      { exchange: 'other', instruments: ['X-Y-Z-1234'], channels: ['trades'] },
    ])
    expect(problems).to.have.length(3)
    expect(problems[0]).to.match(/^Exchange fake has no instrument "A-C"\. Did you mean A-B/)
    expect(problems[1]).to.equal('Exchange fake has no channel liquidations for A-B; it has trades, book.')
    expect(problems[2]).to.match(/^Exchange other has no instrument "X-Y-Z-1234"\./)
  })

  it("passes on the exchange's own objection to an option", () => {
    const protocol = fakeProtocol()
    const objecting: ExchangeProtocol = {
      ...protocol,
      channels: {
        trades: {
          ...protocol.channels.trades!,
          topics: () => {
            throw new Fault('OPTION_INVALID', 'No such interval.')
          },
        },
      },
    }
    const instruments = new InstrumentTable([fakeInstrument('AB')])
    const wishes: FeedWish[] = [{ exchange: 'fake', instruments: ['AB'], channels: ['trades'] }]
    expect(() => planLinks(wishes, () => ({ protocol: objecting, instruments }))).to.throw(Fault, 'No such interval.')
  })

  it('leaves out what one exchange has not got when it is meant wherever it is traded', () => {
    const wish = (exchange: string, instruments: string[]): FeedWish => ({
      exchange,
      instruments,
      channels: ['trades'],
      wherever: true,
    })
    const only = (id: string, symbols: string[]) => ({
      protocol: fakeProtocol({ id }),
      instruments: new InstrumentTable(symbols.map((symbol) => fakeInstrument(symbol, id))),
    })
    const of = (id: string) => (id === 'one' ? only('one', ['AB', 'CD']) : only('two', ['AB']))
    const both = ['A-B', 'C-D']
    expect(keys(planLinks([wish('one', both), wish('two', both)], of))).to.deep.equal([
      ['trades:AB', 'trades:CD'],
      ['trades:AB'],
    ])
    expect(() => planLinks([wish('one', ['E-F']), wish('two', ['E-F'])], of)).to.throw(
      Fault,
      'Exchange two has no instrument "E-F".',
    )
  })

  it('knows which symbols are required, and one that any wish requires is', () => {
    const wish = (channels: FeedWish['channels'], instruments: string[], rest: Partial<FeedWish> = {}): FeedWish => ({
      exchange: 'fake',
      instruments,
      channels,
      ...rest,
    })
    const required = (...wishes: FeedWish[]) =>
      plan(wishes).flatMap(({ topics }) => topics.map(({ topic, required }) => [topic.key, ...required]))
    expect(required(wish(['trades'], ['A-B']), wish(['trades'], ['C-D'], { required: false }))).to.deep.equal([
      ['trades:AB', 'AB'],
      ['trades:CD'],
    ])
    for (const optionalFirst of [true, false]) {
      const wishes = [wish(['book'], ['A-B'], { required: false, depth: 50 }), wish(['book'], ['A-B'])]
      expect(required(...(optionalFirst ? wishes : wishes.reverse()))).to.deep.equal([['book100:AB', 'AB']])
    }
  })

  it('is not misled by names of prototype members', () => {
    expect(
      problemsIn([{ exchange: 'fake', instruments: ['__proto__', 'constructor'], channels: ['trades'] }]),
    ).to.have.length(2)
  })
})

describe('problemsOf', () => {
  const good: FeedWish = { exchange: 'fake', instruments: ['AB'], channels: ['trades'] }

  it('has nothing against a good wish', () => {
    expect(problemsOf([good, { ...good, depth: 5, bookEveryMs: 0, intervalMs: 1_000 }])).to.deep.equal([])
  })

  it('names every way in which a wish is none', () => {
    expect(problemsOf([])).to.have.length(1)
    const problems = problemsOf([
      { ...good, instruments: [], channels: [] },
      { ...good, channels: ['trade' as never] },
      { ...good, depth: 0 },
      { ...good, depth: 1.5 },
      { ...good, intervalMs: NaN },
      { ...good, bookEveryMs: -1 },
    ])
    expect(problems).to.have.length(7)
    expect(problems[2]).to.match(/^There is no channel "trade"\. Did you mean trades/)
  })
})
