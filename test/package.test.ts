/**
 * What npm would publish, installed into an empty project: the README's programs run there, every entry point imports,
 * and the types resolve. Packs `dist` as it was built, without building again.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { nativePackages, nativeStatus } from '../src/node/native.ts'
import { startNode } from './support/child.ts'

const run = promisify(execFile)
/** npm is a script of another name on Windows. */
const npm = { command: process.platform === 'win32' ? 'npm.cmd' : 'npm', shell: process.platform === 'win32' }
const project = mkdtempSync(join(tmpdir(), 'kcp-io-package-'))
after(() => rmSync(project, { recursive: true, force: true }))

interface Packed {
  readonly filename: string
  readonly files: readonly { readonly path: string }[]
}

interface Manifest {
  readonly version: string
  readonly exports: Readonly<Record<string, unknown>>
  readonly dependencies?: object
  readonly optionalDependencies?: object
  readonly peerDependencies?: object
  readonly scripts: Readonly<Record<string, string>>
}

let packed: Packed
const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as Manifest

before(async () => {
  const cache = ['--cache', join(project, '.npm')]
  const words = ['pack', '--ignore-scripts', '--json', '--pack-destination', project, ...cache]
  const { stdout } = await run(npm.command, words, { shell: npm.shell })
  packed = (JSON.parse(stdout) as Packed[])[0]!
  writeFileSync(join(project, 'package.json'), '{ "private": true, "type": "module" }\n')
  await run(
    npm.command,
    ['install', '--offline', '--no-audit', '--no-fund', ...cache, `./${packed.filename}`],
    { cwd: project, shell: npm.shell },
  )
})

/** The code block of the README that starts with the comment `// name`. */
function program(name: string): string {
  const block = new RegExp(`^\`\`\`js\\n(// ${name}\\n[\\s\\S]*?)^\`\`\`$`, 'm').exec(
    readFileSync('README.md', 'utf8'),
  )
  assert.ok(block, `README.md has a program ${name}`)
  return block[1]!
}

/** A UDP port that nobody uses at the moment. */
async function freePort(): Promise<number> {
  const socket = createSocket('udp4')
  socket.bind(0)
  await once(socket, 'listening')
  const { port } = socket.address()
  socket.close()
  return port
}

test("the README's first program runs in an empty project", async () => {
  const port = String(await freePort())
  for (const name of ['server.mjs', 'client.mjs']) {
    assert.match(program(name), /\b9000\b/)
    writeFileSync(join(project, name), program(name).replaceAll('9000', port))
  }
  const server = startNode('server.mjs', [], project)
  try {
    await server.says(/listening on port/)
    const client = startNode('client.mjs', [], project)
    assert.equal(await client.ended, 0, client.output())
    assert.equal(client.output(), 'echo of one\necho of two\necho of three\n')
    await server.says(/is gone: peer/)
    assert.equal(server.process.exitCode, null, 'the server goes on')
  } finally {
    server.process.kill()
  }
})

test('the two engines of the README understand each other', async () => {
  const [, code] = /^```js\n(import \{ Kcp \} from 'kcp-io\/core'[\s\S]*?)^```$/m.exec(
    readFileSync('README.md', 'utf8'),
  )!
  writeFileSync(join(project, 'engines.mjs'), code!)
  const { stdout } = await run(process.execPath, ['engines.mjs'], { cwd: project })
  assert.equal(stdout, 'hello\n')
})

test('every entry point can be imported', async () => {
  const names = Object.keys(manifest.exports).map((path) => path.replace(/^\./, 'kcp-io'))
  const code = names
    .filter((name) => !name.endsWith('.json'))
    .map((name) => `console.log('${name}', Object.keys(await import('${name}')).length > 0)`)
  writeFileSync(join(project, 'entries.mjs'), code.join('\n'))
  const { stdout } = await run(process.execPath, ['entries.mjs'], { cwd: project })
  const wanted = [
    '',
    '/core',
    '/crypto',
    '/fec',
    '/sys',
    '/secure',
    '/session',
    '/sim',
    '/smux',
    '/transport',
  ]
  assert.deepEqual(
    stdout.trim().split('\n'),
    wanted.map((path) => `kcp-io${path} true`),
  )
})

test('the command runs as npm installs it', async () => {
  const bin = join(project, 'node_modules', '.bin', process.platform === 'win32' ? 'kcp-io.cmd' : 'kcp-io')
  const { stdout: told } = await run(bin, ['--version'], { shell: npm.shell })
  assert.equal(told, `${manifest.version}\n`)
  const { stdout: help } = await run(bin, ['tunnel', 'client', '--help'], { shell: npm.shell })
  assert.match(help, /^Usage: kcp-io tunnel client/)
  await assert.rejects(run(bin, ['tunnel', 'client', '--tcp'], { shell: npm.shell }), { code: 2 })
})

test('nothing but what is exported can be imported', async () => {
  writeFileSync(join(project, 'inside.mjs'), "await import('kcp-io/dist/core/engine.js')")
  await assert.rejects(
    run(process.execPath, ['inside.mjs'], { cwd: project }),
    /ERR_PACKAGE_PATH_NOT_EXPORTED/,
  )
})

const canRequire = 'require_module' in process.features
test('require works where Node can require ES modules', { skip: !canRequire }, async () => {
  writeFileSync(join(project, 'old.cjs'), "console.log(typeof require('kcp-io').connect)")
  const { stdout } = await run(process.execPath, ['old.cjs'], { cwd: project })
  assert.equal(stdout, 'function\n')
})

const TYPED = `
import { connect, KcpConfig, KcpError, KcpListener, KcpSessionConfig, KcpStream, listen, SmuxSession, type SmuxStream } from 'kcp-io'
import { Kcp, type CongestionControl } from 'kcp-io/core'
import { KcpSession, Scheduler } from 'kcp-io/session'
import { createMemoryLink, VirtualClock } from 'kcp-io/sim'
import { SmuxEngine, type SmuxHandler } from 'kcp-io/smux'
import { ikcp_create, ikcp_send, type IKCPCB } from 'kcp-io/sys'
import type { Clock, DatagramTransport, PacketCodec } from 'kcp-io/transport'

export async function talk(transport: DatagramTransport, codec: PacketCodec): Promise<number> {
  const server: KcpListener = await listen({ port: 0, preset: 'fast' }, (stream: KcpStream) => {
    stream.on('close', (reason: 'local' | 'peer' | 'timeout' | 'dead-link' | 'protocol-error' | 'reset') => reason)
  })
  const config = KcpSessionConfig.fast({ kcp: KcpConfig.fast({ mtu: 1200 }), idleTimeout: 10_000 })
  const stream = await connect({ ...config, host: '127.0.0.1', port: server.address()!.port, transport, codec })
  const message: Buffer | null = await stream.recv()
  // @ts-expect-error a message is no number
  await stream.send(1)
  // @ts-expect-error no such option
  await connect({ port: 1, prest: 'fast' })
  const error: unknown = new KcpError('ERR_KCP_CLOSED', 'closed')
  if (KcpError.is(error, 'ERR_KCP_CLOSED')) error.code satisfies string
  return message?.length ?? 0
}
export async function many(stream: KcpStream): Promise<SmuxStream | null> {
  const session = new SmuxSession(stream, { role: 'client', version: 2 })
  session.on('close', (reason: 'local' | 'peer' | 'timeout' | 'protocol-error' | 'transport') => reason)
  return session.accept()
}
export const mux = (handler: SmuxHandler): SmuxEngine => new SmuxEngine('server', { version: 1 }, handler, 0)
export const clock: Clock = new VirtualClock()
export const pair = createMemoryLink({ clock, loss: 0.1 })
export const scheduler: Scheduler = new Scheduler(clock)
export const block: IKCPCB = ikcp_create(1)
export const sent: number = ikcp_send(block, new Uint8Array(1), 1)
export const control: CongestionControl = { name: 'mine', onAck: (state) => void state.cwnd++ }
export const engine: Kcp = new Kcp(1, null, 'fast')
export type Session = KcpSession
`

const PURE = `
import { Kcp } from 'kcp-io/core'
import { KcpSessionConfig, resolveSessionConfig } from 'kcp-io/session'
import { Prng } from 'kcp-io/sim'
import { resolveSmuxConfig } from 'kcp-io/smux'
import { ikcp_create } from 'kcp-io/sys'
export const used = [new Kcp(1, (datagram: Uint8Array) => datagram.length), resolveSessionConfig, new Prng(1), resolveSmuxConfig(), ikcp_create(1)]
export const config: KcpSessionConfig = KcpSessionConfig.fast()
`

test('the types resolve, declarations included; those of the pure rooms without the types of Node', async () => {
  const tsc = resolve('node_modules/typescript/bin/tsc')
  const settings = {
    module: 'nodenext',
    target: 'es2022',
    lib: ['es2022', 'esnext.disposable'],
    strict: true,
    exactOptionalPropertyTypes: true,
    noEmit: true,
    // The declarations of the package are checked too.
    skipLibCheck: false,
    typeRoots: [resolve('node_modules/@types')],
  }
  writeFileSync(join(project, 'typed.ts'), TYPED)
  writeFileSync(join(project, 'pure.ts'), PURE)
  for (const [file, types] of [
    ['typed.ts', ['node']],
    ['pure.ts', []],
  ] as const) {
    const config = { compilerOptions: { ...settings, types }, files: [file] }
    writeFileSync(join(project, 'tsconfig.json'), JSON.stringify(config))
    await run(process.execPath, [tsc, '-p', project], { cwd: project }).catch(({ stdout }) =>
      assert.fail(`${file}:\n${stdout}`),
    )
  }
})

test('the package holds what it needs and nothing else, and depends on nothing', () => {
  const paths = packed.files.map(({ path }) => path)
  const odd = paths.filter((path) => !/^dist\/[\w/-]+\.(js|d\.ts)$/.test(path))
  assert.deepEqual(odd.sort(), ['CHANGELOG.md', 'LICENSE', 'README.md', 'README_ZH.md', 'package.json'])
  for (const path of paths.filter((one) => one.endsWith('.js'))) {
    assert.ok(paths.includes(path.replace(/js$/, 'd.ts')), `${path} has its declarations`)
  }
  assert.deepEqual(manifest.dependencies ?? {}, {})
  assert.deepEqual(manifest.optionalDependencies ?? {}, {})
  assert.deepEqual(manifest.peerDependencies ?? {}, {})
  for (const script of ['preinstall', 'install', 'postinstall']) {
    assert.equal(manifest.scripts[script], undefined, `no ${script} script`)
  }
})

const ECHO = `
import { connect, listen, nativeStatus } from 'kcp-io'
const listener = await listen({ host: '127.0.0.1', port: 0, preset: 'fast' }, (stream) => stream.pipe(stream))
const client = await connect({ host: '127.0.0.1', port: listener.address().port, preset: 'fast' })
await client.send('echo')
console.log(JSON.stringify([String(await client.recv()), nativeStatus()]))
await Promise.all([client.close(), listener.close()])
`
/** The addon's package for this platform, as the release script packs it. */
const withoutAddon = nativeStatus().available ? false : `no addon to pack: ${nativeStatus().detail}`

test("a release: the platform's package is found, and whatever is wrong with it, dgram serves", {
  skip: withoutAddon,
}, async (t) => {
  const release = mkdtempSync(join(tmpdir(), 'kcp-io-release-'))
  t.after(() => rmSync(release, { recursive: true, force: true }))
  const { stdout } = await run(process.execPath, ['scripts/pack-release.mjs', '--built', '--out', release])
  const tarballs = stdout.trim().split('\n')
  assert.equal(tarballs.length, 2)
  writeFileSync(join(release, 'package.json'), '{ "private": true, "type": "module" }\n')
  writeFileSync(join(release, 'echo.mjs'), ECHO)
  const cache = ['--cache', join(release, '.npm')]
  await run(npm.command, ['install', '--offline', '--no-audit', '--no-fund', ...cache, ...tarballs], {
    cwd: release,
    shell: npm.shell,
  })

  const read = (name: string): Record<string, unknown> =>
    JSON.parse(readFileSync(join(release, 'node_modules', name, 'package.json'), 'utf8'))
  const wanted = ['x64', 'arm64'].flatMap((arch) => nativePackages('linux', arch))
  assert.deepEqual(
    read('kcp-io')['optionalDependencies'],
    Object.fromEntries(wanted.map((name) => [name, manifest.version])),
  )
  const [name] = nativePackages().filter((one) => existsSync(join(release, 'node_modules', one)))
  assert.ok(name !== undefined && wanted.includes(name))
  const addon = read(name)
  assert.deepEqual(
    [addon['version'], addon['os'], addon['cpu'], addon['libc']],
    [manifest.version, ['linux'], [process.arch], [name.endsWith('gnu') ? 'glibc' : 'musl']],
  )
  for (const field of ['scripts', 'dependencies', 'gypfile']) assert.equal(addon[field], undefined, field)

  const echo = async (env: NodeJS.ProcessEnv = {}): Promise<{ available: boolean; detail: string }> => {
    const said = await run(process.execPath, ['echo.mjs'], {
      cwd: release,
      env: { ...process.env, KCP_IO_NO_NATIVE: '', ...env },
    })
    const [answer, status] = JSON.parse(said.stdout)
    assert.equal(answer, 'echo')
    return status
  }
  assert.deepEqual(await echo(), { available: true, detail: name })
  const off = await echo({ KCP_IO_NO_NATIVE: '1' })
  assert.deepEqual(off, { available: false, detail: 'switched off by KCP_IO_NO_NATIVE=1' })

  const folder = join(release, 'node_modules', name)
  writeFileSync(join(folder, 'kcp_udp.node'), 'no library')
  const broken = await echo()
  assert.equal(broken.available, false)
  assert.match(broken.detail, /kcp_udp\.node/)

  // An addon of another version of the package.
  writeFileSync(join(folder, 'kcp_udp.cjs'), 'exports.interfaceVersion = 99')
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ ...addon, main: './kcp_udp.cjs' }))
  assert.deepEqual(await echo(), { available: false, detail: `${name} has interface 99, not 1` })

  rmSync(folder, { recursive: true })
  assert.deepEqual(await echo(), { available: false, detail: 'not installed' })
})
