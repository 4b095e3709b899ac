import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { ControlKind } from '../../src/secure/index.ts'
import { PartStore, partOf } from '../../src/secure/parts.ts'
import { Prng } from '../../src/sim/index.ts'
import { Bench, fromHex, toHex } from './support.ts'

function parts(datagram: Uint8Array, id: number, size: number): Uint8Array[] {
  const all: Uint8Array[] = []
  for (let at = 0; at < datagram.length; at += size) all.push(partOf(datagram, id, at, size))
  return all
}

test('a part has its number, its place and the size of the whole in front', () => {
  equal(toHex(partOf(fromHex('0a0b0c0d0e'), 0x1234, 2, 2)), '3412 0200 0500 0c0d'.replace(/ /g, ''))
  equal(toHex(partOf(fromHex('0a0b0c0d0e'), 0xffff, 4, 2)), 'ffff 0400 0500 0e'.replace(/ /g, ''))
})

test('parts are joined in whatever order they come, and so are those of several datagrams', () => {
  const prng = new Prng(5)
  const store = new PartStore()
  const datagrams = Array.from({ length: 8 }, (_, i) => new Uint8Array(1_000 + i).map(() => prng.int(0, 255)))
  const wire = datagrams.flatMap((datagram, id) => parts(datagram, id, 300))
  for (let i = wire.length - 1; i > 0; i--) {
    const j = prng.int(0, i)
    ;[wire[i], wire[j]] = [wire[j]!, wire[i]!]
  }
  const whole = wire.map((part) => store.add(part)).filter((datagram) => datagram !== null)
  deepEqual(whole.map((datagram) => toHex(datagram!)).sort(), datagrams.map(toHex).sort())
  deepEqual([store.size, store.bytes], [0, 0])
})

test('a malformed part is refused', () => {
  const store = new PartStore()
  for (const hex of [
    '',
    '0100',
    '010000000100',
    '0100 0000 0000 aa',
    '0100 0100 0100 aa',
    '0100 ffff 0100 aa',
  ]) {
    equal(store.add(fromHex(hex)), undefined, hex)
  }
  deepEqual([store.size, store.bytes], [0, 0])
})

test('datagrams that a peer begins and does not end are bounded: 16 of them, and 64 KiB', () => {
  const store = new PartStore()
  for (let id = 0; id < 1_000; id++) {
    equal(store.add(partOf(new Uint8Array(100), id, 0, 10)), null)
    ok(store.size <= 16)
  }
  equal(store.size, 16)
  for (let id = 1_000; id < 2_000; id++) {
    equal(store.add(partOf(new Uint8Array(65_000 - id), id, 0, 10)), null)
    ok(store.bytes <= 65_536 && store.size <= 16)
  }
  // The latest ones are those that are kept.
  const [first, second] = parts(new Uint8Array(20).fill(7), 5_000, 10)
  equal(store.add(first!), null)
  deepEqual(store.add(second!), new Uint8Array(20).fill(7))
})

test('a number that came round begins anew', () => {
  const store = new PartStore()
  equal(store.add(partOf(new Uint8Array(20), 1, 0, 10)), null)
  equal(store.add(partOf(new Uint8Array(30).fill(1), 1, 0, 15)), null)
  deepEqual(store.add(partOf(new Uint8Array(30).fill(1), 1, 15, 15)), new Uint8Array(30).fill(1))
  deepEqual([store.size, store.bytes], [0, 0])
})

test('a datagram that the path does not carry goes in records of equal size, at both ends', () => {
  const bench = new Bench({ mtu: 300 })
  const client = bench.connected('a:1', { mtu: 300 })
  client.sent.length = 0
  for (const size of [1, 271, 272, 500, 9_000]) {
    const text = 'abcdefghij'.repeat(900).slice(0, size)
    client.send(text)
    const records = client.sent.map(({ length }) => length)
    ok(
      records.every((length) => length <= 300),
      `${size}: ${records}`,
    )
    equal(records.length, size <= 271 ? 1 : Math.ceil(size / (271 - 7)), `${size}`)
    bench.settle(client)
    equal(bench.atServer.at(-1)!.plain, text)
    bench.send(bench.opened[0]!, text)
    bench.settle(client)
    equal(client.got.at(-1), text)
  }
})

test('a part that is lost loses its datagram, and no other', () => {
  const bench = new Bench({ mtu: 300 })
  const client = bench.connected('a:1', { mtu: 300 })
  client.send('1'.repeat(600))
  client.sent.splice(1, 1)
  client.send('2'.repeat(600))
  bench.settle(client)
  deepEqual(
    bench.atServer.map(({ plain }) => plain),
    ['2'.repeat(600)],
  )
  // Malformed ones are counted, and end nothing.
  client.state['association']!['control'](ControlKind.Part, new Uint8Array(3))
  bench.settle(client)
  deepEqual([bench.server.counters.pointless, bench.server.associations], [1, 1])
})
