/**
 * A Node program as a child process, with what it printed.
 * @module
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'

export interface Child {
  readonly process: ChildProcess
  /** Everything that it printed so far, errors included. */
  output(): string
  /** Resolves with the first match in its output; rejects when it ends without one. */
  says(pattern: RegExp): Promise<RegExpExecArray>
  /** Exit code, or the signal that ended it. */
  readonly ended: Promise<number | string | null>
}

/** Longest that a program may take, ms, before it is killed. Some start 50 threads: 4 s on an idle machine, 33 s on a busy one. */
const LIMIT = 100_000

export function startNode(path: string, words: readonly string[] = [], cwd?: string): Child {
  const stdio = ['ignore', 'pipe', 'pipe'] as const
  const child = spawn(process.execPath, [path, ...words], { stdio: [...stdio], ...(cwd && { cwd }) })
  let output = ''
  let over = false
  for (const pipe of [child.stdout!, child.stderr!]) {
    pipe.setEncoding('utf8')
    pipe.on('data', (text: string) => {
      output += text
      child.emit('said')
    })
  }
  const timer = setTimeout(() => child.kill('SIGKILL'), LIMIT)
  const ended = once(child, 'close').then(([code, signal]) => {
    clearTimeout(timer)
    over = true
    child.emit('said')
    return (code ?? signal) as number | string | null
  })
  const says = async (pattern: RegExp): Promise<RegExpExecArray> => {
    for (;;) {
      const match = pattern.exec(output)
      if (match !== null) return match
      assert.equal(over, false, `${path} ended without saying ${pattern}:\n${output}`)
      await once(child, 'said')
    }
  }
  return { process: child, output: () => output, says, ended }
}
