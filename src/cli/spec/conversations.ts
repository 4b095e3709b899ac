/**
 * Section 6: how conversations begin, what keeps them apart, and what strangers can do.
 * @module
 */
import { Prng } from '../../sim/index.ts'
import {
  check,
  echo,
  may,
  must,
  open,
  openBothWays,
  QUIET,
  type SpecCase,
  type SpecSection,
  should,
  stillAlive,
  withConv,
} from './case.ts'
import { isAck, isPush } from './probe.ts'

function usableConv(level: typeof must, conv: number): SpecCase {
  return withConv(
    conv,
    level(`conv ${conv} can be used`, async (probe) => {
      await open(probe)
      check(
        probe.heard.every((segment) => segment.conv === conv),
        `expected conv=${conv} in every segment`,
      )
    }),
  )
}

function strangerIsIgnored(what: string, line: string): SpecCase {
  return should(`${what} of nobody we know opens nothing`, async (probe) => {
    probe.answering = false
    probe.send(line)
    await probe.pause(QUIET)
    check(
      probe.heard.every((segment) => !isPush()(segment) && !isAck()(segment)),
      'expected neither PUSH nor ACK',
    )
    check(probe.bytesIn <= probe.bytesOut, `expected no more bytes than it sent, got ${probe.bytesIn}`)
  })
}

/** How much a peer gets that says `line` and is silent then: what a forged source address would be sent. */
function amplification(title: string, line: string): SpecCase {
  return echo(
    should(title, async (probe) => {
      probe.answering = false
      probe.send(line)
      await probe.pause(4000)
      // UDP and IP headers count on the wire: 28 bytes for each datagram.
      const datagrams = new Set(probe.heard.map(({ datagram }) => datagram)).size
      const got = probe.bytesIn + 28 * datagrams
      const gave = probe.bytesOut + 28
      // Three times (RFC 9000, 8.1), and eight datagrams of a header to find out whether somebody is there.
      const most = 3 * gave + 8 * (24 + 28)
      check(got <= most, `expected at most ${most} bytes for ${gave}, got ${got} in ${datagrams} datagrams`)
    }),
  )
}

export const CONVERSATIONS: SpecSection = {
  name: 'Conversations',
  cases: [
    usableConv(must, 1),
    usableConv(must, 0x7fff_ffff),
    usableConv(must, 0x8000_0000),
    usableConv(must, 0xffff_ffff),
    usableConv(may, 0),
    strangerIsIgnored('an ACK', 'ack sn=0 una=1 ts=1'),
    strangerIsIgnored('a WINS', 'wins una=0 wnd=128'),
    strangerIsIgnored('a WASK', 'wask una=0'),
    must('one conv from two addresses is two conversations', async (probe, another) => {
      const other = await another(probe.conv)
      await open(probe)
      const sn = other.say('also')
      const ack = await other.expect('an ACK of its own', isAck(sn))
      check(ack.una === 1, `expected una=1, got ${ack.una}`)
    }),
    must('a segment from another address does not get into a conversation', async (probe, another) => {
      await open(probe)
      const other = await another(probe.conv)
      other.answering = false
      other.send('push sn=1 ts=1 "forged"')
      await other.pause(QUIET)
      const from = probe.heard.length
      probe.send('push sn=2 ts=2 "mine"')
      const ack = await probe.expect('an ACK of sn=2', isAck(2), undefined, from)
      check(ack.una === 1, `expected una=1, got ${ack.una}: the forged segment was taken`)
    }),
    may('two conversations of one address live side by side', async (probe) => {
      await open(probe)
      const conv = (probe.conv ^ 0x10) >>> 0
      probe.send(`push conv=${conv} sn=0 "second"`)
      await probe.expect('an ACK in the second conversation', (s) => s.conv === conv && isAck(0)(s))
      const from = probe.heard.length
      await stillAlive(probe)
      // Who forgot the first begins it anew, without what it had.
      const ack = probe.heard.slice(from).find((s) => s.conv === probe.conv && isAck()(s))
      check(ack?.una === 2, `expected una=2 in the first conversation, got ${ack?.una}`)
    }),
    echo(
      must('nothing is delivered before the first segment has come', async (probe) => {
        probe.answering = false
        probe.send('push sn=1 "second"')
        await probe.refuse('echo', (segment) => isPush()(segment) && segment.data.length > 0, QUIET)
      }),
    ),
    should('a conversation that begins with its second segment works when the first comes', async (probe) => {
      probe.send('push sn=1 "second"')
      await probe.pause(100)
      probe.send('push sn=0 "first"')
      await probe.expect('una=2', ({ una }) => una === 2)
    }),
    amplification(
      'a small first message from a silent address is not answered by many times its bytes',
      'push sn=0 "small"',
    ),
    amplification('nor is a large one', 'push sn=0 <1376 B>'),
    amplification('nor is the first fragment of a message', 'push sn=0 frg=10 <1000 B>'),
    echo(
      must('a hundred random datagrams shorter than a header do not end a conversation', async (probe) => {
        const prng = new Prng(0xc105e)
        await openBothWays(probe)
        for (let i = 0; i < 100; i++) {
          const datagram = Uint8Array.from({ length: prng.int(4, 23) }, () => prng.int(0, 255))
          new DataView(datagram.buffer).setUint32(0, probe.conv, true)
          probe.sendRaw(datagram)
        }
        await stillAlive(probe)
      }),
    ),
    must('two hundred fragments that complete nothing do not end a conversation', async (probe) => {
      await open(probe)
      for (let i = 0; i < 200; i++) probe.send(`push sn=${3 + (i % 10)} frg=${20 - (i % 10)} "bomb"`)
      await stillAlive(probe)
    }),
    may('nor do fragments of a message that no window holds', async (probe) => {
      await open(probe)
      for (let i = 0; i < 20; i++) probe.send(`push sn=${3 + i} frg=255 "bomb"`)
      await stillAlive(probe)
    }),
    must('a thousand ACKs of nothing do not end a conversation', async (probe) => {
      await openBothWays(probe)
      const line = Array.from(
        { length: 50 },
        (_, i) => `ack sn=${1000 + i} una=${probe.rcvNxt} ts=${i}`,
      ).join(' | ')
      for (let i = 0; i < 20; i++) probe.send(line)
      await stillAlive(probe)
    }),
    must('una of 2^31 ahead does not end a conversation', async (probe) => {
      await openBothWays(probe)
      probe.send(`wins una=${(probe.rcvNxt + 0x7fff_ffff) >>> 0}`)
      await stillAlive(probe)
    }),
    should('twenty conversations at once', async (probe, another) => {
      const probes = [probe, ...(await Promise.all(Array.from({ length: 19 }, () => another())))]
      await Promise.all(probes.map(open))
    }),
  ],
}
