import { equal, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { joined, onBoth, Trace } from './trace.ts'

test('a story names only the fields that it is about', () => {
  const t = new Trace({ nc: true })
  t.at(0).send('aaa').expect('push sn=0 "aaa"')
  t.send('bbb').at(300).sent('push sn=0 ts=300 | push sn=1')
})

test('a story that goes otherwise fails, and shows the difference', () => {
  const t = new Trace({ nc: true })
  t.at(0).send('aaa')
  throws(() => t.expect('push sn=1 "aaa"'), /\+\s+'push sn=0 "aaa"'[\s\S]*-\s+'push sn=1 "aaa"'/)
  throws(() => t.send('bbb').at(1).expect(), /push sn=1/, 'more than expected')
  throws(() => t.expect('ack sn=0'), /ack sn=0/, 'less than expected')
})

onBoth('both faces tell the same story', (make) => {
  const t = make({ nc: true, nodelay: 1, streamMode: true, mtu: 100, minRto: 50, sndWnd: 3 })
  t.at(10).send('aaa', 'bbb').expect('push sn=0 ts=10 frg=0 "aaabbb"')
  t.at(30).input('ack sn=0 una=1 ts=10 wnd=128').expect()
  equal(t.code, 0)
  equal(t.kcp.srtt, 20)
  equal(t.recv(), -1)
  equal(t.peekSize(), -1)
  t.input('push sn=0 "x y"').expect('ack sn=0 una=1')
  equal(t.peekSize(), 3)
  equal(t.recv(), 'x y')
  t.send(300).expect('push sn=1 <76 B>', 'push sn=2 <76 B>', 'push sn=3 <76 B>')
})

test('lines can be made by the number', () => {
  equal(
    joined(3, (i) => `ack sn=${i}`),
    'ack sn=0 | ack sn=1 | ack sn=2',
  )
})
