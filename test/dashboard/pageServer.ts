/** A server of routes as plain as it can be, with the policy that the server of a run sends: what a page is tested against. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { WebSocketServer } from 'ws'
import type { Routes } from '../../src/dashboard/route'

const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'"

export class PageServer {
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
    sockets.on('connection', (socket, request) => routes.socket!.connected(socket, request))
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(port, '127.0.0.1', resolve)
    })
    return new PageServer(server, sockets, routes)
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/`
  }

  /** As when its process is killed: sockets are cut, nobody is told. */
  async kill(): Promise<void> {
    this.routes.close?.()
    for (const socket of this.sockets.clients) socket.terminate()
    this.server.closeAllConnections()
    await new Promise((resolve) => this.server.close(resolve))
  }
}
