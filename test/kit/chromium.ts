/** Headless Chromium, where the machine has it. */
import { existsSync } from 'node:fs'
import type { Browser } from 'playwright-core'

const CHROMIUM = '/usr/bin/chromium'

const ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
]

/** Undefined where there is none, which is said. */
export async function launchChromium(): Promise<Browser | undefined> {
  if (!existsSync(CHROMIUM)) {
    console.log(`The page is not looked at: there is no ${CHROMIUM}.`)
    return undefined
  }
  const { chromium } = await import('playwright-core')
  return chromium.launch({ executablePath: CHROMIUM, headless: true, args: ARGS, timeout: 120_000 })
}
