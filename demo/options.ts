/**
 * The demo's command line: flags, their defaults, and what each may be. Parsed once, complete afterwards.
 * @module
 */
import { statSync } from 'node:fs'
import { basename } from 'node:path'
import { parseArgs } from 'node:util'
import { type KcpPresetName, presets } from '../src/index.ts'
import type { LinkConditions } from '../src/sim/index.ts'

export interface DemoOptions {
  readonly file: string
  /** How much of the file is sent, from its beginning. */
  readonly bytes: number
  /** Of the file's transfer; echoes run with every preset. */
  readonly preset: KcpPresetName
  readonly echoes: number
  readonly seed: number
  readonly json: boolean
  /** What datagrams meet in each direction. */
  readonly link: LinkConditions
  /** Share of the client's datagrams that get one bit flipped. */
  readonly corrupt: number
}

/** A command line that makes no sense; the message is all the user needs. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** How much of the node binary is sent: enough for a progress bar, little enough for 60 s. */
const DEFAULT_SIZE = 24_000_000
/** How long a reordered datagram is held back: two flushes of the usual 10 ms overtake it. */
const REORDER_MS = 20

interface NumberFlag {
  readonly low: number
  readonly high: number
  readonly whole?: boolean
  readonly unit: string
  /** undefined: no limit. */
  readonly fallback: number | undefined
  readonly help: string
}

/** Flags that take a number. */
const NUMBERS = {
  delay: { low: 0, high: 2_000, unit: 'ms', fallback: 30, help: 'least time each way' },
  jitter: { low: 0, high: 2_000, unit: 'ms', fallback: 10, help: 'added to it, uniform from 0' },
  loss: { low: 0, high: 50, unit: '%', fallback: 5, help: 'of the datagrams, each way' },
  reorder: { low: 0, high: 100, unit: '%', fallback: 1, help: `held back by ${REORDER_MS} ms, overtaken` },
  duplicate: { low: 0, high: 100, unit: '%', fallback: 1, help: 'arrive twice' },
  corrupt: {
    low: 0,
    high: 100,
    unit: '%',
    fallback: 0,
    help: "of the client's get a bit flipped: shows what plain KCP lets pass",
  },
  rate: { low: 0.01, high: 1_000, unit: 'MB/s', fallback: undefined, help: 'of the path each way' },
  size: {
    low: 0.000_001,
    high: 1_000_000,
    unit: 'MB',
    fallback: undefined,
    help: 'send only the first part',
  },
  echoes: { low: 1, high: 2_000, whole: true, unit: '', fallback: 500, help: 'messages for each preset' },
  seed: { low: 0, high: 0xffff_ffff, whole: true, unit: '', fallback: 1, help: 'of chance in the relay' },
} as const satisfies Record<string, NumberFlag>

const PRESETS = Object.keys(presets) as KcpPresetName[]

export const HELP: string = `Sends a file and echo messages over KCP through a bad network, on this machine.

  npm run demo                                     the default network
  npm run demo -- --loss 15 --delay 80             a worse one
  npm run demo -- --file photos.zip --preset fast  a file of yours

The network (each way):
${(['delay', 'jitter', 'loss', 'reorder', 'duplicate', 'rate', 'corrupt'] as const).map(numberHelp).join('\n')}

The work:
  --file PATH         what to send (default: the first 24 MB of the node binary)
${numberHelp('size')}
  --preset NAME       of the file's transfer: ${PRESETS.join(', ')} (default: turbo)
${numberHelp('echoes')}
${numberHelp('seed')}
  --json              the result as one JSON object on stdout
  --help              this text
`

function numberHelp(name: keyof typeof NUMBERS): string {
  const { unit, fallback, help }: NumberFlag = NUMBERS[name]
  const missing = name === 'rate' ? 'no limit' : 'all of it'
  const shown = [unit, `default: ${fallback ?? missing}`].filter((part) => part !== '').join('; ')
  return `  ${`--${name} N`.padEnd(19)} ${help} (${shown})`
}

/** What the command line asks for; undefined: for help. Throws UsageError. */
export function parseOptions(args: readonly string[]): DemoOptions | undefined {
  const { values, positionals } = parseFlags(args)
  if (values.help === true) return undefined
  if (positionals.length > 1) throw new UsageError(`one file at a time, got ${positionals.join(' ')}`)
  const number = (name: keyof typeof NUMBERS): number | undefined => parseNumber(name, values[name])
  const percent = (name: 'loss' | 'reorder' | 'duplicate' | 'corrupt'): number => number(name)! / 100
  const file = values.file ?? positionals[0] ?? process.execPath
  const isDefault = values.file === undefined && positionals.length === 0
  const rate = number('rate')
  return {
    file,
    bytes: sizeOf(file, number('size') ?? (isDefault ? DEFAULT_SIZE / 1e6 : undefined)),
    preset: parsePreset(values.preset),
    echoes: number('echoes')!,
    seed: number('seed')!,
    json: values.json === true,
    corrupt: percent('corrupt'),
    link: {
      delayMs: number('delay')!,
      jitterMs: number('jitter')!,
      loss: percent('loss'),
      reorder: percent('reorder'),
      reorderMs: REORDER_MS,
      duplicate: percent('duplicate'),
      ...(rate === undefined ? {} : { rateBytesPerSec: rate * 1e6 }),
    },
  }
}

/** One line about the network, for people. */
export function describeLink({ link, corrupt, seed }: DemoOptions): string {
  const parts = [
    `${link.delayMs} ms${link.jitterMs ? ` + up to ${link.jitterMs} ms` : ''}`,
    `${tidy(link.loss! * 100)} % lost`,
    `${tidy(link.reorder! * 100)} % out of order`,
    `${tidy(link.duplicate! * 100)} % repeated`,
  ]
  if (corrupt > 0) parts.push(`${tidy(corrupt * 100)} % of the client's corrupted`)
  if (link.rateBytesPerSec !== undefined) parts.push(`${tidy(link.rateBytesPerSec / 1e6)} MB/s`)
  return `${parts.join(', ')} (each way; seed ${seed})`
}

/** One line about the file. */
export function describeFile({ file, bytes }: DemoOptions): string {
  const whole = statSync(file).size === bytes
  return `${whole ? '' : 'the beginning of '}${basename(file)}, ${(bytes / 1e6).toFixed(1)} MB`
}

/** Without the noise of binary fractions. */
function tidy(value: number): string {
  return String(Number(value.toPrecision(6)))
}

function parseFlags(args: readonly string[]) {
  const text = { type: 'string' } as const
  const onOff = { type: 'boolean' } as const
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        delay: text,
        jitter: text,
        loss: text,
        reorder: text,
        duplicate: text,
        rate: text,
        corrupt: text,
        size: text,
        echoes: text,
        seed: text,
        file: text,
        preset: text,
        json: onOff,
        help: { ...onOff, short: 'h' },
      },
    })
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

function parseNumber(name: keyof typeof NUMBERS, given: string | undefined): number | undefined {
  const { low, high, whole = false, unit, fallback }: NumberFlag = NUMBERS[name]
  if (given === undefined) return fallback
  // "5 %" and "30ms" are as good as "5" and "30".
  const digits = unit !== '' && given.endsWith(unit) ? given.slice(0, -unit.length) : given
  const value = digits.trim() === '' ? Number.NaN : Number(digits)
  if (!(value >= low && value <= high) || (whole && !Number.isInteger(value))) {
    const kind = whole ? 'a whole number' : 'a number'
    throw new UsageError(
      `--${name} takes ${kind} within ${low}..${high} ${unit}`.trimEnd() + `, got "${given}"`,
    )
  }
  return value
}

function parsePreset(given: string | undefined): KcpPresetName {
  const preset = (given ?? 'turbo') as KcpPresetName
  if (!PRESETS.includes(preset)) {
    throw new UsageError(`--preset takes one of ${PRESETS.join(', ')}, got "${given}"`)
  }
  return preset
}

/** Bytes to send of a file that must be there. */
function sizeOf(file: string, megabytes: number | undefined): number {
  const stat = statSync(file, { throwIfNoEntry: false })
  if (stat === undefined || !stat.isFile()) throw new UsageError(`--file takes a file, got "${file}"`)
  if (stat.size === 0) throw new UsageError(`--file takes a file with at least one byte, "${file}" is empty`)
  return megabytes === undefined ? stat.size : Math.min(stat.size, Math.max(1, Math.round(megabytes * 1e6)))
}
