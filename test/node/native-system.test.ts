/**
 * The addon and the system around it: descriptors that others opened, routes too small for runs, buffers that are full,
 * the life of a process, and what the loader makes of a broken addon.
 */
import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { KcpError } from '../../src/core/errors.ts'
import { UdpBatchTransport } from '../../src/node/udp-batch.ts'
import {
  datagram,
  Ear,
  inNetwork,
  program,
  timely,
  withoutAddon,
  withoutNetworks,
} from '../support/native.ts'

/** A child process starts in some 100 ms; on a busy machine it takes seconds. */
const patient = { timeout: 60_000, skip: withoutAddon }
const network = { timeout: 60_000, skip: withoutNetworks() }

test('a bound socket’s descriptor serves in a child process after it is closed here', patient, async () => {
  const here = await UdpBatchTransport.bind({ address: '127.0.0.1' })
  const { port } = here.localAddress()!
  const client = await Ear.open()
  const output = await program(
    `
    const transport = await UdpBatchTransport.bind({ fd: 3, bufferSize: 300_000 })
    console.log(JSON.stringify(transport.localAddress()))
    transport.start(sink({
      onDatagram: (datagram, from) => {
        transport.send(datagram, from)
        transport.close()
      },
    }))`,
    {
      fds: [here.fd],
      onOutput: () =>
        void here.close().then(() => client.transport.send(datagram(3, 99), { address: '127.0.0.1', port })),
    },
  )
  deepEqual(JSON.parse(output), { address: '127.0.0.1', port, family: 'IPv4' })
  await client.hears(1)
  deepEqual(client.take()[0]!.bytes, datagram(3, 99))
  await client.transport.close()
})

test('a connected socket’s descriptor brings its peer along', patient, async () => {
  const server = await Ear.open()
  const here = await UdpBatchTransport.bind({ address: '127.0.0.1' })
  await here.connect(server.address)
  await program(
    `
    const transport = await UdpBatchTransport.bind({ fd: 3 })
    transport.send(Buffer.from('hello'), { address: 'unknown', port: 0 })
    await transport.close()`,
    { fds: [here.fd] },
  )
  await server.hears(1)
  equal(String(server.take()[0]!.bytes), 'hello')
  await Promise.all([server.transport.close(), here.close()])
})

test('what is no bound UDP socket cannot be adopted, and stays open', timely, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'kcp-io-fd-'))
  const file = openSync(join(folder, 'file'), 'w')
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const tcp = (server as unknown as { _handle: { fd: number } })._handle.fd
  const own = await UdpBatchTransport.bind({ address: '127.0.0.1' })
  try {
    for (const [fd, code] of [
      [1_000_000, 'EBADF'],
      [file, 'ENOTSOCK'],
      [tcp, 'EINVAL'],
      // Two transports would close it.
      [own.fd, 'EEXIST'],
    ] as const) {
      await rejects(UdpBatchTransport.bind({ fd }), (error) => {
        ok(KcpError.is(error, 'ERR_KCP_IO'), String(error))
        equal((error.cause as NodeJS.ErrnoException).code, code)
        ok(error.message.includes(`fd ${fd}`))
        return true
      })
    }
    for (const fd of [-1, 0.5, '3' as unknown as number]) {
      await rejects(UdpBatchTransport.bind({ fd }), { code: 'ERR_KCP_CONFIG' })
    }
    closeSync(file)
    equal(server.listening, true)
    ok(own.localAddress())
  } finally {
    await own.close()
    await new Promise((resolve) => server.close(resolve))
    rmSync(folder, { recursive: true, force: true })
  }
})

test(
  'a started transport keeps the process alive; unref, also before start, lets it end',
  patient,
  async () => {
    const { port } = (await UdpBatchTransport.bind({ address: '127.0.0.1' })).localAddress()!
    void port
    const client = await Ear.open()
    const begin = `const transport = await UdpBatchTransport.bind({ address: '127.0.0.1' })`
    const starts = `transport.start(sink({ onDatagram: () => { console.log('heard'); transport.close() } }))`
    equal(await program(`${begin}; ${starts}; transport.unref()`), '')
    equal(await program(`${begin}; transport.unref(); ${starts}`), '')
    equal(await program(`${begin}; transport.unref(); transport.ref(); transport.close()`), '')
    let told = false
    const output = await program(
      `${begin}; transport.unref(); ${starts}; transport.ref(); console.log(transport.localAddress().port)`,
      {
        onOutput: (text) => {
          if (told || !text.includes('\n')) return
          told = true
          client.transport.send(datagram(1, 10), { address: '127.0.0.1', port: Number(text) })
        },
      },
    )
    match(output, /^\d+\nheard$/)
    await client.transport.close()
  },
)

test('the process ends with open sockets and traffic: no crash', patient, async () => {
  const body = `
    const a = await UdpBatchTransport.bind({ address: '127.0.0.1' })
    const b = await UdpBatchTransport.bind({ address: '127.0.0.1' })
    await UdpBatchTransport.bind({ address: '127.0.0.1' })
    let heard = 0
    for (const transport of [a, b]) {
      transport.start(sink({
        onDatagram: (datagram, from) => {
          transport.send(datagram, from)
          if (++heard === 1000) END
        },
      }))
    }
    for (let i = 0; i < 20; i++) a.send(Buffer.alloc(100 + (i >> 2)), b.localAddress())`
  equal(await program(body.replace('END', 'process.exit(0)')), '')
  // The loop ends by itself, with sockets that are open.
  equal(await program(body.replace('END', '{ a.unref(); b.unref() }')), '')
})

test(
  'callbacks that throw are uncaught exceptions of their own; the others have their turn',
  patient,
  async () => {
    const output = await program(`
    const errors = []
    process.on('uncaughtException', (error) => errors.push(error.message))
    const a = await UdpBatchTransport.bind({ address: '127.0.0.1' })
    const b = await UdpBatchTransport.bind({ address: '127.0.0.1' })
    const heard = []
    b.start(sink({
      onDatagram: (datagram) => {
        heard.push(datagram[0])
        if (datagram[0] % 3 === 0) throw new Error('datagram ' + datagram[0])
      },
    }))
    const dead = await UdpBatchTransport.bind({ address: '127.0.0.1' })
    const nobody = dead.localAddress()
    await dead.close()
    const refused = await UdpBatchTransport.bind({ address: '127.0.0.1' })
    await refused.connect(nobody)
    let told = 0
    refused.start(sink({ onError: () => { told++; throw new Error('refused ' + told) }, onClose: () => { throw new Error('closed') } }))
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 6; i++) a.send(Buffer.alloc(50, i), b.localAddress())
      refused.send(Buffer.alloc(10), nobody)
      while (heard.length < 6 * (round + 1) || told < round + 1) await new Promise(setImmediate)
    }
    a.close()
    b.close()
    refused.close()
    process.on('exit', () => console.log(heard.join(''), errors.sort().join(', ')))`)
    equal(output, '012345012345 closed, datagram 0, datagram 0, datagram 3, datagram 3, refused 1, refused 2')
  },
)

test(
  'a route too small for runs: they go datagram by datagram, and everything arrives',
  network,
  async () => {
    for (const features of [7, 1, 5]) {
      const output = await program(
        `
      const address = '127.0.0.1'
      const a = await UdpBatchTransport.bind({ address, features: ${features} })
      const b = await UdpBatchTransport.bind({ address })
      let heard = 0
      b.start(sink({ onDatagram: (datagram) => { if (datagram.length === 1400 && datagram[0] === heard) heard++ } }))
      const told = []
      for (let round = 1; round <= 3; round++) {
        for (let i = 0; i < 10; i++) a.send(Buffer.alloc(1400, heard + i), b.localAddress())
        while (heard < 10 * round) await new Promise(setImmediate)
        const { gsoRefused, datagramsOut } = a.stats()
        told.push([gsoRefused, datagramsOut, a.sendErrors])
      }
      // Segments that fit still go as runs, to a peer that is new.
      const c = await UdpBatchTransport.bind({ address })
      let small = 0
      c.start(sink({ onDatagram: () => small++ }))
      const before = a.stats().messagesOut
      for (let i = 0; i < 10; i++) a.send(Buffer.alloc(400), c.localAddress())
      while (small < 10) await new Promise(setImmediate)
      told.push(a.stats().messagesOut - before)
      console.log(JSON.stringify(told))
      for (const each of [a, b, c]) each.close()`,
        { command: inNetwork('link set lo mtu 600', 'link set lo up') },
      )
      // Refused once: the peer is remembered.
      deepEqual(JSON.parse(output), [[1, 10, 0], [1, 20, 0], [1, 30, 0], 1], `features ${features}`)
    }
  },
)

test('ENOBUFS: datagrams that the send buffer has no room for are loss, and counted', network, async () => {
  const output = await program(
    `
    const address = '127.0.0.1'
    const b = await UdpBatchTransport.bind({ address, bufferSize: 1_000_000 })
    let heard = 0
    b.start(sink({ onDatagram: () => heard++ }))
    for (const features of [7, 0]) {
      // The system makes it the smallest that it has: some 4 KiB.
      const a = await UdpBatchTransport.bind({ address, bufferSize: 1, features })
      // Fragments of one datagram fill it; a small one passes.
      a.send(Buffer.alloc(60_000), b.localAddress())
      a.send(Buffer.alloc(100), b.localAddress())
      a.send(Buffer.alloc(60_000), b.localAddress())
      a.send(Buffer.alloc(100), b.localAddress())
      const before = heard
      while (heard < before + 2) await new Promise(setImmediate)
      const { lostFull, lostOther, datagramsOut } = a.stats()
      console.log(lostFull, lostOther, datagramsOut, a.sendErrors, a.socketErrors)
      await a.close()
    }
    b.close()`,
    { command: inNetwork('link set lo mtu 1500', 'link set lo up') },
  )
  equal(output, '2 0 2 2 0\n2 0 2 2 0')
})

test('EAGAIN: what the full buffer does not take is loss, and counted', network, async () => {
  const output = await program(
    `
    for (const features of [7, 6, 1, 0]) {
      const a = await UdpBatchTransport.bind({ address: '198.18.0.1', bufferSize: 1, features })
      // Nobody answers for that address: what was sent waits for its answer, in the socket's account.
      for (let i = 0; i < 200; i++) a.send(Buffer.alloc(1000), { address: '198.18.0.2', port: 9 })
      await new Promise(setImmediate)
      const { lostFull, lostOther, datagramsOut } = a.stats()
      console.log(lostFull > 0, datagramsOut > 0, lostFull + datagramsOut, lostOther, a.sendErrors === lostFull)
      await a.close()
    }`,
    {
      command: inNetwork(
        'link add v0 type veth peer name v1',
        'address add 198.18.0.1/24 dev v0',
        'link set v0 up',
        'link set v1 up',
      ),
    },
  )
  equal(output, Array(4).fill('true true 200 0 true').join('\n'))
})

test('a network that is down is loss, and the transport lives on when it is back', network, async () => {
  const output = await program(
    `
    import { execFileSync } from 'node:child_process'
    const address = '198.18.0.1'
    const a = await UdpBatchTransport.bind({ address: '0.0.0.0' })
    const b = await UdpBatchTransport.bind({ address: '0.0.0.0' })
    const { port } = b.localAddress()
    let heard = 0
    b.start(sink({ onDatagram: () => heard++ }))
    const run = () => { for (let i = 0; i < 5; i++) a.send(Buffer.alloc(500), { address, port }) }
    run()
    await new Promise(setImmediate)
    console.log(heard, a.sendErrors)
    execFileSync('ip', ['address', 'add', address + '/24', 'dev', 'lo'])
    run()
    while (heard < 5) await new Promise(setImmediate)
    console.log(heard, a.sendErrors)
    a.close()
    b.close()`,
    { command: inNetwork('link set lo up') },
  )
  equal(output, '0 5\n5 5')
})

/** Sends 30 datagrams in three runs and some single ones, twice; prints what arrived and what was counted. */
const RUNS = `
  const address = '127.0.0.1'
  const a = await UdpBatchTransport.bind({ address })
  const b = await UdpBatchTransport.bind({ address })
  let heard = ''
  b.start(sink({ onDatagram: (datagram) => (heard += String.fromCharCode(datagram[0])) }))
  const errors = []
  await a.connect(b.localAddress())
  a.start(sink({ onError: (error) => errors.push(error.code) }))
  const sizes = [...Array(8).fill(900), 10, ...Array(9).fill(300), 400, 500, 600, ...Array(9).fill(50)]
  for (let round = 1; round <= 2; round++) {
    sizes.forEach((size, i) => a.send(Buffer.alloc(size, 65 + i), b.localAddress()))
    await new Promise(setImmediate)
    while (heard.length + a.sendErrors < round * sizes.length) await new Promise(setImmediate)
  }
  const whole = sizes.map((_, i) => String.fromCharCode(65 + i)).join('').repeat(2)
  let at = 0
  for (const letter of whole) if (heard[at] === letter) at++
  const { lostFull, lostOther, gsoRefused, datagramsOut, features } = a.stats()
  console.log(JSON.stringify({
    heard: heard.length, inOrder: at === heard.length, lostFull, lostOther, gsoRefused, datagramsOut, features, errors,
  }))
  a.close()
  b.close()`

test('what other kernels and routes answer: each is worked around, or counted', patient, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'kcp-io-fake-'))
  try {
    const fake = join(folder, 'fake-udp.so')
    const { status } = spawnSync('cc', ['-shared', '-fPIC', '-O1', '-o', fake, 'test/support/fake-udp.c'])
    if (status !== 0) {
      t.skip('no C compiler')
      return
    }
    // Behind what is there already, such as a sanitizer's runtime.
    const preload = [process.env['LD_PRELOAD'], fake].filter(Boolean).join(':')
    const answers: Record<string, Record<string, unknown>> = {}
    for (const name of [
      'none',
      'few',
      'interrupted',
      'no-mmsg',
      'no-runs',
      'full',
      'refused',
      'refused-always',
      'forbidden',
    ]) {
      answers[name] = JSON.parse(await program(RUNS, { env: { LD_PRELOAD: preload, FAKE: name } }))
    }
    const whole = {
      heard: 60,
      inOrder: true,
      lostFull: 0,
      lostOther: 0,
      gsoRefused: 0,
      datagramsOut: 60,
      features: 7,
      errors: [],
    }
    const { none, few, interrupted, full, refused, forbidden } = answers
    deepEqual(none, whole)
    deepEqual(few, whole)
    deepEqual(interrupted, whole)
    deepEqual(answers['no-mmsg'], { ...whole, features: 3 })
    // Known after the first run.
    deepEqual(answers['no-runs'], { ...whole, features: 6, gsoRefused: 1 })
    ok((full!['lostFull'] as number) > 0 && full!['inOrder'] === true)
    deepEqual([full!['lostOther'], full!['errors']], [0, []])
    equal((full!['heard'] as number) + (full!['lostFull'] as number), 60)
    // Once for each turn, and nothing is lost by it.
    deepEqual(refused, { ...whole, errors: ['ECONNREFUSED', 'ECONNREFUSED'] })
    deepEqual(answers['refused-always'], {
      ...whole,
      heard: 0,
      datagramsOut: 0,
      lostOther: 60,
      errors: ['ECONNREFUSED', 'ECONNREFUSED'],
    })
    deepEqual(forbidden, { ...whole, heard: 0, datagramsOut: 0, lostOther: 60 })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

test('a socket without checksums takes no runs (EINVAL): they are split', patient, async (t) => {
  if (spawnSync('python3', ['--version']).status !== 0) {
    t.skip('no python3 to set SO_NO_CHECK with')
    return
  }
  const prepare = `
import os, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, 11, 1)
s.bind(('127.0.0.1', 0))
os.dup2(s.fileno(), 9)
os.execvp(sys.argv[1], sys.argv[1:])`
  const output = await program(
    `
    const a = await UdpBatchTransport.bind({ fd: 9 })
    const b = await UdpBatchTransport.bind({ address: '127.0.0.1' })
    let heard = 0
    b.start(sink({ onDatagram: () => heard++ }))
    for (let round = 1; round <= 2; round++) {
      for (let i = 0; i < 10; i++) a.send(Buffer.alloc(500), b.localAddress())
      while (heard < 10 * round) await new Promise(setImmediate)
    }
    const { gsoRefused, features } = a.stats()
    console.log(heard, gsoRefused, features, a.sendErrors)
    a.close()
    b.close()`,
    { command: ['python3', '-c', prepare] },
  )
  equal(output, '20 1 7 0')
})
