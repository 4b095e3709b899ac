/**
 * kcp-go's cipher `xor`: every datagram xored with the same bytes. Two datagrams xored with one another are rid of
 * them, so this hides nothing from anyone who looks.
 * @module
 */
import { ByteView } from './byte-view.ts'
import type { Scrambler } from './classic-packets.ts'

/** @param table bytes for the longest datagram; what is longer stays as it is behind them. kcp-go's has 1500. */
export function xorTable(table: Uint8Array): Scrambler {
  const own = new DataView(table.slice().buffer)
  const view = new ByteView()
  const both = (buffer: Uint8Array, start: number, end: number): void =>
    apply(own, view.of(buffer), buffer.byteOffset + start, end - start)
  return { encrypt: both, decrypt: both }
}

function apply(table: DataView, view: DataView, at: number, size: number): void {
  const end = Math.min(size, table.byteLength)
  let i = 0
  for (; i + 4 <= end; i += 4)
    view.setInt32(at + i, view.getInt32(at + i, true) ^ table.getInt32(i, true), true)
  for (; i < end; i++) view.setUint8(at + i, view.getUint8(at + i) ^ table.getUint8(i))
}
