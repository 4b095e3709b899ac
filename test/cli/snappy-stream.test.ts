import { equal, ok, rejects } from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { SnappyStream } from '../../src/cli/tunnel/snappy-stream.ts'
import { KcpError } from '../../src/core/errors.ts'
import { Prng } from '../../src/sim/prng.ts'
import { SnappyDecoder } from '../../src/snappy/index.ts'
import { patchwork } from '../snappy/data.ts'
import { pipe, readAll } from './support.ts'

test('two of them understand each other, and both ends end', async () => {
  const [a, b] = pipe()
  const [one, two] = [new SnappyStream(a), new SnappyStream(b)]
  const bytes = patchwork(700_000, new Prng(1))
  one.end(bytes)
  two.end('back')
  const [forth, back] = await Promise.all([readAll(two), readAll(one)])
  ok(forth.equals(bytes))
  equal(String(back), 'back')
  ok(a.taken < bytes.length / 2, `${a.taken} bytes on the wire`)
})

test('small writes while the wire is full become one chunk', async () => {
  const [a, b] = pipe(100)
  const one = new SnappyStream(a)
  for (let i = 0; i < 500; i++) one.write('0123456789')
  one.end()
  const wire = await readAll(b)
  equal(Buffer.concat(new SnappyDecoder().decode(wire)).length, 5000)
  // The first on its own, the others as a run.
  ok(wire.length < 700, `${wire.length} bytes on the wire`)
})

test('back-pressure: a reader that stands still stops the writer', async () => {
  const [a, b] = pipe()
  const [one, two] = [new SnappyStream(a), new SnappyStream(b)]
  const prng = new Prng(2)
  let sent = 0
  for (let i = 0; i < 2000; i++) {
    if (!one.writableNeedDrain) {
      const bytes = patchwork(10_000, prng)
      one.write(bytes)
      sent += bytes.length
    }
    await new Promise((done) => setImmediate(done))
  }
  // Buffers of 16 KiB hold what was compressed to a quarter.
  ok(sent < 700_000, `${sent} bytes were taken`)
  one.end()
  equal((await readAll(two)).length, sent)
})

test('a broken stream is the end, with its reason', async () => {
  const [a, b] = pipe()
  const one = new SnappyStream(a)
  b.write('no snappy at all')
  await rejects(
    readAll(one),
    (error) => KcpError.is(error, 'ERR_KCP_PROTOCOL') && /identifier/.test(error.message),
  )
  await once(b, 'close')
})

test('a wire that breaks ends it, and destroying it breaks the wire', async () => {
  const [a, b] = pipe()
  const one = new SnappyStream(a)
  one.on('error', () => undefined)
  b.destroy()
  await once(one, 'close')
  equal(one.readableEnded, false)
  const [c, d] = pipe()
  const two = new SnappyStream(c)
  two.destroy()
  await once(d, 'close')
})
