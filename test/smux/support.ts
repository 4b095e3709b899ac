/**
 * Engines in tests: bytes as hex, frames as text, and two engines joined by pipes that cut as they like.
 * @module
 */
import type { SmuxConfig } from '../../src/smux/config.ts'
import { SmuxEngine, type SmuxEngineOptions, type SmuxRole } from '../../src/smux/engine.ts'
import type { SmuxFlow } from '../../src/smux/flow.ts'
import {
  FrameCommand,
  FrameParser,
  type SmuxVersion,
  writeFrameHeader,
  writeUpdate,
} from '../../src/smux/frame.ts'

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

/** An engine with what it told. */
export class End {
  readonly engine: SmuxEngine
  readonly opened: SmuxFlow[] = []
  readonly readable: SmuxFlow[] = []
  readonly drained: SmuxFlow[] = []
  over = 0

  constructor(role: SmuxRole, config: SmuxConfig = {}, options: SmuxEngineOptions = {}) {
    this.engine = new SmuxEngine(
      role,
      config,
      {
        onStream: (flow) => this.opened.push(flow),
        onReadable: (flow) => this.readable.push(flow),
        onDrained: (flow) => this.drained.push(flow),
        onOver: () => this.over++,
      },
      0,
      options,
    )
  }

  /** What it would send now, as text. */
  sends(now: number = 0, limit?: number): string[] {
    const pieces: Uint8Array[] = []
    for (let one = this.engine.pull(now, limit); one !== undefined; one = this.engine.pull(now, limit)) {
      pieces.push(one)
    }
    return framesOf(this.engine.config.version, ...pieces)
  }

  /** Takes in frames given as text: `SYN 3`, `FIN 3`, `PSH 3 "hello"`, `PSH 3 4096`, `UPD 3 5/65536`, `NOP`. */
  gets(now: number, ...lines: readonly string[]): void {
    for (const line of lines) this.engine.receive(frame(this.engine.config.version, line), now)
  }
}

/** One frame from its text. */
export function frame(version: SmuxVersion, line: string): Uint8Array {
  const [, name, id, rest = ''] = /^(\w+) ?(\d*) ?(.*)$/.exec(line)!
  const text = rest.startsWith('"') ? rest.slice(1, -1) : 'x'.repeat(name === 'PSH' ? Number(rest) : 0)
  const bytes = new Uint8Array(16 + text.length)
  if (name === 'UPD') {
    const [consumed, window] = rest.split('/').map(Number) as [number, number]
    return bytes.subarray(0, writeUpdate(bytes, 0, version, Number(id), consumed, window))
  }
  const command = {
    SYN: FrameCommand.Syn,
    FIN: FrameCommand.Fin,
    PSH: FrameCommand.Push,
    NOP: FrameCommand.Nop,
  }[name as 'SYN' | 'FIN' | 'PSH' | 'NOP']
  const at = writeFrameHeader(bytes, 0, version, command, text.length, Number(id))
  for (let i = 0; i < text.length; i++) bytes[at + i] = text.charCodeAt(i)
  return bytes.subarray(0, at + text.length)
}

/** Latin-1 both ways. */
export function textOf(bytes: Uint8Array | undefined): string | undefined {
  return bytes === undefined ? undefined : String.fromCharCode(...bytes)
}
export function of(text: string): Uint8Array {
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0))
}
