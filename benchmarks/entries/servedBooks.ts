/**
 * A run of many books with its page, in a process of its own, for `dashboardSoak`: what drives the browser is no part of
 * what it takes. Its argument are the options of the books; it tells its address once it is served, answers `sizes`, and at
 * `restart` ends its server and begins it again. It ends with the process that began it.
 */
import { servePage } from '../../test/dashboard/servePage'
import { exchangesOf, runManyBooks, type ManyBooksOptions } from '../../test/dashboard/manyBooks'
import { collectGarbage } from '../../test/kit/collectGarbage'
import { simulatorProcess } from '../kit/simulatorProcess'

export type ServedBooksRequest = 'sizes' | 'restart'

/** Bytes of the heap are those after a collection; of processor time, microseconds since the beginning. */
export interface ServedBooksSizes {
  readonly heapBytes: number
  readonly rssBytes: number
  readonly cpuUs: number
}

async function served(options: ManyBooksOptions): Promise<void> {
  // The candles that the exchanges keep are none of the run's memory.
  const { addresses } = await simulatorProcess(exchangesOf(options))
  const run = runManyBooks(options, addresses)
  let server = await servePage(run)
  const answers = {
    async sizes(): Promise<ServedBooksSizes> {
      const { user, system } = process.cpuUsage()
      await collectGarbage()
      const { heapUsed, rss } = process.memoryUsage()
      return { heapBytes: heapUsed, rssBytes: rss, cpuUs: user + system }
    },
    async restart(): Promise<string> {
      await server.close()
      server = await servePage(run, { port: server.port })
      return server.url
    },
  }
  process.on('message', (asked: ServedBooksRequest) => void answers[asked]().then((answer) => process.send!(answer)))
  process.send!(server.url)
}

process.on('disconnect', () => process.exit())
void served(JSON.parse(process.argv[2]!) as ManyBooksOptions)
