import { deepEqual, equal, ok, throws } from 'node:assert/strict'
import { test } from 'node:test'
import {
  HARDENED,
  KcpConfig,
  type KcpPresetName,
  PARITY,
  presets,
  type ResolvedKcpConfig,
  resolveConfig,
} from '../../src/core/config.ts'
import { KcpError } from '../../src/core/errors.ts'

const DEFAULTS = {
  nodelay: 0,
  interval: 100,
  resend: 0,
  nc: false,
  mtu: 1400,
  sndWnd: 32,
  rcvWnd: 128,
  streamMode: false,
  minRto: 100,
  deadLink: 20,
  fastLimit: 5,
  maxFragments: 127,
  probeInterval: 5000,
  maxInFlight: 0,
  lossDetection: 'count',
  redundancy: 0,
  hardening: PARITY,
}

/** The crate's table, and turbo. */
const TABLE: Readonly<Record<KcpPresetName, object>> = {
  default: DEFAULTS,
  normal: { ...DEFAULTS, nodelay: 1, interval: 40, resend: 2, sndWnd: 64, minRto: 30 },
  fast: { ...DEFAULTS, nodelay: 1, interval: 10, resend: 2, nc: true, sndWnd: 128, minRto: 30 },
  turbo: {
    ...DEFAULTS,
    nodelay: 1,
    interval: 10,
    resend: 2,
    nc: true,
    sndWnd: 1024,
    rcvWnd: 1024,
    minRto: 30,
  },
}

for (const [name, expected] of Object.entries(TABLE) as [KcpPresetName, object][]) {
  test(`the preset ${name} has the numbers of the table, by every way to it`, () => {
    deepEqual({ ...presets[name] }, expected)
    deepEqual({ ...KcpConfig[name]() }, expected)
    deepEqual({ ...resolveConfig(name) }, expected)
    deepEqual({ ...resolveConfig(presets[name]) }, expected)
    ok(Object.isFrozen(presets[name]) && Object.isFrozen(KcpConfig[name]()))
  })
}

test('every field of a preset can be overridden', () => {
  const other: ResolvedKcpConfig = {
    nodelay: 2,
    interval: 25,
    resend: 7,
    nc: false,
    mtu: 1200,
    sndWnd: 99,
    rcvWnd: 500,
    streamMode: true,
    minRto: 55,
    deadLink: 33,
    fastLimit: 0,
    maxFragments: 255,
    probeInterval: 700,
    maxInFlight: 40,
    lossDetection: 'time',
    redundancy: 1.5,
    hardening: HARDENED,
  }
  deepEqual({ ...KcpConfig.fast(other) }, other)
  for (const [field, value] of Object.entries(other)) {
    const config = KcpConfig.turbo({ minRto: 30, [field]: value })
    deepEqual({ ...config }, { ...presets.turbo, [field]: value }, field)
  }
})

test('undefined leaves a field as it is, and later overrides win', () => {
  deepEqual({ ...resolveConfig('fast', undefined, { mtu: undefined }) }, { ...presets.fast })
  equal(resolveConfig('fast', { mtu: 1200 }, { mtu: 1300 }, { mtu: undefined }).mtu, 1300)
})

test('choosing nodelay sets the lower bound of the RTO too, unless that is chosen as well', () => {
  equal(resolveConfig({ nodelay: true }).minRto, 30)
  equal(resolveConfig({ nodelay: true }).nodelay, 1)
  equal(resolveConfig({ nodelay: 2 }).minRto, 30)
  equal(resolveConfig('fast', { nodelay: false }).minRto, 100)
  equal(resolveConfig({ nodelay: true, minRto: 77 }).minRto, 77)
  equal(resolveConfig({ minRto: 77 }, { nodelay: 1 }).minRto, 30)
  equal(resolveConfig({ minRto: 77 }, { mtu: 500 }).minRto, 77)
})

test('upstream clamps: the interval into 10 .. 5000, a receive window up to 128', () => {
  equal(resolveConfig({ interval: 0 }).interval, 10)
  equal(resolveConfig({ interval: 9999 }).interval, 5000)
  equal(resolveConfig({ rcvWnd: 5 }).rcvWnd, 128)
})

test('hardening: all, none, or single switches on top of none', () => {
  equal(resolveConfig({ hardening: true }).hardening, HARDENED)
  equal(resolveConfig({ hardening: false }).hardening, PARITY)
  const { hardening } = resolveConfig({ hardening: { strictUna: true, capRto: undefined } })
  deepEqual({ ...hardening }, { ...PARITY, strictUna: true })
  ok(Object.isFrozen(hardening))
  deepEqual(Object.keys(HARDENED), Object.keys(PARITY))
  ok(Object.values(HARDENED).every((on) => on) && !Object.values(PARITY).some((on) => on))
})

const U32 = 4_294_967_295
const I32 = 2_147_483_647

/** Every field that holds a whole number, and what it may be. */
const RANGES: readonly (readonly [field: string, low: number, high: number])[] = [
  ['nodelay', 0, 2],
  ['interval', 0, U32],
  ['resend', 0, I32],
  ['mtu', 50, 65_507],
  ['sndWnd', 1, 65_535],
  ['rcvWnd', 1, 65_535],
  ['minRto', 1, 60_000],
  ['deadLink', 1, U32],
  ['fastLimit', 0, I32],
  ['maxFragments', 1, 255],
  ['probeInterval', 1, 120_000],
  ['maxInFlight', 0, 65_535],
]

test('every whole-number field is in this table', () => {
  deepEqual(
    Object.entries(DEFAULTS)
      .filter(([, value]) => typeof value === 'number')
      .map(([field]) => field)
      // Takes fractions, and a word.
      .filter((field) => field !== 'redundancy')
      .sort(),
    RANGES.map(([field]) => field).sort(),
  )
})

for (const [field, low, high] of RANGES) {
  test(`${field} takes ${low} .. ${high}, and an error names field, value and range`, () => {
    for (const value of [low, high]) resolveConfig({ [field]: value })
    for (const value of [low - 1, high + 1, low + 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      throws(
        () => resolveConfig({ [field]: value }),
        (error) => {
          ok(KcpError.is(error, 'ERR_KCP_CONFIG'))
          const allowed = `a whole number within ${low}..${high}`
          equal(error.message, `${field} must be ${allowed}, got ${value}`)
          deepEqual(error.detail, { field, value, allowed })
          return true
        },
      )
    }
    for (const [value, shown] of [
      ['12', '"12"'],
      [null, 'null'],
      [{}, 'Object'],
      [[1], 'Array'],
      [12n, '12'],
    ] as const) {
      throws(
        () => resolveConfig({ [field]: value }),
        (error) => {
          ok(KcpError.is(error, 'ERR_KCP_CONFIG'))
          equal(error.detail['field'], field)
          equal(error.detail['value'], shown)
          return true
        },
      )
    }
  })
}

for (const field of ['nc', 'streamMode']) {
  test(`${field} is true or false`, () => {
    for (const value of [0, 1, 'true', null]) {
      throws(() => resolveConfig({ [field]: value }), {
        code: 'ERR_KCP_CONFIG',
        message: new RegExp(`^${field} must be true or false, got `),
      })
    }
  })
}

test('an unknown field is refused, with the ones there are', () => {
  throws(() => resolveConfig({ snd_wnd: 5 } as KcpConfig), {
    code: 'ERR_KCP_CONFIG',
    message: "unknown option 'kcp.snd_wnd'; did you mean kcp.sndWnd?",
  })
  throws(() => resolveConfig({ hardening: { strictUno: true } } as KcpConfig), {
    code: 'ERR_KCP_CONFIG',
    message: "unknown option 'hardening.strictUno'; did you mean hardening.strictUna?",
  })
})

test('switches of hardening are true or false', () => {
  throws(() => resolveConfig({ hardening: { strictUna: 1 } } as unknown as KcpConfig), {
    code: 'ERR_KCP_CONFIG',
    message: 'hardening.strictUna must be true or false, got 1',
  })
  throws(() => resolveConfig({ hardening: 'all' } as unknown as KcpConfig), {
    code: 'ERR_KCP_CONFIG',
    message: 'hardening must be an object of settings, got "all"',
  })
})

test('an unknown preset is refused; names of Object are none', () => {
  for (const name of ['quick', 'toString', '']) {
    throws(() => resolveConfig(name as KcpPresetName), {
      code: 'ERR_KCP_CONFIG',
      message: `preset must be 'default', 'normal', 'fast' or 'turbo', got ${JSON.stringify(name)}`,
    })
  }
})

test('overrides that are no object are refused', () => {
  for (const overrides of [5, 'fast', null, [], true]) {
    throws(() => KcpConfig.fast(overrides as KcpConfig), {
      code: 'ERR_KCP_CONFIG',
      message: /^kcp must be an object of settings, got /,
    })
  }
})

test('what went in may change afterwards without effect', () => {
  const input = { mtu: 1000, hardening: { strictUna: true } }
  const config = resolveConfig(input)
  input.mtu = 5
  input.hardening.strictUna = false
  equal(config.mtu, 1000)
  equal(config.hardening.strictUna, true)
  equal(presets.default.mtu, 1400)
})

test('losses are told by count or by time, and repeats are a level or chosen', () => {
  for (const value of ['none', 'TIME', '', 1, true, null]) {
    throws(() => resolveConfig({ lossDetection: value } as unknown as KcpConfig), {
      code: 'ERR_KCP_CONFIG',
      message: `lossDetection must be 'count' or 'time', got ${JSON.stringify(value)}`,
    })
  }
  for (const value of ['1', 'Auto', true, null, -0.1, -1, 4.1, 5, Number.NaN, Number.POSITIVE_INFINITY]) {
    throws(() => resolveConfig({ redundancy: value } as unknown as KcpConfig), {
      code: 'ERR_KCP_CONFIG',
      message: /^redundancy must be 'auto' or a number within 0\.\.4, got /,
    })
  }
  for (const lossDetection of ['count', 'time'] as const) {
    equal(resolveConfig({ lossDetection }).lossDetection, lossDetection)
  }
  for (const redundancy of [0, 0.25, 4, 'auto'] as const) {
    equal(resolveConfig({ redundancy }).redundancy, redundancy)
  }
})
