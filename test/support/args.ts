/** The command lines of the simulator and of the fuzzer: `--name value`, and `--set name=value` any number of times. */

export interface Args {
  readonly values: ReadonlyMap<string, string>
  readonly sets: readonly (readonly [name: string, value: string])[]
}

/** Options that need no value. */
const FLAGS: ReadonlySet<string> = new Set(['trace', 'plain'])

/** Throws a TypeError for a name that is not `known`. */
export function parseArgs(words: readonly string[], known: readonly string[]): Args {
  const values = new Map<string, string>()
  const sets: [string, string][] = []
  for (let i = 0; i < words.length; i++) {
    const [, name = '', given] = /^--([a-z]+)(?:=(.*))?$/.exec(words[i]!) ?? []
    if (!known.includes(name)) {
      throw new TypeError(`unknown option ${words[i]}; there are ${known.map((one) => `--${one}`).join(' ')}`)
    }
    const value = given ?? (FLAGS.has(name) ? '' : words[++i])
    if (value === undefined) throw new TypeError(`--${name} needs a value`)
    if (name === 'set') {
      const [, left = '', right] = /^([a-zA-Z]+)=(.*)$/.exec(value) ?? []
      if (right === undefined) throw new TypeError(`--set needs name=value, got ${value}`)
      sets.push([left, right])
    } else {
      values.set(name, value)
    }
  }
  return { values, sets }
}

/** A whole number; underscores may part its digits. Throws a TypeError. */
export function wholeNumber({ values }: Args, name: string, unset: number): number {
  const text = values.get(name)
  if (text === undefined) return unset
  const value = Number(text.replace(/_/g, ''))
  if (!Number.isSafeInteger(value) || value < 0)
    throw new TypeError(`--${name} needs a whole number, got ${text}`)
  return value
}
