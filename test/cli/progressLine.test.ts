import { expect } from 'chai'
import { clearProgress, progressLine, type ProgressLine } from '../../src/cli/progressLine'
import { indexProgress } from '../../src/cli/indexProgress'
import { FakeTerminal } from '../kit/terminal'

const ERASE = '\x1b[2K\r'

describe('Progress in a line', () => {
  const term = process.env['TERM']
  beforeEach(() => {
    process.env['TERM'] = 'xterm'
  })
  after(() => {
    if (term === undefined) delete process.env['TERM']
    else process.env['TERM'] = term
  })

  it('says how far, how fast and how long still', async () => {
    const { screen, line, wait } = shown('records')
    await wait(1_000)
    line.update({ done: 25_000, share: 0.25 })
    expect(screen.text).to.equal(`${ERASE}███░░░░░░░  25 %  25,000 records  25,000/s  3 s left`)
    await wait(1_000)
    line.update({ done: 26_000, share: 0.26, secondsLeft: 600, note: 'of two' })
    expect(latest(screen)).to.match(/^███░{7} {2}26 % {2}26,000 records {2}18,\d{3}\/s {2}of two {2}10 min 0 s left$/)
    line.end()
  })

  it('says how long it has been where nobody knows how long it will be', async () => {
    const { screen, line, wait } = shown('bytes')
    await wait(2_000)
    line.update({ done: 5_000_000 })
    expect(latest(screen)).to.equal('5000.0 kB  2500.0 kB/s  2 s')
    line.end()
  })

  it('is drawn five times a second at most', async () => {
    const { screen, line, wait } = shown('records')
    for (let done = 0; done < 1_000; done++) {
      await wait(1)
      line.update({ done })
    }
    expect(screen.text.split(ERASE).length - 1).to.equal(5)
    line.end()
  })

  it('keeps to the window', async () => {
    const { screen, line, wait } = shown('records', 20)
    await wait(1_000)
    line.update({ done: 25_000, share: 0.25 })
    expect(latest(screen).length).to.equal(19)
    line.end()
  })

  it('makes room for what else is said, and leaves nothing behind', async () => {
    const { screen, line, wait } = shown('records')
    await wait(1_000)
    line.update({ done: 1 })
    const { text } = screen
    clearProgress()
    clearProgress()
    expect(screen.text).to.equal(text + ERASE)
    line.end()
    expect(screen.text, 'it was away already').to.equal(text + ERASE)
    await wait(1_000)
    line.update({ done: 2 })
    line.end()
    line.end()
    expect(screen.text.endsWith(ERASE)).to.equal(true)
    expect(screen.listenerCount('error')).to.equal(0)
  })

  it('does not wait for a terminal that takes nothing', async () => {
    const { screen, line, wait } = shown('records')
    screen.takes = false
    for (let done = 0; done < 10; done++) {
      await wait(1_000)
      line.update({ done })
    }
    expect(screen.text.split(ERASE).length - 1).to.equal(1)
    line.end()
  })

  it('is silent where nothing can be drawn', async () => {
    for (const dumb of [false, true]) {
      if (dumb) process.env['TERM'] = 'dumb'
      const { screen, line, wait } = shown('records', 80, dumb)
      await wait(10_000)
      line.update({ done: 1, share: 1 })
      line.end()
      expect(screen.text).to.equal('')
    }
  })

  it('of an index says one sentence where nothing can be drawn, when it takes a while', () => {
    const screen = new FakeTerminal(false)
    const indexing = indexProgress(screen.stream)
    indexing.update({ bytes: 1, of: 2 })
    indexing.end()
    expect(screen.text).to.equal('')
  })
})

interface Shown {
  readonly screen: FakeTerminal
  readonly line: ProgressLine
  /** Lets time pass, and what was written be taken. */
  readonly wait: (ms: number) => Promise<void>
}

function shown(unit: string, columns = 120, isTerminal = true): Shown {
  const screen = new FakeTerminal(isTerminal, columns)
  let nowMs = 0
  const line = progressLine({ unit, stream: screen.stream, nowMs: () => nowMs })
  return {
    screen,
    line,
    wait: async (ms) => {
      nowMs += ms
      await Promise.resolve()
    },
  }
}

function latest(screen: FakeTerminal): string {
  return screen.text.slice(screen.text.lastIndexOf(ERASE) + ERASE.length)
}
