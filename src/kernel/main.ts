/** What the kernel exports, to TypeScript and to WebAssembly. */
export { best, change, cut, logEnd, reset } from './books'
export { krakenChecksum, okxChecksum } from './digits'
export { scan } from './scan'
