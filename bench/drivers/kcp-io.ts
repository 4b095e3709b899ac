/**
 * kcp-io itself, as an application uses it: streams, the preset `fast`. Over its native UDP batching where that is
 * built, over node:dgram when the environment says KCP_IO_NO_NATIVE=1.
 * @module
 */
import { Kcp } from '../../src/core/index.ts'
import { connect, type KcpListenerOptions, listen } from '../../src/index.ts'
import { type Driver, type EngineEnd, FAST, type Flow, HOST, MTU, type Setup, StreamFlow } from '../driver.ts'

export const driver: Driver = {
  async serve(setup: Setup, onFlow: (flow: Flow) => void): Promise<number> {
    const listener = await listen(
      {
        ...options(setup),
        host: HOST,
        // All clients of a benchmark come from one host, and start at once.
        maxPendingPerHost: 1024,
      },
      (stream) => onFlow(new StreamFlow(stream)),
    )
    return listener.address()!.port
  },

  async connect(setup: Setup, port: number): Promise<Flow> {
    return new StreamFlow(await connect({ ...options(setup), host: HOST, port }))
  },

  engine(window: number, output: (datagram: Uint8Array) => void): EngineEnd {
    const { nodelay, interval, resend } = FAST
    return new Kcp(1, output, {
      nodelay,
      interval,
      resend,
      nc: true,
      mtu: MTU,
      sndWnd: window,
      rcvWnd: window,
    })
  },
}

function options({ window, stream, options }: Setup): KcpListenerOptions {
  return {
    preset: 'fast',
    kcp: { mtu: MTU, sndWnd: window, rcvWnd: window, streamMode: stream },
    ...options,
  }
}
