/**
 * One cell of the close matrix: the same program over this library and over node:net. Somebody ends a conversation in some
 * way and some state, and both ends note what they see. test/node/close-matrix.test.ts compares the notes.
 *
 * It is a plain script too, for other runtimes. It prints what both ends saw, as JSON:
 *
 *     node build/test/support/close-cell.js kcp client end 'a slow reader'
 *
 * @module
 */
import { type ChildProcess, fork } from 'node:child_process'
import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect as connectTcp, createServer, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { connect, type KcpConnectOptions, type KcpStream, listen } from '../../src/index.ts'

/** KCP in both of its modes, and what it is compared with. */
export type Kind = 'message' | 'stream' | 'tcp'
export type Who = 'client' | 'server' | 'both'

export const WHO: readonly Who[] = ['client', 'server', 'both']
/** How a conversation is ended by a call of the stream. */
export const CALLS = ['end', 'destroy', 'destroy(error)', 'destroySoon', 'close'] as const
/** How else it ends. */
export const OTHERS = ['half-open end', 'killed', 'socket closed'] as const
export type How = (typeof CALLS)[number] | (typeof OTHERS)[number]

/** How an end reads: always, a chunk every 2 ms, from 150 ms after the call, paused by its program, or not at all. */
type Reads = 'at once' | 'slowly' | 'late' | 'paused' | 'never'

interface State {
  /** Bytes that the end which acts has written right before. */
  readonly sends?: number
  /** Bytes that the other one has written a while before. */
  readonly gets?: number
  /** How each reads. */
  readonly actor?: Reads
  readonly other?: Reads
}

/** The states in which a conversation is ended. */
export const STATES: Readonly<Record<string, State>> = {
  idle: {},
  'data in flight': { sends: 40_000 },
  'a slow reader': { sends: 100_000, other: 'slowly' },
  'a late reader': { sends: 20_000, other: 'late' },
  'a paused reader': { sends: 20_000, other: 'paused' },
  'nothing is read': { sends: 20_000, other: 'never' },
  'unread data': { gets: 100_000, actor: 'never' },
  'data queued at the other end': { gets: 8_000_000, actor: 'late' },
}

export interface Cell {
  readonly who: Who
  readonly how: How
  readonly state: string
}

/** All cells. */
export function cells(): Cell[] {
  const all: Cell[] = []
  for (const state of Object.keys(STATES)) {
    for (const who of WHO) for (const how of CALLS) all.push({ who, how, state })
  }
  for (const who of ['client', 'server'] as const) {
    for (const state of ['idle', 'data in flight', 'a slow reader', 'a late reader']) {
      all.push({ who, how: 'half-open end', state })
    }
    for (const state of ['idle', 'unread data', 'data queued at the other end']) {
      all.push({ who, how: 'killed', state })
    }
    for (const state of ['idle', 'data in flight', 'unread data']) {
      all.push({ who, how: 'socket closed', state })
    }
  }
  return all
}

/** What one end saw. */
export interface Seen {
  /** How much of what the other end wrote. */
  readonly read: 'nothing sent' | 'all' | 'part' | 'none'
  readonly end: 'end' | 'no end'
  /** Whether its own end was reported as successful. */
  readonly finish: 'finish' | 'no finish'
  readonly error: string
  readonly close: 'close' | 'no close' | string
  /** What the callback of the last write said. */
  readonly write: 'none' | 'success' | 'failure' | 'no call'
  /** What the callback of `end` said. */
  readonly ended: 'none' | 'success' | 'failure' | 'no call'
  /** 'in order', or what came after what it may not follow. */
  readonly order: string
  /** Of KCP alone. */
  readonly reason: string
}

export type Notes = { readonly [end in 'client' | 'server']?: Seen }

const CHUNK = 1_000
const HELLO = 1_000
/** How long a cell is watched where an end may never close, and where both should, ms. */
const STUCK = 5_000
const PATIENCE = 25_000
const ATTEMPTS = 3
/** Errors of either kind in one word. */
const CLASSES: Readonly<Record<string, string>> = {
  ECONNRESET: 'reset',
  EPIPE: 'reset',
  ERR_KCP_RESET: 'reset',
  ERR_KCP_TIMEOUT: 'timeout',
  ERR_KCP_DEAD_LINK: 'dead link',
  ERR_KCP_CLOSED: 'closed',
  ERR_KCP_IO: 'socket',
  EBADF: 'socket',
  OWN: 'own',
}

const CONFIG = {
  preset: 'fast',
  idleTimeout: 20_000,
  stallTimeout: 2_500,
  lingerTimeout: 2_000,
} as const satisfies Partial<KcpConnectOptions>
/** Where a process is killed, silence has to tell; on a busy machine a turn of the event loop may take a second. */
const HASTY = { ...CONFIG, idleTimeout: 3_000, keepAlive: 500 } as const

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

async function until(look: () => boolean, ms: number): Promise<boolean> {
  const end = performance.now() + ms
  while (!look()) {
    if (performance.now() > end) return false
    await sleep(2)
  }
  return true
}

/** One end with its notes. */
class End {
  readonly stream: Duplex
  /** Bytes that the peer writes to it in all. */
  due = 0
  #read = 0
  #slow = false
  readonly #events: string[] = []
  #error = 'no error'
  #write: Seen['write'] = 'none'
  #ended: Seen['ended'] = 'none'
  #reason = ''

  constructor(stream: Duplex) {
    this.stream = stream
    for (const event of ['end', 'finish']) stream.on(event, () => this.#events.push(event))
    stream.on('error', (error: NodeJS.ErrnoException) => {
      this.#events.push('error')
      this.#error = CLASSES[error.code ?? ''] ?? String(error.code ?? error.message)
    })
    stream.on('close', (reason: unknown) => {
      this.#events.push('close')
      this.#reason = typeof reason === 'string' ? reason : ''
    })
  }

  get closed(): boolean {
    return this.#events.includes('close')
  }

  /** Begins to read, but for the end that never does. */
  begins(how: Reads): void {
    if (how === 'never') return
    this.stream.on('data', (chunk: Buffer) => {
      this.#events.push('data')
      this.#read += chunk.length
      if (!this.#slow) return
      this.stream.pause()
      setTimeout(() => this.stream.resume(), 2)
    })
  }

  /** Goes over to its way of reading, once it has what came before. */
  reads(how: Reads): void {
    if (how === 'slowly') this.#slow = true
    if (how === 'paused' || how === 'late') this.stream.pause()
  }

  readsLate(): void {
    setTimeout(() => this.stream.resume(), 150)
  }

  get hasRead(): number {
    return this.#read
  }

  /** Writes so many bytes, and notes what is said of the last of them. */
  sends(bytes: number): void {
    if (bytes === 0) return
    this.#write = 'no call'
    for (let left = bytes; left > 0; left -= CHUNK) {
      this.stream.write(Buffer.alloc(Math.min(left, CHUNK), 'x'), (error) => {
        if (left <= CHUNK) this.#write = error ? 'failure' : 'success'
      })
    }
  }

  ends(): void {
    this.#ended = 'no call'
    // Streams hand their error to this callback, which their types do not tell.
    this.stream.end(((error?: Error) => {
      this.#ended = error ? 'failure' : 'success'
    }) as () => void)
  }

  act(how: How): void {
    const { stream } = this
    switch (how) {
      case 'end':
      case 'half-open end':
        this.ends()
        break
      case 'destroy':
        stream.destroy()
        break
      case 'destroy(error)':
        stream.destroy(Object.assign(new Error('of the program'), { code: 'OWN' }))
        break
      case 'destroySoon':
        ;(stream as KcpStream | Socket).destroySoon()
        break
      case 'close':
        // A TCP socket has no such call; this is what one writes for it.
        if ('close' in stream) void (stream as KcpStream).close()
        else {
          stream.end()
          stream.resume()
        }
    }
  }

  seen(): Seen {
    const events = this.#events
    const has = (event: string): boolean => events.includes(event)
    const closes = events.filter((event) => event === 'close').length
    return {
      read:
        this.due === 0 ? 'nothing sent' : this.#read === this.due ? 'all' : this.#read > 0 ? 'part' : 'none',
      end: has('end') ? 'end' : 'no end',
      finish: has('finish') ? 'finish' : 'no finish',
      error: this.#error,
      close: closes < 2 ? (closes === 1 ? 'close' : 'no close') : `${closes} closes`,
      write: this.#write,
      ended: this.#ended,
      order: orderOf(events),
      reason: this.#reason,
    }
  }
}

/** 'in order': nothing after 'close', nothing but it after 'error', no data after 'end', and each once. */
function orderOf(events: readonly string[]): string {
  const told = events.filter((event, i) => event !== 'data' || events[i - 1] !== 'data')
  const allowed: Readonly<Record<string, readonly string[]>> = {
    close: [],
    error: ['close'],
    end: ['finish', 'error', 'close'],
    finish: ['data', 'end', 'error', 'close'],
  }
  const wrong = told.some((event, i) =>
    told.slice(i + 1).some((later) => allowed[event]?.includes(later) === false),
  )
  return wrong ? told.join(' ') : 'in order'
}

interface Place {
  readonly port: number
  /** The stream of the first client. */
  readonly accepted: Promise<Duplex>
  readonly closeSocket: (stream: Duplex) => void
  readonly close: () => Promise<unknown>
}

type Options = Partial<KcpConnectOptions> & { readonly allowHalfOpen: boolean }

const modeOf = (kind: Kind): { readonly kcp?: { readonly streamMode: true } } =>
  kind === 'stream' ? { kcp: { streamMode: true } } : {}

/** Closes what is under a TCP socket, as no program should. */
const closeHandle = (stream: Duplex): void =>
  (stream as unknown as { _handle: { close(): void } })._handle.close()

async function serve(kind: Kind, options: Options): Promise<Place> {
  let took: (stream: Duplex) => void = () => undefined
  const accepted = new Promise<Duplex>((resolve) => {
    took = resolve
  })
  if (kind === 'tcp') {
    const sockets: Socket[] = []
    const server = createServer({ allowHalfOpen: options.allowHalfOpen }, (socket) => {
      sockets.push(socket)
      took(socket)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return {
      port: (server.address() as { port: number }).port,
      accepted,
      closeSocket: closeHandle,
      close: async () => {
        for (const socket of sockets) socket.destroy()
        server.close()
      },
    }
  }
  const socket = createSocket('udp4')
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const own = options.socket !== undefined
  const { socket: _, ...rest } = options
  if (!own) socket.close()
  const listener = await listen(
    { ...rest, ...modeOf(kind), ...(own ? { socket } : { port: 0, host: '127.0.0.1' }) },
    took,
  )
  return {
    port: listener.address()!.port,
    accepted,
    closeSocket: () => socket.close(),
    close: async () => {
      listener.closeAllConnections()
      await listener.close()
      // A socket that was handed in is the program's to close.
      if (own) closeIfOpen(socket)
    },
  }
}

async function dial(kind: Kind, port: number, options: Options): Promise<Duplex> {
  if (kind === 'tcp') {
    const socket = connectTcp({ port, host: '127.0.0.1', allowHalfOpen: options.allowHalfOpen })
    await once(socket, 'connect')
    return socket
  }
  return connect({ ...options, ...modeOf(kind), port, host: '127.0.0.1' })
}

/** Where the first message was received, and each end knows that the other is there. */
async function settled(client: Duplex | undefined, server: Duplex | undefined): Promise<void> {
  if (client !== undefined && 'flushed' in client) await (client as KcpStream).flushed()
  if (server !== undefined && 'conv' in server)
    await until(() => (server as KcpStream).stats().proven, PATIENCE)
}

/** Whether an end of the cell may stay open, so that it takes as long as it is watched. */
export function mayStay({ how, state }: Cell): boolean {
  const { actor, other } = STATES[state]!
  return how === 'socket closed' || [actor, other].some((reads) => reads === 'never' || reads === 'paused')
}

/**
 * Performs a cell; what each end saw. A conversation that ends before the cell's state is reached, as it may on a busy
 * machine, says nothing about the cell: it begins again.
 */
export async function perform(kind: Kind, cell: Cell): Promise<Notes> {
  for (let left = ATTEMPTS; ; left--) {
    const cleanup: Cleanup = []
    try {
      return await (cell.how === 'killed' ? performKill : performCall)(kind, cell, cleanup)
    } catch (error) {
      if (left === 1) throw error
    } finally {
      for (const undo of cleanup.reverse()) await undo()
    }
  }
}

/** What a cell has opened, to be closed in the opposite order. */
type Cleanup = (() => unknown)[]

async function performCall(kind: Kind, { who, how, state }: Cell, cleanup: Cleanup): Promise<Notes> {
  const { sends = 0, gets = 0, actor: actorReads = 'at once', other: otherReads = 'at once' } = STATES[state]!
  const own = how === 'socket closed' && kind !== 'tcp'
  const clientSocket = own ? createSocket('udp4') : undefined
  if (clientSocket !== undefined) {
    clientSocket.bind(0, '127.0.0.1')
    await once(clientSocket, 'listening')
    cleanup.push(() => closeIfOpen(clientSocket))
  }
  const options: Options = {
    ...(how === 'socket closed' ? HASTY : CONFIG),
    allowHalfOpen: how === 'half-open end',
    ...(clientSocket === undefined ? {} : { socket: clientSocket }),
  }
  const place = await serve(kind, options)
  cleanup.push(place.close)
  const client = new End(await dial(kind, place.port, options))
  cleanup.push(() => client.stream.destroy())
  client.stream.write(Buffer.alloc(HELLO))
  const server = new End(await place.accepted)
  cleanup.push(() => server.stream.destroy())
  await settled(client.stream, server.stream)
  server.due = HELLO

  const actor = who === 'server' ? server : client
  const other = actor === client ? server : client
  actor.due += gets
  other.due += sends
  actor.begins(actorReads)
  other.begins(otherReads)
  // The first message is no part of the state, but where nothing at all is read.
  const serverReads = server === actor ? actorReads : otherReads
  if (serverReads !== 'never') await until(() => server.hasRead === HELLO, PATIENCE)
  actor.reads(actorReads)
  other.reads(otherReads)
  if (how === 'half-open end') {
    actor.due += 20_000
    other.stream.once('end', () =>
      setTimeout(() => {
        other.sends(20_000)
        other.ends()
      }, 300),
    )
  }
  other.sends(gets)
  if (gets > 0) await arrived(actor.stream, other.stream, gets)
  actor.sends(sends)
  if (how === 'socket closed') {
    // One turn, so that what was written is on its way.
    await sleep(0)
    if (own && actor === client) clientSocket!.close()
    else place.closeSocket(actor.stream)
  } else {
    actor.act(how)
    if (who === 'both') other.act(how)
  }
  if (actorReads === 'late') actor.readsLate()
  if (otherReads === 'late') other.readsLate()

  await until(() => client.closed && server.closed, mayStay({ who, how, state }) ? STUCK : PATIENCE)
  // A second 'close' would come by now.
  await sleep(20)
  return { client: client.seen(), server: server.seen() }
}

function closeIfOpen(socket: UdpSocket): void {
  try {
    socket.close()
  } catch {
    // The cell has closed it.
  }
}

/** Waits until what was sent to a stream that is not read lies there, or its sender waits for room. */
async function arrived(to: Duplex, from: Duplex, bytes: number): Promise<void> {
  const stuck = bytes > 100_000
  if (!stuck) {
    if ('flushed' in from) await (from as KcpStream).flushed()
    else await until(() => to.readableLength > 0 && from.writableLength === 0, PATIENCE)
    return
  }
  // The queue has to stay as long as it is, for five looks.
  let before = -1
  let same = 0
  await until(() => {
    const now = 'flushed' in from ? (from as KcpStream).stats().sndQueue : from.writableLength
    same = now === before && from.writableNeedDrain ? same + 1 : 0
    before = now
    return same >= 5
  }, PATIENCE)
}

// ---- a process that is killed ------------------------------------------------------------------------------

async function performKill(kind: Kind, { who, state }: Cell, cleanup: Cleanup): Promise<Notes> {
  const { gets = 0 } = STATES[state]!
  const options: Options = { ...HASTY, allowHalfOpen: false }
  const place = who === 'client' ? await serve(kind, options) : undefined
  if (place !== undefined) cleanup.push(place.close)
  const child = fork(fileURLToPath(import.meta.url), ['--victim', kind, String(place?.port ?? 0), state], {
    execArgv: [],
  })
  cleanup.push(() => child.kill('SIGKILL'))
  const killed = once(child, 'exit')
  const said = listenTo(child)
  let survivor: End
  if (place === undefined) {
    const port = await said('listening')
    survivor = new End(await dial(kind, port, options))
    cleanup.push(() => survivor.stream.destroy())
    survivor.stream.write(Buffer.alloc(HELLO))
    await settled(survivor.stream, undefined)
  } else {
    survivor = new End(await place.accepted)
    cleanup.push(() => survivor.stream.destroy())
    await settled(undefined, survivor.stream)
    survivor.due = HELLO
  }
  const unread = state === 'unread data'
  survivor.begins('at once')
  await until(() => survivor.hasRead === survivor.due, PATIENCE)
  // What came from the dead process lies here unread, or what it did not read does at this end.
  if (unread) {
    survivor.reads('paused')
    survivor.due += gets
    child.send('write')
  } else survivor.sends(gets)
  await said('ready')
  if (gets > 100_000) await until(() => survivor.stream.writableNeedDrain, PATIENCE)
  child.kill('SIGKILL')
  await killed
  if (unread) survivor.readsLate()
  await until(() => survivor.closed, PATIENCE)
  await sleep(20)
  return { [who === 'client' ? 'server' : 'client']: survivor.seen() }
}

interface Said {
  readonly event: string
  readonly port?: number
}

/** Notes from the start on what a process says: nobody may be asking yet. */
function listenTo(child: ChildProcess): (event: string) => Promise<number> {
  const heard: Said[] = []
  child.on('message', (message: Said) => heard.push(message))
  return async (event) => {
    const find = (): Said | undefined => heard.find((one) => one.event === event)
    await until(() => find() !== undefined || child.exitCode !== null, PATIENCE)
    const message = find()
    if (message === undefined) throw new Error(`the other process did not say ${event}`)
    return message.port ?? 0
  }
}

/** The process that will be killed. */
async function victim(kind: Kind, port: number, state: string): Promise<void> {
  const options: Options = { ...HASTY, allowHalfOpen: false }
  const tell = (message: Said): void => void process.send!(message)
  let stream: Duplex
  if (port !== 0) {
    stream = await dial(kind, port, options)
    stream.write(Buffer.alloc(HELLO))
    await settled(stream, undefined)
  } else {
    const place = await serve(kind, options)
    tell({ event: 'listening', port: place.port })
    stream = await place.accepted
    await settled(undefined, stream)
  }
  stream.on('error', () => undefined)
  if (state !== 'data queued at the other end') {
    const first = once(stream, 'data')
    stream.resume()
    // A kernel resets, instead of ending, where the dead process left data unread.
    if (port === 0) await first
  }
  if (state === 'unread data') {
    await once(process, 'message')
    for (let i = 0; i < 100; i++) stream.write(Buffer.alloc(CHUNK))
    if ('flushed' in stream) await (stream as KcpStream).flushed()
    else await until(() => stream.writableLength === 0, PATIENCE)
  }
  tell({ event: 'ready' })
}

const [, program, ...words] = process.argv
if (program === fileURLToPath(import.meta.url)) {
  if (words[0] === '--victim') await victim(words[1] as Kind, Number(words[2]), words[3]!)
  else {
    const [kind, who, how, state] = words as [Kind | 'kcp', Who, How, string]
    const notes = await perform(kind === 'kcp' ? 'message' : kind, { who, how, state })
    console.log(JSON.stringify(notes, null, 2))
  }
}
