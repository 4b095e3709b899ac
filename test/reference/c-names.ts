/**
 * The readable engine behind the C calls that test/vectors records, so that it can be held against KCP 2.x itself.
 * It has no pluggable congestion controllers, so it cannot answer `setcc`.
 * @module
 */
import { presets, type ResolvedKcpConfig } from '../../src/core/config.ts'
import type { BlockState, ControlBlock } from '../sys/replay.ts'
import { ReferenceEngine } from './engine.ts'
import { u32 } from './wire.ts'

export function referenceBlock(conv: number, output: (datagram: Uint8Array) => void): ControlBlock {
  const engine = new ReferenceEngine(conv, presets.default, output)
  const set = (change: Partial<ResolvedKcpConfig>): number => {
    engine.config = { ...engine.config, ...change }
    return 0
  }
  return {
    // A negative number leaves its setting as it is.
    nodelay: (nodelay, interval, resend, nc) =>
      set({
        ...(nodelay >= 0
          ? { nodelay: Math.min(nodelay, 2) as 0 | 1 | 2, minRto: nodelay > 0 ? 30 : 100 }
          : {}),
        ...(interval >= 0 ? { interval: Math.min(Math.max(interval, 10), 5000) } : {}),
        ...(resend >= 0 ? { resend } : {}),
        ...(nc >= 0 ? { nc: nc > 0 } : {}),
      }),
    wndsize: (sndWnd, rcvWnd) =>
      set({ ...(sndWnd > 0 ? { sndWnd } : {}), ...(rcvWnd > 0 ? { rcvWnd: Math.max(rcvWnd, 128) } : {}) }),
    setmtu: (mtu) => (mtu < 50 ? -1 : set({ mtu })),
    set: (field, value) => {
      switch (field) {
        case 'stream':
          return void set({ streamMode: value !== 0 })
        case 'minrto':
          return void set({ minRto: value })
        case 'fastlimit':
          return void set({ fastLimit: value })
        case 'deadlink':
          return void set({ deadLink: value })
        case 'snd_una':
          engine.sndUna = value
          return
        case 'snd_nxt':
          engine.sndNxt = engine.sndMax = value
          return
        case 'rcv_nxt':
          engine.rcvNxt = value
          return
        default:
          throw new RangeError(`no such field: ${field}`)
      }
    },
    send: (data, len) => (len < 0 ? -1 : engine.send(data)),
    recv: (into, len) => {
      const message = engine.recv(Math.abs(len), len < 0)
      if (typeof message === 'number') return message
      into.set(message)
      return message.length
    },
    input: (datagram) => engine.input(datagram, engine.now),
    update: (now) => engine.update(now),
    check: (now) => engine.check(now),
    flush: () => engine.flush(engine.now),
    peeksize: () => engine.peekSize(),
    waitsnd: () => engine.sndBuf.length + engine.sndQueue.length,
    setcc: () => {
      throw new Error('the readable engine has no congestion controllers')
    },
    release: () => {},
    get state(): BlockState {
      return {
        snd_una: engine.sndUna,
        snd_nxt: engine.sndNxt,
        rcv_nxt: engine.rcvNxt,
        rmt_wnd: engine.rmtWnd,
        cwnd: engine.cwnd,
        ssthresh: engine.ssthresh,
        incr: engine.cwndBytes,
        rx_srtt: engine.srtt,
        rx_rttval: engine.rttvar,
        rx_rto: engine.rto,
        probe: Number(engine.askPending) + 2 * Number(engine.tellPending),
        nsnd_buf: engine.sndBuf.length,
        nsnd_que: engine.sndQueue.length,
        nrcv_buf: engine.rcvBuf.length,
        nrcv_que: engine.rcvQueue.length,
        xmit: engine.timeouts,
        state: engine.dead ? u32(-1) : 0,
      }
    },
  }
}
