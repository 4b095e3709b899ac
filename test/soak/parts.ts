/** All parts of the long runs, in the order in which they run. */
import { crowd } from './crowd.ts'
import { kill, ports, stop } from './deaths.ts'
import { flooding } from './flooding.ts'
import { amplification, forging, notices } from './forging.ts'
import { hogs } from './hogs.ts'
import { churn, last, soak } from './lives.ts'
import { mirror } from './mirror.ts'
import type { Part } from './part.ts'
import { icmp } from './refusing.ts'
import { silent } from './silence.ts'
import { spoofed } from './spoofing.ts'

export const PARTS: readonly Part[] = [
  // What strangers and bad peers do.
  ...[flooding, amplification, forging, notices, silent, icmp, hogs, crowd, mirror, spoofed],
  // What happens to processes and sessions in a long life.
  ...[last, kill, stop, ports, churn, soak],
]
