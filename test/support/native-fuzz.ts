/**
 * A program that calls the addon wrongly: `node --expose-gc build/test/support/native-fuzz.js SEED CALLS`. It ends
 * with 0 unless the process dies or an error is thrown that is none of the documented kinds.
 */
import { MessageChannel } from 'node:worker_threads'
import { KcpError } from '../../src/core/errors.ts'
import { type NativeSocket, type NativeUdp, nativeUdp, Row } from '../../src/node/native.ts'
import { UdpBatchTransport } from '../../src/node/udp-batch.ts'
import { Prng } from '../../src/sim/prng.ts'

const seed = Number(process.argv[2])
const calls = Number(process.argv[3])
const prng = new Prng(seed)
const udp = nativeUdp()
if (udp === undefined) throw new Error('no addon')
const { gc } = globalThis
if (gc === undefined) throw new Error('needs --expose-gc')

/** What values of ours throw when they are looked at. */
class Mine extends Error {}
const throwing = (): never => {
  throw new Mine('looked at')
}

const METHODS = [
  'start',
  'connect',
  'commit',
  'close',
  'ref',
  'unref',
  'address',
  'remoteAddress',
  'setBuffers',
  'setPacingRate',
  'fd',
  'features',
  'counters',
] as const

type Method = (this: unknown, ...args: unknown[]) => unknown
const prototype = udp.Socket.prototype as unknown as Record<string, Method>
const buffers = [udp.sendBytes, udp.sendTable, udp.recvBytes, udp.recvTable]
const sendTable = new Int32Array(udp.sendTable)
const sockets: NativeSocket[] = []
const transports: UdpBatchTransport[] = []
const kinds: Record<string, number> = {}
/** Steps of the main program so far. */
let made = 0

function pick<T>(from: readonly T[]): T {
  return from[prng.int(0, from.length - 1)]!
}

function number(): number {
  return pick([
    0,
    1,
    4,
    6,
    7,
    8,
    64,
    256,
    257,
    65_507,
    65_535,
    65_536,
    -1,
    -0,
    0.5,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    2 ** 31,
    2 ** 31 - 1,
    -(2 ** 31),
    2 ** 53,
    1e300,
    prng.u32() | 0,
    prng.int(0, 100),
  ])
}

function text(): string {
  return pick(['', '127.0.0.1', '::1', '::', '0.0.0.0', '255.255.255.255', 'localhost', '::ffff:127.0.0.1'].concat([
    '127.0.0.1\0',
    '\ud800',
    'é'.repeat(40),
    '1'.repeat(62),
    '1'.repeat(63),
    '1'.repeat(64),
    '1'.repeat(100_000),
    'fe80::1%lo',
    `fe80::1%${'x'.repeat(60)}`,
    '%%%%%',
  ])) // biome-ignore format: a pool
}

function anything(): unknown {
  switch (prng.int(0, 13)) {
    case 0:
      return undefined
    case 1:
      return null
    case 2:
      return prng.chance(0.5)
    case 3:
      return Symbol('s')
    case 4:
      return 4n
    case 5:
      return () => undefined
    case 6:
      return throwing
    case 7:
      return { valueOf: throwing, toString: throwing, [Symbol.toPrimitive]: throwing }
    case 8:
      return new Proxy({}, { get: throwing, has: throwing, getPrototypeOf: throwing })
    case 9:
      return pick<unknown>([...buffers, ...sockets, sendTable, [], new Uint8Array(4), udp, udp!.Socket])
    case 10:
      return text()
    default:
      return number()
  }
}

/** Arguments as they should be, as far as chance has it. */
function args(method: string): unknown[] {
  if (prng.chance(0.4)) return Array.from({ length: prng.int(0, 9) }, anything)
  const callback = (): void => inside()
  switch (method) {
    case 'start':
      return [callback, callback]
    case 'connect':
      return [text(), prng.int(0, 65_535)]
    case 'commit':
      return [prng.int(0, 256)]
    case 'close':
      return prng.chance(0.5) ? [callback] : []
    default:
      return [number()]
  }
}

/** Runs something that may throw what is documented, and nothing else. */
function attempt(run: () => unknown): void {
  let kind = 'ok'
  try {
    const value = run()
    if (value instanceof Promise) void value.catch(judge)
  } catch (error) {
    kind = judge(error)
  }
  kinds[kind] = (kinds[kind] ?? 0) + 1
}

function judge(error: unknown): string {
  if (error instanceof Mine) return 'mine'
  if (error instanceof KcpError) return error.code
  if (error instanceof TypeError) return 'TypeError'
  if (error instanceof DOMException && error.name === 'DataCloneError') return 'DataCloneError'
  const { code, errno, syscall } = error as NodeJS.ErrnoException
  if (/^E[A-Z0-9]+$/.test(code ?? '') && typeof errno === 'number' && errno < 0 && syscall !== undefined) {
    return 'system'
  }
  console.error(`seed ${seed}: not documented:`, error)
  process.exit(3)
}

/** Calls that callbacks may still make in this turn: what they send has callbacks too. */
let budget = 0

/** What a callback does: anything at all. */
function inside(): void {
  if (--budget < 0) return
  if (prng.chance(0.3)) step()
  if (prng.chance(0.1)) gc!()
  if (prng.chance(0.05)) throw new Mine('in a callback')
}

/** A row that may be valid, may be off by little, or is nothing but chance. */
function scribble(): void {
  for (let row = 0; row < 256; row++) {
    const at = row * Row.Words
    if (prng.chance(0.05)) {
      for (let word = 0; word < Row.Words; word++) sendTable[at + word] = pick([prng.u32(), number()])
      continue
    }
    const bytes = pick([1, 100, 1_400, 64_000, 65_507])
    sendTable[at + Row.Bytes] = bytes + (prng.chance(0.01) ? prng.int(-1, 1) : 0)
    sendTable[at + Row.Segment] = Math.max(Math.ceil(bytes / 64), prng.int(1, bytes))
    sendTable[at + Row.Offset] = pick([0, prng.int(0, 262_144 - bytes), 262_144 - bytes])
    sendTable[at + Row.Port] = pick([9, prng.u32()])
    // 127.x.y.z, so that nothing leaves this machine.
    sendTable[at + Row.Address] = (prng.u32() & ~0xff) | 127
  }
}

function construct(): void {
  const plausible = prng.chance(0.6)
  const family = plausible ? pick([4, 6]) : anything()
  const given = plausible
    ? [family, family === 4 ? '127.0.0.1' : '::1', 0, prng.int(0, 7), -1, prng.int(0, 7)]
    : [family, text(), number(), number(), prng.int(-2, 40), anything()].slice(0, prng.int(0, 6))
  if (prng.chance(0.1)) given[prng.int(0, 5)] = anything()
  attempt(() => {
    const Socket = udp!.Socket as unknown as new (...given: unknown[]) => NativeSocket
    const socket = prng.chance(0.1)
      ? (Reflect.construct(Socket, given, Map) as NativeSocket)
      : new Socket(...given)
    // Some are dropped at once, open.
    if (prng.chance(0.8)) sockets.push(socket)
  })
}

function receiver(): unknown {
  if (prng.chance(0.8) && sockets.length > 0) return pick(sockets)
  const some = sockets[0] ?? {}
  return pick<unknown>([
    undefined,
    prototype,
    udp,
    Object.create(some),
    Object.create(prototype),
    new Proxy(some, {}),
    7,
  ])
}

/** Tries to take a buffer away. Nobody may, but for a way of Node 22 that no mark forbids; that is left for the end. */
function detach(): void {
  const buffer = pick(buffers)
  const transfer = [buffer]
  switch (prng.int(0, 3)) {
    case 0:
      attempt(() => structuredClone(buffer, { transfer }))
      break
    case 1: {
      const { port1, port2 } = new MessageChannel()
      attempt(() => port1.postMessage(buffer, transfer))
      port1.close()
      port2.close()
      break
    }
    case 2:
      // A copy may go anywhere.
      attempt(() => structuredClone(buffer))
      break
    default:
      if (made > calls * 0.8 && 'transfer' in buffer) {
        attempt(() => (buffer as { transfer(): ArrayBuffer }).transfer())
        return
      }
  }
  if (buffer.byteLength === 0 && made <= calls * 0.8) {
    console.error(`seed ${seed}: a buffer of the addon was transferred`)
    process.exit(4)
  }
}

function overTransport(): void {
  if (transports.length < 5) {
    const options = {
      address: '127.0.0.1',
      ...(prng.chance(0.2) && { [pick(['port', 'family', 'fd', 'features'])]: anything() }),
    }
    attempt(async () => transports.push(await UdpBatchTransport.bind(options)))
  }
  if (transports.length === 0) return
  const transport = pick(transports) as unknown as Record<string, Method>
  const handler = {
    onDatagram: (bytes: Uint8Array, peer: unknown) => {
      if (prng.chance(0.3)) attempt(() => transport['send']!(bytes, peer))
      inside()
    },
    onError: inside,
    onClose: inside,
  }
  const peer = prng.chance(0.2)
    ? anything()
    : { address: text(), port: prng.chance(0.2) ? anything() : prng.int(0, 65_535) }
  const near = prng.chance(0.7) ? pick(transports).localAddress() : peer
  switch (prng.int(0, 8)) {
    case 0:
      attempt(() => transport['start']!(prng.chance(0.8) ? handler : anything()))
      break
    case 1:
      attempt(() => transport['connect']!(near))
      break
    case 2:
      attempt(() => transport['close']!())
      transports.splice(transports.indexOf(transport as unknown as UdpBatchTransport), 1)
      break
    case 3:
      attempt(() => [
        transport['bufferSizes']!(),
        transport['fd'],
        transport['stats']!(),
        transport['localAddress']!(),
      ])
      break
    case 4:
      attempt(() => transport['setMaxPacingRate']!(anything()))
      break
    default:
      for (let i = prng.int(1, 100); i > 0; i--) {
        const bytes = prng.chance(0.02)
          ? anything()
          : new Uint8Array(prng.int(0, prng.chance(0.02) ? 70_000 : 1_500))
        attempt(() => transport['send']!(bytes, near))
      }
  }
}

function step(): void {
  const chance = prng.next()
  if (chance < 0.08 && sockets.length < 30) construct()
  else if (chance < 0.13) scribble()
  else if (chance < 0.16) detach()
  else if (chance < 0.4) overTransport()
  else if (chance < 0.44) {
    const given = [number(), number(), number(), number(), number(), number()]
    attempt(() => udp!.addressText(...(given as Parameters<NativeUdp['addressText']>)))
    attempt(() =>
      (udp!.addressWords as Method)(pick([4, 6, anything()]), prng.chance(0.9) ? text() : anything()),
    )
    // Without `new`, or on something foreign.
    attempt(() => (udp!.Socket as unknown as Method).call(anything(), 4, '127.0.0.1', 0, 0, -1, 7))
  } else {
    const method = pick(METHODS)
    attempt(() => prototype[method]!.apply(receiver(), args(method)))
    if (method === 'close' && sockets.length > 20) sockets.splice(prng.int(0, sockets.length - 1), 1)
  }
  if (prng.chance(0.05)) gc!()
  else gc!({ type: 'minor' } as never)
}

process.on('uncaughtException', (error) => void judge(error))
for (; made < calls; made++) {
  step()
  budget = 30
  if (made % 20 === 0) await new Promise((resolve) => setImmediate(resolve))
}
// Some are no sockets by their prototype.
for (const socket of sockets) prototype['close']!.call(socket)
// What a socket still has to send may have been scribbled over.
for (const closed of await Promise.allSettled(transports.map((one) => one.close()))) {
  if (closed.status === 'rejected') judge(closed.reason)
}
sockets.length = 0
gc()
await new Promise((resolve) => setImmediate(resolve))
gc()
console.log(JSON.stringify(kinds))
// What was dropped while open is still open: the system closes it.
process.exit(0)
