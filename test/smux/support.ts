/**
 * Engines in tests: bytes as hex, frames as text, and two engines joined by pipes that cut as they like.
 * @module
 */
import { FrameCommand, FrameParser, type SmuxVersion } from '../../src/smux/frame.ts'

export function bytesOf(hex: string): Uint8Array {
  const digits = hex.replace(/\s/g, '')
  return Uint8Array.from({ length: digits.length / 2 }, (_, i) =>
    Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16),
  )
}

export function hexOf(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

const NAMES: Readonly<Record<FrameCommand, string>> = {
  [FrameCommand.Syn]: 'SYN',
  [FrameCommand.Fin]: 'FIN',
  [FrameCommand.Push]: 'PSH',
  [FrameCommand.Nop]: 'NOP',
  [FrameCommand.Update]: 'UPD',
}

/** Whole frames as text: `SYN 3`, `PSH 3 "hello"`, `UPD 3 5/65536`; long payloads by their length. */
export function framesOf(version: SmuxVersion, ...pieces: readonly (Uint8Array | undefined)[]): string[] {
  const lines: string[] = []
  let payload = ''
  const parser = new FrameParser(version, {
    onFrame: (command, id, length) => {
      payload = ''
      if (command === FrameCommand.Push) lines.push(`PSH ${id} ${length}`)
      else if (command !== FrameCommand.Update)
        lines.push(command === FrameCommand.Nop ? 'NOP' : `${NAMES[command]} ${id}`)
    },
    onData: (id, bytes) => {
      payload += String.fromCharCode(...bytes.subarray(0, 64))
      if (payload.length < 20) lines[lines.length - 1] = `PSH ${id} "${payload}"`
    },
    onUpdate: (id, consumed, window) => lines.push(`UPD ${id} ${consumed}/${window}`),
  })
  for (const piece of pieces) {
    let at = 0
    while (piece !== undefined && at < piece.length && parser.fault === undefined) at = parser.step(piece, at)
  }
  if (parser.fault !== undefined) lines.push(`fault ${parser.fault}`)
  return lines
}
