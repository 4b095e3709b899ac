/**
 * Section 4: how an endpoint sends, told by its echo.
 * @module
 */
import { Command, KCP_OVERHEAD } from '../../core/segment.ts'
import { seqDiff } from '../../core/seq.ts'
import {
  check,
  echo,
  may,
  must,
  openBothWays,
  QUIET,
  type SpecCase,
  type SpecSection,
  should,
  stillAlive,
} from './case.ts'
import { type Heard, isPush, type Probe } from './probe.ts'

/** The first resend of an untuned engine comes after an RTO of 200 ms and a flush interval; a busy machine adds to it. */
const RESEND = 3000
/** Two resends more, at doubled timeouts. */
const RESENDS = 8000

/** Both ways open; then one more message is said, and its echo heard but not acknowledged. */
async function unanswered(probe: Probe, text = 'again'): Promise<Heard> {
  await openBothWays(probe)
  probe.answering = false
  const { rcvNxt } = probe
  probe.say(text)
  return await probe.expect('a PUSH with the echo', isPush(rcvNxt))
}

async function resent(probe: Probe, push: Heard, within = RESEND): Promise<Heard> {
  const from = probe.heard.length
  return await probe.expect(`sn=${push.sn} once more`, isPush(push.sn), within, from)
}

/** After `line` the endpoint does not send its segment again. */
function stopsBy(title: string, line: (push: Heard) => string): SpecCase {
  return echo(
    must(title, async (probe) => {
      const push = await unanswered(probe)
      probe.send(line(push))
      // What was under way when it arrived does not count.
      await probe.pause(100)
      await probe.refuse('resend', isPush(push.sn), RESEND / 2)
    }),
  )
}

/** After `line` the endpoint still sends its segment again. */
function goesOnAfter(one: typeof must, title: string, line: (push: Heard) => string): SpecCase {
  return echo(
    one(title, async (probe) => {
      const push = await unanswered(probe)
      probe.send(line(push))
      await probe.pause(50)
      await resent(probe, push)
    }),
  )
}

/** Most that was in flight at once, when a lot is echoed to a peer that tells `wnd`, reads nothing and answers nothing. */
async function mostInFlight(probe: Probe, wnd: number): Promise<number> {
  await openBothWays(probe)
  probe.answering = false
  probe.wnd = wnd
  const first = probe.rcvNxt
  for (let i = 0; i < 4 * wnd + 8; i++) {
    probe.say('w'.repeat(1000))
    await probe.pause(2)
  }
  await probe.pause(QUIET)
  const ahead = probe.heard.filter(isPush()).map(({ sn }) => seqDiff(sn, first) + 1)
  return Math.max(0, ...ahead)
}

export const SENDING: SpecSection = {
  name: 'Sending',
  cases: [
    echo(
      must('the first PUSH has sn=0', async (probe) => {
        probe.say('first')
        await probe.expectText('first')
        const push = probe.heard.find((segment) => isPush()(segment) && segment.data.length > 0)
        check(push?.sn === 0, `expected sn=0, got ${push?.sn}`)
      }),
    ),
    echo(
      must('sn counts up by one', async (probe) => {
        const words = ['a', 'b', 'c', 'd', 'e']
        for (const word of words) {
          probe.say(word)
          await probe.pause(30)
        }
        await probe.expectText('abcde')
        check(probe.rcvNxt === probe.payloads().length, 'expected as many sn as PUSHes')
      }),
    ),
    echo(
      must('a PUSH carries una: what the endpoint expects next', async (probe) => {
        probe.say('a')
        const push = await probe.expect(
          'a PUSH with data',
          ({ cmd, data }) => cmd === Command.Push && data.length > 0,
        )
        check(push.una === 1, `expected una=1, got ${push.una}`)
      }),
    ),
    echo(
      should('the ts of later segments is not before that of earlier ones', async (probe) => {
        for (const word of ['a', 'b', 'c', 'd', 'e', 'f']) {
          probe.say(word)
          await probe.pause(30)
        }
        await probe.expectText('abcdef')
        const pushes = probe.heard.filter((segment) => isPush()(segment) && segment.data.length > 0)
        check(
          pushes.every((push, i) => i === 0 || seqDiff(push.ts, pushes[i - 1]!.ts) >= 0),
          'expected ts to go forward',
        )
      }),
    ),
    echo(
      must('what is not acknowledged is sent again', async (probe) => {
        await resent(probe, await unanswered(probe))
      }),
    ),
    echo(
      must('a resend has the same frg and payload', async (probe) => {
        const push = await unanswered(probe)
        const second = await resent(probe, push)
        check(second.frg === push.frg, `expected frg=${push.frg}, got ${second.frg}`)
        check(Buffer.from(second.data).equals(push.data), 'expected the same payload')
      }),
    ),
    echo(
      should('a resend has a ts of its own', async (probe) => {
        const push = await unanswered(probe)
        const second = await resent(probe, push)
        check(seqDiff(second.ts, push.ts) > 0, `expected a ts behind ${push.ts}, got ${second.ts}`)
      }),
    ),
    echo(
      should('resends come at growing distances', async (probe) => {
        const push = await unanswered(probe)
        const times = [push.at]
        for (let i = 0; i < 3; i++) times.push((await resent(probe, push, RESENDS)).at)
        const gaps = times.slice(1).map((at, i) => at - times[i]!)
        // A tail-loss probe may come early; what counts is that it does not stay at one pace.
        check(
          gaps[2]! > 1.2 * Math.min(gaps[0]!, gaps[1]!),
          `expected growing distances, got ${gaps.map((gap) => gap.toFixed(0)).join(', ')} ms`,
        )
      }),
    ),
    echo(
      must('the first resend does not come at once: no RTO is below 20 ms', async (probe) => {
        const push = await unanswered(probe)
        const { at, ts } = await resent(probe, push)
        // Two that waited for a busy machine come at once; when they left, their own clock tells.
        const gap = Math.max(at - push.at, seqDiff(ts, push.ts))
        check(gap >= 20, `expected 20 ms or more, got ${gap.toFixed(0)}`)
      }),
    ),
    stopsBy('an ACK ends the resends', (push) => `ack sn=${push.sn} una=${push.sn} ts=${push.ts}`),
    stopsBy(
      'una in an ACK of another segment ends them',
      (push) => `ack sn=${push.sn - 1} una=${push.sn + 1} ts=${push.ts}`,
    ),
    stopsBy('una in a PUSH ends them', (push) => `push sn=0 una=${push.sn + 1} "spec"`),
    stopsBy('una in a WASK ends them', (push) => `wask una=${push.sn + 1}`),
    stopsBy('una in a WINS ends them', (push) => `wins una=${push.sn + 1}`),
    goesOnAfter(
      must,
      'an ACK of something acknowledged before changes nothing',
      (push) => `ack sn=0 una=${push.sn} ts=${push.ts}`,
    ),
    goesOnAfter(
      must,
      'an ACK of what was never sent changes nothing',
      (push) => `ack sn=${push.sn + 5} una=${push.sn} ts=${push.ts}`,
    ),
    goesOnAfter(
      must,
      'an ACK of another conversation changes nothing',
      (push) => `ack conv=${(push.conv ^ 2) >>> 0} sn=${push.sn} una=${push.sn + 1} ts=${push.ts}`,
    ),
    goesOnAfter(may, 'una beyond what was sent acknowledges nothing', (push) => `wins una=${push.sn + 1000}`),
    goesOnAfter(
      should,
      'an ACK that echoes a ts of tomorrow does not delay the next resend',
      (push) => `ack sn=${push.sn - 1} una=${push.sn} ts=${(push.ts + 86_400_000) >>> 0}`,
    ),
    goesOnAfter(
      may,
      'an ACK that echoes a ts of yesterday does not delay the next resend',
      (push) => `ack sn=${push.sn - 1} una=${push.sn} ts=${(push.ts - 86_400_000) >>> 0}`,
    ),
    echo(
      must('what una acknowledges is acknowledged, the rest is sent again', async (probe) => {
        await openBothWays(probe)
        probe.answering = false
        const first = probe.rcvNxt
        for (const word of ['x', 'y', 'z']) {
          probe.say(word.repeat(700))
          await probe.pause(20)
        }
        await probe.expect('a second PUSH', isPush(first + 1))
        await probe.pause(20)
        probe.send(`wins una=${first + 1}`)
        await probe.pause(100)
        const from = probe.heard.length
        await probe.expect(`sn=${first + 1} once more`, isPush(first + 1), RESEND, from)
        check(!probe.heard.slice(from).some(isPush(first)), `expected no resend of sn=${first}`)
      }),
    ),
    echo(
      may(
        'a segment that later ones were acknowledged before is sent again in less than a first RTO',
        async (probe) => {
          await openBothWays(probe)
          // An endpoint with a congestion window opens it by these.
          for (let i = 0; i < 10; i++) {
            probe.say('g'.repeat(700))
            await probe.pause(30)
          }
          await probe.expectText(`spec${'g'.repeat(7000)}`)
          await probe.pause(50)
          probe.answering = false
          const first = probe.rcvNxt
          for (const word of ['l', 'm', 'n', 'o', 'p']) {
            probe.say(word.repeat(700))
            await probe.pause(30)
          }
          const last = await probe.expect('five PUSHes', isPush(first + 4))
          const from = probe.heard.length
          for (const push of probe.heard.filter(
            (segment) => isPush()(segment) && seqDiff(segment.sn, first) > 0,
          )) {
            probe.send(`ack sn=${push.sn} una=${first} ts=${push.ts}`)
          }
          const again = await probe.expect(`sn=${first} once more`, isPush(first), RESEND, from)
          check(again.at - last.at < 200, `expected it within 200 ms, got ${(again.at - last.at).toFixed(0)}`)
        },
      ),
    ),
    echo(
      must('no more is in flight than the window told: 4', async (probe) => {
        const most = await mostInFlight(probe, 4)
        check(most <= 4, `expected at most 4 segments in flight, got ${most}`)
        check(most > 0, 'expected some segments')
      }),
    ),
    echo(
      must('no more is in flight than the window told: 1', async (probe) => {
        const most = await mostInFlight(probe, 1)
        check(most <= 1, `expected at most 1 segment in flight, got ${most}`)
      }),
    ),
    echo(
      must('an echo of 20,000 bytes comes in datagrams of 1,500 bytes or less', async (probe) => {
        const text = 'long'.repeat(5000)
        const size = 1000
        for (let i = 0; i < text.length; i += size) {
          const frg = text.length / size - 1 - i / size
          probe.send(`push sn=${probe.sndNxt++} frg=${frg} una=${probe.rcvNxt} "${text.slice(i, i + size)}"`)
        }
        await probe.expectText(text)
        const most = Math.max(...probe.heard.map(({ size }) => size))
        check(most <= 1500, `expected datagrams up to 1500 bytes, got ${most}`)
      }),
    ),
    echo(
      may('small answers of one moment share a datagram with the ACKs', async (probe) => {
        await openBothWays(probe)
        const from = probe.heard.length
        probe.say('rides')
        const push = await probe.expect('the echo', isPush(), undefined, from)
        const datagram = probe.heard.filter(({ datagram }) => datagram === push.datagram)
        check(
          datagram.length > 1,
          `expected an ACK beside the echo, got a datagram of ${KCP_OVERHEAD + 5} bytes`,
        )
      }),
    ),
    echo(
      must('after a pause of 2 s the conversation goes on', async (probe) => {
        await openBothWays(probe)
        await probe.pause(2000)
        await stillAlive(probe)
        await probe.expectText('specstill')
      }),
    ),
  ],
}
