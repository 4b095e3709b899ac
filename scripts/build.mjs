/**
 * Compiles twice: `src` to `dist` (what the package ships, with declarations) and everything to `build`
 * (tests, benchmarks, demo; they import the sources by path, examples import the package by name). Then the addon, where
 * there is a toolchain. `--clean` starts from nothing, so that no module that was since deleted is packed.
 */
import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { buildNative } from './build-native.mjs'

const clean = process.argv.includes('--clean')
if (clean) {
  for (const folder of ['dist', 'build', 'native/build']) rmSync(folder, { recursive: true, force: true })
}

// Called by path: an aliased second compiler would own node_modules/.bin/tsc.
const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc')
for (const project of ['tsconfig.dist.json', 'tsconfig.build.json']) {
  const { status } = spawnSync(process.execPath, [tsc, '-p', project], { stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}

const missing = buildNative({ clean })
if (missing !== undefined) console.log(`native: not built: ${missing}; UDP goes through node:dgram`)
