/**
 * Options from three places: the command line, the environment and a JSON file. A table says what there is; names,
 * defaults and grammar are those of Go's programs, so that a command line or a file of kcptun's works as it is: one dash
 * or two, `-name value` or `-name=value`, and the next word is a value whatever it looks like.
 * @module
 */
import { UsageError } from './command.ts'

export type FlagValue = string | number | boolean

export interface Flag {
  readonly name: string
  /** Other names, such as the letter. */
  readonly aliases?: readonly string[]
  /** Its type is the option's: a text, a whole number, or a switch. */
  readonly default: FlagValue
  readonly help: string
  /** Of numbers; both included. Default 0 and 2^31 - 1. */
  readonly range?: readonly [number, number]
  /** Of texts: the only ones. */
  readonly oneOf?: readonly string[]
  /** The environment's variable that takes the default's place. */
  readonly env?: string
  /** Its key in a JSON file; null: none. Default: the name. */
  readonly key?: string | null
  /** Not in the list of options: only the command line's business. */
  readonly hidden?: boolean
  /** Anything but its default changes nothing, or cannot be had, for this reason. */
  readonly fate?: { readonly kind: 'ignored' | 'refused'; readonly why: string }
}

export type FlagTable = readonly Flag[]

export interface Flags {
  readonly values: Readonly<Record<string, FlagValue>>
  /** Names of options that somebody set, wherever. */
  readonly given: ReadonlySet<string>
  /** What is to be told once there is a log: unknown keys, options without effect. */
  readonly warnings: readonly string[]
}

const NUMBER_MAX = 0x7fff_ffff
const KEY_IN_ARGUMENTS =
  'everybody on this machine can read --key in the list of processes: set $KCPTUN_KEY, or put the key into the file of -c'

/**
 * The values in force: of `words`, else of the environment, else the defaults; over all of them those of the file that
 * `-c` names, as kcptun has it. Throws UsageError.
 * @param readFile returns the text of a file, or throws the system's error.
 */
export function parseFlags(
  table: FlagTable,
  words: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  readFile: (path: string) => string,
): Flags {
  const values: Record<string, FlagValue> = {}
  const given = new Set<string>()
  const warnings: string[] = []
  const set = (flag: Flag, value: unknown, where: string): void => {
    values[flag.name] = checked(flag, value, where)
    given.add(flag.name)
  }
  for (const flag of table) {
    values[flag.name] = flag.default
    const value = flag.env === undefined ? undefined : env[flag.env]
    if (value !== undefined && value !== '') set(flag, value, `$${flag.env}`)
  }
  for (const [flag, value] of commandLine(table, words)) {
    set(flag, value, `--${flag.name}`)
    if (flag.name === 'key') warnings.push(KEY_IN_ARGUMENTS)
  }
  const path = values['c']
  if (typeof path === 'string' && path !== '') {
    for (const [key, value] of jsonFile(path, readFile)) {
      const flag = table.find((one) => one.key !== null && (one.key ?? one.name) === key.toLowerCase())
      if (flag !== undefined) set(flag, value, `${key} in ${path}`)
      else warnings.push(`unknown key ${JSON.stringify(key)} in ${path}: left out`)
    }
  }
  for (const flag of table) {
    if (flag.fate === undefined || values[flag.name] === flag.default) continue
    const words = `--${flag.name} ${flag.fate.kind === 'refused' ? 'cannot be had' : 'has no effect'}: ${flag.fate.why}`
    if (flag.fate.kind === 'refused') throw new UsageError(words)
    warnings.push(words)
  }
  return { values, given, warnings }
}

/** Help for one table: an option in a line or two. */
export function describeFlags(table: FlagTable): string {
  const rows = table
    .filter(({ hidden }) => hidden !== true)
    .map((flag) => [`  ${flagNames(flag).join(', ')}${kindOf(flag)}`, `${flag.help}${defaultOf(flag)}`])
  const width = Math.max(...rows.map(([names]) => names!.length))
  return rows.map(([names, help]) => `${names!.padEnd(width)}  ${help}\n`).join('')
}

/** As they are written: `--localaddr`, `-l`. */
export function flagNames(flag: Flag): string[] {
  return [flag.name, ...(flag.aliases ?? [])].map((name) => (name.length === 1 ? `-${name}` : `--${name}`))
}

function kindOf(flag: Flag): string {
  if (typeof flag.default === 'boolean') return ''
  return typeof flag.default === 'number' ? ' N' : ' VALUE'
}

function defaultOf(flag: Flag): string {
  if (typeof flag.default === 'boolean' || flag.default === '') return ''
  const shown = typeof flag.default === 'string' ? JSON.stringify(flag.default) : flag.default
  return ` (default ${shown}${flag.env === undefined ? '' : `, or $${flag.env}`})`
}

/**
 * Options and their values in the order in which they were given. Not by `util.parseArgs`: it knows neither one dash
 * before a long name nor a value that begins with a dash.
 */
function commandLine(table: FlagTable, words: readonly string[]): [Flag, string | boolean][] {
  const byName = new Map<string, Flag>()
  for (const flag of table) for (const name of [flag.name, ...(flag.aliases ?? [])]) byName.set(name, flag)
  const found: [Flag, string | boolean][] = []
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!
    const [, name, value] = /^--?([^-=][^=]*)(?:=(.*))?$/s.exec(word) ?? []
    if (name === undefined) throw new UsageError(`${JSON.stringify(word)} is no option`)
    const flag = byName.get(name)
    if (flag === undefined) throw new UsageError(`there is no option ${word.replace(/=.*/s, '')}`)
    if (typeof flag.default === 'boolean') {
      found.push([flag, value === undefined ? true : parseSwitch(value, word)])
    } else if (value !== undefined) found.push([flag, value])
    else if (i + 1 < words.length) found.push([flag, words[++i]!])
    else throw new UsageError(`${word} needs a value`)
  }
  return found
}

/** What Go's strconv.ParseBool takes. */
function parseSwitch(text: string, word: string): boolean {
  if (/^(1|t|true)$/i.test(text)) return true
  if (/^(0|f|false)$/i.test(text)) return false
  throw new UsageError(`${word}: true or false`)
}

function checked(flag: Flag, value: unknown, where: string): FlagValue {
  const wrong = (what: string): never => {
    throw new UsageError(
      `${where} must be ${what}, got ${flag.name === 'key' ? 'something else' : JSON.stringify(value)}`,
    )
  }
  if (typeof flag.default === 'boolean') {
    return typeof value === 'boolean' ? value : wrong('true or false')
  }
  if (typeof flag.default === 'number') {
    const [low, high] = flag.range ?? [0, NUMBER_MAX]
    const number = typeof value === 'string' && /^[+-]?(\d+|0x[\da-f]+)$/i.test(value) ? Number(value) : value
    if (typeof number !== 'number' || !Number.isInteger(number) || number < low || number > high) {
      return wrong(`a whole number within ${low}..${high}`)
    }
    return number
  }
  if (typeof value !== 'string') return wrong('a text')
  if (flag.oneOf !== undefined && !flag.oneOf.includes(value)) return wrong(`one of ${flag.oneOf.join(', ')}`)
  return value
}

function jsonFile(path: string, readFile: (path: string) => string): [string, unknown][] {
  let text: string
  try {
    text = readFile(path)
  } catch (error) {
    throw new UsageError(`cannot read the configuration ${path}: ${(error as Error).message}`)
  }
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    // Not the parser's words: they repeat a part of the text, which may be the key.
    throw new UsageError(`cannot read the configuration ${path}: it is not valid JSON`)
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new UsageError(`the configuration ${path} must be one JSON object`)
  }
  return Object.entries(parsed)
}
