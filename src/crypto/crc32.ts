/**
 * CRC-32 as in Ethernet, zip and PNG: reflected polynomial 0xEDB88320, all ones in front, inverted at the end; and of
 * other polynomials in the same manner. Eight bytes a step, with a table for each place ("slicing by 8").
 * @module
 */
import { ByteView } from './byte-view.ts'

/** x^32 + x^26 + x^23 + … + 1 of IEEE 802.3, lowest bit first. */
const POLYNOMIAL = 0xedb8_8320
const view = new ByteView()

/** The checksum of `bytes[start, end)` as an int32, which V8 keeps off the heap; `>>> 0` makes a u32 of it. */
export const crc32: (bytes: Uint8Array, start: number, end: number) => number = makeCrc32(POLYNOMIAL)

/** Such a function for another polynomial of degree 32, lowest bit first. */
export function makeCrc32(polynomial: number): (bytes: Uint8Array, start: number, end: number) => number {
  const tables: readonly Int32Array[] = makeTables(polynomial)
  const [T0, T1, T2, T3, T4, T5, T6, T7] = tables as readonly [
    Int32Array,
    Int32Array,
    Int32Array,
    Int32Array,
    Int32Array,
    Int32Array,
    Int32Array,
    Int32Array,
  ]
  return (bytes, start, end) => {
    const words = view.of(bytes)
    const stop = bytes.byteOffset + end
    let at = bytes.byteOffset + start
    let crc = -1
    for (; at + 8 <= stop; at += 8) {
      const low = crc ^ words.getInt32(at, true)
      const high = words.getInt32(at + 4, true)
      crc =
        T7[low & 0xff]! ^
        T6[(low >>> 8) & 0xff]! ^
        T5[(low >>> 16) & 0xff]! ^
        T4[low >>> 24]! ^
        T3[high & 0xff]! ^
        T2[(high >>> 8) & 0xff]! ^
        T1[(high >>> 16) & 0xff]! ^
        T0[high >>> 24]!
    }
    for (; at < stop; at++) crc = T0[(crc ^ words.getUint8(at)) & 0xff]! ^ (crc >>> 8)
    return ~crc
  }
}

/** Table k holds what a byte does to the checksum when k zero bytes follow it. */
function makeTables(polynomial: number): Int32Array[] {
  const first = Int32Array.from({ length: 256 }, (_, byte) => {
    let crc = byte
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 1 ? (crc >>> 1) ^ polynomial : crc >>> 1
    return crc
  })
  const tables = [first]
  while (tables.length < 8) tables.push(tables.at(-1)!.map((crc) => first[crc & 0xff]! ^ (crc >>> 8)))
  return tables
}
