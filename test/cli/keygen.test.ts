import { deepEqual, equal, match } from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { runCli } from '../../src/cli/cli.ts'
import { publicKeyOf } from '../../src/node/secure-primitives.ts'

async function run(...words: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  let [out, err] = ['', '']
  const io = { out: (text: string) => void (out += text), err: (text: string) => void (err += text), env: {} }
  const code = await runCli(['keygen', ...words], io)
  return { code, out, err }
}

test('keygen keeps the private key to its owner, and tells the public one', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'kcp-io-keygen-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'key')
  const made = await run(file)
  equal(made.code, 0)
  equal(statSync(file).mode & 0o777, 0o600)
  const secret = new Uint8Array(Buffer.from(readFileSync(file, 'utf8'), 'base64'))
  equal(secret.length, 32)
  deepEqual(Buffer.from(made.out, 'base64'), Buffer.from(publicKeyOf(secret)))

  const again = await run(file)
  equal(again.code, 1)
  match(again.err, /EEXIST/)
  deepEqual(
    new Uint8Array(Buffer.from(readFileSync(file, 'utf8'), 'base64')),
    secret,
    'nothing is overwritten',
  )

  const shared = await run('--psk', join(folder, 'psk'))
  deepEqual(shared, { code: 0, out: '', err: '' })
  equal(Buffer.from(readFileSync(join(folder, 'psk'), 'utf8'), 'base64').length, 32)
})

test('keygen says what it takes', async () => {
  match((await run('--help')).out, /Usage: kcp-io keygen FILE/)
  for (const words of [[], ['a', 'b'], ['--nonsense']]) equal((await run(...words)).code, 2)
})
