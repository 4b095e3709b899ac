import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { Command, KCP_OVERHEAD } from '../../src/core/segment.ts'
import {
  type CloseNotice,
  decodeNotice,
  encodeNotice,
  NOTICE_SIZE,
  NoticeKind,
} from '../../src/session/close-notice.ts'
import { ikcp_create, ikcp_input, ikcp_send, ikcp_update } from '../../src/sys.ts'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

test('the wire, byte for byte', () => {
  const fin: CloseNotice = {
    conv: 0x11223344,
    kind: NoticeKind.Fin,
    sn: 5,
    done: true,
    ts: 0x01020304,
    echo: 0xfffffffe,
  }
  equal(hex(encodeNotice(fin)), '44332211' + '61' + '07' + '0000' + '05000000' + '04030201' + 'feffffff')
  const ack: CloseNotice = { conv: 1, kind: NoticeKind.FinAck, sn: 0, done: false, ts: 7, echo: undefined }
  equal(hex(encodeNotice(ack)), '01000000' + '62' + '01' + '0000' + '00000000' + '07000000' + '00000000')
  const reset: CloseNotice = { conv: 1, kind: NoticeKind.Reset, sn: 9, done: false, ts: undefined, echo: 3 }
  equal(hex(encodeNotice(reset)), '01000000' + '63' + '02' + '0000' + '09000000' + '00000000' + '03000000')
})

test('what is encoded is decoded, for every kind and every set of known fields', () => {
  for (const kind of Object.values(NoticeKind)) {
    for (const ts of [undefined, 0, 0xffff_ffff]) {
      for (const echo of [undefined, 0, 0x8000_0000]) {
        for (const done of [false, true]) {
          for (const code of [0, 1, 16_391, 0xffff]) {
            const notice: CloseNotice = { conv: 0xffff_ffff, kind, sn: 0xffff_fffe, done, code, ts, echo }
            deepEqual(decodeNotice(encodeNotice(notice)), notice)
          }
        }
      }
    }
  }
})

test('anything else is no notice', () => {
  const good = encodeNotice({ conv: 1, kind: NoticeKind.Fin, sn: 0, done: false, ts: 1, echo: 1 })
  for (let size = 0; size < 40; size++) {
    if (size === NOTICE_SIZE) continue
    const other = new Uint8Array(size)
    other.set(good.subarray(0, size))
    equal(decodeNotice(other), undefined, `${size} bytes`)
  }
  for (let kind = 0; kind < 256; kind++) {
    const bytes = good.slice()
    bytes[4] = kind
    equal(decodeNotice(bytes) !== undefined, kind >= 0x61 && kind <= 0x63, `kind ${kind}`)
  }
  for (let known = 8; known < 256; known++) {
    const bytes = good.slice()
    bytes[5] = known
    equal(decodeNotice(bytes), undefined, `byte 5 is ${known}`)
  }
})

test('a stock KCP refuses every notice by its length, and changes nothing', () => {
  ok(NOTICE_SIZE < KCP_OVERHEAD)
  const kcp = ikcp_create(1)
  ikcp_update(kcp, 100)
  ikcp_send(kcp, new Uint8Array(10), 10)
  ikcp_update(kcp, 200)
  const before = [kcp.snd_una, kcp.snd_nxt, kcp.rcv_nxt, kcp.rmt_wnd, kcp.nsnd_buf, kcp.probe]
  for (const kind of Object.values(NoticeKind)) {
    const notice = encodeNotice({ conv: 1, kind, sn: 1, done: true, ts: 100, echo: 100 })
    equal(ikcp_input(kcp, notice), -1)
  }
  deepEqual([kcp.snd_una, kcp.snd_nxt, kcp.rcv_nxt, kcp.rmt_wnd, kcp.nsnd_buf, kcp.probe], before)
})

test('byte 4 is no command of KCP, and bytes 4 and 5 no FEC mark of kcp-go, whatever the flags', () => {
  for (const kind of Object.values(NoticeKind)) {
    ok(!(Object.values(Command) as number[]).includes(kind), `kind ${kind}`)
    for (let known = 0; known < 8; known++) ok(![0xf1, 0xf2, 0xf3].includes(kind | (known << 8)))
  }
})
