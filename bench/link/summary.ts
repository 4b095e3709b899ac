/**
 * What both measurements on the impaired link say about their samples, and when there is no link.
 * @module
 */
import type { Report } from '../rounds.ts'

export interface Summary {
  readonly mean: number
  readonly p50: number
  readonly p95: number
  readonly p99: number
  readonly p999: number
  readonly max: number
}

/** The smallest sample that a share `p` of all do not exceed. */
export function quantile(sorted: readonly number[], p: number): number {
  return sorted[Math.max(0, Math.ceil(p * sorted.length - ROUNDING) - 1)]!
}
/** 0.999 * 5000 is a little more than 4995 in binary. */
const ROUNDING = 1e-6

export function summarise(samples: readonly number[]): Summary {
  const sorted = [...samples].sort((a, b) => a - b)
  const at = (p: number): number => quantile(sorted, p)
  const mean = sorted.reduce((sum, sample) => sum + sample, 0) / sorted.length
  return { mean, p50: at(0.5), p95: at(0.95), p99: at(0.99), p999: at(0.999), max: at(1) }
}

export function noLink(name: string, why: string): Report {
  return { name, what: [`Skipped: ${why}.`], header: [], lines: [], figures: null }
}
