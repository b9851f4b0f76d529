import { expose } from 'threads/worker'

/** An entry that uses the library itself, whose handlers keep a failed worker alive. */
expose({
  throwLater(): Promise<never> {
    setTimeout(() => {
      throw new Error('late throw')
    }, 1)
    return new Promise(() => undefined)
  },
})
