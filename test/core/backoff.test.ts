/** The engine is told that its peer is heard again: RTOs that grew in an outage are forgotten. */
import { equal, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { Trace } from '../support/trace.ts'

/** An RTO of a second, from a first round trip of 100 ms on; a segment sent at 200, and again at 1200 and 2700. */
function outage(): Trace {
  const t = new Trace({ nodelay: 1, interval: 10, nc: true, minRto: 1_000, sndWnd: 128 }).at(0)
  t.send('first').expect('push sn=0').at(100).input('ack sn=0 una=1 ts=0').skip()
  t.send('a').at(200).expect('push sn=1').at(1_200).expect('push sn=1').at(2_700).expect('push sn=1')
  return t
}

test('what was sent again is due one RTO later, and grows from there', () => {
  outage().at(4_940).expect().at(4_950).expect('push sn=1')
  const t = outage().at(3_000)
  t.kcp.forgetBackoff(3_000)
  equal(t.kcp.snd.deadline, 3_700)
  t.at(3_690).expect().at(3_700).expect('push sn=1').at(5_190).expect().at(5_200).expect('push sn=1')
})

test('what should have gone out before is due now', () => {
  const t = outage().at(4_000)
  t.kcp.forgetBackoff(4_000)
  t.expect('push sn=1').at(5_490).expect().at(5_500).expect('push sn=1')
})

test('what is due before, and what was sent once, stay as they are', () => {
  const t = outage().send('b').at(2_800).expect('push sn=2').at(3_800).expect('push sn=2')
  t.kcp.forgetBackoff(3_800)
  // sn=1 should have gone out at 3700, sn=2 is due a second after it went out again.
  t.expect('push sn=1').at(4_790).expect().at(4_800).expect('push sn=2')
  const once = outage().send('b').at(4_900).expect('push sn=2')
  once.kcp.forgetBackoff(4_900)
  once.expect('push sn=1').at(5_890).expect().at(5_900).expect('push sn=2')
  t.kcp.release()
  throws(() => t.kcp.forgetBackoff(6_000), { code: 'ERR_KCP_RELEASED' })
})
