/**
 * The short forms of the long runs, each in a process of its own. All have a heap of 64 MB: what holds there holds with
 * more.
 */
import { equal } from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { PARTS } from './parts.ts'

async function soak(
  words: readonly string[],
  flags: readonly string[] = [],
): Promise<[number | null, string]> {
  const program = fileURLToPath(new URL('./run.js', import.meta.url))
  const child = spawn(process.execPath, [...flags, '--expose-gc', program, ...words])
  let said = ''
  for (const pipe of [child.stdout, child.stderr]) {
    pipe.on('data', (text) => {
      said += text
    })
  }
  const [code] = (await once(child, 'close')) as [number | null]
  return [code, said]
}

for (const { name } of PARTS) {
  test(`${name}, in short`, { timeout: 110_000 }, async (t) => {
    const [code, said] = await soak(['--short', '--only', name], ['--max-old-space-size=64'])
    equal(code, 0, said)
    t.diagnostic(said.trim())
    if (said.includes('skipped: ')) t.skip(said)
  })
}

test('the command lists its parts, and knows no others', async () => {
  const [code, said] = await soak(['--list'])
  equal(code, 0)
  equal(
    said
      .trim()
      .split('\n')
      .map((line) => line.split(' ')[0])
      .join(),
    PARTS.map(({ name }) => name).join(),
  )
  equal((await soak(['--only', 'nonsense']))[0], 2)
})
