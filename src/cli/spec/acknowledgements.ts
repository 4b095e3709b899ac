/**
 * Section 2: what an endpoint answers to data.
 * @module
 */
import { KCP_OVERHEAD } from '../../core/segment.ts'
import { check, may, must, open, QUIET, type SpecCase, type SpecSection, should } from './case.ts'
import { isAck, isAnything } from './probe.ts'

function echoesTs(ts: number, name: string): SpecCase {
  return must(`an ACK echoes ts untouched: ${name}`, async (probe) => {
    probe.send(`push sn=0 ts=${ts} "ts"`)
    const ack = await probe.expect('an ACK of sn=0', isAck(0))
    check(ack.ts === ts, `expected ts=${ts} in the ACK, got ${ack.ts}`)
  })
}

export const ACKNOWLEDGEMENTS: SpecSection = {
  name: 'Acknowledgements',
  cases: [
    must('a PUSH is answered by an ACK of its sn', async (probe) => {
      probe.send('push sn=0 ts=1 "a"')
      await probe.expect('an ACK of sn=0', isAck(0))
    }),
    should('an ACK comes within 200 ms', async (probe) => {
      await open(probe)
      const from = probe.heard.length
      probe.send('push sn=1 ts=9 "b"')
      await probe.expect('an ACK of sn=1', isAck(1), 200, from)
    }),
    may('an ACK comes within 20 ms', async (probe) => {
      await open(probe)
      const from = probe.heard.length
      probe.send('push sn=1 ts=9 "b"')
      await probe.expect('an ACK of sn=1', isAck(1), 20, from)
    }),
    must('an ACK has the conv of the PUSH', async (probe) => {
      await open(probe)
      check(
        probe.heard.every(({ conv }) => conv === probe.conv),
        `expected conv=${probe.conv} in every segment`,
      )
    }),
    must('an ACK has no payload', async (probe) => {
      probe.send('push sn=0 "payload"')
      const ack = await probe.expect('an ACK of sn=0', isAck(0))
      check(ack.data.length === 0, `expected len=0, got ${ack.data.length}`)
    }),
    should('an ACK has frg=0', async (probe) => {
      probe.send('push sn=0 "a"')
      const ack = await probe.expect('an ACK of sn=0', isAck(0))
      check(ack.frg === 0, `expected frg=0, got ${ack.frg}`)
    }),
    must('an ACK tells a window of one segment or more', async (probe) => {
      probe.send('push sn=0 "a"')
      const ack = await probe.expect('an ACK of sn=0', isAck(0))
      check(ack.wnd > 0, `expected wnd > 0, got ${ack.wnd}`)
    }),
    should('the window told is upstream’s 128 segments or more', async (probe) => {
      probe.send('push sn=0 "a"')
      const ack = await probe.expect('an ACK of sn=0', isAck(0))
      check(ack.wnd >= 127, `expected wnd >= 127, got ${ack.wnd}`)
    }),
    must('una tells the next sn that is expected', async (probe) => {
      probe.send('push sn=0 "a"')
      const ack = await probe.expect('an ACK of sn=0', isAck(0))
      check(ack.una === 1, `expected una=1, got ${ack.una}`)
    }),
    echoesTs(0, '0'),
    echoesTs(0x7fff_ffff, '2^31 - 1'),
    echoesTs(0x8000_0000, '2^31'),
    echoesTs(0xffff_ffff, '2^32 - 1'),
    must('a ts that goes back is echoed as any other', async (probe) => {
      probe.send('push sn=0 ts=5000 "a"')
      probe.send('push sn=1 ts=4 "b"')
      await probe.expect('an ACK of sn=1 with ts=4', isAck(1, 4))
    }),
    must('a segment that came before is acknowledged again', async (probe) => {
      await open(probe)
      const from = probe.heard.length
      probe.send('push sn=0 ts=77 "spec"')
      await probe.expect('another ACK of sn=0, or one with una=1', (s) => isAck(0)(s), undefined, from)
    }),
    should('the ACK of a repeat echoes the ts of the repeat', async (probe) => {
      await open(probe)
      probe.send('push sn=0 ts=777777 "spec"')
      await probe.expect('an ACK of sn=0 with ts=777777', isAck(0, 777_777))
    }),
    must('a segment behind a hole is acknowledged', async (probe) => {
      await open(probe)
      probe.send('push sn=2 ts=3 "c"')
      await probe.expect('an ACK of sn=2', isAck(2))
    }),
    must('una stays before a hole', async (probe) => {
      await open(probe)
      probe.send('push sn=2 ts=3 "c"')
      const ack = await probe.expect('an ACK of sn=2', isAck(2))
      check(ack.una === 1, `expected una=1, got ${ack.una}`)
    }),
    must('una passes everything when the hole is closed', async (probe) => {
      await open(probe)
      probe.send('push sn=2 ts=3 "c" | push sn=3 ts=3 "d"')
      await probe.expect('an ACK of sn=3', isAck(3))
      probe.send('push sn=1 ts=4 "b"')
      await probe.expect('una=4', ({ una }) => una === 4)
    }),
    must('several segments in one datagram are acknowledged one by one, or all by una', async (probe) => {
      await open(probe)
      probe.send('push sn=1 "b" | push sn=2 "c" | push sn=3 "d"')
      await probe.expect('una=4', ({ una }) => una === 4)
    }),
    may('each segment of a datagram gets its own ACK, una or not', async (probe) => {
      await open(probe)
      probe.send('push sn=1 "b" | push sn=2 "c" | push sn=3 "d"')
      for (const sn of [1, 2, 3]) await probe.expect(`an ACK of sn=${sn}`, isAck(sn))
    }),
    should('ACKs of one datagram share a datagram', async (probe) => {
      await open(probe)
      const from = probe.heard.length
      // Behind a hole, where una says nothing of them.
      probe.send('push sn=2 "c" | push sn=3 "d" | push sn=4 "e"')
      const first = await probe.expect('an ACK of sn=2', isAck(2), undefined, from)
      const last = await probe.expect('an ACK of sn=4', isAck(4), undefined, from)
      check(first.datagram === last.datagram, 'expected the ACKs of sn=2 and sn=4 in one datagram')
    }),
    should('an ACK that answers nothing is 24 bytes long', async (probe) => {
      await open(probe)
      const from = probe.heard.length
      // A repeat: it has an ACK, and no application answers it.
      probe.send('push sn=0 ts=78 "spec"')
      const ack = await probe.expect('an ACK of sn=0', isAck(0), undefined, from)
      check(ack.size === KCP_OVERHEAD, `expected a datagram of 24 bytes, got ${ack.size}`)
    }),
    must('an ACK is not answered', async (probe) => {
      probe.answering = true
      await open(probe)
      await probe.pause(QUIET)
      probe.send(`ack sn=0 una=${probe.rcvNxt} ts=1`)
      await probe.refuse('answer', isAnything, QUIET)
    }),
    must('the last segment of the window is acknowledged', async (probe) => {
      await open(probe)
      const { wnd } = await probe.expect('an ACK', isAck())
      // The window counts from what was expected when it was told.
      probe.send(`push sn=${wnd} "last"`)
      await probe.expect(`an ACK of sn=${wnd}`, isAck(wnd))
    }),
    must('a segment behind the window is not acknowledged', async (probe) => {
      await open(probe)
      const { wnd } = await probe.expect('an ACK', isAck())
      const beyond = 1 + wnd + 8
      probe.send(`push sn=${beyond} "beyond"`)
      await probe.refuse(`ACK of sn=${beyond}`, isAck(beyond), QUIET)
    }),
    must('a segment 2^31 ahead is not acknowledged', async (probe) => {
      await open(probe)
      probe.send(`push sn=${0x8000_0000} "far"`)
      await probe.refuse('ACK of it', isAck(0x8000_0000), QUIET)
    }),
    should('a segment of before the first one is acknowledged: it came before', async (probe) => {
      await open(probe)
      probe.send('push sn=4294967295 ts=5 "old"')
      await probe.expect('an ACK of sn=4294967295', isAck(0xffff_ffff, 5))
    }),
  ],
}
