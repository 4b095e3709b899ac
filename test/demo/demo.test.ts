import { equal, match, ok } from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const DEMO = fileURLToPath(new URL('../../demo/main.js', import.meta.url))

interface Outcome {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** The demo as `npm run demo -- ...flags` starts it, to its end. */
function runDemo(...flags: readonly string[]): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [DEMO, ...flags], { stdio: ['ignore', 'pipe', 'pipe'] })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, stdout, stderr }))
  })
}

/** A path that is over soon. */
const SHORT = ['--delay', '5', '--jitter', '2', '--echoes', '20'] as const

test('a file and echoes cross the bad network unchanged, and a table says so', {
  timeout: 45_000,
}, async () => {
  const { code, stdout, stderr } = await runDemo(...SHORT, '--size', '1', '--loss', '3', '--seed', '11')
  equal(code, 0, stderr)
  match(stdout, /SHA-256 equal at both ends: [0-9a-f]{64}/)
  match(stdout, /preset +goodput +srtt +retransmitted +datagrams +lost +echo p50 +echo p99/)
  match(stdout, /^file +turbo +[\d.]+ MB\/s +\d+ ms +[\d.]+ % +[\d,]+ +[\d.]+ % +- +-$/m)
  for (const preset of ['default', 'normal', 'fast', 'turbo']) {
    match(
      stdout,
      new RegExp(`^echo +${preset} +- +\\d+ ms +[\\d.]+ % +[\\d,]+ +[\\d.]+ % +\\d+ ms +\\d+ ms$`, 'm'),
    )
  }
  match(stdout, /1,000,000 bytes and 80 echoes arrived: nothing missing, nothing changed\./)
  ok(!stdout.includes('\x1b'), 'no cursor movements where there is no terminal')
})

test('with --json stdout is one object, and progress goes elsewhere', { timeout: 45_000 }, async () => {
  const { code, stdout, stderr } = await runDemo(...SHORT, '--size', '0.05', '--json', DEMO)
  equal(code, 0, stderr)
  const result = JSON.parse(stdout) as {
    file: { name: string }
    rows: readonly { preset: string }[]
    differences: readonly string[]
  }
  equal(result.file.name, DEMO)
  equal(result.rows.length, 5)
  equal(result.differences.length, 0)
  match(stderr, /SHA-256 equal/)
})

test('flipped bits, which plain KCP cannot notice, end the demo with an error', {
  timeout: 60_000,
}, async () => {
  const { code, stderr } = await runDemo(...SHORT, '--size', '0.3', '--corrupt', '20', '--seed', '3')
  equal(code, 1)
  match(stderr, /^demo: (DIFFERENT: the file|FAILED)/m)
})

test('what makes no sense is refused by its name, before anything starts', { timeout: 20_000 }, async () => {
  const wrong: readonly (readonly [flags: readonly string[], message: RegExp])[] = [
    [['--loss', '99'], /--loss takes a number within 0\.\.50 %, got "99"/],
    [['--delay', 'long'], /--delay takes a number within 0\.\.2000 ms, got "long"/],
    [['--echoes', '1.5'], /--echoes takes a whole number/],
    [['--preset', 'warp'], /--preset takes one of default, normal, fast, turbo, got "warp"/],
    [['--file', '/no/such/file'], /--file takes a file, got "\/no\/such\/file"/],
    [['--wings'], /--wings/],
  ]
  for (const [flags, message] of wrong) {
    const { code, stdout, stderr } = await runDemo(...flags)
    equal(code, 2, flags.join(' '))
    match(stderr, message)
    equal(stdout, '')
  }
})

test('--help names every flag', { timeout: 20_000 }, async () => {
  const { code, stdout } = await runDemo('--help')
  equal(code, 0)
  const flags = 'delay jitter loss reorder duplicate rate corrupt file size preset echoes seed json help'
  for (const flag of flags.split(' ')) ok(stdout.includes(`--${flag}`), flag)
})
