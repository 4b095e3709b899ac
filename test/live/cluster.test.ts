/**
 * Several processes behind one port (examples/cluster.ts), with real sockets: who serves whom, whose counters add up,
 * and what the death of a worker costs.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { connect, type KcpStream, listen, nativeStatus, PortGroup, totalStats } from '../../src/index.ts'
import { startNode } from '../support/child.ts'

const without = nativeStatus().available ? false : `no addon: ${nativeStatus().detail}`

/** The process that answers a stream. */
async function serverOf(stream: KcpStream): Promise<string> {
  await stream.send('who?')
  return String(await stream.recv()).split(':')[0]!
}

test('two workers share a port; one that dies loses only its own sessions', { skip: without }, async () => {
  const cluster = startNode(fileURLToPath(new URL('../../examples/cluster.js', import.meta.url)), ['0', '2'])
  const streams: KcpStream[] = []
  try {
    const [, port] = await cluster.says(/listening on port (\d+) with 2 workers/)
    const open = async (): Promise<KcpStream> => {
      const stream = await connect({
        host: '127.0.0.1',
        port: Number(port),
        preset: 'fast',
        waitForPeer: true,
      })
      streams.push(stream)
      return stream
    }
    const byWorker = new Map<string, KcpStream[]>()
    // The kernel spreads peers by a hash of their port: both workers have one soon.
    while (streams.length < 12 || (byWorker.size < 2 && streams.length < 200)) {
      const stream = await open()
      const worker = await serverOf(stream)
      byWorker.set(worker, [...(byWorker.get(worker) ?? []), stream])
    }
    assert.equal(byWorker.size, 2)
    for (const [worker, own] of byWorker)
      for (const stream of own) assert.equal(await serverOf(stream), worker)
    await cluster.says(new RegExp(`all workers: ${streams.length} sessions`))

    const [[doomed, lost], [other, kept]] = [...byWorker] as [[string, KcpStream[]], [string, KcpStream[]]]
    process.kill(Number(doomed), 'SIGKILL')
    const [, successor] = await cluster.says(/another takes its socket over\nworker (\d+) started/)
    for (const stream of kept) assert.equal(await serverOf(stream), other)
    // The successor has the dead one's socket: what arrives there now is answered, and means nothing to it.
    for (const stream of lost) {
      const closed = new Promise((resolve) => stream.once('close', resolve))
      stream.send('anybody?').catch(() => undefined)
      assert.equal(await closed, 'reset')
    }
    let served = ''
    for (let i = 0; i < 200 && served !== successor; i++) served = await serverOf(await open())
    assert.equal(served, successor)
    for (const stream of kept) assert.equal(await serverOf(stream), other)
  } finally {
    for (const stream of streams) stream.destroy()
    cluster.process.kill('SIGTERM')
  }
  assert.equal(await cluster.ended, 0, cluster.output())
})

test('a group takes a port for itself, and lets go of it', { skip: without }, async () => {
  const group = await PortGroup.open({ host: '127.0.0.1', size: 3 })
  const { port, address } = group.address()!
  assert.equal(address, '127.0.0.1')
  assert.equal(new Set(group.fds).size, 3)
  await assert.rejects(listen({ host: '127.0.0.1', port }), { code: 'ERR_KCP_IO' })
  await group.close()
  await (await listen({ host: '127.0.0.1', port })).close()
  await assert.rejects(PortGroup.open({ size: 0 }), { code: 'ERR_KCP_CONFIG' })
  await assert.rejects(PortGroup.open({ size: 2, port: 70_000 }), { code: 'ERR_KCP_CONFIG' })
  const taken = await listen({ host: '127.0.0.1', port: 0 })
  await assert.rejects(PortGroup.open({ host: '127.0.0.1', port: taken.address()!.port, size: 2 }), {
    code: 'ERR_KCP_IO',
  })
  await taken.close()
})

test('counters of several listeners add up', async () => {
  const listeners = await Promise.all(
    [1, 2].map(() => listen({ host: '127.0.0.1' }, (stream) => stream.resume())),
  )
  for (const listener of listeners) {
    const stream = await connect({ host: '127.0.0.1', port: listener.address()!.port })
    await stream.send('x')
    await stream.flushed()
    stream.destroy()
  }
  const each = listeners.map((listener) => listener.stats())
  const total = totalStats(each)
  assert.equal(total.accepted, 2)
  assert.equal(total.datagramsIn, each[0]!.datagramsIn + each[1]!.datagramsIn)
  assert.deepEqual(Object.keys(total.drops), Object.keys(each[0]!.drops))
  for (const listener of listeners) {
    listener.closeAllConnections()
    await listener.close()
  }
})
