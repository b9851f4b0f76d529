import { expect } from 'chai'
import type { RunServer } from '../../src/dashboard/server'
import { FakeRun } from './fakeRun'
import { servePage } from './servePage'

describe('The routes of a dashboard', function () {
  this.timeout(120_000)
  let server: RunServer

  before(async () => {
    server = await servePage(new FakeRun())
  })

  after(() => server.close())

  const get = (at: string): Promise<Response> => fetch(new URL(at, server.url))

  it('serve the page and every file that it names, each with its type', async () => {
    const page = await get('/')
    expect(page.headers.get('content-type')).to.equal('text/html; charset=utf-8')
    const files = [...(await page.text()).matchAll(/(?:src|href)="([^"]*)"/g)].map(([, file]) => file!)
    expect(files).to.deep.equal(['icon.svg', 'dashboard.css', 'uplot.js', 'dashboard.js'])
    const types = await Promise.all(files.map(async (file) => (await get(file)).headers.get('content-type')))
    expect(types.map((type) => type!.split(';')[0])).to.deep.equal([
      'image/svg+xml',
      'text/css',
      'text/javascript',
      'text/javascript',
    ])
  })

  it('name no other host, and nothing inline', async () => {
    const texts = await Promise.all(['/', '/dashboard.js', '/dashboard.css'].map(async (at) => (await get(at)).text()))
    const hosts = texts.flatMap((text) => text.match(/https?:\/\/[^\s'"`)]+/g) ?? [])
    expect(hosts.filter((host) => !host.startsWith('http://www.w3.org/2000/svg'))).to.deep.equal([])
    expect(texts[0]).not.to.match(/<style|<script>|onload=|style=/)
  })
})
