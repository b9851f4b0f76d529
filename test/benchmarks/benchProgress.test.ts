import { expect } from 'chai'
import { benchProgress } from '../../benchmarks/kit/benchProgress'
import { eventually } from '../kit/eventually'
import { FakeTerminal } from '../kit/terminal'

describe('Progress of benchmarks', () => {
  const term = process.env['TERM']
  beforeEach(() => {
    process.env['TERM'] = 'xterm'
  })
  after(() => {
    if (term === undefined) delete process.env['TERM']
    else process.env['TERM'] = term
  })

  it('says which of how many, at which repetition, and how long still by those before', async () => {
    const screen = new FakeTerminal(true, 200)
    let nowMs = 0
    const progress = benchProgress(3, screen.stream, () => nowMs)
    try {
      progress.begin('book', 'book')
      progress.said('book.cpu: repet')
      progress.said('ition 3 of 5\n')
      nowMs = 30_000
      await eventually(() =>
        expect(screen.text).to.contain('0 benchmarks  0.0/min  1 of 3: book/book book.cpu: repetition 3 of 5  30 s'),
      )
      progress.done()
      progress.begin('hop', 'hopFeeds')
      nowMs = 40_000
      await eventually(() =>
        expect(screen.text).to.match(/33 % {2}1 benchmarks {2}1\.5\/min {2}2 of 3: hop\/hopFeeds {2}50 s left/),
      )
    } finally {
      progress.end()
    }
    expect(screen.text.endsWith('\x1b[2K\r')).to.equal(true)
  })

  it('lets through by whole lines what benchmarks say else', () => {
    const screen = new FakeTerminal(true, 200)
    const progress = benchProgress(1, screen.stream, () => 0)
    progress.begin('book', 'book')
    progress.said('book.cpu: left ')
    progress.said('out.\nno end')
    expect(screen.text).to.equal('book.cpu: left out.\n')
    progress.done()
    progress.end()
    expect(screen.text).to.equal('book.cpu: left out.\nno end\n')
  })

  it('changes nothing where there is no terminal', () => {
    const log = new FakeTerminal(false)
    const progress = benchProgress(1, log.stream, () => 0)
    progress.begin('book', 'book')
    progress.said('book.cpu: repetition 1 of 5\nand')
    progress.done()
    progress.end()
    expect(log.text).to.equal('book.cpu: repetition 1 of 5\nand')
  })
})
