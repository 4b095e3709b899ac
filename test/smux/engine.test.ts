/** What a session does, frame by frame. */
import { deepEqual, equal, ok, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { KcpError } from '../../src/core/errors.ts'
import { resolveSmuxConfig, SMUX_DEFAULTS } from '../../src/smux/config.ts'
import { STUCK_TIMEOUT } from '../../src/smux/engine.ts'
import { INITIAL_WINDOW } from '../../src/smux/flow.ts'
import { End, of, textOf } from './support.ts'

test('a stream opens with a SYN, carries bytes and ends with a FIN behind them', () => {
  const client = new End('client')
  const flow = client.engine.open()
  flow.write(of('hello '))
  flow.write(of('world'))
  flow.end()
  deepEqual(client.sends(), ['SYN 3', 'PSH 3 "hello world"', 'FIN 3'])
  deepEqual(client.sends(), [])
  ok(flow.finished)
  throws(
    () => flow.write(of('x')),
    (error) => KcpError.is(error, 'ERR_KCP_CLOSED'),
  )

  const server = new End('server')
  server.gets(1, 'SYN 3', 'PSH 3 "hel"', 'PSH 3 "lo"', 'FIN 3')
  const [incoming] = server.opened
  equal(incoming!.id, 3)
  equal(textOf(incoming!.read(4)), 'hell')
  equal(incoming!.ended, false)
  equal(textOf(incoming!.read()), 'o')
  equal(incoming!.ended, true)
  // Half closed: the other way is open yet.
  equal(server.engine.streams, 1)
  incoming!.write(of('bye'))
  incoming!.end()
  deepEqual(server.sends(), ['PSH 3 "bye"', 'FIN 3'])
  equal(server.engine.streams, 0)
  client.gets(2, 'PSH 3 "bye"', 'FIN 3')
  equal(textOf(flow.read()), 'bye')
  equal(client.engine.streams, 0)
})

test("a client's streams have odd ids from 3, a server's even ones from 2", () => {
  const ids = (role: 'client' | 'server') => {
    const { engine } = new End(role)
    return [engine.open().id, engine.open().id, engine.open().id]
  }
  deepEqual(ids('client'), [3, 5, 7])
  deepEqual(ids('server'), [2, 4, 6])
})

test('after the last id nothing more can be opened', () => {
  for (const [role, firstId] of [
    ['client', 0xffff_fffd],
    ['server', 0xffff_fffc],
  ] as const) {
    const { engine } = new End(role, {}, { firstId })
    equal(engine.open().id, firstId)
    equal(engine.open().id, firstId + 2)
    throws(
      () => engine.open(),
      (error) => KcpError.is(error, 'ERR_KCP_SMUX_STREAMS') && error.detail['limit'] === 0xffff_ffff,
    )
  }
})

test('a stream that is given up before it was heard of sends nothing', () => {
  const { engine } = new End('client')
  const flow = engine.open()
  flow.write(of('never mind'))
  flow.forget()
  equal(engine.streams, 0)
  equal(engine.pull(0), undefined)
})

test('forgetting drops what is queued and unread, and sends a FIN at once', () => {
  const end = new End('server')
  end.gets(0, 'SYN 3', 'PSH 3 "unread"')
  const [flow] = end.opened
  flow!.write(of('unsent'))
  flow!.forget()
  equal(end.engine.stats().unread, 0)
  // What still comes is dropped.
  end.gets(0, 'PSH 3 "late"')
  equal(flow!.readable, 0)
  deepEqual(end.sends(), ['FIN 3'])
  equal(end.engine.streams, 0)
  end.gets(0, 'PSH 3 "later"', 'FIN 3', 'SYN 5')
  const { strayFrames, strayBytes, accepted } = end.engine.stats()
  deepEqual([strayFrames, strayBytes, accepted], [3, 9, 2])
})

test('a SYN for an open stream changes nothing', () => {
  const end = new End('server')
  end.gets(0, 'SYN 3', 'PSH 3 "a"', 'SYN 3', 'PSH 3 "b"')
  equal(end.opened.length, 1)
  // Pieces this small are gathered.
  equal(textOf(end.opened[0]!.read()), 'ab')
  equal(end.engine.stats().strayFrames, 1)
})

test('frames are no larger than maxFrameSize', () => {
  const client = new End('client', { maxFrameSize: 1000 })
  client.engine.open().write(new Uint8Array(2500))
  deepEqual(client.sends(), ['SYN 3', 'PSH 3 1000', 'PSH 3 1000', 'PSH 3 500'])
})

test('who has little to send goes ahead of who has much', () => {
  const client = new End('client', { maxFrameSize: 1000 })
  const bulk = client.engine.open()
  bulk.write(new Uint8Array(50_000))
  client.sends(0, 10_000).splice(0)
  bulk.write(new Uint8Array(50_000))
  const first = client.engine.pull(0, 4000)
  ok(first !== undefined)
  const small = client.engine.open()
  small.write(of('quick'))
  deepEqual(client.sends().slice(0, 3), ['SYN 5', 'PSH 5 "quick"', 'PSH 3 1000'])
})

test('equals take turns, a quantum each', () => {
  const client = new End('client', { maxFrameSize: 1000 })
  for (let i = 0; i < 3; i++) client.engine.open().write(new Uint8Array(3000))
  const order = client.sends().filter((line) => line.startsWith('PSH'))
  deepEqual(
    order.map((line) => line.split(' ')[1]),
    ['3', '5', '7', '3', '5', '7', '3', '5', '7'],
  )
})

// ---- version 1 ---------------------------------------------------------------------------------------------------

test('version 1: once maxReceiveBuffer is unread nothing is taken in until a reader goes on', () => {
  const end = new End('server', { maxReceiveBuffer: 1000, maxStreamBuffer: 1000 })
  end.gets(0, 'SYN 3', 'SYN 5', 'PSH 3 600')
  equal(end.engine.wantsInput, true)
  end.gets(0, 'PSH 3 600')
  equal(end.engine.wantsInput, false)
  // What was under way below is kept, and not looked at.
  end.gets(0, 'PSH 5 "waits"')
  const [a, b] = end.opened
  equal(b!.readable, 0)
  equal(end.engine.stats().stalls, 1)
  a!.read(100)
  end.engine.proceed(1)
  equal(b!.readable, 0, 'still 1,100 unread')
  a!.read()
  end.engine.proceed(2)
  equal(textOf(b!.read()), 'waits')
  equal(end.engine.wantsInput, true)
})

test('version 1: there are no UPDs, and a writer is held back by nobody', () => {
  const [client, server] = [new End('client'), new End('server')]
  client.engine.open().write(new Uint8Array(1_000_000))
  equal(client.sends().filter((line) => line.startsWith('PSH')).length > 30, true)
  server.gets(0, 'SYN 3', 'PSH 3 5000')
  server.opened[0]!.read()
  deepEqual(server.sends(), [])
})

// ---- version 2 ---------------------------------------------------------------------------------------------------

const v2 = { version: 2 } as const

test('version 2: a writer stops at 256 KiB until the first UPD, then at the window that it tells', () => {
  const client = new End('client', { ...v2, maxFrameSize: 65_535 })
  const flow = client.engine.open()
  flow.write(new Uint8Array(1_000_000))
  client.sends()
  equal(flow.bytesWritten, INITIAL_WINDOW)
  equal(flow.window, 0)
  client.gets(0, `UPD 3 ${INITIAL_WINDOW}/1000`)
  deepEqual(client.sends(), ['PSH 3 1000'])
  // Less window than is under way already.
  client.gets(0, `UPD 3 ${INITIAL_WINDOW + 500}/100`)
  deepEqual(client.sends(), [])
  equal(flow.window, -400)
  client.gets(0, `UPD 3 ${INITIAL_WINDOW + 1000}/4294967295`)
  client.sends()
  equal(flow.queued, 0)
})

test('version 2: one UPD follows the first read and one each half window', () => {
  const server = new End('server', { ...v2, maxStreamBuffer: 10_000 })
  server.gets(0, 'SYN 3', 'PSH 3 20000')
  const [flow] = server.opened
  flow!.read(1)
  deepEqual(server.sends(), ['UPD 3 1/10000'])
  flow!.read(4999)
  deepEqual(server.sends(), [])
  flow!.read(1)
  deepEqual(server.sends(), ['UPD 3 5001/10000'])
  // Several reads of one turn make one UPD.
  flow!.read(5000)
  flow!.read(5000)
  deepEqual(server.sends(), ['UPD 3 15001/10000'])
  server.gets(0, 'FIN 3')
  flow!.read()
  deepEqual(server.sends(), [], 'who has ended needs no window')
})

test('version 2: a blocked stream holds no other back', () => {
  const client = new End('client', v2)
  const blocked = client.engine.open()
  blocked.write(new Uint8Array(300_000))
  const other = client.engine.open()
  other.write(of('on my way'))
  ok(client.sends().includes('PSH 5 "on my way"'))
  equal(blocked.queued, 300_000 - INITIAL_WINDOW)
})

test('version 2: consuming more than was written is a breach', () => {
  const client = new End('client', v2)
  const flow = client.engine.open()
  flow.write(of('12345'))
  client.sends()
  client.gets(0, 'UPD 3 5/65536')
  equal(client.engine.reason, undefined)
  client.gets(0, 'UPD 3 6/65536')
  deepEqual([client.engine.reason, client.engine.fault, client.over], ['protocol-error', 'consumed', 1])
})

test('version 2: the counts wrap at 2^32', () => {
  // 4 GiB are too much for a test: one byte short of the wrap is made by UPDs alone on the side that reads.
  const client = new End('client', v2)
  const flow = client.engine.open()
  flow.write(of('a'))
  client.sends()
  // Behind: 2^32 - 1 is one before 0, and our one byte is two ahead of it.
  client.gets(0, 'UPD 3 4294967295/2')
  equal(client.engine.reason, undefined)
  equal(flow.window, 0)
})

test('version 2: a little beyond the window is counted, twice the window is a breach', () => {
  const server = new End('server', { ...v2, maxStreamBuffer: 1000 })
  server.gets(0, 'SYN 3')
  for (let i = 0; i < 4; i++) server.gets(0, 'PSH 3 65535')
  equal(server.engine.stats().windowOverruns, 0)
  server.gets(0, 'PSH 3 65535')
  equal(server.engine.stats().windowOverruns, 1)
  equal(server.engine.reason, undefined)
  for (let i = 0; i < 4; i++) server.gets(0, 'PSH 3 65535')
  deepEqual([server.engine.reason, server.engine.fault], ['protocol-error', 'window'])
})

test('version 2: the limit of the session holds as well', () => {
  const server = new End('server', { ...v2, maxReceiveBuffer: 100_000, maxStreamBuffer: 100_000 })
  server.gets(0, 'SYN 3', 'SYN 5', 'PSH 3 60000', 'PSH 5 60000')
  equal(server.engine.wantsInput, false)
})

test('version 2: a peer that ended and opens its window no more is given up after a while', () => {
  const client = new End('client', { ...v2, keepAliveInterval: 0, keepAliveTimeout: 0 })
  const flow = client.engine.open()
  flow.write(new Uint8Array(INITIAL_WINDOW + 1))
  client.sends()
  equal(client.engine.deadline, Number.POSITIVE_INFINITY)
  client.gets(1000, 'FIN 3')
  equal(client.engine.deadline, 1000 + STUCK_TIMEOUT)
  // A UPD says that only its writing is over.
  client.gets(2000, 'UPD 3 0/262144')
  equal(client.engine.deadline, 2000 + STUCK_TIMEOUT)
  client.engine.tick(2000 + STUCK_TIMEOUT - 1)
  equal(flow.stuck, false)
  client.drained.length = 0
  client.engine.tick(2000 + STUCK_TIMEOUT)
  deepEqual([flow.stuck, client.drained.length, client.engine.stats().stuck], [true, 1, 1])
  flow.forget()
  deepEqual(client.sends(), ['FIN 3'])
  equal(client.engine.streams, 0)
})

test('version 2: a stream that ended behind a closed window and is then given up sends its FIN', () => {
  const client = new End('client', v2)
  const flow = client.engine.open()
  flow.write(new Uint8Array(INITIAL_WINDOW + 1))
  flow.end()
  client.sends()
  flow.forget()
  deepEqual(client.sends(), ['FIN 3'])
  equal(client.engine.streams, 0)
})

// ---- limits ------------------------------------------------------------------------------------------------------

test('streams of the peer beyond maxStreams are refused, ours are too', () => {
  const server = new End('server', { maxStreams: 2 })
  server.gets(0, 'SYN 3', 'SYN 5', 'SYN 7', 'PSH 7 "lost"')
  equal(server.opened.length, 2)
  deepEqual(server.sends(), ['FIN 7'])
  equal(server.engine.stats().refused, 1)
  throws(
    () => server.engine.open(),
    (error) => KcpError.is(error, 'ERR_KCP_SMUX_STREAMS') && error.detail['limit'] === 2,
  )
  for (const flow of server.opened) flow.forget()
  equal(server.engine.streams, 2, 'until their FINs have left')
  server.sends()
  server.gets(0, 'SYN 9')
  equal(server.opened.length, 3)
})

test('a flood of SYNs to a peer that cannot answer stops being read', () => {
  const server = new End('server', { maxStreams: 1 })
  for (let i = 0; i < 5000; i++) server.gets(0, `SYN ${3 + 2 * i}`)
  equal(server.engine.stats().refused, 1024)
  equal(server.engine.wantsInput, false)
  // Silence counts here: it is not our readers who are slow.
  equal(server.engine.deadline, 10_000)
  equal(server.sends().length, 1024)
  server.engine.proceed(0)
  equal(server.engine.stats().refused, 2048)
})

test('what a peer does wrong ends the session with the reason', () => {
  for (const [role, line, fault] of [
    ['server', 'SYN 2', 'stream-id'],
    ['client', 'SYN 3', 'stream-id'],
    ['client', 'SYN 0', 'stream-id'],
  ] as const) {
    const end = new End(role)
    end.gets(0, line, 'NOP')
    deepEqual([end.engine.reason, end.engine.fault, end.over], ['protocol-error', fault, 1], line)
    deepEqual([end.engine.wantsInput, end.engine.deadline], [false, Number.POSITIVE_INFINITY])
    equal(end.engine.pull(0), undefined)
    throws(
      () => end.engine.open(),
      (error) => KcpError.is(error, 'ERR_KCP_CLOSED'),
    )
  }
})

// ---- time --------------------------------------------------------------------------------------------------------

test('a NOP goes out after an interval in which nothing was sent', () => {
  const { engine, ...end } = new End('client', { keepAliveTimeout: 0 })
  equal(engine.deadline, 10_000)
  engine.tick(9_999)
  equal(engine.pull(9_999), undefined)
  engine.tick(10_000)
  equal(engine.deadline, Number.POSITIVE_INFINITY, 'one is enough while the path below is full')
  deepEqual([engine.pull(10_500)?.length, engine.stats().nopsOut], [8, 1])
  equal(engine.deadline, 20_500)
  engine.open()
  engine.pull(15_000)
  equal(engine.deadline, 25_000)
  equal(end.over, 0)
})

test('silence of the peer ends the session', () => {
  const end = new End('client', { keepAliveInterval: 0 })
  equal(end.engine.deadline, 30_000)
  end.gets(12_000, 'NOP')
  equal(end.engine.deadline, 42_000)
  end.engine.tick(41_999)
  equal(end.engine.reason, undefined)
  end.engine.tick(42_000)
  deepEqual([end.engine.reason, end.over], ['timeout', 1])
})

test('nobody is judged while our own readers are slow', () => {
  const end = new End('server', { keepAliveInterval: 0, maxReceiveBuffer: 100, maxStreamBuffer: 100 })
  end.gets(0, 'SYN 3', 'PSH 3 100')
  equal(end.engine.deadline, Number.POSITIVE_INFINITY)
  end.engine.tick(1_000_000)
  equal(end.engine.reason, undefined)
  end.opened[0]!.read()
  end.engine.proceed(1_000_000)
  equal(end.engine.deadline, 1_030_000)
})

test('a process that was stopped forgives the silence', () => {
  const end = new End('client', { keepAliveInterval: 0 })
  end.engine.tick(90_000)
  equal(end.engine.reason, undefined)
  equal(end.engine.deadline, 91_000)
  end.engine.tick(91_000)
  equal(end.engine.reason, 'timeout')
})

// ---- the end -----------------------------------------------------------------------------------------------------

test('at the end of the stream below what came can still be read, and nothing can be written', () => {
  const end = new End('server', { maxReceiveBuffer: 4, maxStreamBuffer: 4 })
  end.gets(0, 'SYN 3', 'PSH 3 "much"', 'PSH 3 " more"', 'FIN 3')
  end.engine.finish(1)
  equal(end.engine.reason, 'peer')
  const [flow] = end.opened
  equal(textOf(flow!.read()), 'much more')
  equal(flow!.ended, true)
  throws(
    () => flow!.write(of('x')),
    (error) => KcpError.is(error, 'ERR_KCP_CLOSED'),
  )
})

test('a session that is closing refuses further streams', () => {
  const end = new End('server')
  end.engine.refusing = true
  end.gets(0, 'SYN 3')
  equal(end.opened.length, 0)
  deepEqual(end.sends(), ['FIN 3'])
})

test('settings are checked, and complete', () => {
  deepEqual(resolveSmuxConfig(), SMUX_DEFAULTS)
  equal(resolveSmuxConfig({ version: 2, maxStreams: undefined }).maxStreams, SMUX_DEFAULTS.maxStreams)
  for (const [config, field] of [
    [{ version: 3 }, 'version'],
    [{ maxFrameSize: 65_536 }, 'maxFrameSize'],
    [{ maxFrameSize: 0 }, 'maxFrameSize'],
    [{ maxReceiveBuffer: 0.5 }, 'maxReceiveBuffer'],
    [{ maxStreamBuffer: 5_000_000 }, 'maxStreamBuffer'],
    [{ keepAliveTimeout: 5_000 }, 'keepAliveTimeout'],
    [{ keepalive: 10 }, 'keepalive'],
  ] as const) {
    throws(
      () => resolveSmuxConfig(config as object),
      (error) => KcpError.is(error, 'ERR_KCP_CONFIG') && error.detail['field'] === field,
      field,
    )
  }
})
