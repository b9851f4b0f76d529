/** A loopback server whose behaviour is one function per test. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { WebSocketServer, type WebSocket } from 'ws'

export interface FakeRequest {
  readonly op: 'subscribe' | 'unsubscribe' | 'ping'
  readonly id: number
  readonly keys: readonly string[]
}

export interface FakeClient {
  readonly socket: WebSocket
  readonly path: string
  /** Everything that it sent, parsed. */
  readonly requests: FakeRequest[]
  /** And as text, whatever it was. */
  readonly texts: string[]
  pings: number
  closedWith: number | undefined
  say(frame: object | string): void
}

export interface FakeBehaviour {
  /** Default: the instruments `AB CD EF ABP`. Undefined answers 404; the word `handled` leaves the answer to the test. */
  readonly rest?: (url: string, response: ServerResponse, count: number) => object | string | undefined
  readonly opened?: (client: FakeClient) => void
  /** Default: acknowledges by id. */
  readonly requested?: (client: FakeClient, request: FakeRequest) => void
  /** A status to refuse the handshake with, and headers; undefined lets it through. */
  readonly refuse?: (count: number) => { readonly status: number; readonly headers?: string } | undefined | 'hang'
}

export interface FakeExchange {
  readonly clients: FakeClient[]
  readonly client: FakeClient
  readonly restUrls: string[]
  readonly handshakes: number
  readonly address: { readonly ws: string; readonly rest: string }
  readonly port: number
  stop(): Promise<void>
}

export const INSTRUMENTS = { symbols: ['AB', 'CD', 'EF', 'ABP'] }

/** @param secure  speak TLS, with a certificate that nobody has signed */
export async function startFakeExchange(behaviour: FakeBehaviour = {}, secure = false): Promise<FakeExchange> {
  const clients: FakeClient[] = []
  const restUrls: string[] = []
  const sockets = new Set<Duplex>()
  let handshakes = 0
  const serve = (request: IncomingMessage, response: ServerResponse): void => {
    const url = request.url ?? ''
    restUrls.push(url)
    const answer =
      behaviour.rest?.(url, response, restUrls.length) ?? (url === '/instruments' ? INSTRUMENTS : undefined)
    if (answer === 'handled') return
    if (answer === undefined) response.writeHead(404).end('no such thing')
    else response.writeHead(200).end(typeof answer === 'string' ? answer : JSON.stringify(answer))
  }
  const server = secure ? createTlsServer(SELF_SIGNED, serve) : createServer(serve)
  const websockets = new WebSocketServer({ noServer: true, perMessageDeflate: false })
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    handshakes++
    const refusal = behaviour.refuse?.(handshakes)
    if (refusal === 'hang') return
    if (refusal !== undefined) {
      socket.end(`HTTP/1.1 ${refusal.status} No\r\nContent-Length: 0\r\n${refusal.headers ?? ''}\r\n`)
      return
    }
    websockets.handleUpgrade(request, socket, head, (websocket) => {
      const client: FakeClient = {
        socket: websocket,
        path: request.url ?? '',
        requests: [],
        texts: [],
        pings: 0,
        closedWith: undefined,
        say: (frame) => websocket.send(typeof frame === 'string' ? frame : JSON.stringify(frame)),
      }
      clients.push(client)
      websocket.on('ping', () => client.pings++)
      websocket.on('error', () => websocket.terminate())
      websocket.on('close', (code) => (client.closedWith = code))
      websocket.on('message', (data: Buffer) => {
        const text = data.toString()
        client.texts.push(text)
        let parsed: FakeRequest
        try {
          parsed = JSON.parse(text) as FakeRequest
        } catch {
          return
        }
        client.requests.push(parsed)
        if (behaviour.requested) behaviour.requested(client, parsed)
        else if (parsed.op !== 'ping') client.say({ ack: { id: parsed.id } })
      })
      behaviour.opened?.(client)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    clients,
    get client() {
      const last = clients.at(-1)
      if (last === undefined) throw new Error('nobody has connected yet')
      return last
    },
    restUrls,
    get handshakes() {
      return handshakes
    },
    address: { ws: `ws${secure ? 's' : ''}://127.0.0.1:${port}`, rest: `http${secure ? 's' : ''}://127.0.0.1:${port}` },
    port,
    stop: () =>
      new Promise((resolve) => {
        for (const { socket } of clients) socket.terminate()
        for (const socket of sockets) socket.destroy()
        server.close(() => resolve())
      }),
  }
}

/** For `exchange.invalid`, valid until 2126. It protects nothing. */
const SELF_SIGNED = {
  key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgIz//P2yKLMxytHpD
Ht8ajhg8LoezsV0ksqlaID98WlShRANCAAS27vXsA9tDIEDQSlZ7djOXETpDKvrS
8+xEpVbCFaFpJuluM+9kuiHWG3PdkL3dTwS3mkHLxylD5EEPf8MdLye6
-----END PRIVATE KEY-----`,
  cert: `-----BEGIN CERTIFICATE-----
MIIBqjCCAVCgAwIBAgIUREe1+J6AiczNcO/iV3uxulf6lXgwCgYIKoZIzj0EAwIw
GzEZMBcGA1UEAwwQZXhjaGFuZ2UuaW52YWxpZDAgFw0yNjExMjMxNjAwNTBaGA8y
MTI2MTAzMDE2MDA1MFowGzEZMBcGA1UEAwwQZXhjaGFuZ2UuaW52YWxpZDBZMBMG
ByqGSM49AgEGCCqGSM49AwEHA0IABLbu9ewD20MgQNBKVnt2M5cROkMq+tLz7ESl
VsIVoWkm6W4z72S6IdYbc92Qvd1PBLeaQcvHKUPkQQ9/wx0vJ7qjcDBuMB0GA1Ud
DgQWBBRFucv388Gn5l3sfqojzp8tDOyIszAfBgNVHSMEGDAWgBRFucv388Gn5l3s
fqojzp8tDOyIszAPBgNVHRMBAf8EBTADAQH/MBsGA1UdEQQUMBKCEGV4Y2hhbmdl
LmludmFsaWQwCgYIKoZIzj0EAwIDSAAwRQIhAOgewyiwewbx0O5e9C0hG2eKxEal
btQrBxJyayvK1fybAiAGh68Uv/pxA2UwEN/uBXYZcfPyXC5aR1AahjmDYcIF7g==
-----END CERTIFICATE-----`,
}
