import { deepEqual, equal, ok, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { HARDENED } from '../../src/core/config.ts'
import { KcpError } from '../../src/core/errors.ts'
import {
  KcpSessionConfig,
  pickSessionConfig,
  refuseUnknown,
  resolveSessionConfig,
} from '../../src/session/config.ts'

const INT_MAX = 0x7fff_ffff

/** Whether the error names the field, the value and what is allowed. */
function names(field: string, value: unknown): (error: unknown) => boolean {
  return (error) => {
    ok(KcpError.is(error, 'ERR_KCP_CONFIG'), String(error))
    equal(error.detail['field'], field)
    const unknown = error.message.startsWith(`unknown option '${field}'; `)
    ok(unknown || error.message.startsWith(`${field} must be `), error.message)
    ok(String(error.detail['allowed']).length > 0)
    if (typeof value === 'number') ok(Object.is(error.detail['value'], value))
    return true
  }
}

test('the presets: the timeouts of the crate, and what follows from them', () => {
  const rows = (['default', 'normal', 'fast', 'turbo'] as const).map((preset) => {
    const { idleTimeout, keepAlive, flushInterval, sendQueueLimit, kcp } = KcpSessionConfig[preset]()
    return [idleTimeout, keepAlive, flushInterval, sendQueueLimit, kcp.interval, kcp.sndWnd]
  })
  deepEqual(rows, [
    [0, 0, 100, 64, 100, 32],
    [60_000, 15_000, 40, 128, 40, 64],
    [30_000, 10_000, 10, 256, 10, 128],
    [30_000, 10_000, 10, 2_048, 10, 1_024],
  ])
})

test('what all presets share', () => {
  for (const preset of ['default', 'normal', 'fast', 'turbo'] as const) {
    const config = KcpSessionConfig[preset]()
    deepEqual(
      [config.flushWrite, config.recvBufferSize, config.maxSendBytes, config.lingerTimeout, config.lifecycle],
      [true, 65_536, 4 * 1024 * 1024, 5_000, 'fin'],
    )
    equal(config.stallTimeout, 60_000)
    equal(config.socketBufferSize, 4 * 1024 * 1024)
    equal(config.maxRecvBytes, 2 * config.kcp.rcvWnd * (config.kcp.mtu - 24))
    deepEqual(config.kcp.hardening, HARDENED)
    ok(Object.isFrozen(config) && Object.isFrozen(config.kcp))
  }
})

test('overrides on top of a preset; undefined leaves a field as it is', () => {
  const config = KcpSessionConfig.fast({
    idleTimeout: 3_000,
    keepAlive: undefined,
    kcp: { interval: 20, mtu: 1_200 },
  })
  deepEqual([config.idleTimeout, config.keepAlive], [3_000, 1_000])
  deepEqual([config.kcp.interval, config.flushInterval, config.kcp.sndWnd], [20, 20, 128])
  equal(config.maxRecvBytes, 2 * 128 * 1_176)
  equal(resolveSessionConfig({ preset: 'normal', kcp: { sndWnd: 10 } }).sendQueueLimit, 20)
  equal(resolveSessionConfig({ flushInterval: 7 }).flushInterval, 7)
  equal(resolveSessionConfig({ kcp: { hardening: false } }).kcp.hardening.strictUna, false)
})

test('a complete configuration is a configuration: it may be given again', () => {
  const config = KcpSessionConfig.turbo({ idleTimeout: 9, lifecycle: 'none' })
  deepEqual(resolveSessionConfig(config), config)
})

test('keepAlive is at most 15 s, a third of a shorter idle timeout, and off without one', () => {
  for (const [idleTimeout, keepAlive] of [
    [0, 0],
    [1, 1],
    [3_000, 1_000],
    [10_000, 3_334],
    [45_000, 15_000],
    [3_600_000, 15_000],
  ] as const) {
    equal(resolveSessionConfig({ idleTimeout }).keepAlive, keepAlive)
  }
  equal(resolveSessionConfig({ keepAlive: 2_000 }).keepAlive, 2_000)
})

test('each number: its range, and what is outside', () => {
  const ranges: Record<string, readonly [number, number]> = {
    flushInterval: [1, INT_MAX],
    idleTimeout: [0, INT_MAX],
    keepAlive: [0, INT_MAX],
    stallTimeout: [0, INT_MAX],
    lingerTimeout: [1, INT_MAX],
    recvBufferSize: [1, Number.MAX_SAFE_INTEGER],
    socketBufferSize: [0, INT_MAX],
    sendQueueLimit: [1, Number.MAX_SAFE_INTEGER],
    maxSendBytes: [1, Number.MAX_SAFE_INTEGER],
    maxRecvBytes: [1, Number.MAX_SAFE_INTEGER],
  }
  for (const [field, [low, high]] of Object.entries(ranges)) {
    for (const value of [low, high]) {
      equal(resolveSessionConfig({ [field]: value })[field as 'idleTimeout'], value, field)
    }
    for (const value of [low - 1, high + 1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, -1]) {
      throws(() => resolveSessionConfig({ [field]: value }), names(field, value), `${field} ${value}`)
    }
    for (const value of ['5', null, true, {}, [5], 5n]) {
      throws(() => resolveSessionConfig({ [field]: value } as never), names(field, value))
    }
  }
})

test('each choice: what it may be, and what not', () => {
  for (const value of [1, 'yes', null]) {
    throws(() => resolveSessionConfig({ flushWrite: value } as never), names('flushWrite', value))
  }
  for (const value of ['rst', true, 0]) {
    throws(() => resolveSessionConfig({ lifecycle: value } as never), names('lifecycle', value))
  }
  for (const value of ['faster', '', 'toString', 7]) {
    throws(() => resolveSessionConfig({ preset: value } as never), names('preset', value))
  }
  for (const value of [7, 'fast', [1], null]) {
    throws(() => resolveSessionConfig({ kcp: value } as never), names('kcp', value))
  }
  throws(() => resolveSessionConfig({ kcp: { mtu: 49 } }), names('mtu', 49))
  throws(() => resolveSessionConfig({ kcp: { mtuu: 49 } } as never), names('kcp.mtuu', 49))
})

test('what a preset does not take is refused by name: a key that is dropped in silence means plain text', () => {
  for (const preset of ['default', 'normal', 'fast', 'turbo', 'kcpGo'] as const) {
    const call = KcpSessionConfig[preset] as (value: unknown) => unknown
    for (const field of ['security', 'crypto', 'codec', 'fec', 'channels', 'clock']) {
      throws(() => call({ [field]: {} }), {
        message: new RegExp(`^unknown option '${field}'; .*beside the configuration, as in .*, ${field}: `),
      })
    }
    const texts = {
      timeout: "unknown option 'timeout'; did you mean idleTimeout?",
      streamMode: "unknown option 'streamMode'; did you mean kcp.streamMode?",
      snd_wnd: "unknown option 'snd_wnd'; did you mean kcp.sndWnd?",
      idleTimeuot: "unknown option 'idleTimeuot'; did you mean idleTimeout?",
      psk: "unknown option 'psk'; did you mean security: { psk }?",
    }
    for (const [field, message] of Object.entries(texts)) {
      throws(
        () => call({ [field]: 'a secret' }),
        (error) => {
          equal((error as Error).message, message)
          ok(!JSON.stringify((error as KcpError).detail).includes('secret'))
          return true
        },
      )
    }
    for (const value of [
      null,
      5,
      'fast',
      true,
      [],
      () => undefined,
      new Map(),
      Promise.resolve({}),
      new Date(),
    ]) {
      throws(() => call(value), { code: 'ERR_KCP_CONFIG' }, String(value))
    }
    throws(() => call({ preset: preset === 'fast' ? 'turbo' : 'fast' }), { code: 'ERR_KCP_CONFIG' })
    call({ preset })
  }
  throws(() => resolveSessionConfig({ kcp: { idleTimeout: 5 } } as never), {
    message: "unknown option 'kcp.idleTimeout'; did you mean idleTimeout, beside kcp?",
  })
  for (const preset of [KcpSessionConfig.fast(), ['fast'], KcpSessionConfig.fast, new (class Fast {})()]) {
    throws(() => resolveSessionConfig({ preset } as never), { message: /it is spread|is spread beside it/ })
  }
})

test('inherited settings count, as of a class that holds them', () => {
  class Settings {
    preset = 'turbo' as const
    get idleTimeout(): number {
      return 7
    }
  }
  const config = resolveSessionConfig(new Settings())
  deepEqual([config.kcp.sndWnd, config.idleTimeout], [1024, 7])
  equal(resolveSessionConfig(Object.create({ idleTimeout: 9 })).idleTimeout, 9)
})

test('refuseUnknown names what nobody knows; pickSessionConfig takes what is a session s', () => {
  throws(() => refuseUnknown({ idleTimout: 3 }), names('idleTimout', 3))
  refuseUnknown({ idleTimeout: 3, preset: 'fast', host: 'x' }, ['host'])
  throws(() => refuseUnknown({ host: 'x' }), names('host', 'x'))
  deepEqual(pickSessionConfig({ idleTimeout: 3, host: 'x', keepAlive: undefined, kcp: {} }), {
    idleTimeout: 3,
    kcp: {},
  })
})
