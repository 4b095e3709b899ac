/**
 * Who takes part: kcp-io in its forms, node:dgram and node:net beside it, and the peers that this machine has.
 * @module
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { nativeStatus } from '../src/index.ts'
import type { Program } from './child.ts'
import { load } from './peers/load.ts'
import { root } from './root.ts'

export interface Contestant {
  readonly name: string
  /** A failure of ours fails the benchmark; one of a peer is told in its row. */
  readonly ours: boolean
  readonly program: Program
  /** Speaks KCP: has a window, and takes the load of a KCP client. */
  readonly kcp: boolean
  /** Has an engine that runs without sockets. */
  readonly engine?: boolean
}

export interface Field {
  readonly contestants: readonly Contestant[]
  /** Who could take part and is not here, and how to get it. */
  readonly missing: readonly string[]
}

export const DGRAM = 'raw node:dgram'
export const KCP_GO = 'kcp-go 5.6.1'

const dgram = nodeProgram('drivers/dgram')
export const tcp: Program = nodeProgram('drivers/tcp')
/** The client of the load on KCP servers. */
export const kcpClient: Program = nodeProgram('drivers/kcp-client')

/** Where Debian keeps the sources of Go packages. */
const GOPATH = '/usr/share/gocode'

function nodeProgram(driver: string, env: Readonly<Record<string, string>> = {}): Program {
  const file = (name: string): string => fileURLToPath(new URL(`./${name}.js`, import.meta.url))
  return { command: [process.execPath, file('end'), file(driver)], env }
}

/** @param withPeers false: only what needs nothing but Node. */
export function contestants(withPeers: boolean): Field {
  const found: Contestant[] = []
  const missing: string[] = []
  const io = { ours: true, kcp: true }
  const { available, detail } = nativeStatus()
  if (available) found.push({ ...io, name: 'kcp-io, addon', program: nodeProgram('drivers/kcp-io') })
  else missing.push(`the addon of kcp-io (${detail})`)
  found.push({
    ...io,
    name: 'kcp-io, dgram',
    engine: true,
    program: nodeProgram('drivers/kcp-io', { KCP_IO_NO_NATIVE: '1' }),
  })
  if (withPeers) {
    const go = buildGo()
    if (typeof go === 'string') missing.push(`kcp-go (${go})`)
    else found.push({ name: KCP_GO, ours: false, kcp: true, engine: true, program: go })
    for (const name of ['node-kcp', 'udx-native', 'utp-native']) {
      const kcp = name === 'node-kcp'
      try {
        load(kcp ? 'node-kcp/index.js' : name)
        found.push({ name, ours: false, kcp, engine: kcp, program: nodeProgram(`peers/${name}`) })
      } catch {
        missing.push(`${name} (npm run bench:peers)`)
      }
    }
  }
  found.push({ name: DGRAM, ours: true, kcp: false, program: dgram })
  return { contestants: found, missing }
}

/** The Go peer, built if need be; or why it cannot be. */
function buildGo(): Program | string {
  if (!existsSync(join(GOPATH, 'src/github.com/xtaci/kcp-go'))) {
    return 'apt-get install golang-go golang-github-xtaci-kcp-dev'
  }
  const sources = ['main.go', 'engine.go'].map((name) => join(root, 'bench/peers/go', name))
  const binary = join(root, 'build/bench/peers/kcp-go')
  const isFresh =
    existsSync(binary) && sources.every((source) => statSync(source).mtimeMs < statSync(binary).mtimeMs)
  if (!isFresh) {
    mkdirSync(join(root, 'build/bench/peers'), { recursive: true })
    const { error, status, stderr } = spawnSync('go', ['build', '-o', binary, '.'], {
      cwd: join(root, 'bench/peers/go'),
      encoding: 'utf8',
      env: { ...process.env, CGO_ENABLED: '0', GO111MODULE: 'off', GOPATH },
    })
    if (error !== undefined) return 'apt-get install golang-go'
    if (status !== 0) throw new Error(`go build failed:\n${stderr}`)
  }
  return { command: [binary] }
}
