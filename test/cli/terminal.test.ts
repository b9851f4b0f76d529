/**
 * `millrace run` on a real terminal: what a person in ssh meets, and what happens to a run whose terminal does.
 */
import { expect } from 'chai'
import { stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { readHeader } from '../../src/feed/recording/recordingReader'
import { eventually } from '../kit/eventually'
import { needsTerminal, onTerminal, type PseudoTerminal } from '../kit/pseudoTerminal'
import { needsBuild, ROOT, temporaryFolder } from './millrace'

const PIPELINE = `
const { pipeline, feed, memory } = require('millrace')
exports.default = pipeline('watched', ({ source, sink }) => {
  const wish = { exchanges: ['binance', 'okx'], instruments: ['BTC-USDT'], channels: ['book', 'trades'] }
  sink(source('market', feed(wish), { capacity: 10_000, onFull: 'block' }), memory({ capacity: 10 }), { capacity: 100, onFull: 'keepLatest', name: 'last' })
})`

const BACK_TO_THE_SHELL = '\x1b[?25h\x1b[?1049l'

describe('A run on a terminal', function () {
  const file = temporaryFolder()
  const terminals: PseudoTerminal[] = []

  before(function () {
    needsBuild(this)
    needsTerminal(this)
  })
  afterEach(() => {
    for (const terminal of terminals.splice(0)) terminal.stop()
  })

  async function run(...options: readonly string[]): Promise<PseudoTerminal> {
    const pipeline = file('watched.js')
    await writeFile(pipeline, PIPELINE)
    const args = [path.join(ROOT, 'dist/cli/millrace.js'), 'run', pipeline, '--out', file('out'), ...options]
    const terminal = onTerminal(process.execPath, args, ROOT)
    terminals.push(terminal)
    await eventually(() => expect(terminal.text()).to.match(/books .*2 live/))
    return terminal
  }

  it('turns pages by keys, stops in order at q, and gives the terminal back as it was', async () => {
    const terminal = await run()
    terminal.send('2')
    await eventually(() => expect(terminal.text()).to.match(/└ last/))
    terminal.send('q')
    await eventually(() => expect(terminal.ended()).to.deep.equal({ exit: 0, signal: null, cooked: true }))
    const text = terminal.text()
    expect(text).to.contain(BACK_TO_THE_SHELL)
    expect(text.slice(text.lastIndexOf(BACK_TO_THE_SHELL))).to.contain('watched ran')
  })

  it('stops in order at Ctrl-C, and at a second one at once', async () => {
    const terminal = await run()
    terminal.send('\x03\x03')
    await eventually(() => expect(terminal.ended()).to.deep.equal({ exit: 130, signal: null, cooked: true }))
    expect(terminal.text()).to.contain(BACK_TO_THE_SHELL).and.contain('Stopped at once')
  })

  it('ends in order, with all it recorded, when the terminal is gone', async () => {
    const recording = file('session.ndjson.gz')
    const terminal = await run('--record', recording)
    terminal.hangUp()
    await eventually(() => expect(terminal.ended()).to.include({ exit: 0, signal: null }))
    expect((await readHeader(recording)).ended).to.equal(true)
  })

  it('goes on as ever while the terminal takes nothing', async () => {
    const recording = file('session.ndjson.gz')
    const terminal = await run('--record', recording)
    terminal.read(false)
    // More pictures than the kernel holds for a terminal that takes none: each key draws one.
    let bytes = 0
    for (let grown = 0; grown < 40; grown++) {
      terminal.send(grown % 2 === 0 ? '?' : 'x')
      const before = bytes
      await eventually(async () => expect((bytes = (await stat(recording)).size)).to.be.above(before), { everyMs: 100 })
    }
    terminal.read(true)
    terminal.send('q')
    await eventually(() => expect(terminal.ended()).to.include({ exit: 0, signal: null }))
  })
})
