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
  readonly max: number
}

/** Percentiles are samples: the smallest that so many percent do not exceed. */
export function summarise(samples: readonly number[]): Summary {
  const sorted = [...samples].sort((a, b) => a - b)
  const at = (percent: number): number => sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)]!
  const mean = sorted.reduce((sum, sample) => sum + sample, 0) / sorted.length
  return { mean, p50: at(50), p95: at(95), p99: at(99), max: at(100) }
}

export function noLink(name: string, why: string): Report {
  return { name, what: [`Skipped: ${why}.`], header: [], lines: [], figures: null }
}
