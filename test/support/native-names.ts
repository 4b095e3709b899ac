/** What programs of `native.ts`'s `program` find under short names. */
import { Feature, nativeStatus, nativeUdp, Row } from '../../src/node/native.ts'
import { UdpBatchTransport } from '../../src/node/udp-batch.ts'
import { UdpTransport } from '../../src/node/udp-transport.ts'
import type { DatagramHandler } from '../../src/session/transport.ts'

export const native = {
  Feature,
  Row,
  UdpBatchTransport,
  UdpTransport,
  nativeStatus,
  nativeUdp,
  /** A handler that does nothing but what is given. */
  sink: (handler: Partial<DatagramHandler> = {}): DatagramHandler => ({
    onDatagram: () => undefined,
    onError: () => undefined,
    onClose: () => undefined,
    ...handler,
  }),
} as const
