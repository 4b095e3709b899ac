/**
 * The repository's root: sources and `build` differ in depth.
 * @module
 */
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root: string = above(dirname(fileURLToPath(import.meta.url)))

function above(directory: string): string {
  return existsSync(join(directory, 'package.json')) ? directory : above(dirname(directory))
}
