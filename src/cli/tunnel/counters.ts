/**
 * What SIGUSR1 writes to the log: counters of all sessions so far, by the names of kcp-go's `Snmp` where it has them.
 * @module
 */
import type { KcpStream } from '../../node/kcp-stream.ts'

type Stats = ReturnType<KcpStream['stats']>

export class Counters {
  readonly #live: Set<KcpStream> = new Set()
  readonly #past: Record<string, number> = {}
  #maxConn = 0
  readonly #opens = { active: 0, passive: 0 }

  opened(stream: KcpStream, side: 'active' | 'passive'): void {
    this.#opens[side]++
    this.#live.add(stream)
    this.#maxConn = Math.max(this.#maxConn, this.#live.size)
    stream.once('close', () => {
      this.#live.delete(stream)
      add(this.#past, named(stream.stats()))
    })
  }

  /** One line: `Name:value …`. */
  line(): string {
    const total = { ...this.#past }
    for (const stream of this.#live) add(total, named(stream.stats()))
    return Object.entries({
      MaxConn: this.#maxConn,
      ActiveOpens: this.#opens.active,
      PassiveOpens: this.#opens.passive,
      CurrEstab: this.#live.size,
      ...total,
    })
      .map(([name, value]) => `${name}:${value}`)
      .join(' ')
  }
}

function add(to: Record<string, number>, from: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(from)) to[name] = (to[name] ?? 0) + value
}

function named(stats: Stats): Record<string, number> {
  return {
    BytesSent: stats.bytesWritten,
    BytesReceived: stats.bytesRead,
    KCPInErrors: stats.inputErrors,
    InPkts: stats.datagramsIn,
    OutPkts: stats.datagramsOut,
    InSegs: stats.segmentsIn,
    OutSegs: stats.segmentsOut,
    InBytes: stats.bytesIn,
    OutBytes: stats.bytesOut,
    RetransSegs: stats.timeoutResends + stats.fastResends + stats.tailProbes + stats.repeats,
    FastRetransSegs: stats.fastResends,
    LostSegs: stats.timeoutResends,
    RepeatSegs: stats.duplicates,
  }
}
