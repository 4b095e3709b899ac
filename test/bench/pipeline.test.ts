import { equal, match, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { benchPipeline } from '../../bench/pipeline.ts'
import { type Figure, QUICK } from '../../bench/rounds.ts'

test('the way from the engine to the transport and back is measured', async () => {
  const { what, header, lines, figures } = await benchPipeline({ ...QUICK, rounds: 1, roundMs: 2 })
  match(what.join(' '), /datagram of 1376 bytes/)
  for (const line of lines) equal(line.length, header.length)
  for (const [name, figure] of Object.entries(figures as Readonly<Record<string, Figure>>)) {
    ok(figure.median > 0 || name.endsWith(' in'), name)
  }
})
