import { expect } from 'chai'
import { FIRST_VIEW, pressed, type Key, type ViewState } from '../../../src/cli/view/viewState'

describe('The state of a view', () => {
  it('turns pages round and round', () => {
    const pages = ['tab', 'tab', 'tab', 'left'].reduce<ViewState[]>(
      (states, name) => [...states, press(states.at(-1)!, { name })],
      [FIRST_VIEW],
    )
    expect(pages.map(({ page }) => page)).to.deep.equal(['market', 'pipeline', 'faults', 'market', 'faults'])
  })

  it('scrolls each page by itself, and never above its beginning', () => {
    let state = press(FIRST_VIEW, { name: 'pagedown' })
    state = press(state, { name: 'down' })
    state = press(press(state, { sequence: '2' }), { name: 'up' })
    expect(state.scrolled).to.deep.equal({ market: 21, pipeline: 0, faults: 0 })
    expect(press(state, { sequence: 'G' }).scrolled.pipeline).to.equal(Infinity)
  })

  it('takes letters for the filter while it is typed, whatever they do otherwise', () => {
    let state = press(FIRST_VIEW, { sequence: '/' })
    for (const sequence of ['q', '2', '?', '比']) state = press(state, { sequence })
    expect(state).to.include({ filter: 'q2?比', isTyping: true, page: 'market', isHelp: false })
    state = press(state, { name: 'backspace', sequence: '\x7f' })
    expect(press(state, { name: 'return', sequence: '\r' })).to.include({ filter: 'q2?', isTyping: false })
    expect(press(state, { name: 'escape', sequence: '\x1b' })).to.include({ filter: '', isTyping: false })
  })

  it('takes no filter without end, and no letter that is none', () => {
    let state = press(FIRST_VIEW, { sequence: '/' })
    for (let letter = 0; letter < 1_000; letter++) state = press(state, { sequence: 'a' })
    expect(state.filter.length).to.equal(40)
    state = press({ ...state, filter: '' }, { sequence: '\x1b[201~', name: 'undefined' })
    state = press(state, { sequence: '\u0000' })
    state = press(state, { sequence: 'x', ctrl: true })
    expect(state.filter).to.equal('')
  })

  it('interrupts and suspends also while something is typed or helped with', () => {
    const typing = press(FIRST_VIEW, { sequence: '/' })
    for (const state of [FIRST_VIEW, typing, { ...FIRST_VIEW, isHelp: true }]) {
      expect(pressed(state, { name: 'c', ctrl: true, sequence: '\x03' }, 20).act).to.equal('SIGINT')
      expect(pressed(state, { name: 'z', ctrl: true, sequence: '\x1a' }, 20).act).to.equal('SIGTSTP')
    }
    expect(pressed(typing, { sequence: 'q' }, 20).act).to.equal(undefined)
    expect(pressed(FIRST_VIEW, { sequence: 'q' }, 20).act).to.equal('stop')
  })

  it('leaves help at any key, which does nothing else', () => {
    const help = press(FIRST_VIEW, { sequence: '?' })
    expect(help.isHelp).to.equal(true)
    expect(pressed(help, { sequence: 'q' }, 20)).to.deep.equal({ state: FIRST_VIEW })
  })
})

function press(state: ViewState, key: Key): ViewState {
  return pressed(state, key, 20).state
}
