/**
 * What the options come to: kcptun's defaults and modes, and docs/TUNNEL.md beside the tables of the code.
 */
import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { type Flag, type FlagTable, flagNames } from '../../src/cli/flags.ts'
import { CLIENT_FLAGS, SERVER_FLAGS } from '../../src/cli/tunnel/options.ts'
import { clientSettings, serverSettings } from '../../src/cli/tunnel/settings.ts'

test("kcptun's defaults", () => {
  const client = clientSettings([], {})
  const { crypto, kcp, ...session } = client.session
  deepEqual(session, {
    preset: 'kcpGo',
    socketBufferSize: 4_194_304,
    lifecycle: 'fin',
    idleTimeout: 0,
    stallTimeout: 30_000,
    fec: { data: 10, parity: 3 },
  })
  deepEqual(kcp, {
    nodelay: 0,
    interval: 30,
    resend: 2,
    nc: true,
    mtu: 1350,
    sndWnd: 128,
    rcvWnd: 512,
    streamMode: true,
  })
  equal(crypto.headroom, 20)
  deepEqual(client.smux, {
    version: 1,
    keepAliveInterval: 10_000,
    keepAliveTimeout: 30_000,
    maxFrameSize: 8192,
    maxReceiveBuffer: 4_194_304,
    maxStreamBuffer: 2_097_152,
    maxStreams: 4096,
  })
  deepEqual(
    [
      client.local,
      client.remote,
      client.sessions,
      client.autoExpire,
      client.scavenge,
      client.closeWait,
      client.compress,
    ],
    [{ host: undefined, port: 12_948 }, { host: 'vps', low: 29_900, high: 29_900 }, 1, 0, 600_000, 0, true],
  )
  const server = serverSettings([], {})
  deepEqual([server.session.kcp?.sndWnd, server.session.kcp?.rcvWnd, server.closeWait], [1024, 1024, 30_000])
  deepEqual(
    [server.listen, server.target],
    [
      { host: undefined, low: 29_900, high: 29_900 },
      { host: '127.0.0.1', port: 12_948 },
    ],
  )
  equal(server.anySmuxVersion, true)
  equal(serverSettings(['--smuxver', '1'], {}).anySmuxVersion, false)
})

test("kcptun's modes; manual takes its four numbers", () => {
  const told = (...words: string[]): unknown[] => {
    const { nodelay, interval, resend, nc } = clientSettings(words, {}).session.kcp!
    return [nodelay, interval, resend, nc]
  }
  // 2 is how kcp-go's nodelay 1 lets an RTO grow.
  deepEqual(told('--mode', 'normal'), [0, 40, 2, true])
  deepEqual(told('--mode', 'fast2'), [2, 20, 2, true])
  deepEqual(told('--mode', 'fast3'), [2, 10, 2, true])
  deepEqual(told('--mode', 'manual'), [0, 50, 0, false])
  deepEqual(told('--mode', 'manual', '--nodelay', '1', '--interval', '10', '--resend', '3', '--nc', '1'), [
    2,
    10,
    3,
    true,
  ])
  deepEqual(told('--mode', 'fast', '--interval', '10'), [0, 30, 2, true])
})

test('no FEC with either number 0', () => {
  equal(clientSettings(['--ds', '0'], {}).session.fec, undefined)
  equal(clientSettings(['--ps', '0'], {}).session.fec, undefined)
})

test('what protects nothing is warned of', () => {
  const warnings = (...words: string[]): readonly string[] => clientSettings(words, {}).warnings
  deepEqual(warnings(), ['the key is the public default: set --key or KCPTUN_KEY'])
  const listed = /^everybody on this machine can read --key/
  deepEqual(warnings('--key', 'x').length, 1)
  match(warnings('--key', 'x')[0]!, listed)
  deepEqual(warnings('--key', 'x', '--crypt', 'none').slice(1), [
    '--crypt none protects nothing: anybody can read and use this tunnel',
  ])
  deepEqual(clientSettings([], { KCPTUN_KEY: 'x' }).warnings, [])
})

/** The rows of the document's tables of options: name, default at the client, at the server, and the rest. */
function documented(): Map<string, string[]> {
  const rows = readFileSync('docs/TUNNEL.md', 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('| `-'))
    .map((line) =>
      line
        .slice(1, -1)
        .split(' | ')
        .map((cell) => cell.trim()),
    )
  return new Map(rows.map((row) => [row[0]!, row]))
}

const shown = (flag: Flag | undefined): string => {
  if (flag === undefined) return '–'
  if (typeof flag.default === 'boolean') return 'off'
  return flag.default === '' ? 'none' : `\`${flag.default}\``
}

test('docs/TUNNEL.md has every option with its defaults, and no other', () => {
  const told = documented()
  const names = new Set<string>()
  for (const table of [CLIENT_FLAGS, SERVER_FLAGS] as readonly FlagTable[]) {
    for (const flag of table) names.add(flag.name)
  }
  const expected: string[] = []
  for (const name of names) {
    const [client, server] = [CLIENT_FLAGS, SERVER_FLAGS].map((table) =>
      table.find((one) => one.name === name),
    )
    const row = flagNames((client ?? server)!)
      .map((one) => `\`${one}\``)
      .join(' ')
    expected.push(row)
    const cells = told.get(row)
    ok(cells !== undefined, `a row for ${row}`)
    deepEqual(cells.slice(1, 3), [shown(client), shown(server)], row)
    const fate = (client ?? server)!.fate
    if (fate !== undefined) {
      ok(cells[3]!.includes(fate.kind === 'refused' ? 'Refused' : 'Without effect'), `${row} tells its fate`)
    }
  }
  deepEqual([...told.keys()].sort(), expected.sort())
})
