import { deepEqual, equal, notDeepEqual, notEqual, ok, throws } from 'node:assert/strict'
import { test } from 'node:test'
import type { DatagramHandler, PeerAddress } from '../../src/session/transport.ts'
import { VirtualClock } from '../../src/sim/clock.ts'
import { createMemoryLink, createMemoryNetwork, type MemoryTransport } from '../../src/sim/memory.ts'
import { profiles } from '../../src/sim/profiles.ts'

test('three endpoints: two clients reach one server, and each gets its own answer', () => {
  const clock = new VirtualClock()
  const network = createMemoryNetwork({ clock, link: { delayMs: 10 } })
  const server = network.transport('server', { port: 4000 })
  const alice = network.transport('alice')
  const bob = network.transport('bob')
  const log: string[] = []
  listen(server, log, clock, (text, peer) => server.send(bytes(`${text} for ${server.peerKey(peer)}`), peer))
  listen(alice, log, clock)
  listen(bob, log, clock)
  alice.send(bytes('hello'), server.localAddress())
  clock.advance(3)
  bob.send(bytes('hi'), server.localAddress())
  clock.runUntilIdle()
  deepEqual(log, [
    '10 server <- alice|1: hello',
    '13 server <- bob|1: hi',
    '20 alice <- server|4000: hello for alice|1',
    '23 bob <- server|4000: hi for bob|1',
  ])
  deepEqual(network.counters, { sent: 4, delivered: 4, oversized: 0, filtered: 0, unreachable: 0 })
})

test('endpoints of one address have their own ports and share its path', () => {
  const clock = new VirtualClock()
  const network = createMemoryNetwork({ clock })
  const first = network.transport('client')
  const second = network.transport('client')
  const third = network.transport('client', { port: 9 })
  deepEqual(
    [first, second, third].map((transport) => transport.localAddress()),
    [1, 2, 9].map((port) => ({ address: 'client', port, family: 'IPv4' })),
  )
  equal(network.link(first.localAddress(), 'server'), network.link(second.localAddress(), 'server'))
  notEqual(network.link('client', 'server'), network.link('server', 'client'))
  throws(() => network.transport('client', { port: 9 }), /client:9 is in use/)
  third.close()
  network.transport('client', { port: 9 })
})

test('delivery without delay waits for the clock, so send never calls back', () => {
  const clock = new VirtualClock()
  const [a, b] = createMemoryLink({ clock })
  const log: string[] = []
  let sending = false
  const pong = (self: MemoryTransport, other: MemoryTransport) => (text: string) => {
    ok(!sending, 'called from inside send')
    if (text.length === 4) return
    sending = true
    self.send(bytes(text + '!'), other.localAddress())
    sending = false
  }
  listen(a, log, clock, pong(a, b))
  listen(b, log, clock, pong(b, a))
  sending = true
  a.send(bytes('1'), b.localAddress())
  sending = false
  deepEqual(log, [])
  clock.advance(0)
  deepEqual(log, ['0 b <- a|1: 1', '0 a <- b|1: 1!', '0 b <- a|1: 1!!', '0 a <- b|1: 1!!!'])
})

test('datagrams that arrive at one instant are one batch: soon comes after the last of them', () => {
  for (const delayMs of [0, 10]) {
    const clock = new VirtualClock()
    const [a, b] = createMemoryLink({ clock, delayMs })
    const log: string[] = []
    let acks = false
    listen(b, log, clock, () => {
      if (!acks) clock.soon(() => log.push('soon'))
      acks = true
    })
    for (const text of ['x', 'y', 'z']) a.send(bytes(text), b.localAddress())
    clock.runUntilIdle()
    deepEqual(
      log,
      [`${delayMs} b <- a|1: x`, `${delayMs} b <- a|1: y`, `${delayMs} b <- a|1: z`, 'soon'],
      `delayMs=${delayMs}`,
    )
  }
})

test('a datagram is copied when sent', () => {
  const clock = new VirtualClock()
  const [a, b] = createMemoryLink({ clock, delayMs: 1 })
  const log: string[] = []
  listen(b, log, clock)
  const scratch = bytes('one')
  a.send(scratch, b.localAddress())
  scratch.set(bytes('two'))
  a.send(scratch, b.localAddress())
  scratch.fill(0)
  clock.runUntilIdle()
  deepEqual(log, ['1 b <- a|1: one', '1 b <- a|1: two'])
})

test('poison shows who keeps what was only lent', () => {
  const clock = new VirtualClock()
  const network = createMemoryNetwork({ clock, poison: true })
  const a = network.transport('a')
  const b = network.transport('b')
  const kept: Uint8Array[] = []
  b.start({ ...deaf, onDatagram: (datagram) => kept.push(datagram) })
  a.send(bytes('abc'), b.localAddress())
  clock.advance(0)
  deepEqual(kept, [Uint8Array.of(0xdd, 0xdd, 0xdd)])
})

test('the same seed is the same run, in whatever order the links come into use', () => {
  const story = (seed: number, first: 'alice' | 'bob'): string[] => {
    const clock = new VirtualClock()
    const network = createMemoryNetwork({ clock, seed, link: profiles.awful })
    const server = network.transport('server')
    network.link(first, 'server')
    const clients = [network.transport('alice'), network.transport('bob')]
    const log: string[] = []
    listen(server, log, clock)
    for (let i = 0; i < 100; i++) {
      for (const client of clients) client.send(bytes(`${i}`), server.localAddress())
      clock.advance(5)
    }
    clock.runUntilIdle()
    return log
  }
  deepEqual(story(1, 'alice'), story(1, 'bob'))
  notDeepEqual(story(1, 'alice'), story(2, 'alice'))
})

test('one direction can be cut while the other works, and all of them at once', () => {
  const clock = new VirtualClock()
  const network = createMemoryNetwork({ clock })
  const a = network.transport('a')
  const b = network.transport('b')
  const log: string[] = []
  listen(a, log, clock)
  listen(b, log, clock)
  const both = (): void => {
    a.send(bytes('there'), b.localAddress())
    b.send(bytes('back'), a.localAddress())
    clock.advance(1)
  }
  network.link('a', 'b').set({ loss: 1 })
  both()
  network.set({ loss: 1 })
  both()
  const c = network.transport('c')
  c.send(bytes('new links too'), b.localAddress())
  network.set({ loss: 0 })
  both()
  deepEqual(log, ['0 a <- b|1: back', '2 b <- a|1: there', '2 a <- b|1: back'])
  equal(network.link('a', 'b').counters.lost, 2)
  equal(network.link('c', 'b').counters.lost, 1)
})

test('closed and unbound addresses swallow what is sent to them', () => {
  const clock = new VirtualClock()
  const network = createMemoryNetwork({ clock, link: { delayMs: 10 } })
  const a = network.transport('a')
  const b = network.transport('b')
  const log: string[] = []
  listen(b, log, clock)
  a.send(bytes('under way when b closes'), b.localAddress())
  clock.advance(5)
  b.close()
  b.close()
  b.send(bytes('from a closed one'), a.localAddress())
  a.send(bytes('to a closed one'), b.localAddress())
  a.send(bytes('to nobody'), { address: 'nobody', port: 1 })
  clock.advance(4)
  const reborn = network.transport('b')
  deepEqual(reborn.localAddress(), b.localAddress())
  listen(reborn, log, clock)
  clock.runUntilIdle()
  deepEqual(log, ['5 b closed', '10 b <- a|1: under way when b closes', '15 b <- a|1: to a closed one'])
  equal(network.counters.unreachable, 1)
  throws(() => reborn.start(deaf), /started before/)
  throws(() => b.start(deaf), /closed before/)
})

test('an endpoint drops what is larger than its maxDatagramSize', () => {
  const clock = new VirtualClock()
  const network = createMemoryNetwork({ clock })
  const a = network.transport('a', { maxDatagramSize: 4 })
  const b = network.transport('b')
  equal(a.maxDatagramSize, 4)
  equal('maxDatagramSize' in b && b.maxDatagramSize !== undefined, false)
  const log: string[] = []
  listen(b, log, clock)
  a.send(bytes('1234'), b.localAddress())
  a.send(bytes('12345'), b.localAddress())
  clock.advance(0)
  deepEqual(log, ['0 b <- a|1: 1234'])
  equal(network.counters.oversized, 1)
})

test('the tap sees every datagram go, vanish and arrive; the filter picks which may', () => {
  const clock = new VirtualClock()
  const log: string[] = []
  const network = createMemoryNetwork({
    clock,
    link: { delayMs: 5, duplicate: 1 },
    tap: ({ event, from, to }, datagram, now) =>
      log.push(`${now} ${event} ${from.address}>${to.address} ${text(datagram)}`),
  })
  const a = network.transport('a')
  const b = network.transport('b')
  b.start(deaf)
  network.filter = (datagram) => text(datagram) !== 'second'
  a.send(bytes('first'), b.localAddress())
  a.send(bytes('second'), b.localAddress())
  a.send(bytes('third'), { address: 'c', port: 1 })
  clock.runUntilIdle()
  deepEqual(log, [
    '0 send a>b first',
    '0 send a>b second',
    '0 drop a>b second',
    '0 send a>c third',
    '5 deliver a>b first',
    '5 deliver a>b first',
    '5 drop a>c third',
    '5 drop a>c third',
  ])
  equal(network.counters.filtered, 1)
})

test('inject sends from an address where nobody is', () => {
  const clock = new VirtualClock()
  const network = createMemoryNetwork({ clock })
  const server = network.transport('server')
  const log: string[] = []
  listen(server, log, clock)
  network.inject(bytes('forged'), { address: 'victim', port: 7 }, server.localAddress())
  clock.advance(0)
  deepEqual(log, ['0 server <- victim|7: forged'])
})

test('a fault of the path reaches the handler, soon', () => {
  const clock = new VirtualClock()
  const [a] = createMemoryLink({ clock })
  const errors: Error[] = []
  a.start({ ...deaf, onError: (error) => errors.push(error) })
  a.fail(new Error('ECONNREFUSED'))
  equal(errors.length, 0)
  clock.advance(0)
  equal(errors[0]?.message, 'ECONNREFUSED')
})

test('bad options are named with their value', () => {
  const clock = new VirtualClock()
  throws(() => createMemoryLink(), {
    name: 'TypeError',
    message: /createMemoryLink: the option "clock" is missing/,
  })
  // @ts-expect-error: what a JavaScript user may forget
  throws(() => createMemoryNetwork({}), { name: 'TypeError', message: /option "clock"/ })
  // @ts-expect-error: as above
  throws(() => createMemoryNetwork(), { name: 'TypeError', message: /option "clock"/ })
  throws(() => createMemoryLink({ clock, loss: 3 }), { name: 'RangeError', message: /loss 3/ })
  throws(() => createMemoryNetwork({ clock, seed: 0.5 }), { name: 'RangeError', message: /seed 0\.5/ })
  throws(() => createMemoryNetwork({ clock, link: { mtu: 0 } }), { name: 'RangeError', message: /mtu 0/ })
  const network = createMemoryNetwork({ clock })
  throws(() => network.transport('a', { port: 65_536 }), { name: 'RangeError', message: /port 65536/ })
  throws(() => network.transport('a', { maxDatagramSize: 0 }), {
    name: 'RangeError',
    message: /maxDatagramSize 0/,
  })
  throws(() => network.set({ loss: -1 }), { name: 'RangeError', message: /loss -1/ })
})

const deaf: DatagramHandler<PeerAddress> = { onDatagram: () => {}, onError: () => {}, onClose: () => {} }

/** Writes down what arrives, when and from whom. */
function listen(
  transport: MemoryTransport,
  log: string[],
  clock: VirtualClock,
  answer: (text: string, peer: PeerAddress) => void = () => {},
): void {
  const { address } = transport.localAddress()
  transport.start({
    ...deaf,
    onDatagram(datagram, peer) {
      log.push(`${clock.now()} ${address} <- ${transport.peerKey(peer)}: ${text(datagram)}`)
      answer(text(datagram), peer)
    },
    onClose: () => log.push(`${clock.now()} ${address} closed`),
  })
}

function bytes(from: string): Uint8Array {
  return new TextEncoder().encode(from)
}

function text(from: Uint8Array): string {
  return new TextDecoder().decode(from)
}
