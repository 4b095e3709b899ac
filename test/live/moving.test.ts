/**
 * A client whose machine gets another address, in network namespaces of its own: what a socket that is tied to its peer
 * does then, only a kernel shows. Needs root.
 */
import { equal, ok } from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'

interface Told {
  readonly event: string
  readonly error?: string
}

function ip(...args: readonly string[]): void {
  execFileSync('ip', args, { stdio: 'pipe' })
}

/** Why there can be no namespaces here; false: there can. */
function whyNot(): string | false {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'needs root on Linux'
  const name = `kcp-try-${process.pid}`
  try {
    ip('netns', 'add', name)
    ip('netns', 'del', name)
    return false
  } catch {
    return 'no network namespaces'
  }
}

const skip = whyNot()
let worlds = 0

/** Two namespaces with a cable between them: the server's 10.77.0.1, the client's 10.77.0.2. */
function namespaces(t: TestContext): { readonly server: string; readonly client: string } {
  const id = `${process.pid}-${worlds++}`
  const [server, client] = [`kcp-s-${id}`, `kcp-c-${id}`]
  for (const name of [server, client]) {
    ip('netns', 'add', name)
    t.after(() => ip('netns', 'del', name))
  }
  ip('-n', server, 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1', 'netns', client)
  for (const [name, device, address] of [
    [server, 'v0', '10.77.0.1/24'],
    [client, 'v1', '10.77.0.2/24'],
  ] as const) {
    ip('-n', name, 'addr', 'add', address, 'dev', device)
    ip('-n', name, 'link', 'set', device, 'up')
    ip('-n', name, 'link', 'set', 'lo', 'up')
  }
  return { server, client }
}

function start(
  t: TestContext,
  namespace: string,
  role: string,
  native: boolean,
): { readonly child: ChildProcess; readonly next: (event: string, ms: number) => Promise<boolean> } {
  const script = fileURLToPath(new URL('./moving-client.js', import.meta.url))
  const child = spawn('ip', ['netns', 'exec', namespace, process.execPath, script, role, '10.77.0.1'], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    env: { ...process.env, ...(native ? {} : { KCP_IO_NO_NATIVE: '1' }) },
  })
  t.after(() => child.kill('SIGKILL'))
  const told: string[] = []
  child.on('message', ({ event, error }: Told) =>
    told.push(error === undefined ? event : `${event} ${error}`),
  )
  return {
    child,
    next: async (event, ms) => {
      const end = Date.now() + ms
      while (!told.includes(event) && Date.now() < end) {
        equal(
          told.find((one) => one.startsWith('error')),
          undefined,
        )
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
      return told.includes(event)
    },
  }
}

for (const native of [true, false]) {
  const over = native ? 'the addon, where there is one' : 'node:dgram'
  test(`a client's address is gone, and it goes on from another one: ${over}`, { skip }, async (t) => {
    const { server, client } = namespaces(t)
    ok(await start(t, server, 'server', native).next('listening', 30_000))
    const { child, next } = start(t, client, 'client', native)
    ok(await next('connected', 30_000))
    child.send('before')
    ok(await next('before', 10_000))

    // Another address in the place of the first one.
    ip('-n', client, 'addr', 'del', '10.77.0.2/24', 'dev', 'v1')
    ip('-n', client, 'addr', 'add', '10.77.0.3/24', 'dev', 'v1')
    child.send('at another address')
    ok(await next('at another address', 40_000), 'at another address')

    // The address is still there, but nothing comes from it any more: only silence shows that.
    ip('-n', client, 'addr', 'add', '10.77.0.4/24', 'dev', 'v1')
    ip('-n', client, 'route', 'replace', '10.77.0.0/24', 'dev', 'v1', 'src', '10.77.0.4')
    ip('-n', server, 'route', 'add', 'blackhole', '10.77.0.3/32')
    child.send('by another route')
    ok(await next('by another route', 55_000), 'by another route')

    // None for a while, and then another one.
    ip('-n', client, 'addr', 'flush', 'dev', 'v1')
    child.send('after a while')
    equal(await next('after a while', 1_000), false)
    ip('-n', client, 'addr', 'add', '10.77.0.5/24', 'dev', 'v1')
    ok(await next('after a while', 40_000), 'after a while')
  })
}
