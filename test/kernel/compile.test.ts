import { expect } from 'chai'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { compileKernel, sourceOf } from '../kit/compileKernel'

describe('The compiled kernel', () => {
  it('is what its sources compile to (npm run kernel)', async function () {
    this.timeout(60_000)
    const file = path.resolve(__dirname, '../../src/kernel/wasm.ts')
    expect(readFileSync(file, 'utf8') === sourceOf(await compileKernel())).to.equal(true)
  })
})
