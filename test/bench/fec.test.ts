import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { benchFec } from '../../bench/fec.ts'
import { QUICK } from '../../bench/rounds.ts'

interface Figures {
  readonly groups: readonly {
    readonly work: string
    readonly ours: { readonly median: number }
    readonly plain: { readonly median: number }
    readonly perGo?: { readonly median: number }
  }[]
  readonly nsPerDatagram: Readonly<Record<'encode' | 'receive' | 'recover', number>>
}

test('FEC is measured in WebAssembly, in plain TypeScript, and in Go where there is one', {
  timeout: 120_000,
}, async () => {
  const { what, header, lines, figures } = await benchFec({ ...QUICK, rounds: 1, roundMs: 5 })
  const { groups, nsPerDatagram } = figures as Figures
  equal(groups.length, 6)
  deepEqual(new Set(groups.map(({ work }) => work)), new Set(['encode', 'decode']))
  for (const { ours, plain, perGo } of groups) {
    ok(ours.median > 0 && plain.median > 0)
    ok(perGo === undefined || perGo.median > 0)
  }
  for (const ns of Object.values(nsPerDatagram)) ok(ns > 0 && ns < Number.POSITIVE_INFINITY)
  for (const line of lines) equal(line.length, header.length)
  match(what.join('\n'), /shards of 1350 bytes/)
})
