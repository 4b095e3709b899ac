import { deepEqual, equal, throws } from 'node:assert/strict'
import { mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { type Level, Log, openLog, showBytes, showTime } from '../../src/cli/tunnel/log.ts'

function logged(level: Level, quiet: boolean, use: (log: Log) => void): string[] {
  const lines: string[] = []
  use(new Log({ level, quiet, write: (line) => lines.push(line), now: () => 1_000 }))
  return lines
}

test('a line has its time, its level and its text', () => {
  deepEqual(
    logged('info', false, (log) => log.warn('what')),
    ['1970-01-01T00:00:01.000Z warn  what\n'],
  )
})

test('what is less important is left out, and with quiet what is about streams', () => {
  const all = (log: Log): void => {
    log.error('e')
    log.warn('w')
    log.info('i')
    log.stream('s')
    log.debug('d')
  }
  const told = (level: Level, quiet: boolean): string =>
    logged(level, quiet, all)
      .map((line) => line.trim().at(-1))
      .join('')
  equal(told('debug', false), 'ewisd')
  equal(told('info', false), 'ewis')
  equal(told('info', true), 'ewi')
  equal(told('warn', false), 'ew')
  equal(told('error', true), 'e')
})

test('a text from outside begins no line of its own', () => {
  deepEqual(
    logged('info', false, (log) => log.info('a\nb\r\x1b[2Jc\u0085é')),
    ['1970-01-01T00:00:01.000Z info  a\\x0ab\\x0d\\x1b[2Jc\\x85é\n'],
  )
})

test('a file is appended to by its name, also after it was moved away', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'kcp-io-log-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'log')
  const write = openLog(path, () => undefined)
  write('one\n')
  write('two\n')
  renameSync(path, join(folder, 'old'))
  write('three\n')
  equal(readFileSync(join(folder, 'old'), 'utf8'), 'one\ntwo\n')
  equal(readFileSync(path, 'utf8'), 'three\n')
})

test('a file that cannot be written is told at once; later, lines take the other way', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'kcp-io-log-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  throws(() => openLog(join(folder, 'none', 'log'), () => undefined), { name: 'UsageError' })
  const lines: string[] = []
  const write = openLog(join(folder, 'log'), (line) => lines.push(line))
  rmSync(folder, { recursive: true })
  write('lost?\n')
  deepEqual(lines, ['lost?\n'])
})

test('sizes and times for people', () => {
  deepEqual([0, 9999, 10_000, 1_234_567, 20_000_000].map(showBytes), [
    '0 B',
    '9999 B',
    '10.0 kB',
    '1234.6 kB',
    '20.0 MB',
  ])
  deepEqual([0, 1234, 59_999, 60_000, 3_725_000].map(showTime), [
    '0.0 s',
    '1.2 s',
    '60.0 s',
    '1 min 0 s',
    '62 min 5 s',
  ])
})
