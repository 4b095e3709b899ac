/**
 * C programs of the attacks, which need sockets that Node does not have.
 * @module
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Resources } from './part.ts'

/** Compiles `test/soak/NAME.c`; undefined where there is no compiler. */
export function compile(use: Resources, name: string): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), `kcp-io-${name}-`))
  use.defer(() => rmSync(folder, { recursive: true, force: true }))
  const program = join(folder, name)
  return spawnSync('cc', ['-O2', '-o', program, `test/soak/${name}.c`]).status === 0 ? program : undefined
}
