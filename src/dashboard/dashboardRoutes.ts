/**
 * The dashboard of a run, as routes of its server: the page at `/`, its files, and `/live`, the WebSocket that feeds it.
 */
import type { ServerResponse } from 'node:http'
import path from 'node:path'
import type { Clock } from '../clock/clock'
import { messageOf } from '../model/fault'
import { builtFile, UPLOT_SCRIPT, UPLOT_STYLES } from '../page/builtFile'
import { pageScript } from '../page/pageScript'
import { BASE_STYLES } from '../page/styles'
import { DASHBOARD_STYLES } from './dashboardStyles'
import { LiveStream } from './liveStream'
import type { WatchedRun } from './watchedRun'
import { PAGE_HTML } from './pageHtml'
import type { HttpRoute, Routes } from './route'

const ICON =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><path d="M1 11c2.5 0 2.5-3 5-3s2.5 3 5 3 2.5-3 4-3M1 7c2.5 0 2.5-3 5-3s2.5 3 5 3 2.5-3 4-3" fill="none" stroke="#1f6fd6" stroke-width="2" stroke-linecap="round"/></svg>'

/**
 * @returns  routes for `serveRun`; nothing is read or watched before somebody asks for them
 * @throws   nothing; a file of the page that cannot be made is a 500 with its reason
 */
export function dashboardRoutes(run: WatchedRun, clock: Clock): Routes & { readonly stream: LiveStream } {
  const stream = new LiveStream(run, clock)
  return {
    stream,
    http: [
      {
        path: '/',
        get(_, response) {
          response.setHeader('cache-control', 'no-store')
          answer(response, 'text/html; charset=utf-8', PAGE_HTML)
        },
      },
      file('/dashboard.js', JAVASCRIPT, () => pageScript(path.join(__dirname, 'page', 'dashboard'))),
      file('/uplot.js', JAVASCRIPT, () => builtFile(UPLOT_SCRIPT)),
      file('/dashboard.css', 'text/css; charset=utf-8', async () =>
        [await builtFile(UPLOT_STYLES), BASE_STYLES, DASHBOARD_STYLES].join('\n'),
      ),
      file('/icon.svg', 'image/svg+xml', () => Promise.resolve(ICON)),
    ],
    socket: { path: '/live', connected: (socket) => stream.connected(socket) },
    close: () => stream.close(),
  }
}

const JAVASCRIPT = 'text/javascript; charset=utf-8'

/** A file of the page, made when it is first asked for. */
function file(at: string, type: string, make: () => Promise<string>): HttpRoute {
  let made: Promise<string> | undefined
  return {
    path: at,
    get(_, response) {
      made ??= make()
      made.then(
        (text) => {
          response.setHeader('cache-control', 'no-cache')
          answer(response, type, text)
        },
        (reason: unknown) => {
          made = undefined
          response.statusCode = 500
          answer(response, 'text/plain; charset=utf-8', `${messageOf(reason)}\n`)
        },
      )
    },
  }
}

function answer(response: ServerResponse, type: string, text: string): void {
  response.setHeader('content-type', type)
  response.setHeader('content-length', Buffer.byteLength(text))
  response.end(text)
}
