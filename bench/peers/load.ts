/**
 * Peers from npm, which only the benchmark needs: they live in bench/peers/node_modules, if somebody installed them.
 * @module
 */
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { root } from '../root.ts'

const require = createRequire(join(root, 'bench/peers/package.json'))

/** What `require` gives there, with the type that the caller knows; throws when it is not there or does not load. */
export function load<Module>(name: string): Module {
  return require(name) as Module
}
