/**
 * The documents say what the code does: commands, names, numbers and links in them exist, and the two READMEs are one
 * document in two languages.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, normalize } from 'node:path'
import { after, test } from 'node:test'
import * as core from '../src/core/index.ts'
import * as pureCrypto from '../src/crypto/index.ts'
import * as fec from '../src/fec/index.ts'
import * as kcpIo from '../src/index.ts'
import { type KcpError, KcpListener, KcpSessionConfig, KcpStream, presets } from '../src/index.ts'
import * as secure from '../src/secure/index.ts'
import * as session from '../src/session/index.ts'
import * as transport from '../src/session/transport.ts'
import * as sim from '../src/sim/index.ts'
import * as smux from '../src/smux/index.ts'
import * as sys from '../src/sys.ts'

/** What each entry point exports when it runs. */
const ENTRIES: Readonly<Record<string, object>> = {
  'kcp-io': kcpIo,
  'kcp-io/core': core,
  'kcp-io/crypto': pureCrypto,
  'kcp-io/fec': fec,
  'kcp-io/secure': secure,
  'kcp-io/session': session,
  'kcp-io/sim': sim,
  'kcp-io/smux': smux,
  'kcp-io/sys': sys,
  'kcp-io/transport': transport,
}

interface CodeBlock {
  readonly language: string
  readonly code: string
}

class Document {
  readonly path: string
  readonly text: string
  /** The text without its code blocks. */
  readonly prose: string
  readonly blocks: readonly CodeBlock[]

  constructor(path: string) {
    this.path = path
    this.text = readFileSync(path, 'utf8')
    const blocks: CodeBlock[] = []
    this.prose = this.text.replace(/^```(\w*)\n([\s\S]*?)^```$/gm, (_, language: string, code: string) => {
      blocks.push({ language, code })
      return ''
    })
    this.blocks = blocks
  }

  /** Levels and texts of the headings. */
  get headings(): readonly { readonly level: number; readonly text: string }[] {
    return [...this.prose.matchAll(/^(#+) (.+)$/gm)].map(([, marks, text]) => ({
      level: marks!.length,
      text: text!,
    }))
  }

  /** Tables in order; each a list of rows, each a list of cells; without the line below the head. */
  get tables(): readonly (readonly (readonly string[])[])[] {
    return [...this.prose.matchAll(/(?:^\|.*\|\n)+/gm)].map(([table]) =>
      table
        .trimEnd()
        .split('\n')
        .filter((row) => !/^\|( *-+ *\|)+$/.test(row))
        .map((row) =>
          row
            .slice(1, -1)
            .split('|')
            .map((cell) => cell.trim()),
        ),
    )
  }

  /** GitHub's anchors of the headings. */
  get anchors(): readonly string[] {
    return this.headings.map(({ text }) =>
      text
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, '')
        .replace(/ /g, '-'),
    )
  }
}

const english = new Document('README.md')
const chinese = new Document('README_ZH.md')
const documents = [...markdownBelow('.'), ...markdownBelow('docs'), ...markdownBelow('docs/decisions')].map(
  (path) => new Document(path),
)
const scripts = (JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: Record<string, string> })
  .scripts

function markdownBelow(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(folder, name))
}

/** Names in backticks. */
function codes(text: string): string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map(([, code]) => code!)
}

/** The table whose first head cell and a later word say so. */
function table(document: Document, ...words: readonly string[]): readonly (readonly string[])[] {
  const found = document.tables.filter((rows) => words.every((word) => rows.flat().join(' ').includes(word)))
  assert.equal(found.length, 1, `one table of ${document.path} holds ${words.join(', ')}`)
  return found[0]!
}

/** The value that `run` throws or rejects with. */
async function thrown(run: () => unknown): Promise<KcpError> {
  try {
    await run()
  } catch (error) {
    return error as KcpError
  }
  throw new Error('nothing was thrown')
}

test('the two READMEs have the same sections, code, tables and links', () => {
  assert.deepEqual(
    chinese.headings.map(({ level }) => level),
    english.headings.map(({ level }) => level),
  )
  assert.deepEqual(chinese.blocks, english.blocks)
  // What stands in a table's first column in backticks is a name, and the numbers are numbers, in any language.
  const facts = (document: Document): readonly unknown[] =>
    document.tables.map((rows) =>
      rows.map((row) => [codes(row[0]!), ...row.slice(1).map((cell) => cell.match(/\d+/g))]),
    )
  const [ours, theirs] = [facts(english), facts(chinese)]
  assert.equal(theirs.length, ours.length)
  for (const [i, rows] of ours.entries()) assert.deepEqual(theirs[i], rows, `table ${i + 1}`)
  const links = (document: Document): string[] =>
    [...document.prose.matchAll(/\]\(([^)#]+)/g)]
      .map(([, link]) => link!)
      .filter((link) => !link.startsWith('README'))
  assert.deepEqual(links(chinese), links(english))
})

test('every command in a document can be run', () => {
  const missing: string[] = []
  for (const { path, text } of documents) {
    for (const [, name] of text.matchAll(/npm run (?:--silent )?([\w:-]+)/g)) {
      if (scripts[name!] === undefined) missing.push(`${path}: npm run ${name}`)
    }
    if (text.includes('npm test') && scripts['test'] === undefined) missing.push(`${path}: npm test`)
    for (const [, name] of text.matchAll(
      /node (?:build\/)?((?:examples|scripts|demo|bench)\/[\w-]+)\.\w+/g,
    )) {
      if (!['ts', 'mjs'].some((type) => existsSync(`${name}.${type}`))) missing.push(`${path}: ${name}`)
    }
  }
  assert.deepEqual(missing, [])
})

test('every link inside the repository leads somewhere', () => {
  const broken: string[] = []
  for (const document of documents) {
    for (const [, link] of document.prose.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(link!)) continue
      const [file = '', anchor] = link!.split('#')
      const path = file === '' ? document.path : normalize(join(dirname(document.path), file))
      const there = existsSync(path)
      if (!there || (anchor !== undefined && !new Document(path).anchors.includes(anchor))) {
        broken.push(`${document.path}: ${link}`)
      }
    }
  }
  assert.deepEqual(broken, [])
})

test('code in the documents parses, and what it imports exists', () => {
  const folder = mkdtempSync(join(tmpdir(), 'kcp-io-readme-'))
  after(() => rmSync(folder, { recursive: true, force: true }))
  const wrong: string[] = []
  for (const { path, blocks } of documents) {
    for (const [i, { language, code }] of blocks.entries()) {
      if (language !== 'js') continue
      const file = join(folder, 'block.mjs')
      writeFileSync(file, code)
      const { status, stderr } = spawnSync(process.execPath, ['--check', file], { encoding: 'utf8' })
      if (status !== 0) wrong.push(`${path}, block ${i + 1}: ${stderr}`)
      for (const [, names, from] of code.matchAll(/import \{([^}]+)\} from '(kcp-io[^']*)'/g)) {
        const entry = ENTRIES[from!] ?? {}
        for (const name of names!.split(',').flatMap((one) => one.trim().split(' ')[0] || [])) {
          if (!(name in entry)) wrong.push(`${path}, block ${i + 1}: ${name} from ${from}`)
        }
      }
    }
  }
  assert.deepEqual(wrong, [])
})

test('the presets table has the numbers in force', () => {
  const [head, ...rows] = table(english, '`default`', '`turbo`', 'kcp.interval')
  const names = head!.slice(1).map((cell) => codes(cell)[0] as keyof typeof presets)
  assert.deepEqual(names, Object.keys(presets))
  for (const row of rows) {
    const field = codes(row[0]!)[0]!
    for (const [i, name] of names.entries()) {
      const config: Record<string, unknown> = { ...KcpSessionConfig[name]() }
      const value = field.startsWith('kcp.')
        ? (config['kcp'] as Record<string, unknown>)[field.slice(4)]
        : config[field]
      assert.equal(row[i + 1]!.replace(/ \(.*/, ''), String(value), `${field} of ${name}`)
    }
  }
})

test('every option is in a table, and every option in a table exists', async () => {
  const allowed = async (refuse: () => unknown): Promise<string[]> => {
    const { detail } = await thrown(refuse)
    return String(detail['allowed']).replace('one of ', '').split(', ')
  }
  const nonsense = { nonsense: 1 } as object
  const known = new Set([
    ...(await allowed(() => kcpIo.connect({ port: 1, ...nonsense }))),
    ...(await allowed(() => new KcpListener(nonsense))),
    // What `listen` itself takes.
    ...[
      'port',
      'host',
      'ipv6Only',
      'reuseAddr',
      'reusePort',
      'fd',
      'socket',
      'transport',
      'ownsTransport',
      'signal',
    ],
  ])
  const engine = new Set(Object.keys(presets.default))
  const told = new Set<string>()
  for (const rows of english.tables.filter(([head]) => head![0] === 'Option')) {
    for (const row of rows.slice(1)) for (const name of codes(row[0]!)) told.add(name)
  }
  assert.deepEqual([...told].sort(), [...known].sort())
  const settings = table(english, 'Setting', 'streamMode')
    .slice(1)
    .flatMap((row) => codes(row[0]!))
  const inPresets = table(english, '`default`', '`turbo`', 'kcp.interval')
    .flatMap((row) => codes(row[0]!))
    .filter((name) => name.startsWith('kcp.'))
    .map((name) => name.slice(4))
  assert.deepEqual([...settings, ...inPresets].sort(), [...engine].sort())
})

test('defaults that are one number or word are those in force', () => {
  const config: Record<string, unknown> = { ...KcpSessionConfig.default() }
  // Of sessions, which is what the document is about: an engine alone has some other defaults.
  const engine: Record<string, unknown> = { ...KcpSessionConfig.default().kcp }
  let compared = 0
  for (const rows of english.tables.filter(([head]) => ['Option', 'Setting'].includes(head![0]!))) {
    const source = rows[0]![0] === 'Option' ? config : engine
    for (const [names, said] of rows.slice(1)) {
      const [name] = codes(names!)
      if (!/^(\d+|true|false|`'\w+'`)$/.test(said!) || source[name!] === undefined) continue
      assert.equal(said!.replace(/[`']/g, ''), String(source[name!]), name)
      compared++
    }
  }
  assert.ok(compared >= 9, `${compared} defaults were compared`)
})

test('the table of SmuxSession has every setting, with the defaults in force', () => {
  const rows = table(english, '`maxStreamBuffer`', '`acceptBacklog`').slice(1)
  const told = rows.map(([name, value]) => [codes(name!)[0], Number(value)])
  assert.deepEqual(told, Object.entries(smux.SMUX_DEFAULTS))
})

test('members in the tables exist', () => {
  const check = (
    rows: readonly (readonly string[])[],
    prototype: object,
    except: readonly string[],
  ): void => {
    for (const row of rows.slice(1)) {
      for (const code of codes(row[0]!)) {
        const name = /^\w+/.exec(code)?.[0] ?? code
        if (!except.includes(name)) assert.ok(name in prototype, `${code} is a member`)
      }
    }
  }
  check(table(english, '`send(data, { ttl }?)`'), KcpStream.prototype, [])
  // An event and the loop.
  check(table(english, '`closeAllConnections()`'), KcpListener.prototype, [
    "'connection'",
    'onConnection',
    'for',
  ])
  const reasons = table(english, '`protocol-error`')
    .slice(1)
    .flatMap((row) => codes(row[0]!))
  const source = ['session', 'notice-judge']
    .map((file) => readFileSync(`src/session/${file}.ts`, 'utf8'))
    .join('')
  const [, union] = /export type CloseReason =((?:\s*\|?\s*'[\w-]+')+)/.exec(source)!
  assert.deepEqual(reasons.sort(), [...union!.matchAll(/'([\w-]+)'/g)].map(([, reason]) => reason!).sort())
})

test('every reason to drop a datagram is in the table of reasons', () => {
  const told = table(english, '`foreign`', '`outOfWindow`').flatMap((row) => codes(row[0]!))
  assert.deepEqual(told.sort(), Object.keys(new KcpListener().stats().drops).sort())
})

test('every error that is thrown is in the table of errors', () => {
  const used = new Set<string>()
  const [, declared] = /export type KcpErrorCode =(.*?)\n\n/s.exec(
    readFileSync('src/core/errors.ts', 'utf8'),
  )!
  for (const file of readdirSync('src', { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.ts')) continue
    // The list of all codes is no use of them; it ends where the class begins.
    const text = readFileSync(join('src', file), 'utf8').replace(/^.*(?=export class KcpError )/s, '')
    for (const [code] of text.matchAll(/(?<=')ERR_KCP_\w+(?=')/g)) used.add(code)
  }
  const told = table(english, '`ERR_KCP_CONFIG`', '`ERR_KCP_IO`').flatMap((row) => codes(row[0]!))
  assert.deepEqual(
    [...used].filter((code) => !told.includes(code)),
    [],
  )
  // A code may be there for programs that map other libraries' errors, so it need not be thrown.
  for (const code of told) assert.ok(declared!.includes(`'${code}'`), `${code} is a code`)
  assert.equal(new Set(told).size, told.length)
})

test('every entry point is in the table of imports', () => {
  const told = table(english, '`kcp-io/sim`').flatMap((row) => codes(row[0]!))
  const { exports } = JSON.parse(readFileSync('package.json', 'utf8')) as { exports: object }
  const real = Object.keys(exports)
    .filter((path) => path !== './package.json')
    .map((path) => path.replace(/^\./, 'kcp-io'))
  assert.deepEqual(told.sort(), real.sort())
  assert.deepEqual(Object.keys(ENTRIES).sort(), real.sort())
})

test('MIGRATING names every part of the C API, and nothing that is not there', () => {
  const { text } = new Document('docs/MIGRATING.md')
  const types = ['ikcp_output_callback', 'ikcp_writelog_callback']
  const calls = Object.keys(sys).filter((name) => /^(ikcp|IKCP)_/.test(name))
  const named = new Set([...text.matchAll(/\b(?:ikcp|IKCP)_\w+/g)].map(([name]) => name))
  assert.deepEqual([...named].sort(), [...calls, ...types].sort())
  const block = sys.ikcp_create(1)
  const fields = new Set([...Object.getOwnPropertyNames(sys.IKCPCB.prototype), ...Object.keys(block)])
  fields.delete('constructor')
  const [, list] = /can be read: ([^.]+)\./.exec(text)!
  assert.deepEqual(codes(list!).sort(), [...fields].sort())
  const readOnly = codes(/is\s+read-only: ([^.]+)\./.exec(text)![1]!)
  for (const field of readOnly) {
    assert.equal(Object.getOwnPropertyDescriptor(sys.IKCPCB.prototype, field)?.set, undefined, field)
  }
})

test('what MIGRATING and ARCHITECTURE call ours exists', () => {
  const kcp: object = new core.Kcp(1, null)
  const owners: Readonly<Record<string, object>> = {
    stream: KcpStream.prototype,
    listener: KcpListener.prototype,
    reader: kcpIo.KcpReadHalf.prototype,
    writer: kcpIo.KcpWriteHalf.prototype,
    kcp,
    Kcp: core.Kcp,
    KcpConfig: core.KcpConfig,
    KcpSessionConfig,
    KcpStream,
    KcpListener,
    UdpTransport: kcpIo.UdpTransport,
  }
  const missing: string[] = []
  for (const path of ['docs/MIGRATING.md', 'docs/ARCHITECTURE.md']) {
    for (const code of codes(new Document(path).prose)) {
      const [, owner, member] = /^(\w+)\.(\w+)/.exec(code) ?? []
      if (owner === undefined || owners[owner] === undefined) continue
      if (!(member! in owners[owner])) missing.push(`${path}: ${code}`)
    }
  }
  assert.deepEqual(missing, [])
  const [rows] = new Document('docs/ARCHITECTURE.md').tables.filter(([head]) => head![0] === 'Kind')
  for (const [, methods] of rows!.slice(1)) {
    for (const code of codes(methods!)) {
      const name = /^\w+/.exec(code)![0]
      assert.ok(name in kcp, `${name} is a member of Kcp`)
    }
  }
})

test('the bytes in PROTOCOL are the bytes on the wire', () => {
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
  const shown = new Document('docs/PROTOCOL.md').blocks
    .map(({ code }) => code.replace(/\s/g, ''))
    .filter((code) => /^[0-9a-f]+$/.test(code))
  const conv = 0x11223344
  // As they stand there: what opens a stream, and the answer, after one blank line.
  const [opened, told] = [new Uint8Array(21), new Uint8Array(16)]
  smux.writeFrameHeader(opened, 0, 2, smux.FrameCommand.Syn, 0, 3)
  smux.writeFrameHeader(opened, 8, 2, smux.FrameCommand.Push, 5, 3)
  opened.set(Buffer.from('hello'), 16)
  smux.writeUpdate(told, 0, 2, 3, 5, smux.SMUX_DEFAULTS.maxStreamBuffer)
  assert.deepEqual(shown, [
    hex(sim.parseTrace('ack sn=6 una=7 wnd=128 ts=1000 | push sn=3 una=7 wnd=128 ts=2000 "hi"', { conv })),
    hex(opened) + hex(told),
    hex(
      session.encodeNotice({ conv, kind: session.NoticeKind.Fin, sn: 4, done: true, ts: 2050, echo: 1000 }),
    ),
  ])
  const switches = table(new Document('docs/PROTOCOL.md'), '`strictUna`')
    .slice(1)
    .flatMap((row) => codes(row[0]!))
  assert.deepEqual(switches.sort(), Object.keys(core.HARDENED).sort())
})

test('the numbers that PROTOCOL tells of sessions are those in force', () => {
  // The formatter pads tables.
  const text = new Document('docs/PROTOCOL.md').text.replace(/ +/g, ' ')
  const source = [
    'session',
    'address-validation',
    'close-handshake',
    'successor-doubt',
    'notice-judge',
    'time-wait',
    'acceptor',
    'peer-clock',
  ]
    .map((file) => readFileSync(`src/session/${file}.ts`, 'utf8'))
    .join('')
  const constant = (name: string): number => {
    const [, value] = new RegExp(`const ${name} = ([\\d_]+)`).exec(source) ?? []
    assert.ok(value !== undefined, `${name} is a constant of src/session`)
    return Number(value.replaceAll('_', ''))
  }
  const challenges = constant('CHALLENGES')
  const times: number[] = []
  for (let i = 0, at = 0; i < challenges; i++) {
    if (i > 0) times.push(at)
    at += Math.min(constant('CHALLENGE_INTERVAL_MAX'), constant('CHALLENGE_INTERVAL') * 2 ** i)
  }
  const words = ['no', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten']
  for (const sentence of [
    `at once and again ${times.slice(0, -1).join(', ')} and ${times.at(-1)} ms later`,
    `at most ${words[constant('AMPLIFICATION')]} times the bytes`,
    `${24 * challenges} of challenges`,
    `After ${constant('PENDING_TIMEOUT') / 1000} s of silence without proof`,
    `After ${words[constant('FINS')]} Fins (${words[constant('FINS_OF_CLOSE')]} with \`close()\`, which then leaves ${words[constant('PARTING_FINS')]} more copies behind)`,
    `(${constant('FIN_INTERVAL')} ms at\nleast)`,
    `send a Reset ${words[constant('RESETS')]} times`,
    `but for ${constant('HEADLESS_TIMEOUT') / 1000} s not the first`,
    `within ${constant('NOTICE_SLACK') / 1000} s and one RTO`,
    `not more than ${constant('ECHO_SLACK') / 1000} s older`,
    `After ${constant('NOTICE_MISSES')} notices that prove nothing`,
    `(${constant('MAX_ACKS').toLocaleString('en')}, then it sends them)`,
    `no answer for ${words[constant('DOUBT_TIMEOUT') / 1000]} seconds`,
    `not older than ${words[constant('LATE') / 1000]} seconds`,
    `${constant('CAPACITY').toLocaleString('en')} conversations are remembered, ${constant('CAPACITY_PER_HOST').toLocaleString('en')} of one host`,
    `${constant('UNPROVEN').toLocaleString('en')} and ${constant('UNPROVEN_PER_HOST')} of one host`,
    `and ${constant('CONVERSATIONS_PER_PEER').toLocaleString('en')} per\naddress and port`,
    ...Object.values(session.CloseCode).map((code) => `| ${code} | `),
    `| first guess of the peer's window | 128 | 128 | 32 | ${constant('SMALLEST_WINDOW')} in sessions`,
  ]) {
    assert.ok(text.includes(sentence), `PROTOCOL says: ${sentence}`)
  }
  const security = new Document('SECURITY.md').text
  assert.ok(
    security.includes(`${words[challenges]} 24-byte challenges`),
    `${challenges} challenges in SECURITY`,
  )
})

test('ARCHITECTURE tells the job of every source file', () => {
  const told = table(new Document('docs/ARCHITECTURE.md'), '`core/engine.ts`')
    .slice(1)
    .flatMap(([names]) =>
      codes(names!).map((name, i, all) => (i === 0 ? name : join(dirname(all[0]!), name))),
    )
  const files = readdirSync('src', { recursive: true, encoding: 'utf8' })
    .map((file) => file.replaceAll('\\', '/'))
    .filter((file) => file.endsWith('.ts') && !file.endsWith('index.ts'))
  assert.deepEqual(told.sort(), files.sort())
})
