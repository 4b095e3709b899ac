/**
 * Runs the compiled tests: `node scripts/test.mjs [word ...]` keeps the files whose path holds one of the words.
 * Node 20's runner takes no globs, so the files are listed here.
 */
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'

const words = process.argv.slice(2)
const files = readdirSync('build/test', { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.test.js'))
  .filter((path) => words.length === 0 || words.some((word) => path.includes(word)))
  .map((path) => join('build/test', path))
  .sort()
if (files.length === 0) {
  console.error(`no test file matches ${words.join(' ')}`)
  process.exit(1)
}
const { status } = spawnSync(
  process.execPath,
  // A file that hangs fails; the longest takes a minute on two quiet cores, and twice that on busy ones.
  ['--test', '--test-reporter=spec', '--test-concurrency=2', '--test-timeout=240000', ...files],
  { stdio: 'inherit' },
)
process.exit(status ?? 1)
