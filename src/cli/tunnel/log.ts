/**
 * The tunnel's log: a line for what happened, with its time. What comes from outside (names, messages of errors) cannot
 * begin a line of its own.
 * @module
 */
import { appendFileSync } from 'node:fs'
import { UsageError } from '../command.ts'

const LEVELS = ['error', 'warn', 'info', 'debug'] as const
export type Level = (typeof LEVELS)[number]

export interface LogOptions {
  readonly level: Level
  /** No lines about single streams. */
  readonly quiet: boolean
  /** Takes lines with their ends. */
  readonly write: (line: string) => void
  /** ms since 1970. */
  readonly now: () => number
}

export class Log {
  readonly #options: LogOptions
  readonly #most: number

  constructor(options: LogOptions) {
    this.#options = options
    this.#most = LEVELS.indexOf(options.level)
  }

  error(text: string): void {
    this.#line('error', text)
  }
  warn(text: string): void {
    this.#line('warn', text)
  }
  info(text: string): void {
    this.#line('info', text)
  }
  debug(text: string): void {
    this.#line('debug', text)
  }
  /** The beginning and the end of a stream. */
  stream(text: string): void {
    if (!this.#options.quiet) this.#line('info', text)
  }

  #line(level: Level, text: string): void {
    if (LEVELS.indexOf(level) > this.#most) return
    const time = new Date(this.#options.now()).toISOString()
    this.#options.write(`${time} ${level.padEnd(5)} ${printable(text)}\n`)
  }
}

/** Where a log goes: appended to `file`, or, when that is '', to `fallback`. Throws UsageError. */
export function openLog(file: string, fallback: (text: string) => void): (line: string) => void {
  if (file === '') return fallback
  try {
    appendFileSync(file, '')
  } catch (error) {
    throw new UsageError(`cannot write to the log ${file}: ${(error as Error).message}`)
  }
  return (line) => {
    // By name each time: whoever rotates it need not tell. A full disk must not end the tunnel.
    try {
      appendFileSync(file, line)
    } catch {
      fallback(line)
    }
  }
}

/** Control characters as escapes. */
function printable(text: string): string {
  let plain = ''
  for (const char of text) {
    const code = char.codePointAt(0)!
    plain += code < 32 || (code > 126 && code < 160) ? `\\x${code.toString(16).padStart(2, '0')}` : char
  }
  return plain
}

/** `1.5 MB`, for people. */
export function showBytes(bytes: number): string {
  if (bytes < 10_000) return `${bytes} B`
  if (bytes < 10_000_000) return `${(bytes / 1000).toFixed(1)} kB`
  return `${(bytes / 1e6).toFixed(1)} MB`
}

/** `12.3 s`, for people. */
export function showTime(ms: number): string {
  return ms < 60_000
    ? `${(ms / 1000).toFixed(1)} s`
    : `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`
}
