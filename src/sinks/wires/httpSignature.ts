export const SIGNATURE_HEADER = 'X-Millrace-Signature'

/**
 * Says who sent a body and when: `t=1700000000,v1=<hex>`, where `v1` is the HMAC-SHA256 of `<t>.<body>` under the shared
 * secret, `t` is in seconds since 1970, and the body is what was received, before it is unpacked.
 *
 * A receiver verifies it over the raw bytes, in constant time, and refuses what is old:
 *
 *     const [, t, v1] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(request.headers['x-millrace-signature'] ?? '') ?? []
 *     const expected = createHmac('sha256', secret).update(`${t}.`).update(rawBody).digest()
 *     const genuine = v1 !== undefined && timingSafeEqual(Buffer.from(v1, 'hex'), expected)
 *     const recent = Math.abs(Date.now() / 1_000 - Number(t)) < 300
 *     if (!genuine || !recent) return response.writeHead(401).end()
 */
export function signatureOf(secret: string, body: Uint8Array, nowUs: number): string {
  const { createHmac } = process.getBuiltinModule('node:crypto')
  const seconds = Math.floor(nowUs / 1e6)
  return `t=${seconds},v1=${createHmac('sha256', secret).update(`${seconds}.`).update(body).digest('hex')}`
}
