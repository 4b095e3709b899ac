/** `redundancy: 'auto'` over paths that delay datagrams unevenly: it answers losses and nothing else. */
import { ok } from 'node:assert/strict'
import { test } from 'node:test'
import type { KcpConfig } from '../../src/core/config.ts'
import type { LinkConditions } from '../../src/sim/link.ts'
import { SessionPair } from '../../src/sim/pair.ts'

interface Look {
  readonly at: number
  readonly loss: number
  readonly level: number
}

/** What a client measures that sends a small message each 33 ms, or `every` ms: a look each second. */
function measured(
  seed: number,
  link: LinkConditions,
  seconds: number,
  settings: {
    kcp?: KcpConfig
    server?: KcpConfig
    every?: number
    change?: (pair: SessionPair, second: number) => void
  } = {},
): Look[] {
  const { kcp = {}, server = {}, every = 33, change } = settings
  const pair = new SessionPair({
    seed,
    client: { preset: 'fast', kcp: { redundancy: 'auto', ...kcp } },
    server: { preset: 'fast', kcp: server },
    link,
  })
  pair.onChange = (session) => {
    if (session === pair.server) while (pair.read(session) !== undefined);
  }
  const looks: Look[] = []
  const message = new Uint8Array(48)
  for (let at = 0; at < seconds * 1_000; at += every) {
    const second = Math.floor(at / 1_000)
    if (second > looks.length) {
      change?.(pair, second)
      const { loss, redundancy } = pair.client.stats(pair.clock.now())
      looks.push({ at: second, loss, level: redundancy })
    }
    pair.write(pair.client, message)
    pair.clock.advance(every)
  }
  return looks
}

const mean = (values: readonly number[]): number => values.reduce((sum, one) => sum + one, 0) / values.length
const RECEIVERS: readonly (readonly [name: string, server: KcpConfig])[] = [
  ['ours', {}],
  ['a stock one', { hardening: false }],
]

for (const lossDetection of ['count', 'time'] as const) {
  for (const [name, server] of RECEIVERS) {
    const kcp = { lossDetection }
    test(`few losses and much jitter turn nothing on (${lossDetection}, receiver: ${name})`, () => {
      for (const seed of [1, 2, 5]) {
        for (const path of [{ jitterMs: 20 }, { reorder: 0.3, reorderMs: 20 }]) {
          const looks = measured(seed, { delayMs: 20, loss: 0.002, ...path }, 60, { kcp, server }).slice(5)
          const losses = looks.map(({ loss }) => loss)
          const why = `seed=${seed} ${JSON.stringify(path)}: ${losses.map((one) => one.toFixed(4)).join(' ')}`
          ok(mean(losses) < 0.005, why)
          ok(looks.at(-1)!.loss < 0.01 && looks.at(-1)!.level === 0, why)
        }
      }
    })

    test(`jitter and reordering change the measure by little (${lossDetection}, receiver: ${name})`, () => {
      const paths = [
        {},
        { jitterMs: 10 },
        { jitterMs: 20 },
        { reorder: 0.1, reorderMs: 20 },
        { reorder: 0.5, reorderMs: 20 },
      ]
      for (const path of paths) {
        const looks = [1, 2, 3].flatMap((seed) =>
          measured(seed, { delayMs: 20, loss: 0.03, ...path }, 60, { kcp, server }).slice(15),
        )
        const loss = mean(looks.map((look) => look.loss))
        ok(loss > 0.012 && loss < 0.045, `seeds 1..3, ${JSON.stringify(path)}: ${loss}`)
      }
    })
  }

  test(`as much is measured as is lost, whatever is repeated (${lossDetection})`, () => {
    // A copy leaves with the next message. Our receiver answers it where no other ACK says the same: at 33 ms, not at 20.
    for (const [name, server] of RECEIVERS) {
      for (const redundancy of [0, 1, 'auto'] as const) {
        if (redundancy === 0 && lossDetection === 'count') continue
        for (const every of [20, 33]) {
          const kcp = { lossDetection, redundancy }
          const looks = [1, 2, 3, 4].flatMap((seed) =>
            measured(seed, { delayMs: 20, loss: 0.02 }, 60, { kcp, server, every }).slice(12),
          )
          const loss = mean(looks.map((look) => look.loss))
          const why = `seeds 1..4, receiver ${name}, redundancy ${redundancy}, each ${every} ms: ${loss}`
          ok(loss > 0.015 && loss < 0.026, why)
        }
      }
    }
  })

  test(`losses that end are forgotten, also on a path that reorders (${lossDetection})`, () => {
    for (const path of [{ jitterMs: 20 }, { reorder: 0.5, reorderMs: 20 }]) {
      const looks = measured(5, { delayMs: 15, loss: 0.05, ...path }, 40, {
        kcp: { lossDetection },
        change: (pair, second) => {
          if (second === 5) pair.network.set({ loss: 0 })
        },
      })
      const told = `seed=5 ${JSON.stringify(path)}: ${looks.map(({ level }) => level.toFixed(1)).join(' ')}`
      ok(
        looks.some(({ at, level }) => at <= 6 && level >= 1),
        told,
      )
      ok(
        looks.every(({ at, level }) => at < 25 || level === 0),
        told,
      )
    }
  })
}
