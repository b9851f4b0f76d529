/**
 * The other side of a wire, in a process of its own: takes what comes, keeps nothing of it, and says how much it was.
 *
 * `http` answers each request when it has all of it; `questdb` does so with lines, and answers what else is asked as the
 * server of tests does; `websocket ADDRESS` reads messages. It first says where it listens, and then,
 * each time the parent sends a word, what it has had so far.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import WebSocket from 'ws'
import { QuestDbServer } from '../../test/kit/questdbServer'

/** What has come so far. */
export interface Had {
  readonly messages: number
  readonly bytes: number
}

export type Said = { readonly port: number } | Had

let messages = 0
let bytes = 0

function say(said: Said): void {
  process.send?.(said)
}

function serveHttp(): void {
  const server = createServer((request, response) => {
    request.on('data', (chunk: Buffer) => (bytes += chunk.length))
    request.on('end', () => {
      messages++
      response.end('{}')
    })
  })
  server.listen(0, '127.0.0.1', () => say({ port: (server.address() as AddressInfo).port }))
}

async function serveQuestDb(): Promise<void> {
  const quest = await QuestDbServer.start()
  const server = createServer((request, response) => {
    if (request.url?.startsWith('/write') !== true) {
      void fetch(new URL(request.url!, quest.url)).then(async (answer) => {
        response.statusCode = answer.status
        response.end(await answer.text())
      })
      return
    }
    request.on('data', (chunk: Buffer) => (bytes += chunk.length))
    request.on('end', () => {
      messages++
      response.statusCode = 204
      response.end()
    })
  })
  server.listen(0, '127.0.0.1', () => say({ port: (server.address() as AddressInfo).port }))
}

function readWebsocket(address: string): void {
  const socket = new WebSocket(address)
  socket.on('open', () => say({ port: 0 }))
  socket.on('message', (data: Buffer) => {
    messages++
    bytes += data.length
  })
}

process.on('message', () => say({ messages, bytes }))
process.on('disconnect', () => process.exit())
const [what, address] = process.argv.slice(2)
if (what === 'websocket') readWebsocket(address!)
else if (what === 'questdb') void serveQuestDb()
else serveHttp()
