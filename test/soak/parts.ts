/** All parts of the long runs, in the order in which they run. */
import { flooding } from './flooding.ts'
import { amplification, forging, notices } from './forging.ts'
import type { Part } from './part.ts'
import { silent } from './silence.ts'

export const PARTS: readonly Part[] = [flooding, amplification, forging, notices, silent]
