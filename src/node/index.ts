/**
 * The Node shell: sockets, clocks and streams around sessions.
 * @module
 */
export type { Address } from './address.ts'
export { nodeClock } from './clock.ts'
export { connect } from './connect.ts'
export type { KcpConnectOptions, KcpStreamOptions } from './dial.ts'
export {
  createServer,
  KcpListener,
  type KcpListenerEvents,
  type KcpListenerOptions,
  type KcpListenerStats,
  type KcpListenOptions,
  listen,
  totalStats,
} from './kcp-listener.ts'
export { type KcpSendOptions, KcpStream, type KcpStreamEvents } from './kcp-stream.ts'
export { type NativeStatus, nativeStatus } from './native.ts'
export { PortGroup, type PortGroupOptions } from './port-group.ts'
export { KcpReadHalf, KcpWriteHalf } from './stream-halves.ts'
export {
  SmuxSession,
  type SmuxSessionEvents,
  type SmuxSessionOptions,
  SmuxStream,
} from './smux.ts'
export { type UdpBatchOptions, UdpBatchTransport } from './udp-batch.ts'
export { type UdpOptions, UdpTransport } from './udp-transport.ts'
