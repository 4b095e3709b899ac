import { deepEqual, equal, ok, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { UsageError } from '../../src/cli/command.ts'
import { describeFlags, type Flags, type FlagTable, parseFlags } from '../../src/cli/flags.ts'

const TABLE: FlagTable = [
  { name: 'listen', aliases: ['l'], default: ':1', help: 'where' },
  { name: 'key', default: 'none', env: 'THE_KEY', help: 'secret' },
  { name: 'count', aliases: ['ds'], default: 10, range: [1, 255], help: 'how many' },
  { name: 'quiet', default: false, help: 'say less' },
  { name: 'mode', default: 'fast', oneOf: ['fast', 'slow'], help: 'how' },
  { name: 'QPP', key: 'qpp', default: false, help: 'x', fate: { kind: 'refused', why: 'not here' } },
  { name: 'old', default: '', help: 'x', fate: { kind: 'ignored', why: 'of no use' }, hidden: true },
  { name: 'c', key: null, default: '', help: 'file' },
]

function parse(words: string, env: Record<string, string> = {}, file?: string): Flags {
  return parseFlags(TABLE, words === '' ? [] : words.split(' '), env, (path) => {
    equal(path, 'file.json')
    if (file === undefined) throw new Error('ENOENT: no such file')
    return file
  })
}

function refusal(words: string, file?: string): string {
  try {
    parse(words, {}, file)
  } catch (error) {
    ok(error instanceof UsageError, String(error))
    return error.message
  }
  return ''
}

test('one dash or two, a word or an equals sign, long names and short', () => {
  for (const words of ['-l :9', '--l :9', '-listen :9', '--listen :9', '-l=:9', '--listen=:9']) {
    equal(parse(words).values['listen'], ':9', words)
  }
  equal(parse('-ds 3').values['count'], 3)
  equal(parse('-ds 0x10').values['count'], 16)
  deepEqual([...parse('--key a -quiet').given], ['key', 'quiet'])
})

test('the last one counts', () => {
  equal(parse('-l :1 -l :2').values['listen'], ':2')
  equal(parse('--quiet --quiet=false').values['quiet'], false)
})

test('a switch may have a value, but only behind an equals sign', () => {
  for (const [word, value] of [
    ['--quiet', true],
    ['-quiet=true', true],
    ['-quiet=1', true],
    ['--quiet=F', false],
  ] as const) {
    equal(parse(word).values['quiet'], value, word)
  }
  equal(refusal('--quiet true'), '"true" is no option')
  equal(refusal('--quiet=maybe'), '--quiet=maybe: true or false')
})

test('the next word is the value, whatever it looks like', () => {
  equal(parse('--key --quiet').values['key'], '--quiet')
  equal(parse('--key -l').values['key'], '-l')
  equal(parse('--key=a=b').values['key'], 'a=b')
  equal(parse('--key=').values['key'], '')
})

test('what is wrong is told by its name', () => {
  equal(refusal('--lisen :1'), 'there is no option --lisen')
  equal(refusal('-x=1'), 'there is no option -x')
  equal(refusal('listen'), '"listen" is no option')
  equal(refusal('--'), '"--" is no option')
  equal(refusal('--listen'), '--listen needs a value')
  equal(refusal('--count 0'), '--count must be a whole number within 1..255, got "0"')
  equal(refusal('--count 1.5'), '--count must be a whole number within 1..255, got "1.5"')
  equal(refusal('--count ten'), '--count must be a whole number within 1..255, got "ten"')
  equal(refusal('--count='), '--count must be a whole number within 1..255, got ""')
  equal(refusal('--mode quick'), '--mode must be one of fast, slow, got "quick"')
})

test('the environment takes the place of a default, and words that of the environment', () => {
  const env = { THE_KEY: 'from outside' }
  equal(parse('', env).values['key'], 'from outside')
  ok(parse('', env).given.has('key'))
  equal(parse('--key mine', env).values['key'], 'mine')
  equal(parse('', { THE_KEY: '' }).values['key'], 'none')
})

test('a file wins over the words, and what it does not hold stays', () => {
  const { values, warnings } = parse(
    '-c file.json -l :5 --mode slow',
    {},
    '{ "Listen": ":6", "count": 7, "quiet": true }',
  )
  deepEqual([values['listen'], values['count'], values['quiet'], values['mode']], [':6', 7, true, 'slow'])
  deepEqual(warnings, [])
})

test('unknown keys of a file are told and left out', () => {
  deepEqual(parse('-c file.json', {}, '{ "lisen": 1, "c": "other.json" }').warnings, [
    'unknown key "lisen" in file.json: left out',
    'unknown key "c" in file.json: left out',
  ])
})

test('a file that is none, or holds what does not fit, is refused', () => {
  equal(refusal('-c file.json'), 'cannot read the configuration file.json: ENOENT: no such file')
  ok(refusal('-c file.json', '{ "listen": ').startsWith('cannot read the configuration file.json: '))
  for (const text of ['{ "key": "hunter2', '{"key":hunter2}', '{"key":"hunter2",}', 'hunter2']) {
    ok(!refusal('-c file.json', text).includes('hunt'), 'no part of a file that may hold the key is repeated')
  }
  equal(refusal('-c file.json', '[]'), 'the configuration file.json must be one JSON object')
  equal(
    refusal('-c file.json', '{"count": "many"}'),
    'count in file.json must be a whole number within 1..255, got "many"',
  )
  equal(
    refusal('-c file.json', '{"count": null}'),
    'count in file.json must be a whole number within 1..255, got null',
  )
  equal(refusal('-c file.json', '{"quiet": "yes"}'), 'quiet in file.json must be true or false, got "yes"')
  equal(refusal('-c file.json', '{"listen": 1}'), 'listen in file.json must be a text, got 1')
})

test('a key is never shown', () => {
  equal(refusal('-c file.json', '{"key": 12345}'), 'key in file.json must be a text, got something else')
})

test('an option without effect is told, one that cannot be had ends it; neither at its default', () => {
  deepEqual(parse('--old x').warnings, ['--old has no effect: of no use'])
  equal(refusal('--QPP'), '--QPP cannot be had: not here')
  equal(refusal('-c file.json', '{"qpp": true}'), '--QPP cannot be had: not here')
  deepEqual(parse('--QPP=false', {}, '').warnings, [])
})

test('help has a line for every option that is not hidden', () => {
  equal(
    describeFlags(TABLE.slice(0, 4)),
    [
      '  --listen, -l VALUE  where (default ":1")',
      '  --key VALUE         secret (default "none", or $THE_KEY)',
      '  --count, --ds N     how many (default 10)',
      '  --quiet             say less',
      '',
    ].join('\n'),
  )
  ok(!describeFlags(TABLE).includes('--old'))
})

test('UsageError is told apart from other errors', () => {
  throws(() => parse('--nothing'), UsageError)
})
