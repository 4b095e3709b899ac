import { equal } from 'node:assert/strict'
import { test } from 'node:test'
import { seqAdd, seqDiff } from '../../src/core/seq.ts'
import { Prng } from '../../src/sim/prng.ts'

test('a number is ahead of another when it is less than half the circle away', () => {
  equal(seqDiff(5, 3), 2)
  equal(seqDiff(3, 5), -2)
  equal(seqDiff(0, 0xffff_ffff), 1)
  equal(seqDiff(0xffff_ffff, 0), -1)
  equal(seqDiff(0x7fff_ffff, 0), 2 ** 31 - 1)
  equal(seqDiff(0x8000_0000, 0), -(2 ** 31))
  equal(seqDiff(0, 0x8000_0000), -(2 ** 31), 'opposite ends are behind one another')
})

test('adding wraps', () => {
  equal(seqAdd(0xffff_ffff, 1), 0)
  equal(seqAdd(0, -1), 0xffff_ffff)
  equal(seqAdd(0xffff_fff0, 0x20), 0x10)
})

test('what is added is what the difference tells, anywhere on the circle', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const prng = new Prng(seed)
    for (let i = 0; i < 200; i++) {
      const a = prng.u32()
      const n = prng.int(-(2 ** 31), 2 ** 31 - 1)
      equal(seqDiff(seqAdd(a, n), a), n, `seed=${seed} a=${a} n=${n}`)
    }
  }
})
