/**
 * Snappy: its block format and its framing of streams. Language only.
 * @module
 */
export { BLOCK_MAX, decodeBlock, decodedSize, encodeBlock, encodedBound } from './block.ts'
export { SnappyDecoder, SnappyEncoder } from './frames.ts'
