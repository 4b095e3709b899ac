/** What programs of `native.ts`'s `program` find under short names. */
import { Feature, nativeStatus, nativeUdp, Row } from '../../src/node/native.ts'
import { UdpBatchTransport } from '../../src/node/udp-batch.ts'
import { UdpTransport } from '../../src/node/udp-transport.ts'
import type { DatagramHandler } from '../../src/session/transport.ts'

export const native: {
  readonly Feature: typeof Feature
  readonly Row: typeof Row
  readonly UdpBatchTransport: typeof UdpBatchTransport
  readonly UdpTransport: typeof UdpTransport
  readonly nativeStatus: typeof nativeStatus
  readonly nativeUdp: typeof nativeUdp
  /** A handler that does nothing but what is given. */
  readonly sink: (handler?: Partial<DatagramHandler>) => DatagramHandler
} = {
  Feature,
  Row,
  UdpBatchTransport,
  UdpTransport,
  nativeStatus,
  nativeUdp,
  sink: (handler = {}) => ({
    onDatagram: () => undefined,
    onError: () => undefined,
    onClose: () => undefined,
    ...handler,
  }),
}
