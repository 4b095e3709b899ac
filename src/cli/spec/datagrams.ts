/**
 * Section 1: what a datagram may hold, and what an endpoint does with one that it cannot read.
 * @module
 */

import { KCP_OVERHEAD, LEN_AT, writeU32 } from '../../core/segment.ts'
import { Prng, parseTrace } from '../../sim/index.ts'
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
} from './case.ts'
import { isAck, isAnything, isPush, type Probe } from './probe.ts'

/** An open conversation hears `datagram`, says nothing to it, and goes on. */
function ignored(probe: Probe, datagram: Uint8Array): Promise<void> {
  return ignoring(probe, () => probe.sendRaw(datagram))
}

async function ignoring(probe: Probe, disturb: () => void): Promise<void> {
  await openBothWays(probe)
  disturb()
  await probe.refuse('answer', isAnything, QUIET)
  await stillAlive(probe)
}

/** A PUSH of sn 1 whose length field lies. */
function lying(probe: Probe, len: number): Uint8Array {
  const datagram = parseTrace('push sn=1 "lies"', { conv: probe.conv })
  writeU32(datagram, LEN_AT, len)
  return datagram
}

function unknownCommand(cmd: number): SpecCase {
  return echo(
    must(`a segment with the unknown command ${cmd} is ignored`, async (probe) => {
      const datagram = parseTrace('push sn=1 "odd"', { conv: probe.conv })
      datagram[4] = cmd
      await ignored(probe, datagram)
    }),
  )
}

export const DATAGRAMS: SpecSection = {
  name: 'Datagrams',
  cases: [
    must('one segment in one datagram is answered', async (probe) => {
      await open(probe)
    }),
    must('two segments in one datagram are both taken', async (probe) => {
      probe.send('push sn=0 "a" | push sn=1 "b"')
      await probe.expect('una=2', ({ una }) => una === 2)
    }),
    should('twenty segments in one datagram are all taken', async (probe) => {
      await open(probe)
      probe.send(Array.from({ length: 20 }, (_, i) => `push sn=${i + 1} "x"`).join(' | '))
      await probe.expect('an ACK with una=21', ({ una }) => una === 21)
    }),
    must('a datagram of 1,400 bytes is taken', async (probe) => {
      probe.send(`push sn=0 <${1400 - KCP_OVERHEAD} B>`)
      await probe.expect('an ACK of sn=0', isAck(0))
    }),
    may('a datagram of 1,472 bytes, an Ethernet frame, is taken', async (probe) => {
      probe.send(`push sn=0 <${1472 - KCP_OVERHEAD} B>`)
      await probe.expect('an ACK of sn=0', isAck(0))
    }),
    echo(must('an empty datagram is ignored', (probe) => ignored(probe, new Uint8Array(0)))),
    echo(must('a datagram of 1 byte is ignored', (probe) => ignored(probe, Uint8Array.of(7)))),
    echo(
      must('a datagram of 20 bytes that begins with the conv is ignored', async (probe) => {
        const datagram = new Uint8Array(20)
        writeU32(datagram, 0, probe.conv)
        await ignored(probe, datagram)
      }),
    ),
    echo(
      must('a header without its last byte is ignored', (probe) =>
        ignored(probe, parseTrace('push sn=1', { conv: probe.conv }).subarray(0, KCP_OVERHEAD - 1)),
      ),
    ),
    unknownCommand(0),
    unknownCommand(80),
    unknownCommand(85),
    unknownCommand(255),
    echo(
      must('a PUSH that claims one byte more than the datagram has is ignored', (probe) =>
        ignored(probe, lying(probe, 5)),
      ),
    ),
    echo(
      must('a PUSH that claims 2^31 bytes is ignored', (probe) => ignored(probe, lying(probe, 0x8000_0000))),
    ),
    echo(
      must('a PUSH that claims 2^32 - 1 bytes is ignored', (probe) =>
        ignored(probe, lying(probe, 0xffff_ffff)),
      ),
    ),
    echo(
      must('a payload cut short by its datagram is not delivered', async (probe) => {
        await openBothWays(probe)
        probe.sendRaw(parseTrace('push sn=1 "shortened"', { conv: probe.conv }).subarray(0, KCP_OVERHEAD + 4))
        await probe.refuse('PUSH', isPush(), QUIET)
        await stillAlive(probe)
      }),
    ),
    should('what stands before a segment that cannot be read is taken', async (probe) => {
      await open(probe)
      const good = parseTrace('push sn=1 "good"', { conv: probe.conv })
      const bad = parseTrace('push sn=2 "bad"', { conv: probe.conv })
      bad[4] = 99
      const datagram = new Uint8Array(good.length + bad.length)
      datagram.set(good)
      datagram.set(bad, good.length)
      probe.sendRaw(datagram)
      await probe.expect('an ACK of sn=1', isAck(1))
      check(
        probe.heard.every((segment) => !isAck(2)(segment)),
        'expected no ACK of the segment with an unknown command',
      )
    }),
    should('up to 23 bytes behind the last segment are ignored', async (probe) => {
      await open(probe)
      const good = parseTrace('push sn=1 "good"', { conv: probe.conv })
      const datagram = new Uint8Array(good.length + 23)
      datagram.set(good)
      probe.sendRaw(datagram)
      await probe.expect('an ACK of sn=1', isAck(1))
    }),
    must('a segment of another conv in the same datagram is not taken', async (probe) => {
      await open(probe)
      probe.send(`push sn=1 "ours" | push conv=${probe.conv ^ 1} sn=2 "theirs"`)
      await probe.expect('an ACK of sn=1', isAck(1))
      await probe.refuse('ACK of the other', isAck(2), QUIET)
    }),
    echo(
      must('fifty datagrams of random bytes are ignored', async (probe) => {
        const prng = new Prng(0x5bec)
        await openBothWays(probe)
        for (let i = 0; i < 50; i++) {
          const datagram = Uint8Array.from({ length: 24 + prng.int(0, 999) }, () => prng.int(0, 255))
          writeU32(datagram, 0, probe.conv)
          // 81 to 84 are commands.
          if (datagram[4]! >= 81 && datagram[4]! <= 84) datagram[4] = 0
          probe.sendRaw(datagram)
        }
        await stillAlive(probe)
      }),
    ),
  ],
}
