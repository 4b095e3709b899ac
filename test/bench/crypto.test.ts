import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { benchCrypto } from '../../bench/crypto.ts'
import { type Figure, QUICK } from '../../bench/rounds.ts'

interface Measured {
  readonly cipher: string
  readonly node: { readonly seal: Figure; readonly open: Figure }
  readonly pure: { readonly seal?: Figure }
  readonly openssl?: number
}

test('ciphers are measured with OpenSSL and without', { timeout: 60_000 }, async () => {
  const { what, header, lines, figures } = await benchCrypto({ ...QUICK, rounds: 1, roundMs: 5 }, [
    'aes-128',
    'tea',
  ])
  match(what.join(' '), /one datagram of 1400 bytes/)
  deepEqual(
    lines.map((line) => line.length),
    [header.length, header.length],
  )
  const [aes, tea] = figures as [Measured, Measured]
  equal(`${aes.cipher} ${tea.cipher}`, 'aes-128 tea')
  for (const { node } of [aes, tea]) ok(node.seal.median > 0 && node.open.median > 0)
  ok(aes.pure.seal!.median > 0 && aes.openssl! > 0)
  equal(tea.pure.seal, undefined)
})
