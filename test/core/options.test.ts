import { deepEqual, equal, ok, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { KcpError } from '../../src/core/errors.ts'
import {
  nearestName,
  optionNames,
  readOptions,
  requireInteger,
  requireMethods,
  unknownOption,
} from '../../src/core/options.ts'

const names = optionNames({ port: true, host: true, localPort: true, signal: true })

test('options are copied and frozen, each is read once, and undefined is absent', () => {
  let reads = 0
  const given = {
    get port(): number {
      return ++reads
    },
    host: undefined,
  }
  const read = readOptions<{ port: number; host: string }>('options', given, { names })
  deepEqual(read, { port: 1 })
  equal(reads, 1)
  ok(Object.isFrozen(read))
  deepEqual(readOptions('options', undefined, { names }), {})
})

test('what holds no options is refused, with what it is', () => {
  for (const [value, shown] of [
    [null, 'null'],
    [5, '5'],
    [true, 'true'],
    ['port', '"port"'],
    [() => undefined, 'a function'],
    [[], 'Array'],
    [new Map([['port', 5]]), 'Map'],
    [new Uint8Array(4), 'Uint8Array'],
    [new Error('port'), 'Error'],
  ] as const) {
    throws(() => readOptions('options', value, { names }), {
      code: 'ERR_KCP_CONFIG',
      message: `options must be an object of settings, got ${shown}`,
    })
  }
  throws(() => readOptions('options', Promise.resolve({ port: 5 }), { names }), {
    message: /await the promise first/,
  })
  throws(() => readOptions('options', JSON.parse('{"__proto__":{"port":5}}'), { names }), /unknown option/)
})

test('an unknown name is refused with the one that was meant, and without its value', () => {
  const rows = [
    ['prot', 'port'],
    ['Port', 'port'],
    ['local_port', 'localPort'],
    ['local-port', 'localPort'],
    ['sginal', 'signal'],
    ['hosts', 'host'],
  ] as const
  for (const [name, meant] of rows) {
    throws(
      () => readOptions('options', { [name]: 'hunter2' }, { names }),
      (error) => {
        ok(KcpError.is(error, 'ERR_KCP_CONFIG'))
        equal(error.message, `unknown option '${name}'; did you mean ${meant}?`)
        ok(!JSON.stringify(error.detail).includes('hunter2'))
        return true
      },
    )
  }
  equal(nearestName('certificate', names), undefined)
  equal(
    unknownOption('certificate', 1, names).message,
    "unknown option 'certificate'; there are port, host, localPort, signal",
  )
  // An undefined one was meant to be something, too.
  throws(() => readOptions('options', { prot: undefined }, { names }), /did you mean port/)
  ok(unknownOption('x'.repeat(10_000), 1, names).message.length < 200)
})

test('methods that are missing are named', () => {
  throws(() => requireMethods('clock', { now: () => 0 }, 'a clock', ['now', 'soon']), {
    message: 'clock must be a clock (it has no soon), got Object',
  })
  for (const value of [null, undefined, 5, 'now']) {
    throws(() => requireMethods('clock', value, 'a clock', ['now']), { code: 'ERR_KCP_CONFIG' })
  }
})

test('what throws when it is read is refused by its name, with what was thrown as the cause', () => {
  const cause = new Error('from the getter')
  const fail = (): never => {
    throw cause
  }
  const closed = new Proxy({}, { get: fail, has: fail, ownKeys: fail, getPrototypeOf: fail })
  const rows: readonly (readonly [object, string])[] = [
    [Object.defineProperty({}, 'port', { get: fail, enumerable: true }), 'port'],
    [Object.defineProperty({}, 'bogus', { get: fail, enumerable: true }), 'bogus'],
    [Object.defineProperty({}, 'then', { get: fail }), 'options'],
    [closed, 'options'],
    [new Proxy({}, { ownKeys: fail }), 'options'],
  ]
  for (const [value, field] of rows) {
    throws(
      () => readOptions('options', value, { names }),
      (error) =>
        KcpError.is(error, 'ERR_KCP_CONFIG') && error.detail['field'] === field && error.cause === cause,
    )
  }
  throws(() => requireMethods('clock', closed, '{ now }', ['now']), { code: 'ERR_KCP_CONFIG' })
  // A message about a value does not need to look into it.
  throws(() => requireInteger('port', closed, 0, 1), { message: /got an object$/ })
})

test('a symbol is no option', () => {
  throws(() => readOptions('options', { [Symbol('port')]: 1 }, { names }), {
    message: /^unknown option 'Symbol\(port\)'/,
  })
  class Settings {
    readonly port = 5
    get [Symbol.toStringTag](): string {
      return 'Object'
    }
  }
  deepEqual(readOptions('options', new Settings(), { names }), { port: 5 })
})
