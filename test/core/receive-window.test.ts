import { deepEqual, equal, ok } from 'node:assert/strict'
import { afterEach, test } from 'node:test'
import { setAllocator } from '../../src/core/memory.ts'
import { ReceiveWindow } from '../../src/core/receive-window.ts'
import { seqAdd, seqDiff } from '../../src/core/seq.ts'
import { Prng } from '../../src/sim/prng.ts'
import { toBytes } from '../support/trace.ts'

afterEach(() => setAllocator())

function store(window: ReceiveWindow, sn: number, text: string, frg = 0): boolean {
  return storePart(window, sn, frg, toBytes(`<<${text}>>`), 2, text.length)
}

function storePart(
  window: ReceiveWindow,
  sn: number,
  frg: number,
  datagram: Uint8Array,
  start: number,
  len: number,
): boolean {
  window.begin(datagram)
  const stored = window.store(sn, frg, start, len)
  window.end()
  return stored
}

function read(window: ReceiveWindow, peek = false): string | undefined {
  const size = window.peekSize()
  if (size < 0) return undefined
  const into = new Uint8Array(size)
  equal(window.take(into, peek), size)
  if (!peek) window.advance()
  return String.fromCharCode(...into)
}

test('what is next in order is readable, what is early waits for the hole to be filled', () => {
  const window = new ReceiveWindow()
  ok(store(window, 1, 'b'))
  ok(store(window, 3, 'd'))
  deepEqual([window.rcvNxt, window.queued, window.early, read(window)], [0, 0, 2, undefined])
  ok(store(window, 0, 'a'))
  deepEqual([window.rcvNxt, window.queued, window.early], [2, 2, 1])
  equal(read(window), 'a')
  equal(read(window), 'b')
  equal(read(window), undefined)
  ok(store(window, 2, 'c'))
  equal(read(window), 'c')
  equal(read(window), 'd')
})

test('a segment that is here, was here, or lies outside the window is refused', () => {
  const window = new ReceiveWindow()
  ok(store(window, 0, 'a'))
  ok(store(window, 5, 'f'))
  for (const sn of [0, 5, 129, 0xffff_ffff, 2 ** 31]) equal(store(window, sn, 'x'), false, `${sn}`)
  ok(store(window, 128, 'last place: one is queued'))
  equal(window.bytes, 2 + 25)
})

test('the payload is copied', () => {
  const window = new ReceiveWindow()
  for (const size of [5, 500]) {
    const bytes = new Uint8Array(size).fill(7)
    storePart(window, window.rcvNxt, 0, bytes, 0, size)
    bytes.fill(9)
    const into = new Uint8Array(size)
    window.take(into, false)
    deepEqual(into, new Uint8Array(size).fill(7))
  }
})

test('any part of a datagram may be the payload, short or long', () => {
  for (const size of [10, 128, 129, 1400]) {
    const datagram = Uint8Array.from({ length: size + 9 }, (_, i) => i)
    for (const [start, len] of [
      [0, size + 9],
      [0, size],
      [4, size],
      [9, size],
    ] as const) {
      const window = new ReceiveWindow()
      storePart(window, 0, 0, datagram, start, len)
      const into = new Uint8Array(len)
      window.take(into, false)
      deepEqual(into, datagram.slice(start, start + len))
    }
  }
})

test('many payloads of one datagram each find a place, also when the arena has to grow meanwhile', () => {
  for (const size of [1, 20, 128, 129, 400]) {
    const window = new ReceiveWindow()
    const count = Math.floor(1400 / size)
    const datagram = Uint8Array.from({ length: count * size }, (_, i) => i)
    window.begin(datagram)
    // The last one first: what comes first in the datagram moves, too.
    for (let i = count - 1; i >= 0; i--) ok(i >= window.rcvWnd || window.store(i, 0, i * size, size))
    window.end()
    for (let i = 0; i < Math.min(count, window.rcvWnd); i++) {
      const into = new Uint8Array(size)
      equal(window.take(into, false), size)
      deepEqual(into, datagram.slice(i * size, (i + 1) * size), `${size}: ${i}`)
    }
  }
})

test('a datagram of which nothing is stored takes no memory', () => {
  const window = new ReceiveWindow()
  const sizes = new Set<number>()
  for (let i = 0; i < 100; i++) {
    storePart(window, 500 + i, 0, new Uint8Array(1400), 24, 1376)
    window.begin(new Uint8Array(1400))
    sizes.add(window.words.byteLength)
    window.end()
  }
  equal(sizes.size, 1)
})

test('what is longer than a frame and our own segments lies apart, and does not widen the cells', () => {
  const taken = new Map<Uint8Array, number>()
  setAllocator(
    (size) => {
      const block = new Uint8Array(size + 5)
      taken.set(block, size)
      return block
    },
    (block) => ok(taken.delete(block)),
  )
  const window = new ReceiveWindow()
  window.segmentSize = 1376
  const jumbo = Uint8Array.from({ length: 9000 }, (_, i) => i)
  window.begin(jumbo)
  ok(window.store(3, 0, 0, 5000))
  ok(window.store(1, 0, 5000, 100))
  ok(window.store(0, 0, 5100, 1500))
  ok(window.store(2, 0, 6600, 2400))
  window.end()
  deepEqual(
    [...taken.values()].filter((size) => size > 4096),
    [5000],
  )
  deepEqual(window.dataOf(2), jumbo.slice(6600))
  for (const [from, to] of [
    [5100, 6600],
    [5000, 5100],
    [6600, 9000],
  ] as const) {
    const into = new Uint8Array(to - from)
    window.take(into, false)
    deepEqual(into, jumbo.slice(from, to))
  }
  deepEqual([...taken.values()].filter((size) => size > 2000).sort(), [2 * 1536, 5000])
  window.drop()
  equal(taken.size, 0)
  // With an mtu of that size it is what cells are made for.
  window.segmentSize = 9000 - 24
  ok(storePart(window, 4, 0, jumbo, 24, 8976))
  deepEqual([...taken.values()], [2 * 9024])
})

test('peeking keeps, and may be done again', () => {
  const window = new ReceiveWindow()
  store(window, 0, 'he', 1)
  store(window, 1, 'llo', 0)
  equal(read(window, true), 'hello')
  equal(read(window, true), 'hello')
  equal(read(window), 'hello')
  equal(window.bytes, 0)
})

test('the slots advertised are those of the queue, not the early ones', () => {
  const window = new ReceiveWindow()
  store(window, 2, 'c')
  equal(window.unused, 128)
  store(window, 0, 'a')
  equal(window.unused, 127)
  window.rcvWnd = 1
  equal(window.unused, 0)
})

test('a shared budget closes every window that uses it', () => {
  const budget = { used: 0, limit: 100 }
  const [a, b] = [new ReceiveWindow(), new ReceiveWindow()]
  a.budget = budget
  b.budget = budget
  store(a, 0, 'x'.repeat(60))
  store(b, 0, 'x'.repeat(40))
  equal(budget.used, 100)
  deepEqual([a.unused, b.unused], [0, 0])
  ok(!a.admits(1, 1, true))
  read(b)
  equal(budget.used, 60)
  deepEqual([a.unused, b.unused], [127, 128])
  ok(b.admits(0, 40, true) && !b.admits(0, 41, true))
  a.drop()
  equal(budget.used, 0)
})

test('strict: fragments that fit and count down are fine, and so is a window of 128 for 128', () => {
  const window = new ReceiveWindow()
  window.strictFragments = true
  for (let i = 0; i < 128; i++) ok(store(window, i, 'x', 127 - i))
  equal(window.broken, false)
  equal(read(window)?.length, 128)
})

test('strict: fragments are judged in order, not as they arrive', () => {
  const window = new ReceiveWindow()
  window.strictFragments = true
  store(window, 2, 'c', 0)
  store(window, 1, 'b', 1)
  store(window, 3, 'evil', 200)
  equal(window.broken, false)
  store(window, 0, 'a', 2)
  equal(window.broken, true, 'the one behind the message')
  equal(read(window), 'abc')
  equal(read(window), undefined)
})

test('trim gives the memory back only when nothing is held', () => {
  const window = new ReceiveWindow()
  store(window, 0, 'a')
  window.trim()
  equal(read(window), 'a')
  ok(window.capacity > 0)
  window.trim()
  equal(window.capacity, 0)
  store(window, 1, 'b')
  equal(read(window), 'b')
})

test('random arrivals and reads deliver what a list-based twin delivers', () => {
  for (let seed = 1; seed <= 60; seed++) {
    const prng = new Prng(seed)
    const window = new ReceiveWindow()
    const twin = new Twin()
    window.rcvWnd = twin.rcvWnd = prng.int(1, 40)
    window.rcvNxt = twin.rcvNxt = prng.chance(0.3) ? 0xffff_fff0 : prng.u32()
    for (let step = 0; step < 800; step++) {
      const where = `seed=${seed} step=${step}`
      if (prng.chance(0.75)) {
        const sn = seqAdd(twin.rcvNxt, prng.int(-5, prng.chance(0.1) ? 60 : 12))
        const text = String.fromCharCode(33 + (sn % 90)).repeat(prng.int(0, prng.chance(0.1) ? 1500 : 20))
        const frg = prng.chance(0.7) ? 0 : prng.int(0, 3)
        equal(store(window, sn, text, frg), twin.store(sn, frg, text), where)
      } else if (prng.chance(0.9)) {
        equal(read(window), twin.read(), where)
      } else {
        window.rcvWnd = twin.rcvWnd = prng.int(1, 60)
        window.advance()
        twin.advance()
      }
      deepEqual(
        [window.rcvNxt, window.queued, window.early, window.bytes, window.peekSize(), window.head],
        [
          twin.rcvNxt,
          twin.queue.length,
          twin.early.size,
          twin.bytes,
          twin.peekSize(),
          seqAdd(twin.rcvNxt, -twin.queue.length),
        ],
        where,
      )
    }
  }
})

interface Held {
  readonly frg: number
  readonly text: string
}

/** The same window, as plainly as it can be said: a list of what is in order, and a map of what is early. */
class Twin {
  rcvNxt = 0
  rcvWnd = 128
  queue: Held[] = []
  readonly early: Map<number, Held> = new Map()

  get bytes(): number {
    return [...this.queue, ...this.early.values()].reduce((sum, { text }) => sum + text.length, 0)
  }

  store(sn: number, frg: number, text: string): boolean {
    const ahead = seqDiff(sn, this.rcvNxt)
    if (ahead < 0 || ahead >= this.rcvWnd || this.early.has(sn)) return false
    this.early.set(sn, { frg, text })
    this.advance()
    return true
  }

  advance(): void {
    for (;;) {
      const next = this.early.get(this.rcvNxt)
      if (next === undefined || this.queue.length >= this.rcvWnd) return
      this.early.delete(this.rcvNxt)
      this.queue.push(next)
      this.rcvNxt = seqAdd(this.rcvNxt, 1)
    }
  }

  /** Up to the first last fragment, or all there is; not before as many are here as the first one announces. */
  message(): Held[] | undefined {
    const [first] = this.queue
    if (first === undefined || this.queue.length < first.frg + 1) return undefined
    const end = this.queue.findIndex(({ frg }) => frg === 0)
    return end < 0 ? this.queue : this.queue.slice(0, end + 1)
  }

  peekSize(): number {
    return this.message()?.reduce((sum, { text }) => sum + text.length, 0) ?? -1
  }

  read(): string | undefined {
    const message = this.message()
    if (message === undefined) return undefined
    this.queue = this.queue.slice(message.length)
    this.advance()
    return message.map(({ text }) => text).join('')
  }
}

test('near a byte limit the slots advertised are those that there is room for, full segments taken', () => {
  const window = new ReceiveWindow()
  window.segmentSize = 100
  window.maxBytes = 1_000
  equal(window.unused, 10)
  store(window, 0, 'x'.repeat(30))
  equal(window.unused, 9)
  window.maxBytes = 12_630
  equal(window.unused, 126, 'bytes for 126, slots for 127')
  window.maxBytes = 12_730
  equal(window.unused, 127)
})

test('slots are counted with the longest segments that the peer sends', () => {
  const window = new ReceiveWindow()
  window.segmentSize = 100
  window.maxBytes = 1_000
  store(window, 1, 'x'.repeat(200))
  equal(window.unused, 4)
  store(window, 2, 'x'.repeat(300))
  equal(window.unused, 1)
  store(window, 0, 'x'.repeat(10))
  for (let i = 0; i < 3; i++) read(window)
  equal(window.unused, 3, 'and go on to be')
})

test('a message that is larger than the byte limit is let in one segment at a time', () => {
  const window = new ReceiveWindow()
  window.segmentSize = 100
  window.maxBytes = 100
  store(window, 0, 'x'.repeat(100), 2)
  deepEqual([window.peekSize(), window.unused], [-1, 1])
  store(window, 1, 'x'.repeat(100), 1)
  deepEqual([window.peekSize(), window.unused], [-1, 1])
  store(window, 2, 'x'.repeat(100), 0)
  deepEqual([window.peekSize(), window.unused], [300, 0])
})

test('a window that holds nothing takes no memory for a datagram that brings nothing, however long', () => {
  let blocks = 0
  setAllocator((size) => {
    blocks++
    return new Uint8Array(size)
  })
  const window = new ReceiveWindow()
  for (const size of [24, 1400, 9000, 70_000]) {
    window.begin(new Uint8Array(size).fill(size))
    equal(window.words.getUint8(window.at + size - 1), size & 255)
    window.end()
  }
  equal(blocks, 0)
  // Readings may nest: each has its own place.
  const other = new ReceiveWindow()
  window.begin(Uint8Array.of(1))
  other.begin(Uint8Array.of(2))
  deepEqual([window.words.getUint8(window.at), other.words.getUint8(other.at)], [1, 2])
  other.end()
  window.end()
  store(window, 0, 'a')
  equal(blocks, 1)
  equal(read(window), 'a')
})

test('nothing is advertised while the queue is full, though its message is longer than both limits', () => {
  const window = new ReceiveWindow()
  window.rcvWnd = 2
  window.maxBytes = 2
  ok(store(window, 0, 'a', 5))
  ok(store(window, 1, 'b', 4))
  deepEqual([window.peekSize(), window.unused], [-1, 0])
})

test('bytes that are left count, if only one, and slots are not counted in bytes unless told how many', () => {
  const window = new ReceiveWindow()
  window.maxBytes = 2
  ok(store(window, 0, 'a'))
  equal(window.unused, 127)
  window.segmentSize = 1
  equal(window.unused, 1)
})

test('with an empty message to read and no room left nothing is advertised', () => {
  const window = new ReceiveWindow()
  window.maxBytes = 10
  window.segmentSize = 10
  ok(store(window, 0, ''))
  ok(store(window, 1, '0123456789'))
  equal(window.unused, 0)
  equal(read(window), '')
  equal(read(window), '0123456789')
  ok(store(window, 3, '0123456789'))
  equal(window.unused, 1, 'nothing to read: what is missing may come')
})

test('a run of messages: to the last one in the queue, from an empty one on, none behind an incomplete one', () => {
  const window = new ReceiveWindow()
  ok(store(window, 0, ''))
  ok(store(window, 1, 'ab'))
  ok(store(window, 2, 'cde'))
  deepEqual(
    [0, 2, 4, 5].map((limit) => window.runSize(limit)),
    [0, 2, 2, 5],
  )
  const broken = new ReceiveWindow()
  equal(broken.runSize(9), -1)
  ok(store(broken, 0, 'a', 9))
  ok(store(broken, 1, 'b'))
  ok(store(broken, 2, 'c'))
  equal(broken.runSize(9), -1)
})

test('numbers are u32 to those who look on', () => {
  const window = new ReceiveWindow()
  window.rcvNxt = 0xffff_ffff
  equal(window.frgOf(0xffff_ffff), -1)
  ok(store(window, 0xffff_ffff, 'a', 1))
  ok(store(window, 0, 'b'))
  deepEqual([window.head, window.frgOf(0xffff_ffff), window.frgOf(0)], [0xffff_ffff, 1, 0])
  const seen: number[] = []
  window.take(null, false, (sn) => void seen.push(sn))
  for (let sn = 1; sn < 4; sn++) {
    ok(store(window, sn, 'c'))
    window.take(null, false, (it) => void seen.push(it))
  }
  deepEqual(seen, [0xffff_ffff, 0, 1, 2, 3])
})

test('what was stored apart is given back once', () => {
  let freed = 0
  setAllocator(
    (size) => new Uint8Array(size),
    () => void freed++,
  )
  const window = new ReceiveWindow()
  ok(store(window, 0, 'x'.repeat(2_000)))
  window.drop()
  equal(freed, 1)
  window.drop()
  equal(freed, 1)
})

test('a payload that is too long for a cell is copied from the cell that its datagram lies in', () => {
  for (const [mtu, later] of [
    [2_000, 2_000],
    [5_000, 5_000],
    [8_972, 8_972],
    [9_000, 1_400],
  ] as const) {
    const window = new ReceiveWindow()
    window.segmentSize = mtu - 24
    // A full segment gives the cells their size, in whole lines of a cache.
    ok(storePart(window, 0, 0, new Uint8Array(mtu), 24, mtu - 24))
    window.segmentSize = later - 24
    const size = later === mtu ? Math.ceil(mtu / 64) * 64 - 48 : 2_000
    const datagram = Uint8Array.from({ length: size + 48 }, (_, i) => i)
    window.begin(datagram)
    ok(window.store(1, 0, 24, 0))
    ok(window.store(2, 0, 48, size))
    window.end()
    window.take(null, false)
    window.take(null, false)
    const into = new Uint8Array(size)
    equal(window.take(into, false), size)
    deepEqual(into, datagram.subarray(48), `mtu ${mtu}, then ${later}`)
  }
})
