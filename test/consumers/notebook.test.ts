import { expect } from 'chai'
import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { needsInstallation, RUN_WITHIN_MS, type Installation } from './installation'
import { runProcess, said } from './runProcess'

/** The system's own: another Python that comes first in the PATH need not have Jupyter. */
const JUPYTER = '/usr/bin/jupyter-nbconvert'
const PYTHON = '/usr/bin/python3'

interface Notebook {
  readonly cells: {
    readonly cell_type: string
    readonly source: string[] | string
    readonly outputs?: { readonly text?: string[] | string }[]
  }[]
}

describe('millrace in a notebook', function () {
  this.timeout(2 * RUN_WITHIN_MS)
  let installed: Installation
  let env: Record<string, string>

  before(async function () {
    if (!existsSync(JUPYTER)) {
      console.log(`Skipped: tests of notebooks; there is no ${JUPYTER} (apt-get install jupyter-nbconvert).`)
      return this.skip()
    }
    installed = await needsInstallation(this)
    env = await kernelOf(installed.folder)
    await installed.write(
      'squareWorker.ts',
      `import { threadId } from 'node:worker_threads'
       import { exposeEntry } from 'millrace'
       enum Kind { Square = 'square' }
       exposeEntry((values: { n: number }[]) => values.map(({ n }) => ({ kind: Kind.Square, n: n * n, threadId })))`,
    )
  })

  it('runs what millrace init has written: books from the simulator, and the pipeline file', async () => {
    const text = await execute('notebook.ipynb')
    expect(text).to.match(/^(kraken|okx) \{ price: [\d.]+, size: [\d.]+ \} \{ price: /m)
    expect(text).to.match(/^trade-bars \[/m)
    expect(text).to.match(/written: [1-9]/)
    expect(await installed.read('out/bars-1s.jsonl')).to.include('"BTC-USDT"')
  })

  it('hops to a worker thread in TypeScript and back, and a pipeline runs beside it', async () => {
    await writeNotebook('worker.ipynb', [
      `import path from 'node:path'
       import { range, map } from 'rxjs'
       import { collect, feed, memory, onWorker, pipeline } from 'millrace'
       import { bars } from 'millrace/operators'`,
      `interface Squared { kind: string; n: number; threadId: number }
       const squares = range(1, 100).pipe(
         map((n) => ({ n })),
         onWorker<{ n: number }, Squared>(path.resolve('squareWorker.ts'), {
           capacity: 100, onFull: 'fail', batchMax: 16, deadlineMs: 30_000,
           restart: { atMost: 1, withinMs: 60_000, backoffMs: [100, 1_000] },
         }),
       )
       const squared = await collect(squares, { forMs: 40_000 })
       console.log('squared', squared.length, squared.at(-1)?.n, squared.every((each) => each.threadId > 0))`,
      `const kept = memory({ capacity: 10_000 })
       const own = pipeline('own', ({ source, sink }) => {
         const wish = { exchanges: ['okx'], instruments: ['BTC-USDT'], channel: 'trades' as const }
         sink(source('market', feed(wish), { capacity: 100, onFull: 'block' }), kept, { capacity: 100, onFull: 'block' })
       })
       const running = own.start()
       const some = async () => { while (kept.values.length === 0) await new Promise((resolve) => setTimeout(resolve, 20)) }
       await some()
       const summary = await running.stop()
       console.log(summary.pipeline, summary.problems.length, kept.values.length > 0, typeof bars.time)`,
      `const threads = (['SIGINT', 'SIGTERM'] as const).flatMap((signal) => process.listeners(signal))
         .filter((listener) => /terminateWorkersAndMaster/.test(String(listener)))
       console.log('listeners of threads', threads.length)`,
    ])
    const text = await execute('worker.ipynb')
    expect(text).to.include('squared 100 10000 true')
    expect(text).to.include('own 0 true function')
    expect(text).to.include('listeners of threads 0')
  })

  it('goes on after "Interrupt kernel", also when a worker has run', async () => {
    await installed.write(
      'interrupted.py',
      `import sys, time
from jupyter_client.manager import start_new_kernel
manager, client = start_new_kernel(startup_timeout=60, kernel_name='tslab')
def run(code):
    said = []
    reply = client.execute_interactive(code, timeout=60, allow_stdin=False,
        output_hook=lambda m: said.append(m['content'].get('text', '')))
    print(reply['content']['status'], ''.join(said).strip(), flush=True)
run("import path from 'node:path'\\nimport { of } from 'rxjs'\\nimport { collect, onWorker } from 'millrace'")
run("""const squared = await collect(of({ n: 3 }).pipe(onWorker<{ n: number }, { n: number }>(path.resolve('squareWorker.ts'), {
  capacity: 1, onFull: 'fail', batchMax: 1, deadlineMs: 30_000, restart: { atMost: 1, withinMs: 60_000, backoffMs: [100, 1_000] } })))
console.log('squared', squared[0].n)""")
manager.interrupt_kernel()
time.sleep(1)
print('alive', manager.is_alive(), flush=True)
run("console.log('still', squared[0].n)")
client.stop_channels()
manager.shutdown_kernel(now=True)
`,
    )
    const result = await runProcess(PYTHON, ['interrupted.py'], { cwd: installed.folder, env, withinMs: RUN_WITHIN_MS })
    expect(result.stdout, said(result)).to.include('squared 9')
    expect(result.stdout, said(result)).to.include('alive True')
    expect(result.stdout, said(result)).to.include('ok still 9')
  })

  it('says what is wrong with a cell, and where', async () => {
    await writeNotebook('wrong.ipynb', [
      `import { feed } from 'millrace'
feed({ exchanges: ['binanse'], instruments: ['BTC-USDT'], channel: 'trades' })`,
    ])
    expect((await convert('wrong.ipynb')).status).to.not.equal(0)
    expect(await execute('wrong.ipynb', '--allow-errors')).to.include(
      'There is no exchange "binanse". Did you mean binance',
    )
  })

  const convert = (name: string, ...options: string[]) =>
    runProcess(
      JUPYTER,
      [
        '--to',
        'notebook',
        '--execute',
        name,
        '--ExecutePreprocessor.kernel_name=tslab',
        '--output',
        `done-${name}`,
        ...options,
      ],
      { cwd: installed.folder, env, withinMs: RUN_WITHIN_MS },
    )

  /** Executes a notebook of the project and returns what its cells printed. */
  async function execute(name: string, ...options: string[]): Promise<string> {
    const result = await convert(name, ...options)
    expect(result.status, said(result)).to.equal(0)
    expect(result.stderr).not.to.match(/MissingIDField|validat/)
    const { cells } = JSON.parse(await installed.read(`done-${name}`)) as Notebook
    return cells
      .flatMap((cell) => cell.outputs ?? [])
      .map(({ text = '' }) => (typeof text === 'string' ? text : text.join('')))
      .join('')
  }

  /** A notebook like the one of `millrace init`, with other code in it. */
  async function writeNotebook(name: string, codes: readonly string[]): Promise<void> {
    const like = JSON.parse(await installed.read('notebook.ipynb')) as Notebook
    const cell = like.cells.find((each) => each.cell_type === 'code')
    const cells = codes.map((source, index) => ({ ...cell, id: `own-${index}`, source }))
    await installed.write(name, JSON.stringify({ ...like, cells }))
  }
})

/** Tells Jupyter of the project's own tslab, as `tslab install` does, for these processes alone. */
async function kernelOf(folder: string): Promise<Record<string, string>> {
  const jupyter = path.join(folder, 'jupyter')
  await mkdir(path.join(jupyter, 'kernels/tslab'), { recursive: true })
  const tslab = path.join(folder, 'node_modules/tslab/bin/tslab')
  const argv = [process.execPath, tslab, 'kernel', '--config-path', '{connection_file}']
  await writeFile(
    path.join(jupyter, 'kernels/tslab/kernel.json'),
    JSON.stringify({ argv, display_name: 'TypeScript', language: 'typescript' }),
  )
  return { JUPYTER_PATH: jupyter, JUPYTER_RUNTIME_DIR: path.join(jupyter, 'runtime'), IPYTHONDIR: jupyter }
}
