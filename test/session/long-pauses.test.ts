/** Sessions that are silent for weeks. */
import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { SessionPair } from '../../src/sim/pair.ts'

const DAY = 86_400_000

for (const keepAlive of [0, 3_600_000]) {
  for (const days of [25, 33, 49]) {
    test(`after ${days} days data goes both ways and the peer's end is believed (keepAlive ${keepAlive})`, () => {
      for (const seed of [1, 2, 3]) {
        const pair = new SessionPair({
          seed,
          config: {
            preset: 'fast',
            idleTimeout: 0,
            keepAlive,
            kcp: { lossDetection: 'time', redundancy: 'auto' },
          },
          link: { delayMs: 20 },
        })
        const talk = (): void => {
          for (let i = 0; i < 5; i++) {
            pair.write(pair.client, Uint8Array.of(i))
            pair.clock.advance(50)
            pair.write(pair.server!, Uint8Array.of(i))
            pair.clock.advance(50)
          }
          pair.clock.advance(200)
          for (const session of [pair.client, pair.server!]) {
            for (let i = 0; i < 5; i++) deepEqual(pair.read(session), Uint8Array.of(i), `seed=${seed}`)
          }
        }
        talk()
        pair.clock.advance(days * DAY)
        talk()
        pair.end(pair.server!)
        pair.clock.advance(300)
        equal(pair.client.ended, true, `seed=${seed}`)
        pair.end(pair.client)
        pair.clock.advance(300)
        deepEqual([pair.client.closeReason, pair.server!.closeReason], ['peer', 'local'], `seed=${seed}`)
        deepEqual([pair.client.forgedNotices, pair.server!.forgedNotices], [0, 0], `seed=${seed}`)
      }
    })
  }
}

test('an end right after weeks of silence is believed, whether new data was heard or not', () => {
  for (const days of [25, 33, 49]) {
    for (const lost of [false, true]) {
      const pair = new SessionPair({
        seed: 4,
        config: { preset: 'fast', idleTimeout: 0, keepAlive: 0 },
        link: { delayMs: 20 },
      })
      pair.write(pair.client, Uint8Array.of(1))
      pair.clock.advance(100)
      pair.write(pair.server!, Uint8Array.of(2))
      pair.clock.advance(days * DAY)
      pair.network.link('client', 'server').set({ loss: lost ? 1 : 0, delayMs: 20 })
      pair.write(pair.client, Uint8Array.of(3))
      pair.clock.advance(1)
      pair.end(pair.server!)
      pair.clock.advance(100)
      pair.read(pair.client)
      equal(pair.client.ended, true, `${days} days, lost: ${lost}`)
      equal(pair.client.forgedNotices, 0)
    }
  }
})
