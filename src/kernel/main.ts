/** What the kernel exports, to TypeScript and to WebAssembly. */
export { best, change, cut, depths, logEnd, reset, update } from './books'
export { krakenChecksum, okxChecksum } from './digits'
export { frameLine, quote } from './quote'
export { hashOf, scan } from './scan'
export { forgetTexts, levelsText, viewText } from './text'
