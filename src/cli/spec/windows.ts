/**
 * Section 5: flow control and window probes.
 * @module
 */
import {
  check,
  echo,
  may,
  must,
  open,
  openBothWays,
  QUIET,
  type SpecSection,
  should,
  slow,
  stillAlive,
} from './case.ts'
import { isAnything, isPush, isWindowAsk, isWindowTell, type Probe } from './probe.ts'

/** Both ways open; the endpoint has heard that our window is closed, and has something to send. */
async function closed(probe: Probe): Promise<void> {
  await openBothWays(probe)
  probe.wnd = 0
  probe.answering = false
  probe.send(`wins una=${probe.rcvNxt} wnd=0`)
  await probe.pause(50)
  probe.say('held back')
}

export const WINDOWS: SpecSection = {
  name: 'Windows',
  cases: [
    must('a WASK is answered by a WINS', async (probe) => {
      await open(probe)
      probe.send('wask una=0')
      await probe.expect('a WINS', isWindowTell)
    }),
    must('a WINS has no payload', async (probe) => {
      await open(probe)
      probe.send('wask una=0')
      const wins = await probe.expect('a WINS', isWindowTell)
      check(wins.data.length === 0, `expected len=0, got ${wins.data.length}`)
    }),
    must('a WINS tells an open window', async (probe) => {
      await open(probe)
      probe.send('wask una=0')
      const wins = await probe.expect('a WINS', isWindowTell)
      check(wins.wnd > 0, `expected wnd > 0, got ${wins.wnd}`)
    }),
    must('a WINS carries una', async (probe) => {
      await open(probe)
      probe.send('wask una=0')
      const wins = await probe.expect('a WINS', isWindowTell)
      check(wins.una === 1, `expected una=1, got ${wins.una}`)
    }),
    must('a WASK beside data is answered too', async (probe) => {
      await open(probe)
      probe.send('wask una=0 | push sn=1 "beside"')
      await probe.expect('a WINS', isWindowTell)
      await probe.expect('una=2', ({ una }) => una === 2)
    }),
    should('twenty WASK in one datagram get one WINS', async (probe) => {
      await open(probe)
      await probe.pause(QUIET)
      const from = probe.heard.length
      probe.send(Array.from({ length: 20 }, () => `wask una=${probe.rcvNxt}`).join(' | '))
      await probe.expect('a WINS', isWindowTell, undefined, from)
      await probe.pause(100)
      const count = probe.heard.slice(from).filter(isWindowTell).length
      check(count === 1, `expected one, got ${count}`)
    }),
    echo(
      must('a WINS is not answered', async (probe) => {
        await openBothWays(probe)
        probe.send(`wins una=${probe.rcvNxt} wnd=64`)
        await probe.refuse('answer', isAnything, QUIET)
      }),
    ),
    echo(
      must('nothing new is sent into a closed window', async (probe) => {
        const first = 1
        await closed(probe)
        await probe.refuse('PUSH', isPush(first), 1000)
      }),
    ),
    echo(
      must('data is acknowledged while the peer’s window is closed', async (probe) => {
        await closed(probe)
        await probe.expect('una=2', ({ una }) => una === 2)
      }),
    ),
    echo(
      must('a WINS opens the window again', async (probe) => {
        await closed(probe)
        await probe.pause(QUIET)
        probe.answering = true
        probe.wnd = 32
        probe.send(`wins una=${probe.rcvNxt} wnd=32`)
        await probe.expectText('specheld back', 3000)
      }),
    ),
    echo(
      must('a PUSH opens it again', async (probe) => {
        await closed(probe)
        await probe.pause(QUIET)
        probe.answering = true
        probe.wnd = 32
        probe.say('!')
        await probe.expectText('specheld back!', 3000)
      }),
    ),
    slow(
      echo(
        should('a closed window is asked for within 20 s', async (probe) => {
          await closed(probe)
          await probe.expect('a WASK', isWindowAsk, 20_000)
        }),
      ),
    ),
    echo(
      may('a closed window is asked for within 1 s', async (probe) => {
        await closed(probe)
        await probe.expect('a WASK', isWindowAsk, 1000)
      }),
    ),
    slow(
      echo(
        should('the answer to its WASK opens it again', async (probe) => {
          await closed(probe)
          await probe.expect('a WASK', isWindowAsk, 20_000)
          probe.answering = true
          probe.wnd = 32
          probe.send(`wins una=${probe.rcvNxt} wnd=32`)
          await probe.expectText('specheld back', 3000)
        }),
      ),
    ),
    echo(
      should('a closed window is not flooded with WASK', async (probe) => {
        await closed(probe)
        await probe.pause(2000)
        const asked = probe.heard.filter(isWindowAsk).length
        check(asked <= 8, `expected at most 8 in 2 s, got ${asked}`)
      }),
    ),
    must('the largest window there is, 65,535, can be told', async (probe) => {
      await open(probe)
      probe.send('wask una=0 wnd=65535')
      await probe.expect('a WINS', isWindowTell)
      await stillAlive(probe)
    }),
  ],
}
