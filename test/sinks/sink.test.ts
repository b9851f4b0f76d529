import { expect } from 'chai'
import path from 'node:path'
import { Fault } from '../../src/model/fault'
import { ByteDigest } from '../../src/sinks/files/byteDigest'
import { fileFault } from '../../src/model/fileFault'
import { resolveOut } from '../../src/sinks/sink'

describe('the path of a sink', () => {
  const within = (sinkPath: string, outDir: string): string =>
    path.relative(path.resolve(outDir), resolveOut(sinkPath, outDir))

  it('is meant within the output folder', () => {
    expect(within('a/b.json', 'elsewhere')).to.equal('a/b.json')
    expect(within('./b.json', '/tmp/x')).to.equal('b.json')
  })

  it('may begin with out/, which is the output folder whatever its name', () => {
    expect(within('out/spread.json', 'out')).to.equal('spread.json')
    expect(within('out/spread.json', '/tmp/elsewhere')).to.equal('spread.json')
    expect(within('./out//a/b.json', 'x')).to.equal('a/b.json')
    expect(within('out/out/b.json', 'x')).to.equal('out/b.json')
    expect(within('outer/b.json', 'x')).to.equal('outer/b.json')
    expect(within('out', 'x')).to.equal('out')
  })

  it('may go up and down as long as it stays inside, and be absolute if it is inside', () => {
    expect(within('a/../b.json', 'x')).to.equal('b.json')
    expect(within('..b.json', 'x')).to.equal('..b.json')
    expect(within(path.resolve('x/a.json'), 'x')).to.equal('a.json')
  })

  it('may not leave the output folder, by whatever way', () => {
    for (const bad of ['../b', 'a/../../b', 'out/../../b', '/etc/passwd', '..', 'out/..', './..']) {
      expect(() => resolveOut(bad, 'x'), bad)
        .to.throw(Fault)
        .with.property('code', 'OPTION_INVALID')
    }
  })

  it('names a file', () => {
    for (const bad of ['', '.', 'out/', 'a/', 'a\0b', 'out/.']) {
      expect(() => resolveOut(bad, 'x'), JSON.stringify(bad)).to.throw('does not name a file')
    }
  })
})

describe('the fault of a file', () => {
  const system = (code: string): Error => Object.assign(new Error(`${code}: something, write`), { code })

  it('says what, where and what to do for each way a disk fails', () => {
    for (const code of ['ENOSPC', 'EROFS', 'EACCES', 'ENOENT', 'ENOTDIR', 'EIO', 'EDQUOT', 'EMFILE']) {
      const fault = fileFault('bars', '/data/bars.jsonl', system(code))
      expect(fault.code).to.equal('SINK_REJECTED')
      expect(fault.message).to.match(/^The sink bars cannot write \/data\/bars\.jsonl: [a-z].*; [a-z].*\.$/)
      expect(fault.details).to.deep.equal({ sink: 'bars', path: '/data/bars.jsonl', errno: code })
    }
  })

  it('quotes what it does not know', () => {
    expect(fileFault('bars', 'f', system('EWHAT')).message).to.equal(
      'The sink bars cannot write f: EWHAT: something, write.',
    )
    expect(fileFault('bars', 'f', 'a text').message).to.equal('The sink bars cannot write f: a text.')
  })

  it('is a fault that was one already', () => {
    const fault = new Fault('OPTION_INVALID', 'No.')
    expect(fileFault('bars', 'f', fault)).to.equal(fault)
  })
})

describe('the digest of bytes', () => {
  it('is undefined until it is enabled, and can be read in between', () => {
    const digest = new ByteDigest()
    digest.update('lost')
    expect(digest.value()).to.equal(undefined)
    digest.enable()
    digest.update('a')
    const first = digest.value()
    expect(digest.value()).to.equal(first)
    digest.update(Buffer.from('b'))
    const other = new ByteDigest()
    other.enable()
    other.update('ab')
    expect(digest.value()).to.equal(other.value())
    digest.restart()
    digest.replaceBy(other)
    expect(digest.value()).to.equal(other.value())
  })
})
