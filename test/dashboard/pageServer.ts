/** A server of routes as plain as it can be, with the policy that the server of a run sends: what a page is tested against. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { WebSocketServer } from 'ws'
import type { Routes } from '../../src/dashboard/route'

const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'"

export class PageServer {
  /** Messages that pages have said since the beginning: one for each tick that they have shown, and few others. */
  heard = 0

  private constructor(
    private readonly server: Server,
    private readonly sockets: WebSocketServer,
    private readonly routes: Routes,
  ) {}

  /** @param port  0 takes a free one */
  static async open(routes: Routes, port = 0): Promise<PageServer> {
    const server = createServer((request, response) => {
      const at = request.url?.replace(/\?.*$/, '')
      const route = routes.http.find(({ path }) => path === at)
      response.setHeader('content-security-policy', POLICY)
      response.setHeader('x-content-type-options', 'nosniff')
      if (route === undefined) response.writeHead(404).end()
      else route.get(request, response)
    })
    const sockets = new WebSocketServer({ server, path: routes.socket!.path, maxPayload: 65_536 })
    const opened = new PageServer(server, sockets, routes)
    sockets.on('connection', (socket, request) => {
      socket.on('message', () => opened.heard++)
      routes.socket!.connected(socket, request)
    })
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(port, '127.0.0.1', resolve)
    })
    return opened
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/`
  }

  /** Cuts every socket; the server goes on. */
  cut(): void {
    for (const socket of this.sockets.clients) socket.terminate()
  }

  /** As when its process is killed: sockets are cut, nobody is told. */
  async kill(): Promise<void> {
    this.routes.close?.()
    this.cut()
    this.server.closeAllConnections()
    await new Promise((resolve) => this.server.close(resolve))
  }
}
