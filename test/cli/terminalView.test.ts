/**
 * What a run shows on a terminal, and where there is none; and what a person may do there.
 */
import { expect } from 'chai'
import { terminalView, type TerminalView, type ViewedRun } from '../../src/cli/terminalView'
import type { Act } from '../../src/cli/view/viewState'
import type { RunStatus } from '../../src/pipeline/runSummary'
import { eventually } from '../kit/eventually'
import { FakeKeyboard, FakeTerminal } from '../kit/terminal'
import { instruments, manyInstruments, viewedRun } from '../kit/viewed'

const TO_OWN_SCREEN = '\x1b[?1049h'
const BACK_TO_THE_SHELL = '\x1b[?25h\x1b[?1049l'

describe('The terminal view', () => {
  const term = process.env['TERM']
  beforeEach(() => {
    process.env['TERM'] = 'xterm'
  })
  after(() => {
    if (term === undefined) delete process.env['TERM']
    else process.env['TERM'] = term
  })

  // A view that a failed test left behind would keep the process alive.
  afterEach(() => {
    for (const view of shown.splice(0)) view.stop()
  })

  it('shows instruments by name with their exchanges below each other, and keeps to the window', async () => {
    const screen = new FakeTerminal(true, 80, 14)
    const view = show(screen)
    await eventually(() => expect(screen.picture.join('\n')).to.contain('BTC-USDT'))
    const lines = screen.picture
    expect(lines.length).to.be.at.most(14)
    for (const line of lines) expect(line.length).to.be.below(80)
    const [binance, kraken] = [
      lines.findIndex((line) => /binance/.test(line)),
      lines.findIndex((line) => /kraken/.test(line)),
    ]
    expect(lines[binance]).to.match(/^BTC-USDT +binance +live +- +\d+ +78640\.41 +78641\.75 +0\.17/)
    expect(kraken).to.equal(binance + 1)
    expect(lines[kraken], 'a book in repair shows no prices').to.match(/^ +kraken +gap +- +\d+ +- +- +- +1/)
    screen.columns = 140
    screen.emit('resize')
    await eventually(() => expect(screen.picture.join('\n')).to.match(/resyncs +levels/))
    view.stop()
    expect(screen.text, 'no colours where the terminal has none').to.not.match(/\x1b\[\d+m/)
  })

  it('leaves the screen as it was, with the last picture that had books in it', async () => {
    const screen = new FakeTerminal(true)
    const rows = instruments()
    const view = show(screen, viewedRun(rows))
    await eventually(() => expect(screen.picture.join('\n')).to.contain('78640.41'))
    await eventually(() => expect(screen.text.split('\x1b[H').length).to.be.above(4)) // it has been looked at since
    for (const row of rows.values()) row.state = 'down'
    view.note('Stopping.')
    await eventually(() => expect(screen.picture.join('\n')).to.contain('Stopping.').and.contain('down'))
    view.stop()
    view.stop()
    const left = screen.text.slice(screen.text.lastIndexOf(BACK_TO_THE_SHELL))
    expect(left).to.contain('78640.41').and.not.contain('down').and.not.contain('Stopping.')
    expect(screen.listenerCount('resize') + screen.listenerCount('error')).to.equal(0)
  })

  it('prints names from outside without letting them move the cursor', async () => {
    const screen = new FakeTerminal(true)
    const view = show(screen, viewedRun(instruments('\x1b[2J\u202eEVIL')))
    await eventually(() => expect(screen.text).to.contain('[2J'))
    view.stop()
    expect(screen.text).to.contain('·[2J·EVIL').and.not.contain('\x1b[2J').and.not.contain('\u202e')
  })

  it('shows stages that have failed, those that are down first, and where the messages are', async () => {
    const times = { values: 0, busyUs: 0, latencyUs: { count: 0, p50: 0, p99: 0, max: 0 } }
    const base = { ...times, path: 'test/x', lastFault: undefined } as const
    const lastFault = 'It failed on\x1b[2J a trade.'
    const failing: Partial<RunStatus> = {
      stages: [
        { ...base, name: 'well', state: 'running', failures: 0, restarts: 0 },
        { ...base, name: 'mended', state: 'running', failures: 7, restarts: 7 },
        { ...base, name: 'down', state: 'stopped', failures: 1, restarts: 0, lastFault },
      ],
      quarantine: { kept: 3, unkept: 2, file: '/tmp/out/quarantine/test.jsonl' },
      held: { times: 4, seconds: 1.5 },
    }
    const screen = new FakeTerminal(true, 140)
    show(screen, viewedRun(instruments(), failing))
    await eventually(() => expect(screen.picture.join('\n')).to.contain('mended'))
    const lines = screen.picture
    const at = lines.findIndex((line) => line.startsWith('stage'))
    expect(lines.slice(at + 1, at + 4).map((line) => line.replaceAll(/ +/g, ' ').trimEnd())).to.deep.equal([
      'down failed 1 0 It failed on·[2J a trade.',
      'mended running 7 7',
      'quarantined: 3 kept in /tmp/out/quarantine/test.jsonl, 2 more not',
    ])
    expect(lines.join('\n')).to.contain('held back 4 times, 1.5 s').and.to.not.contain('well')

    const log = new FakeTerminal(false)
    show(log, viewedRun(instruments(), failing))
    await eventually(() => expect(log.text).to.contain('faults 2  restarts 7  quarantined 5  held 4  '))
  })

  it('uses colours on a terminal that has them', async () => {
    const screen = new FakeTerminal(true, 120, 40, true)
    const view = show(screen)
    await eventually(() => expect(screen.text).to.contain('\x1b[32mlive'))
    view.stop()
  })

  it('writes a line a second where there is no terminal, or one whose cursor cannot be moved', async () => {
    process.env['TERM'] = 'dumb'
    for (const screen of [new FakeTerminal(false), new FakeTerminal(true)]) {
      const view = show(screen)
      await eventually(() => expect(screen.text).to.contain('\n'))
      view.note('Stopping.')
      view.stop()
      expect(screen.text).to.match(
        /^ +7 s {2}\d+ events\/s {2}books 1 live, 1 in repair {2}gaps 1 resyncs 0 {2}dropped 3 {2}faults 2 /,
      )
      expect(screen.text.endsWith('Stopping.\n')).to.equal(true)
      expect(screen.text).to.not.contain('\x1b')
    }
  })

  it('says in the line how far a replay is, and how unwell a run', async () => {
    const screen = new FakeTerminal(false)
    const replay: Partial<RunStatus> = { mode: 'replay', progress: { share: 0.25, secondsLeft: 21 } }
    show(screen, viewedRun(instruments(), replay, { level: 'degraded', reasons: ['It is.'] }))
    await eventually(() => expect(screen.text).to.match(/^ +7 s {2}25 %, 21 s left {2}\d+ events\/s {2}degraded {2}/))
  })

  describe('with a keyboard', () => {
    it('turns to the page of a key, scrolls, and finds instruments', async () => {
      const screen = new FakeTerminal(true, 100, 24)
      const keys = new FakeKeyboard()
      show(screen, viewedRun(manyInstruments(500)), keys)
      await sees(screen, /SYM00000-USDT/)
      await sees(screen, /1-\d+ of 500/)

      keys.press('g', 'G')
      await sees(screen, /SYM00499-USDT/)
      keys.press('home', '\x1b[H')
      await sees(screen, /^SYM00000-USDT/m)
      keys.press('down', '\x1b[B')
      await sees(screen, /^SYM00001-USDT/m)

      for (const letter of ['/', '4', '9', '8']) keys.press(letter)
      await sees(screen, /show only: 498/)
      expect(screen.picture.filter((line) => line.startsWith('SYM')).map((line) => line.slice(0, 8))).to.deep.equal([
        'SYM00498',
      ])
      keys.press('return', '\r')
      await sees(screen, /like 498/)
      keys.press('escape', '\x1b')
      await sees(screen, /^SYM00000-USDT/m)

      keys.press('2')
      await sees(screen, /^market +running/m)
      keys.press('3')
      await sees(screen, /14:30:07 {2}BOOK_GAP\n +The newer one\.\n14:30:05/)
      keys.press('?')
      await sees(screen, /suspend, as any program/)
      keys.press('x')
      await sees(screen, /The newer one\./)
    })

    it('asks to stop, and hands on what the terminal would have signalled', () => {
      const screen = new FakeTerminal(true)
      const keys = new FakeKeyboard()
      const acts: Act[] = []
      show(screen, viewedRun(), keys, (act) => acts.push(act))
      expect(keys.modes).to.deep.equal([true])
      keys.press('q')
      keys.emit('keypress', '\x03', { name: 'c', ctrl: true, sequence: '\x03' })
      keys.emit('keypress', '\x1a', { name: 'z', ctrl: true, sequence: '\x1a' })
      expect(acts).to.deep.equal(['stop', 'SIGINT', 'SIGTSTP'])
    })

    it('gives the keyboard back, and does not read it any more', () => {
      const keys = new FakeKeyboard()
      const view = show(new FakeTerminal(true), viewedRun(), keys)
      expect(keys.isRead).to.equal(true)
      view.stop()
      expect(keys.modes).to.deep.equal([true, false])
      expect(keys.isRead).to.equal(false)
      expect(keys.listenerCount('keypress')).to.equal(0)
    })

    it('never reads an input that is no terminal', () => {
      const keys = new FakeKeyboard()
      Object.defineProperty(keys, 'isTTY', { value: undefined })
      const screen = new FakeTerminal(true)
      show(screen, viewedRun(), keys)
      expect(keys.isRead).to.equal(false)
      expect(keys.modes).to.deep.equal([])
      expect(screen.picture.join('\n')).to.not.contain('q stop')
    })
  })

  it('draws nothing more while a terminal does not take what was drawn, and goes on when it does', async () => {
    const screen = new FakeTerminal(true)
    screen.takes = false
    let looked = 0
    const run = viewedRun()
    show(screen, { ...run, status: () => (looked++, run.status()) })
    await eventually(() => expect(looked).to.be.above(4))
    expect(screen.text, 'nothing but the first write').to.not.contain('BTC-USDT')
    screen.thaw()
    await eventually(() => expect(screen.text).to.contain('BTC-USDT'))
  })

  it('goes on without a terminal that is gone', async () => {
    const screen = new FakeTerminal(true)
    let looked = 0
    const run = viewedRun()
    const view = show(screen, { ...run, status: () => (looked++, run.status()) })
    screen.emit('error', Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }))
    const { text } = screen
    const before = looked
    await eventually(() => expect(looked).to.be.above(before + 1))
    view.stop()
    expect(screen.text).to.equal(text)
  })

  it('draws nothing in the background, and comes back with the foreground', async () => {
    const screen = new FakeTerminal(true)
    const keys = new FakeKeyboard()
    let isForeground = false
    let looked = 0
    const run = viewedRun()
    const viewed = { ...run, status: () => (looked++, run.status()) }
    const view = terminalView(viewed, {
      stream: screen.stream,
      input: keys.stream,
      isForeground: () => isForeground,
    })
    shown.push(view)
    await eventually(() => expect(looked).to.be.above(3))
    expect(screen.text).to.equal('')
    expect(keys.modes).to.deep.equal([])
    isForeground = true
    await eventually(() => expect(screen.text).to.contain(TO_OWN_SCREEN).and.contain('BTC-USDT'))
    expect(keys.modes).to.deep.equal([true])
  })

  it('leaves no listener at the process', () => {
    const events = ['exit', 'SIGTSTP', 'SIGCONT'] as const
    const counts = (): number[] => events.map((event) => process.listenerCount(event))
    const before = counts()
    const view = show(new FakeTerminal(true), viewedRun(), new FakeKeyboard())
    expect(counts()).to.not.deep.equal(before)
    view.stop()
    expect(counts()).to.deep.equal(before)
  })
})

const shown: TerminalView[] = []

function show(
  screen: FakeTerminal,
  run: ViewedRun = viewedRun(),
  keys?: FakeKeyboard,
  act?: (act: Act) => void,
): TerminalView {
  const view = terminalView(run, {
    stream: screen.stream,
    isForeground: () => true,
    ...(keys === undefined ? {} : { input: keys.stream }),
    ...(act === undefined ? {} : { act }),
  })
  shown.push(view)
  return view
}

async function sees(screen: FakeTerminal, what: RegExp): Promise<void> {
  await eventually(() => expect(screen.picture.map((line) => line.trimEnd()).join('\n')).to.match(what))
}
