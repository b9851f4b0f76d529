import { expect } from 'chai'
import { existsSync } from 'node:fs'
import path from 'node:path'
import { isRestPath, restFileOf, restPathOf } from '../../../src/feed/recording/restFile'
import { HEADER, recordingOf, temporaryFolder } from './recordings'

const RECORDED = path.resolve(__dirname, '../../../../shared/fixtures/recorded')

describe('restFileOf', () => {
  const at = temporaryFolder()
  const rest = (name: string, forSessions?: string[]): Promise<string> =>
    recordingOf(at(name), [], { ...HEADER, kind: 'rest', for_sessions: forSessions })
  const found = async (name: string): Promise<string | undefined> => {
    const file = await restFileOf(at(name))
    return file === undefined ? undefined : path.basename(file)
  }

  it('finds the file of the same name, packed or not', async () => {
    await rest('a.rest.ndjson.gz')
    await rest('b.rest.ndjson')
    expect(await found('a.ndjson.gz')).to.equal('a.rest.ndjson.gz')
    expect(await found('a.ndjson')).to.equal('a.rest.ndjson.gz')
    expect(await found('b.ndjson')).to.equal('b.rest.ndjson')
    expect(await found('c.ndjson.gz')).to.equal(undefined)
  })

  it('finds the file of the whole session for a part of it', async () => {
    await rest('x.day1.rest.ndjson.gz')
    expect(await found('x.day1.first60.ndjson.gz')).to.equal('x.day1.rest.ndjson.gz')
    expect(await found('x.day1.rest40.ndjson.gz')).to.equal('x.day1.rest.ndjson.gz')
  })

  it('finds the file of the venue for its numbered connections', async () => {
    await rest('kraken.rest.ndjson.gz', ['kraken.ws50.first60'])
    expect(await found('kraken.ws50.first60.ndjson.gz')).to.equal('kraken.rest.ndjson.gz')
    expect(await found('kraken.ws50.rest40.ndjson.gz')).to.equal('kraken.rest.ndjson.gz')
    expect(await found('kraken.ws51.ndjson.gz')).to.equal('kraken.rest.ndjson.gz')
  })

  it('does not take the file of the venue for another session, unless it lists that session', async () => {
    await rest('binance.rest.ndjson.gz', ['binance.ws1', 'binance.eth.first50'])
    expect(await found('binance.btc.ndjson.gz')).to.equal(undefined)
    expect(await found('binance.eth.ndjson.gz')).to.equal('binance.rest.ndjson.gz')
  })

  it('does not listen to a file that is no recording', async () => {
    await recordingOf(at('okx.rest.ndjson'), [], { format: 'other' })
    expect(await found('okx.btc.ndjson')).to.equal(undefined)
  })

  it('finds none for a REST file itself', async () => {
    await rest('a.rest.ndjson.gz')
    expect(await found('a.rest.ndjson.gz')).to.equal(undefined)
  })

  it('finds the files of the recorded fixtures', async function () {
    if (!existsSync(RECORDED)) this.skip()
    const expected: readonly [session: string, rest: string | undefined][] = [
      ['binance-futures.btcusdt-20240808.first60', 'binance-futures.btcusdt-20240808'],
      ['binance-futures.ws1', 'binance-futures'],
      ['binance.ethusdt-20240808', 'binance.ethusdt-20240808'],
      ['binance.ws1', 'binance'],
      ['bybit.xrpusdt-ob500-20241201.first60', undefined],
      ['coinbase.ws28.first60', 'coinbase'],
      ['kraken.v2-btcusd-20260824', undefined],
      ['kraken.ws48', 'kraken'],
      ['kraken.ws50.first60', 'kraken'],
      ['okx.ws1.first60', 'okx'],
    ]
    for (const [session, name] of expected) {
      const file = await restFileOf(path.join(RECORDED, `${session}.ndjson.gz`))
      expect(file, session).to.equal(name === undefined ? undefined : path.join(RECORDED, `${name}.rest.ndjson.gz`))
    }
  })
})

describe('restPathOf', () => {
  it('puts the REST file beside the session, with the same ending', () => {
    expect(restPathOf('out/a.ndjson.gz')).to.equal('out/a.rest.ndjson.gz')
    expect(restPathOf('a.b.ndjson')).to.equal('a.b.rest.ndjson')
    expect(restPathOf('/x/a.gz')).to.equal('/x/a.rest.gz')
    expect(restPathOf('a')).to.equal('a.rest')
    for (const name of ['a.ndjson.gz', 'a.ndjson', 'a.gz', 'a', 'rest.ndjson']) {
      expect(isRestPath(name), name).to.equal(false)
      expect(isRestPath(restPathOf(name)), name).to.equal(true)
    }
  })
})
