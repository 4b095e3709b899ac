/**
 * The addon called wrongly, with garbage collection at every call, and in threads that end at any moment: no crash, and
 * no errors but the documented ones. `SEEDS=200 node --test build/test/node/native-fuzz.test.js` sees more.
 */
import { equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { nativeStatus } from '../../src/node/native.ts'
import { startNode } from '../support/child.ts'
import { program, supportPath, withoutAddon } from '../support/native.ts'

const SEEDS = Number(process.env['SEEDS'] ?? 4)
const patient = { timeout: 60_000 + SEEDS * 20_000, skip: withoutAddon }

/** Runs a program of test/support; gives what it printed, as JSON. */
async function run(name: string, ...words: readonly number[]): Promise<Record<string, number>> {
  const child = startNode('--expose-gc', [supportPath(name), ...words.map(String)])
  equal(await child.ended, 0, `${name} ${words.join(' ')}:\n${child.output()}`)
  return JSON.parse(child.output().trim().split('\n').at(-1)!)
}

test('wrong calls of every kind', patient, async () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const kinds = await run('native-fuzz', seed, 1_500)
    // Chance reaches what it is meant to reach.
    for (const kind of ['ok', 'TypeError', 'system', 'mine']) {
      ok((kinds[kind] ?? 0) > 0, `seed=${seed} ${kind} ${JSON.stringify(kinds)}`)
    }
  }
})

test('threads that end with open sockets in the middle of traffic', patient, async () => {
  // Two programs: one whose main thread has the addon, and one where it comes and goes with each thread.
  for (let seed = 1; seed <= Math.max(2, SEEDS / 4); seed++) {
    const ends = await run('native-workers', seed, 50)
    equal(
      Object.values(ends).reduce((sum, count) => sum + count),
      50,
    )
    ok(Object.keys(ends).length === 4)
  }
})

test('buffers that were transferred all the same are not touched', patient, async () => {
  // Loaded past the loader that marks them.
  const output = await program(
    `
    import { createRequire } from 'node:module'
    const udp = createRequire('/')(${JSON.stringify(nativeStatus().detail)})
    const open = () => new udp.Socket(4, '127.0.0.1', 0, 0, -1, 7)
    const [a, b] = [open(), open()]
    const turns = async () => { for (let i = 0; i < 5; i++) await new Promise(setImmediate) }
    const told = []
    b.start((rows) => told.push(rows), (errno) => told.push(-errno))
    const table = new Int32Array(udp.sendTable)
    const [a0] = udp.addressWords(4, '127.0.0.1')
    table.set([0, 10, 10, b.address()[1], a0])
    a.commit(1)
    await turns()
    a.commit(1)
    structuredClone(udp.recvBytes, { transfer: [udp.recvBytes] })
    gc()
    await turns()
    structuredClone(udp.sendBytes, { transfer: [udp.sendBytes] })
    gc()
    try { a.commit(1) } catch (error) { told.push(error.name + ' ' + error.message) }
    try { a.commit(0) } catch (error) { told.push(error.name) }
    a.close()
    b.close(() => console.log(told.join()))`,
    { flags: ['--expose-gc'] },
  )
  equal(output, '1,-14,TypeError a buffer of the addon was transferred,TypeError')
})
