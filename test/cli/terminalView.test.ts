/**
 * What a run shows on a terminal, and where there is none.
 */
import { expect } from 'chai'
import { EventEmitter } from 'node:events'
import { terminalView, type TerminalView } from '../../src/cli/terminalView'
import type { InstrumentRow } from '../../src/pipeline/monitor'
import { noLatencies } from '../../src/pipeline/watching'
import type { RunStatus } from '../../src/pipeline/runSummary'
import { eventually } from '../kit/eventually'

const BACK_TO_THE_SHELL = '\x1b[?25h\x1b[?1049l'

/** As much of a terminal as the view needs. */
class Screen extends EventEmitter {
  text = ''

  constructor(
    readonly isTTY: boolean,
    public columns = 120,
    public rows = 40,
    private readonly colours = false,
  ) {
    super()
  }

  write(text: string): boolean {
    this.text += text
    return true
  }

  hasColors(): boolean {
    return this.colours
  }

  /** The latest picture, without what moves the cursor. */
  get picture(): string[] {
    return this.text
      .slice(this.text.lastIndexOf('\x1b[H') + 3)
      .replaceAll(/\x1b\[[0-9?]*[KJhl]/g, '')
      .split('\r\n')
  }
}

describe('The terminal view', () => {
  const term = process.env['TERM']
  before(() => {
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
    const screen = new Screen(true, 80, 12)
    const view = show(screen)
    await eventually(() => expect(screen.picture.join('\n')).to.contain('BTC-USDT'))
    const lines = screen.picture
    expect(lines.length).to.be.at.most(12)
    for (const line of lines) expect(line.length).to.be.below(80)
    const [binance, kraken] = [
      lines.findIndex((line) => /binance/.test(line)),
      lines.findIndex((line) => /kraken/.test(line)),
    ]
    expect(lines[binance]).to.match(/^BTC-USDT +binance +live +\d+ +78640\.41 +78641\.75 +0\.17/)
    expect(kraken).to.equal(binance + 1)
    expect(lines[kraken], 'a book in repair shows no prices').to.match(/^ +kraken +gap +\d+ +- +- +-/)
    screen.columns = 140
    screen.emit('resize')
    expect(screen.picture.join('\n')).to.match(/resyncs +levels/)
    view.stop()
    expect(screen.text, 'no colours where the terminal has none').to.not.match(/\x1b\[\d+m/)
  })

  it('leaves the screen as it was, with the last picture that had books in it', async () => {
    const screen = new Screen(true)
    const rows = instruments()
    const view = show(screen, rows)
    await eventually(() => expect(screen.picture.join('\n')).to.contain('78640.41'))
    for (const row of rows.values()) row.state = 'down'
    view.note('Stopping.')
    expect(screen.picture.join('\n')).to.contain('Stopping.').and.contain('down')
    view.stop()
    const left = screen.text.slice(screen.text.lastIndexOf(BACK_TO_THE_SHELL))
    expect(left).to.contain('78640.41').and.not.contain('down').and.not.contain('Stopping.')
    expect(screen.listenerCount('resize')).to.equal(0)
  })

  it('prints names from outside without letting them move the cursor', async () => {
    const screen = new Screen(true)
    const view = show(screen, instruments('\x1b[2JEVIL'))
    await eventually(() => expect(screen.text).to.contain('[2JEVIL'))
    view.stop()
    expect(screen.text).to.contain('·[2JEVIL').and.not.contain('\x1b[2J')
  })

  it('shows stages that have failed, those that are down first, and where the messages are', async () => {
    const times = { values: 0, busyUs: 0, latencyUs: { count: 0, p50: 0, p99: 0, max: 0 } }
    const base = { ...times, path: 'test/x', lastFault: undefined } as const
    const failing: Partial<RunStatus> = {
      stages: [
        { ...base, name: 'well', state: 'running', failures: 0, restarts: 0 },
        { ...base, name: 'mended', state: 'running', failures: 7, restarts: 7 },
        {
          ...base,
          name: 'down',
          state: 'stopped',
          failures: 1,
          restarts: 0,
          lastFault: 'It failed on\x1b[2J a trade.',
        },
      ],
      quarantine: { kept: 3, unkept: 2, file: '/tmp/out/quarantine/test.jsonl' },
      held: { times: 4, seconds: 1.5 },
    }
    const screen = new Screen(true, 140)
    show(screen, instruments(), failing)
    await eventually(() => expect(screen.picture.join('\n')).to.contain('mended'))
    const lines = screen.picture
    const at = lines.findIndex((line) => line.startsWith('stage'))
    expect(lines.slice(at + 1, at + 4).map((line) => line.replaceAll(/ +/g, ' ').trimEnd())).to.deep.equal([
      'down failed failures 1 restarts 0 It failed on·[2J a trade.',
      'mended running failures 7 restarts 7',
      'quarantined 3 kept in /tmp/out/quarantine/test.jsonl, 2 more not',
    ])
    expect(lines.join('\n')).to.contain('held back 4 times, 1.5 s').and.to.not.contain('well')

    const log = new Screen(false)
    show(log, instruments(), failing)
    await eventually(() => expect(log.text).to.contain('faults 2  restarts 7  quarantined 5  held 4  '))
  })

  it('uses colours on a terminal that has them', async () => {
    const screen = new Screen(true, 120, 40, true)
    const view = show(screen)
    await eventually(() => expect(screen.text).to.contain('\x1b[32mlive'))
    view.stop()
  })

  it('writes a line a second where there is no terminal', async () => {
    const screen = new Screen(false)
    const view = show(screen)
    await eventually(() => expect(screen.text).to.contain('\n'))
    view.note('Stopping.')
    view.stop()
    expect(screen.text).to.match(
      /^ +7 s {2}\d+ events\/s {2}books 1 live, 1 in repair {2}gaps 1 resyncs 0 {2}dropped 3 {2}faults 2 /,
    )
    expect(screen.text.endsWith('Stopping.\n')).to.equal(true)
    expect(screen.text).to.not.contain('\x1b')
  })
})

const shown: TerminalView[] = []

function show(screen: Screen, rows = instruments(), more: Partial<RunStatus> = {}): TerminalView {
  const view = terminalView(() => ({ ...statusOf(rows), ...more }), screen as unknown as NodeJS.WriteStream)
  shown.push(view)
  return view
}

function instruments(name = 'BTC-USDT'): Map<string, InstrumentRow> {
  const base = { name, trades: 0, gaps: 0, resyncs: 0, lastUs: 0, events: 100 }
  return new Map<string, InstrumentRow>([
    ['kraken', { ...base, exchange: 'kraken', state: 'gap', gaps: 1, bidPrice: 1, askPrice: 2, levels: [10, 10] }],
    [
      'binance',
      { ...base, exchange: 'binance', state: 'live', bidPrice: 78640.41, askPrice: 78641.75, levels: [100, 100] },
    ],
  ])
}

function statusOf(rows: RunStatus['rows']): RunStatus {
  return {
    phase: 'running',
    pipeline: 'test',
    mode: 'simulate',
    seconds: 7,
    records: 10,
    events: 200,
    streamTimeUs: undefined,
    rows,
    edges: [
      {
        from: 'a',
        to: 'b',
        kind: 'mailbox',
        capacity: 1,
        onFull: 'keepLatest',
        in: 9,
        out: 2,
        dropped: { keepLatest: 7 },
        inFlight: 0,
      },
      {
        from: 'b',
        to: 'c',
        kind: 'mailbox',
        capacity: 10,
        onFull: 'dropOldest',
        in: 9,
        out: 6,
        dropped: { dropOldest: 3 },
        inFlight: 0,
      },
    ],
    sinks: [],
    stages: [],
    streams: [],
    latencyUs: noLatencies(),
    faults: { BOOK_GAP: 2 },
    connections: [],
    tree: { name: 'test', kind: 'run', state: 'running', restarts: 0, failures: 0, quarantined: 0, children: [] },
    quarantine: undefined,
    held: { times: 0, seconds: 0 },
  }
}
