/**
 * Processes that die, stop and come back, and ports that are used again.
 * @module
 */
import { equal, ok } from 'node:assert/strict'
import { connect, type KcpStream } from '../../src/index.ts'
import { Prng } from '../../src/sim/prng.ts'
import { type Helper, type Part, type Resources, type Said, type Scale, sleep, within } from './part.ts'
import type { ServerReport } from './server.ts'

type Outcome = Promise<{ count: number; findings: string }>

/** Quick to notice silence. */
const HASTY = { preset: 'fast', idleTimeout: 1_000, keepAlive: 250 } as const

function end(helper: Helper): Promise<void> {
  return new Promise((resolve) => {
    helper.process.once('exit', () => resolve())
    helper.process.kill('SIGKILL')
  })
}

function closeOf(stream: KcpStream): Promise<string> {
  return new Promise((resolve) => stream.once('close', resolve))
}

/** kill -9 of a client, then of a server, at random moments; the other side notices, and the same port serves again. */
async function killing({ count }: Scale, use: Resources): Outcome {
  const prng = new Prng(17)
  const noticed: number[] = []
  let server = use.start('server.js', HASTY)
  const { port } = await server.next<{ port: number }>('listening')
  for (let kills = 0; kills < count; kills += 2) {
    // The client dies.
    const own = { port, config: HASTY, role: 'stay', count: 1 }
    const client = use.start('client.js', own)
    const { conv, port: localPort } = await client.next<Said & { conv: number; port: number }>('connected')
    await sleep(prng.int(0, 100))
    const closed = server.next<Said & { conv: number; reason: string }>('closed')
    await end(client)
    let began = performance.now()
    const { conv: closedConv, reason } = await within(closed, 10_000, 'the server notices a dead client')
    noticed.push(performance.now() - began)
    equal(closedConv, conv)
    equal(reason, 'timeout')
    // From the same port, with another conv, it works at once.
    began = performance.now()
    const again = use.start('client.js', { ...own, localPort, conv: conv === 5 ? 6 : 5 })
    await within(again.next('connected'), 10_000, 'a client of the same port')
    // Now the server dies; where the system tells, that is at once.
    const lost = again.next<{ reason: string }>('closed')
    await sleep(prng.int(0, 100))
    await end(server)
    began = performance.now()
    const { reason: why } = await within(lost, 10_000, 'the client notices a dead server')
    noticed.push(performance.now() - began)
    ok(why === 'reset' || why === 'timeout', why)
    await end(again)
    server = use.start('server.js', { ...HASTY, port })
    await server.next('listening')
    // And the new server takes the old conversation's port and conv: it knows of no other.
    const same = use.start('client.js', { ...own, localPort, conv })
    await within(same.next('connected'), 10_000, 'the same port and conv at the new server')
    const gone = server.next('closed')
    await end(same)
    await within(gone, 10_000, 'the server notices')
  }
  const worst = Math.max(...noticed)
  const limit = HASTY.idleTimeout + 1_000
  // A machine that is busy with something else is no fault of ours; what lies far beyond is.
  const late = noticed.filter((ms) => ms > limit).length
  ok(late <= noticed.length / 20, `${late} of ${noticed.length} deaths were noticed later than ${limit} ms`)
  return {
    count: noticed.length,
    findings: `noticed within ${worst.toFixed(0)} ms (idleTimeout 1000), ${late} later than that and a second; the same port served again each time`,
  }
}

export const kill: Part = {
  name: 'kill',
  what: 'kill -9 of clients and servers in turn, at random moments: noticed within idleTimeout and a second, and the same port and conv serve again',
  unit: 'deaths',
  short: { count: 2 },
  long: { count: 200 },
  run: killing,
}

/** A server that stands still for less than idleTimeout keeps its sessions, and so does a client. */
async function stopping({ seconds }: Scale, use: Resources): Outcome {
  const config = { preset: 'fast', idleTimeout: seconds * 2_000, keepAlive: seconds * 500 } as const
  const server = use.start('server.js', config)
  const { port } = await server.next<{ port: number }>('listening')
  const own = await connect({ host: '127.0.0.1', port, ...config })
  use.defer(() => own.destroy())
  const closed = closeOf(own)
  await own.send('echo')
  await own.recv()
  const client = use.start('client.js', { port, config, role: 'stay', count: 1 })
  await client.next('connected')
  for (const stopped of [server, client]) {
    stopped.process.kill('SIGSTOP')
    own.send('while it stood still').catch(() => undefined)
    await sleep(seconds * 1_000)
    stopped.process.kill('SIGCONT')
    const answer = await within(Promise.race([own.recv(), closed]), 20_000, 'an echo after the pause')
    equal(String(answer), 'while it stood still')
    await sleep(500)
    const { stats } = await server.ask<ServerReport>('stats')
    equal(stats.sessions, 2, 'both sessions live')
  }
  await own.close()
  return {
    count: 2,
    findings: `a server and a client stood still for ${seconds} s each; both sessions went on`,
  }
}

export const stop: Part = {
  name: 'stop',
  what: 'SIGSTOP of a server and of a client for half of idleTimeout: the sessions go on',
  unit: 'pauses',
  short: { seconds: 2 },
  long: { seconds: 30 },
  run: stopping,
}

/** Conversations one after another from one port, each with its own conv; also the conv of the one before. */
async function reusing({ count }: Scale, use: Resources): Outcome {
  const server = use.start('server.js', { preset: 'fast' })
  const { port } = await server.next<{ port: number }>('listening')
  const first = await connect({ host: '127.0.0.1', port, preset: 'fast' })
  const { localPort } = first
  await first.close()
  let conv = 1
  let successors = 0
  for (let i = 0; i < count; i++) {
    conv++
    const stream = await connect({ host: '127.0.0.1', port, localPort: localPort!, conv, preset: 'fast' })
    stream.on('error', () => undefined)
    await stream.send(`conversation ${i}`)
    equal(String(await within(stream.recv(), 10_000, `conversation ${i}`)), `conversation ${i}`)
    await within(stream.close(), 10_000, `the end of conversation ${i}`)
    equal(stream.closeReason, 'local')
    if (i % 100 === 50) {
      // The conv of the one that has just ended: a successor has another clock, and is served as a new conversation.
      const successor = await connect({
        host: '127.0.0.1',
        port,
        localPort: localPort!,
        conv,
        preset: 'fast',
      })
      successor.on('error', () => undefined)
      await successor.send('again')
      equal(String(await within(successor.recv(), 10_000, 'an answer to a successor')), 'again')
      await within(successor.close(), 10_000, 'the end of a successor')
      successors++
    }
  }
  const { stats } = await server.ask<ServerReport>('stats')
  equal(stats.accepted, count + successors)
  return { count, findings: `each was served; so were ${successors} that took the conv of one just ended` }
}

export const ports: Part = {
  name: 'port-reuse',
  what: 'conversations one after another from the same port: each is served, and none is taken for the one before',
  unit: 'conversations',
  short: { count: 200 },
  long: { count: 10_000 },
  run: reusing,
}
