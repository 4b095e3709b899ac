/**
 * What one end sends out of band to the other on one channel: it may be lost, come late or twice, but what comes was
 * sent, whole and as it was.
 * @module
 */
import { readU32, writeU32 } from '../../src/core/segment.ts'
import type { KcpSession } from '../../src/session/session.ts'
import { require } from './oracle.ts'
import type { Traffic } from './plan.ts'

/** Every payload begins with its number, u32. */
export const INDEX_SIZE = 4
/** A network that repeats does so once. */
const COPIES_MAX = 2

export class UnreliableFlow {
  private readonly sent: Uint8Array[] = []
  arrived = 0

  /** The next payload of `size` bytes, or INDEX_SIZE if that is more. */
  make(size: number): Uint8Array {
    const payload = new Uint8Array(Math.max(size, INDEX_SIZE)).fill(this.sent.length * 31)
    writeU32(payload, 0, this.sent.length)
    return payload
  }

  /** It is on its way. */
  keep(payload: Uint8Array): void {
    this.sent.push(payload)
  }

  /** Throws a Failure unless `payload` was sent, and did not come more often than a network can make it come. */
  take(payload: Uint8Array): void {
    const sent = payload.length < INDEX_SIZE ? undefined : this.sent[readU32(payload, 0)]
    require(sent !== undefined && Buffer.compare(sent, payload) === 0, () =>
      `out of band came ${Buffer.from(payload).toString('hex')}, which nobody sent`)
    this.arrived++
    require(this.arrived <= COPIES_MAX * this.sent.length, () =>
      `out of band came ${this.arrived}, sent were ${this.sent.length}`)
  }
}

/** Has a session send what is planned on its channel, as long as it can. */
export function sendBeside(
  session: KcpSession,
  flow: UnreliableFlow,
  { sizes, at }: Traffic,
  later: (ms: number, run: () => void) => void,
): void {
  for (const [i, ms] of at.entries()) {
    later(ms, () => {
      const most = session.maxUnreliableSize
      if (!session.open || most < INDEX_SIZE) return
      const payload = flow.make(Math.min(sizes[i]!, most))
      if (session.sendUnreliable(payload)) flow.keep(payload)
    })
  }
}
