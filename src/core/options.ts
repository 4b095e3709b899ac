/**
 * Objects of options as callers write them. A name that nobody knows is refused with the one that was probably meant: an
 * option that is dropped in silence can be the one that asked for a cipher.
 * @module
 */
import { KcpError } from './errors.ts'

/** Longest unknown name that a message repeats. */
const NAME_MAX = 60

/** The error for a field that is out of range: names the field, the value and what is allowed. */
export function configError(field: string, value: unknown, allowed: string, cause?: unknown): KcpError {
  return new KcpError('ERR_KCP_CONFIG', `${field} must be ${allowed}, got ${describe(value)}`, {
    cause,
    detail: { field, value: typeof value === 'number' ? value : describe(value), allowed },
  })
}

function describe(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value)
  if (typeof value === 'function') return 'a function'
  if (typeof value === 'object' && value !== null) return nameOf(value)
  return String(value)
}

function nameOf(value: object): string {
  try {
    const name: unknown = value.constructor?.name
    if (typeof name === 'string' && name !== '') return name
  } catch {
    // A Proxy or a getter: the value is refused all the same.
  }
  return 'an object'
}

/**
 * What `read` returns. It reads a value of the caller, in which a getter or a Proxy may throw: that is ERR_KCP_CONFIG for
 * `field` too, with what was thrown as its cause.
 */
export function readSafely<T>(field: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (error instanceof KcpError) throw error
    throw new KcpError(
      'ERR_KCP_CONFIG',
      `${field} must be readable, but reading it throws: give plain values`,
      {
        cause: error,
        detail: { field, value: 'unreadable', allowed: 'a value that can be read' },
      },
    )
  }
}

/** One value of an object of options. */
function readValue(options: object, name: string, field: string): unknown {
  return readSafely(field, () => (options as Record<string, unknown>)[name])
}

/** The names in an object of options: inherited ones too, and symbols, which no option has. */
export function namesIn(where: string, options: object): string[] {
  return readSafely(where, () => {
    const names: string[] = []
    for (const name in options) names.push(name)
    for (const symbol of Object.getOwnPropertySymbols(options)) {
      if (Object.prototype.propertyIsEnumerable.call(options, symbol)) names.push(String(symbol))
    }
    return names
  })
}

/** Throws ERR_KCP_CONFIG unless `value` is a whole number within `low .. high`. */
export function requireInteger(field: string, value: unknown, low: number, high: number): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < low || value > high) {
    throw configError(field, value, `a whole number within ${low}..${high}`)
  }
  return value
}

/** Throws ERR_KCP_CONFIG unless `value` is a boolean: `'false'` and 0 are not. */
export function requireBoolean(field: string, value: unknown): boolean {
  if (typeof value !== 'boolean') throw configError(field, value, 'true or false')
  return value
}

/** Throws ERR_KCP_CONFIG unless `value` is an object with these methods. */
export function requireMethods(
  field: string,
  value: unknown,
  allowed: string,
  methods: readonly string[],
): object {
  const kind = typeof value
  if (value === null || (kind !== 'object' && kind !== 'function')) throw configError(field, value, allowed)
  const given = value as object
  const missing = methods.filter((name) => typeof readValue(given, name, `${field}.${name}`) !== 'function')
  if (missing.length > 0) throw configError(field, value, `${allowed} (it has no ${missing.join(', no ')})`)
  return given
}

/**
 * The names in a table. The table is checked by the compiler, both ways:
 * `optionNames({ data: true, parity: true } satisfies Record<keyof FecOptions, true>)`.
 */
export function optionNames(...tables: readonly object[]): ReadonlySet<string> {
  return new Set(tables.flatMap((table) => Object.keys(table)))
}

export interface ReadOptions {
  /** The names that these options may have. */
  readonly names: ReadonlySet<string>
  /** In front of the names in messages, such as `kcp.` */
  readonly prefix?: string
  /** For an unknown name: what to do about it, as the second half of a sentence; undefined: the nearest name is offered. */
  readonly hint?: (name: string) => string | undefined
}

/**
 * A frozen copy of the options in `value`: each known one is read once, inherited ones too, and `undefined` means
 * absent. Throws ERR_KCP_CONFIG for an unknown name, and for a value that holds no options (null, a number, a Map, a
 * promise that nobody awaited). `where` is the argument's name in messages.
 */
export function readOptions<T extends object>(
  where: string,
  value: unknown,
  { names, prefix = '', hint }: ReadOptions,
): Partial<T> {
  if (value === undefined) return Object.freeze({})
  requireOptions(where, value)
  for (const name of namesIn(where, value)) {
    if (!names.has(name))
      throw unknownOption(name, readValue(value, name, prefix + name), names, prefix, hint?.(name))
  }
  const read: Record<string, unknown> = {}
  for (const name of names) {
    const one = readValue(value, name, prefix + name)
    if (one !== undefined) read[name] = one
  }
  return Object.freeze(read) as Partial<T>
}

/** Throws ERR_KCP_CONFIG unless `value` is an object that can hold options: a plain one, or an instance of a class. */
export function requireOptions(where: string, value: unknown): asserts value is object {
  const allowed = 'an object of settings'
  if (typeof value !== 'object' || value === null) throw configError(where, value, allowed)
  if (readSafely(where, () => isThenable(value))) {
    throw configError(where, value, `${allowed}; await the promise first`)
  }
  // What a Map, a Date or an array holds are no options, and none of it would be seen.
  if (readSafely(where, () => Object.prototype.toString.call(value)) !== '[object Object]') {
    throw configError(where, value, allowed)
  }
}

/** The error for a name that no option has. Its value is not repeated unless it is a number: it may be a key. */
export function unknownOption(
  name: string,
  value: unknown,
  names: ReadonlySet<string>,
  prefix = '',
  hint?: string | undefined,
): KcpError {
  const near = hint === undefined ? nearestName(name, names) : undefined
  const allowed = [...names].map((one) => prefix + one).join(', ')
  const shown = `${prefix}${name.length > NAME_MAX ? `${name.slice(0, NAME_MAX)}…` : name}`
  const mend =
    hint ??
    (near !== undefined
      ? `did you mean ${prefix}${near}?`
      : names.size === 0
        ? 'there are no options here'
        : `there are ${allowed}`)
  return new KcpError('ERR_KCP_CONFIG', `unknown option '${shown}'; ${mend}`, {
    detail: { field: shown, value: typeof value === 'number' ? value : typeof value, allowed },
  })
}

/** `snd_wnd`, `SndWnd` and `sndwnd` are spellings of one name. */
export function plainName(name: string): string {
  return name.replace(/[-_]/g, '').toLowerCase()
}

/** The name that was probably meant: another spelling, or one with a slip of the fingers. */
export function nearestName(name: string, names: Iterable<string>): string | undefined {
  const plain = plainName(name.slice(0, NAME_MAX))
  let best: string | undefined
  let least = plain.length < 4 ? 1 : Math.min(3, Math.ceil(plain.length / 4)) + 1
  for (const one of names) {
    const distance = editDistance(plain, plainName(one))
    if (distance < least) {
      best = one
      least = distance
    }
  }
  return best
}

/** Letters put in, left out, changed or swapped with the next one. */
function editDistance(a: string, b: string): number {
  let before: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const changed = last[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      row[j] = Math.min(changed, last[j]! + 1, row[j - 1]! + 1)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        row[j] = Math.min(row[j]!, before[j - 2]! + 1)
      }
    }
    before = last
    last = row
  }
  return last[b.length]!
}

/** Whether `value` is a promise, or looks like one. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  if (value === null || (typeof value !== 'object' && typeof value !== 'function')) return false
  return typeof (value as { then?: unknown }).then === 'function'
}
