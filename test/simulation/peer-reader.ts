/**
 * Reads what comes from a peer that may have been several, one after another: a process that restarted has the address and
 * the conversation of its predecessor. What is read must be of one of them alone, from its beginning.
 * @module
 */
import { type Flow, FlowReader } from './flow.ts'

export class PeerReader {
  /** Everything that the peers have written, each for itself; more of them may be born. */
  private readonly flows: () => readonly Flow[]
  private readonly known: Set<Flow> = new Set()
  /** Those that everything read so far may be of. */
  private readers: FlowReader[] = []
  messages = 0
  bytes = 0

  constructor(flows: () => readonly Flow[]) {
    this.flows = flows
  }

  /** Throws a Failure unless `message` continues what one of the peers wrote. */
  read(message: Uint8Array): void {
    this.meet()
    let failure: unknown = new Error('nobody was there who could have sent this')
    this.readers = this.readers.filter((reader) => {
      try {
        reader.read(message)
        return true
      } catch (error) {
        failure = error
        return false
      }
    })
    if (this.readers.length === 0) throw failure
    this.messages++
    this.bytes += message.length
  }

  /** Whether everything was read that one peer wrote. */
  get done(): boolean {
    this.meet()
    return this.readers.length === 0 || this.readers.some(({ done }) => done)
  }

  /** The flow that was read from; undefined when nothing was, or when several had written the same. */
  get source(): Flow | undefined {
    return this.messages > 0 && this.readers.length === 1 ? this.readers[0]!.flow : undefined
  }

  /** Whether something of `flow` was certainly read. */
  hasRead(flow: Flow): boolean {
    return this.bytes > 0 && this.source === flow
  }

  /** Whoever is born later can only be read from the beginning. */
  private meet(): void {
    for (const flow of this.flows()) {
      if (this.known.has(flow)) continue
      this.known.add(flow)
      if (this.messages === 0) this.readers.push(new FlowReader(flow))
    }
  }
}
