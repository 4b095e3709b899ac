/**
 * What is fuzzed. A target opens a subject, which makes inputs and takes them: each input may do only what is
 * documented. Everything follows from the seed of a case and the bytes of its inputs.
 * @module
 */
import { HARDENED, PARITY } from '../../src/core/config.ts'
import { KcpError } from '../../src/core/errors.ts'
import { Kcp } from '../../src/core/kcp.ts'
import { KCP_OVERHEAD } from '../../src/core/segment.ts'
import {
  Aes,
  aeadPackets,
  aesGcm,
  cfb,
  chacha20Poly1305,
  classicPackets,
  type PacketCipher,
  salsa20,
  unscrambled,
  xorTable,
} from '../../src/crypto/index.ts'
import { AutotuneDecoder, FecDecoder, FecEncoder } from '../../src/fec/index.ts'
import { Acceptor } from '../../src/session/acceptor.ts'
import { resolveSessionConfig } from '../../src/session/config.ts'
import { resolveLimits } from '../../src/session/listener-limits.ts'
import { Scheduler } from '../../src/session/scheduler.ts'
import type { DatagramTransport, PeerAddress } from '../../src/session/transport.ts'
import { VirtualClock } from '../../src/sim/clock.ts'
import type { Prng } from '../../src/sim/prng.ts'
import { resolveSmuxConfig, SmuxEngine } from '../../src/smux/index.ts'
import { encodeBlock, encodedBound, SnappyDecoder, SnappyEncoder } from '../../src/snappy/index.ts'
import { large, mutated, noise, segments, Traffic } from './mutate.ts'
import { secure } from './secure.ts'
import { session } from './session.ts'
import { type Open, require, type Subject } from './subject.ts'

const CONV = 0x51515151

/** Sizes at which cells, frames and jumbo frames end, and any other. */
const MTUS = [50, 88, 512, 1_400, 1_500, 1_536, 2_000, 5_000, 8_972, 9_000]
function anyMtu(prng: Prng): number {
  return prng.chance(0.5) ? prng.int(50, 9_000) : MTUS[prng.int(0, MTUS.length - 1)]!
}

/** An engine in the middle of a conversation. Its settings, and the peer's, may change as it goes on. */
function engine(prng: Prng): Subject {
  const hardened = prng.chance(0.8)
  const settings = {
    hardening: hardened ? HARDENED : PARITY,
    nodelay: prng.int(0, 2) as 0 | 1 | 2,
    interval: 10,
    resend: prng.int(0, 2),
    nc: prng.chance(0.5),
    mtu: prng.chance(0.5) ? anyMtu(prng) : prng.int(50, 200),
    sndWnd: prng.int(1, 64),
    rcvWnd: 128,
    streamMode: prng.chance(0.3),
    lossDetection: prng.chance(0.5) ? ('time' as const) : ('count' as const),
    redundancy: ([0, 1, 'auto'] as const)[prng.int(0, 2)]!,
  }
  const traffic = new Traffic()
  let toPeer: Uint8Array[] = []
  let fromPeer: Uint8Array[] = []
  const kcp = new Kcp(CONV, (datagram) => toPeer.push(datagram.slice()), settings)
  // A peer's segments may be larger than ours, also than most cells of the window are.
  const peerMtu = prng.chance(0.2) ? anyMtu(prng) : settings.mtu
  const longest = peerMtu > 200 ? 10_000 : 100
  const live = prng.chance(0.5)
  let [sndWnd, rcvWnd] = [settings.sndWnd, 128]
  const change = (one: Kcp): void => {
    if (prng.chance(0.5)) one.setMtu(anyMtu(prng))
    else {
      one.setWindow(prng.int(1, 64), prng.int(1, 300))
      if (one !== kcp) return
      // What is in flight, or here, stays so when a window shrinks.
      sndWnd = Math.max(sndWnd, kcp.sndWnd)
      rcvWnd = Math.max(rcvWnd, kcp.rcvWnd)
    }
  }
  const peer = new Kcp(CONV, (datagram) => fromPeer.push(datagram.slice()), { ...settings, mtu: peerMtu })
  let now = prng.u32()
  kcp.update(now)
  peer.update(now)
  const message = new Uint8Array(longest)
  return {
    make() {
      // Now and then so long that window probes, RTOs and the ends of links are due.
      now = (now + (prng.chance(0.02) ? 2 ** prng.int(4, 18) : prng.int(0, 12))) >>> 0
      if (live && prng.chance(0.03)) change(prng.chance(0.5) ? kcp : peer)
      if (prng.chance(0.3) && peer.waitSnd() < 64) {
        // No message of more fragments than it may have.
        const most = prng.chance(0.5) ? longest : 100
        peer.send(message.subarray(0, prng.int(0, Math.min(most, 127 * peer.mss))))
      }
      if (prng.chance(0.3) && kcp.waitSnd() < 64) kcp.send(message.subarray(0, prng.int(0, 100)))
      for (const datagram of toPeer) if (prng.chance(0.9)) peer.tryInput(datagram, now)
      toPeer = []
      fromPeer = []
      peer.flush(now)
      while (peer.recv() !== undefined);
      for (const datagram of fromPeer) traffic.keep(datagram)
      const kind = prng.next()
      if (kind < 0.15) return noise(prng, 100)
      if (kind < 0.4) return traffic.pick(prng, false)
      if (kind < 0.7) return traffic.pick(prng, true)
      const { sndUna, sndNxt, rcvNxt } = kcp
      if (prng.chance(0.15)) return large(prng, prng.chance(0.5) ? kcp.mtu : settings.mtu, CONV, rcvNxt)
      return segments(prng, { conv: CONV, una: sndUna, nxt: sndNxt, rcvNxt, now })
    },
    feed(input) {
      const result = kcp.tryInput(input, now)
      require(result <= 0 && result >= -3, `an answer of ${result}`)
      input.fill(0xdd)
      const { rcv, snd } = kcp
      require(rcv.queued + rcv.early <= 2 * rcvWnd, `${rcv.queued} and ${rcv.early} segments received`)
      require(snd.inFlight >= 0 && snd.inFlight <= sndWnd, `${snd.inFlight} segments in flight`)
      require(rcv.bytes >= 0 && snd.bytes >= 0, 'negative bytes')
      if (hardened) require(kcp.rtt.rto >= 1 && kcp.rtt.rto <= 60_000, `an RTO of ${kcp.rtt.rto}`)
      kcp.flush(now)
      require(kcp.acks.count === 0, `${kcp.acks.count} ACKs owed after a flush`)
      if (input.length & 1) while (kcp.recv() !== undefined);
    },
  }
}

/** A server's door and the sessions behind it. */
function acceptor(prng: Prng): Subject {
  const limits = { maxConnections: 24, maxPending: 12, maxPendingPerHost: 4, maxMemory: 60_000 }
  const clock = new VirtualClock(2 * prng.u32())
  const scheduler = new Scheduler(clock)
  const traffic = new Traffic()
  const transport: DatagramTransport<PeerAddress> = {
    send: (datagram) => traffic.keep(datagram),
    start: () => undefined,
    close: () => undefined,
    peerKey: ({ address, port }) => `${address}|${port}`,
  }
  const most = prng.chance(0.3) ? 3 : 1
  const subject = new Acceptor<PeerAddress>({
    transport,
    config: resolveSessionConfig({ preset: 'fast', stallTimeout: 2_000, idleTimeout: 3_000 }),
    limits: resolveLimits(limits),
    codec: undefined,
    fec: prng.chance(0.3) ? { data: 3, parity: 1, autotune: prng.chance(0.5) } : undefined,
    scheduler,
    random: () => prng.u32(),
    hasBacklog: () => true,
    channels: most,
    onSessions: (sessions) => {
      for (const session of sessions) {
        session.onChange = () => {
          if (session.closed) scheduler.remove(session)
          else if (session.conv & 1) while (session.recv() !== undefined);
        }
      }
    },
  })
  let now = 0
  let rcvNxt = 0
  return {
    make() {
      const kind = prng.next()
      now += prng.int(0, 20)
      rcvNxt = prng.chance(0.5) ? 0 : prng.int(0, 40)
      const from = Uint8Array.of(prng.int(0, 7), prng.int(0, 3), prng.int(0, 20))
      let datagram: Uint8Array
      if (kind < 0.1) datagram = noise(prng, 80)
      else if (kind < 0.5) datagram = traffic.pick(prng, kind < 0.3)
      else datagram = segments(prng, { conv: prng.int(3, 20), una: 0, nxt: prng.int(0, 4), rcvNxt, now })
      const input = new Uint8Array(3 + datagram.length)
      input.set(from)
      input.set(datagram, 3)
      return input
    },
    feed(input) {
      const [host = 0, port = 0, ms = 0] = input
      clock.advance(ms)
      subject.receive(input.slice(3), { address: `10.0.0.${host}`, port: port + 1 }, clock.now())
      clock.advance(0)
      require(subject.sessions <= limits.maxConnections * most, `${subject.sessions} sessions`)
      require(subject.pendingSessions >= 0, `${subject.pendingSessions} pending`)
      // A group of channels is let in whole.
      require(subject.pendingSessions <= (limits.maxPending + 2) * most, `${subject.pendingSessions} pending`)
      require(subject.sessions ===
        scheduler.size, `${scheduler.size} scheduled, ${subject.sessions} sessions`)
      require(subject.memoryUsed >= 0 && subject.memoryUsed <= limits.maxMemory, 'memory')
      require(subject.tombstones <= 65_536, 'tombstones')
    },
  }
}

/** What a decoder's documentation allows it: three of the largest groups that anybody can have. */
const FEC_BYTES_MAX = 3 * 256 * 1536

function fec(prng: Prng): Subject {
  const [dataShards, parityShards] = [prng.int(1, 10), prng.int(1, 4)]
  const shape = { dataShards, parityShards }
  const decoder = prng.chance(0.5)
    ? new FecDecoder({ ...shape, conv: CONV })
    : new AutotuneDecoder({ conv: CONV }, prng.chance(0.5) ? shape : undefined)
  let encoder = new FecEncoder({ ...shape, maxDatagram: 300 })
  const traffic = new Traffic()
  let now = prng.int(0, 1000)
  return {
    make() {
      now += prng.chance(0.01) ? 2 ** prng.int(2, 17) : prng.int(0, 3)
      // A peer that began anew, perhaps with other groups.
      if (prng.chance(0.01)) {
        const [data, parity] = [prng.int(1, 10), prng.int(1, 4)]
        encoder = new FecEncoder({ dataShards: data, parityShards: parity, maxDatagram: 300 })
      }
      const kind = prng.next()
      if (kind < 0.5) {
        const plain = segments(prng, { conv: CONV, una: 0, nxt: 5, rcvNxt: 5, now }).subarray(0, 280)
        const buffer = new Uint8Array(8 + plain.length)
        buffer.set(plain, 8)
        const made = encoder.add(buffer, 8, buffer.length, now)
        traffic.keep(buffer)
        for (const { buffer: bytes, start, end } of encoder.parity.slice(0, made)) {
          traffic.keep(bytes.subarray(start, end))
        }
      }
      if (kind > 0.9) return noise(prng, 100)
      return traffic.pick(prng, prng.chance(0.5))
    },
    feed(input) {
      const count = decoder.add(input, 0, input.length, now)
      const most = decoder instanceof FecDecoder ? dataShards : (decoder.shape?.dataShards ?? 0)
      require(count >= 0 && count <= most, `${count} rebuilt`)
      require(decoder.heldBytes >= 0 && decoder.heldBytes <= FEC_BYTES_MAX, `${decoder.heldBytes} bytes held`)
      for (const { buffer, start, end } of decoder.rebuilt.slice(0, count)) {
        require(start >= 0 && end >= start && end <= buffer.length, `${start}..${end} of ${buffer.length}`)
        require(end - start >= KCP_OVERHEAD, 'less than a segment rebuilt')
      }
    },
  }
}

const KEY = Uint8Array.from({ length: 32 }, (_, i) => i * 7)

function cipher(prng: Prng): Subject {
  const random = (bytes: Uint8Array, start: number, end: number): void => {
    for (let i = start; i < end; i++) bytes[i] = prng.u32()
  }
  const subject: PacketCipher = [
    () => aeadPackets(chacha20Poly1305(KEY), random),
    () => aeadPackets(aesGcm(KEY), random),
    () => classicPackets(unscrambled, random),
    () => classicPackets(salsa20(KEY), random),
    () => classicPackets(xorTable(KEY), random),
    () => classicPackets(cfb(new Aes(KEY)), random),
  ][prng.int(0, 5)]!()
  const { headroom, tailroom } = subject
  const buffer = new Uint8Array(400)
  return {
    make() {
      if (prng.chance(0.3)) return noise(prng, 120)
      const size = prng.int(0, 120)
      const sealed = new Uint8Array(headroom + size + tailroom)
      subject.seal(sealed, headroom, headroom + size)
      return mutated(prng, sealed)
    },
    feed(input) {
      const piece = input.subarray(0, 380)
      buffer.fill(0xa5)
      buffer.set(piece, 7)
      const result = subject.open(buffer, 7, 7 + piece.length)
      require(result === 0 || result === -1 || result === -2, `an answer of ${result}`)
      const short = piece.length < headroom + tailroom
      require(short === (result === -1), `${piece.length} bytes: ${result}`)
      for (let i = 0; i < buffer.length; i++) {
        if (i >= 7 && i < 7 + piece.length) continue
        require(buffer[i] === 0xa5, `byte ${i} outside of the datagram was written`)
      }
    },
  }
}

/** Valid calls in any order, also from inside of `output`, which sometimes fails. Each pair of bytes is a call. */
function api(prng: Prng): Subject {
  let calls = 0
  let inside = false
  const sent: Uint8Array[] = []
  const kcp: Kcp = new Kcp(
    CONV,
    (datagram) => {
      if (sent.length < 16) sent.push(datagram.slice())
      calls++
      if (calls % 7 === 0) {
        inside = true
        try {
          call(calls % 12, calls & 0xff)
        } finally {
          inside = false
        }
      }
      if (calls % 100 === 0) throw new Error('the output failed')
    },
    {
      nodelay: prng.int(0, 2) as 0 | 1 | 2,
      lossDetection: prng.chance(0.5) ? 'time' : 'count',
      redundancy: 1,
    },
  )
  let now = prng.u32()
  const data = new Uint8Array(3000)
  const call = (op: number, x: number): void => {
    switch (op) {
      case 0:
      case 1:
        if (kcp.waitSnd() < 300) kcp.send(data.subarray(0, x * 10))
        break
      case 2:
      case 3:
        now = (now + x) >>> 0
        kcp.update(now)
        break
      case 4:
        kcp.flush(now)
        break
      case 5:
        kcp.recv()
        break
      case 6:
        kcp.tryInput(sent.shift() ?? data.subarray(0, x), now)
        break
      case 7:
        kcp.setMtu(50 + x * 6)
        break
      case 8:
        kcp.setWindow(1 + x, 1 + x)
        break
      case 9:
        kcp.setNodelay((x % 3) as 0 | 1 | 2, x, x & 3, (x & 4) !== 0)
        break
      case 10:
        kcp.check(now)
        kcp.stats()
        break
      default:
        kcp.recvInto(data)
    }
  }
  return {
    make() {
      const bytes = noise(prng, 16)
      return bytes.length > 0 ? bytes : Uint8Array.of(0, 9)
    },
    feed(input) {
      for (let i = 0; i + 1 < input.length; i += 2) {
        try {
          call(input[i]! % 12, input[i + 1]!)
        } catch (error) {
          // Documented: a call from inside of output, or a message that is too long at this mtu.
          const known = error instanceof KcpError || (error as Error).message === 'the output failed'
          if (!known || inside) throw error
        }
      }
      const { snd, rcv } = kcp
      require(snd.inFlight >= 0 && snd.bytes >= 0 && rcv.bytes >= 0, 'negative counts')
      require(kcp.waitSnd() <= 300 + 127, `${kcp.waitSnd()} segments wait`)
    },
  }
}

function smux(prng: Prng): Subject {
  const config = resolveSmuxConfig({ version: prng.chance(0.5) ? 1 : 2 })
  const handler = { onStream() {}, onReadable() {}, onDrained() {}, onOver() {} }
  const subject = new SmuxEngine('server', config, handler, 0)
  let now = 0
  return {
    make() {
      const frames = noise(prng, 100)
      // Mostly well-formed frames: version, command, length, stream.
      for (let at = 0; at + 8 <= frames.length; ) {
        const length = prng.chance(0.9) ? prng.int(0, 16) : prng.u32() & 0xffff
        frames[at] = prng.chance(0.99) ? config.version : prng.u32()
        frames[at + 1] = prng.chance(0.99) ? prng.int(0, 4) : prng.u32()
        frames[at + 2] = length
        frames[at + 3] = length >>> 8
        frames.fill(0, at + 5, at + 8)
        frames[at + 4] = prng.int(0, 9)
        at += 8 + length
      }
      return frames
    },
    feed(input) {
      subject.receive(input, now)
      now += input.length
      subject.proceed(now)
      while (subject.pull(now) !== undefined);
      if (now >= subject.deadline) subject.tick(now)
      require(subject.streams <= 1024 * 64, `${subject.streams} streams`)
    },
  }
}

function snappy(prng: Prng): Subject {
  let encoder = new SnappyEncoder()
  let decoder = new SnappyDecoder()
  return {
    make() {
      const plain = noise(prng, 60)
      if (prng.chance(0.2)) {
        const block = new Uint8Array(encodedBound(plain.length))
        return block.subarray(0, encodeBlock(plain, 0, plain.length, block, 0))
      }
      const bytes = encoder.encode(plain).slice()
      return prng.chance(0.7) ? bytes : mutated(prng, bytes)
    },
    feed(input) {
      try {
        const out = decoder.decode(input)
        const size = out.reduce((sum, one) => sum + one.length, 0)
        require(size <= 22 * input.length + 65_536 * 2, `${size} bytes of ${input.length}`)
      } catch (error) {
        if (!(error instanceof KcpError) || error.code !== 'ERR_KCP_PROTOCOL') throw error
        decoder = new SnappyDecoder()
        encoder = new SnappyEncoder()
      }
    },
  }
}

export const TARGETS: Readonly<Record<string, Open>> = {
  engine,
  acceptor,
  session,
  /** Sessions with mtus of all sizes, whose mtus and windows change as they go on. */
  settings: (prng) => session(prng, true),
  fec,
  cipher,
  api,
  smux,
  snappy,
  secure,
}
