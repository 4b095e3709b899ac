/**
 * `npm run mutation -- [folder …] [--sample 500] [--seed 1] [--only engine,rtt] [--jobs 2] [--limit 180] [--log FILE]
 * [--write NAME]`
 *
 * Changes one thing at a time in a folder of src (core, session, secure or node; core without an argument) and looks
 * whether a test notices: the tests that hold the file first, then the others of the folder, until one fails. All tests
 * of one mutant together have `--limit` seconds. What is in the log already is not run again. Without --sample every
 * mutant is tried, which takes hours; a sample is the same for the same seed, and is taken of each folder.
 * The summary and the survivors are printed; docs/testing/mutation.md says what became of those. With
 * --write the numbers go to docs/testing/NAME.json and into the table of docs/TESTING.md.
 */
import { spawn } from 'node:child_process'
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import ts from 'typescript'
import { keep, today } from '../build/test/support/results.js'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    sample: { type: 'string' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string' },
    jobs: { type: 'string', default: '2' },
    limit: { type: 'string', default: '180' },
    log: { type: 'string', default: 'mutation.jsonl' },
    write: { type: 'string' },
  },
})

const ROOT = resolve('.')
/** Texts, and what only tells people something. */
const LEFT_OUT = ['errors.ts', 'log.ts', 'index.ts', 'assert.ts']
/** Most time for the tests of a mutant, ms: one may wait for ever. */
const LIMIT = Number(values.limit) * 1_000

/**
 * For each folder: where its sources are; the folders of tests that hold it; the tests that are left out; the most CPU for
 * one process of tests, s, as a mutant may loop for ever; and the tests to begin with, for files whose own test has another
 * name. The value at `''` is for all files.
 */
const FOLDERS = {
  core: {
    sources: ['src/core', 'src/core/congestion'],
    tests: ['reference', 'sys', 'core'],
    // What counts steps and garbage takes as long as all the others, and is not about what the engine does.
    without: ['core/cost', 'core/allocation'],
    cpu: 20,
    first: { '': ['reference/twin'] },
  },
  session: {
    sources: ['src/session'],
    tests: ['session', 'node'],
    without: [],
    cpu: 60,
    first: {
      'acceptor.ts': ['session/stateless-challenge', 'session/edges', 'node/listener'],
      'client-path.ts': ['session/mirror', 'node/channels', 'node/connect'],
      'fec-options.ts': ['session/mirror', 'session/fec-memory'],
      'keyed-counter.ts': ['session/time-wait', 'session/acceptor'],
      'peer-clock.ts': ['session/time-wait', 'session/notice-judge'],
      'peer-link.ts': ['session/mirror', 'session/send-batch'],
      'peer.ts': ['session/acceptor'],
      'session.ts': ['session/edges', 'session/acceptor', 'session/outage', 'node/close', 'node/liveness'],
    },
  },
  secure: {
    sources: ['src/secure'],
    tests: ['secure'],
    without: [],
    cpu: 60,
    first: {
      'association.ts': ['secure/records', 'secure/handshake', 'secure/path-mtu'],
      'client.ts': ['secure/handshake', 'secure/forgers'],
      'cookies.ts': ['secure/handshake', 'secure/forgers'],
      'identity.ts': ['secure/handshake', 'secure/limits'],
      'keys.ts': ['secure/records', 'secure/handshake'],
      'primitives.ts': ['secure/handshake'],
      'server.ts': ['secure/handshake', 'secure/limits', 'secure/forgers'],
      'wire.ts': ['secure/handshake', 'secure/transport'],
    },
  },
  node: {
    sources: ['src/node'],
    tests: ['node'],
    without: [],
    cpu: 60,
    first: {
      'address.ts': ['node/options', 'node/connect'],
      'dial.ts': ['node/connect', 'node/reconnect'],
      'guarded-transport.ts': ['node/hooks'],
      'kcp-listener.ts': ['node/listener', 'node/admission', 'node/verify-client'],
      'kcp-stream.ts': ['node/close', 'node/messages', 'node/duplex'],
      'openssl.ts': ['node/ciphers'],
      'port-group.ts': ['node/native'],
      'secure-primitives.ts': ['node/security'],
      'stream-halves.ts': ['node/messages', 'node/close'],
      'udp-batch.ts': ['node/native'],
      'udp-transport.ts': ['node/udp'],
      'waiters.ts': ['node/close', 'node/messages'],
    },
  },
}
/**
 * Tests of processes, of the machine or of whole minutes: they fail or take long on a busy machine, so that they would
 * notice a mutant that is none.
 */
const MACHINE_TESTS = ['node/native-fuzz', 'node/native-system', 'node/last-words', 'node/leaks']

const wantedFolders = positionals.length === 0 ? ['core'] : positionals
for (const name of wantedFolders) {
  if (FOLDERS[name] === undefined) {
    console.error(`no folder ${name}; there are ${Object.keys(FOLDERS).join(', ')}`)
    process.exit(1)
  }
}
const SWAPS = {
  '+': '-',
  '-': '+',
  '*': '/',
  '/': '*',
  '%': '*',
  '&': '|',
  '|': '&',
  '^': '&',
  '<<': '>>',
  '>>': '<<',
  '>>>': '<<',
  '<': '<=',
  '<=': '<',
  '>': '>=',
  '>=': '>',
  '===': '!==',
  '!==': '===',
  '&&': '||',
  '||': '&&',
  '??': '&&',
  '+=': '-=',
  '-=': '+=',
  '*=': '/=',
  '|=': '&=',
  '&&=': '||=',
  '||=': '&&=',
}

/** Every change of a file: where, and to what. */
function mutantsOf(file) {
  const text = readFileSync(file, 'utf8')
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true)
  const found = []
  const change = (node, to, from = node.getText(source)) => {
    const start = node.getStart(source)
    const { line } = source.getLineAndCharacterOfPosition(start)
    found.push({ file: basename(file), line: line + 1, start, end: node.getEnd(), from, to })
  }
  const visit = (node) => {
    // Types, imports, logging and the words of errors decide nothing.
    if (ts.isTypeNode(node) || ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node)) return
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node) || ts.isThrowStatement(node)) return
    const words = node.getText(source)
    if (
      (ts.isIfStatement(node) || ts.isExpressionStatement(node)) &&
      /^(if \(this\.)?(logMask|this\.log|assert)\b/.test(words)
    )
      return
    if (ts.isBinaryExpression(node)) {
      const to = SWAPS[node.operatorToken.getText(source)]
      if (to !== undefined) change(node.operatorToken, to)
    } else if (ts.isPrefixUnaryExpression(node)) {
      const operand = node.operand.getText(source)
      if (node.operator === ts.SyntaxKind.ExclamationToken) change(node, operand)
      else if (node.operator === ts.SyntaxKind.PlusPlusToken) change(node, `--${operand}`)
      else if (node.operator === ts.SyntaxKind.MinusMinusToken) change(node, `++${operand}`)
      else if (node.operator === ts.SyntaxKind.MinusToken) change(node, `(${operand})`)
    } else if (ts.isPostfixUnaryExpression(node)) {
      const operand = node.operand.getText(source)
      change(node, operand + (node.operator === ts.SyntaxKind.PlusPlusToken ? '--' : '++'))
    } else if (ts.isNumericLiteral(node)) {
      change(node, String(Number(words.replace(/_/g, '')) + 1))
    } else if (node.kind === ts.SyntaxKind.TrueKeyword) change(node, 'false')
    else if (node.kind === ts.SyntaxKind.FalseKeyword) change(node, 'true')
    else if (ts.isPropertyAccessExpression(node) && words === 'Math.max') change(node, 'Math.min')
    else if (ts.isPropertyAccessExpression(node) && words === 'Math.min') change(node, 'Math.max')
    else if (ts.isIfStatement(node)) {
      change(node.expression, 'true')
      change(node.expression, 'false')
    } else if (ts.isConditionalExpression(node))
      change(node.condition, `!(${node.condition.getText(source)})`)
    if (ts.isExpressionStatement(node) && !words.startsWith('super(')) change(node, ';')
    ts.forEachChild(node, visit)
  }
  visit(source)
  return found
}

/** The same numbers for the same seed (mulberry32). */
function dice(seed) {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/** The tests of a folder, without `.test.js`. */
const testsOf = Object.fromEntries(
  wantedFolders.map((folder) => {
    const { tests, without } = FOLDERS[folder]
    const names = tests.flatMap((room) =>
      readdirSync(join(ROOT, 'build/test', room))
        .filter((name) => name.endsWith('.test.js'))
        .map((name) => `${room}/${name.replace('.test.js', '')}`),
    )
    return [folder, names.filter((name) => !without.includes(name) && !MACHINE_TESTS.includes(name))]
  }),
)

/** Runs tests in one process. */
function run(cwd, names, cpu, patience) {
  const program = names.map((name) => `await import('./build/test/${name}.test.js')`).join('\n')
  return new Promise((done) => {
    const limited = ['-c', `ulimit -t ${cpu}; exec "$0" "$@"`, process.execPath]
    const child = spawn('/bin/sh', [...limited, '--input-type=module', '--eval', program], {
      cwd,
      stdio: 'ignore',
      // A group of its own: what a test has started ends with it.
      detached: true,
      env: { ...process.env, SEEDS: '20' },
    })
    const timer = setTimeout(() => process.kill(-child.pid, 'SIGKILL'), patience)
    child.on('exit', (code, signal) => {
      clearTimeout(timer)
      done(signal !== null ? 'timeout' : code === 0 ? 'passed' : 'failed')
    })
  })
}

/** Which tests notice, or none. */
async function judge(cwd, mutant) {
  const { cpu, first } = FOLDERS[mutant.folder]
  const all = testsOf[mutant.folder]
  const own = mutant.path.replace('src/', '').replace('congestion/', '').replace('.ts', '')
  const names = [own, ...(first[mutant.file] ?? []), ...(first[''] ?? [])]
  const begin = [...new Set(names)].filter((name) => all.includes(name))
  const rest = all.filter((name) => !begin.includes(name))
  const until = Date.now() + LIMIT
  // The tests of node share what is the process's, such as its warnings: each runs in a process of its own.
  const alone = rest.filter((name) => name.startsWith('node/'))
  const together = rest.filter((name) => !name.startsWith('node/'))
  for (const some of [...begin.map((name) => [name]), together, ...alone.map((name) => [name])]) {
    if (some.length === 0) continue
    const result = await run(cwd, some, cpu, Math.max(1, until - Date.now()))
    if (result !== 'passed') return { by: some.length === 1 ? some[0] : 'others', result }
  }
  return { by: null, result: 'survived' }
}

const config = ts.readConfigFile('tsconfig.json', ts.sys.readFile).config
const { options } = ts.parseJsonConfigFileContent(config, ts.sys, ROOT)

/** Compiles the text of a file of src into the folder. */
function compile(folder, path, text) {
  const compilerOptions = { ...options, module: ts.ModuleKind.ESNext, noEmit: false }
  const { outputText } = ts.transpileModule(text, { compilerOptions, fileName: path })
  writeFileSync(join(folder, 'build', path.replace(/\.ts$/, '.js')), outputText)
}

async function work(queue) {
  const folder = mkdtempSync(join(tmpdir(), 'kcp-io-mutation-'))
  cpSync(join(ROOT, 'build'), join(folder, 'build'), { recursive: true })
  for (const name of ['node_modules', 'src', 'test', 'package.json', 'docs', 'native', 'dist', 'examples'])
    if (existsSync(join(ROOT, name))) symlinkSync(join(ROOT, name), join(folder, name))
  // Compiled here and unchanged, all of it must pass: or every mutant would seem to be noticed.
  for (const path of new Set(all.map((mutant) => mutant.path)))
    compile(folder, path, readFileSync(path, 'utf8'))
  for (const name of wantedFolders) {
    const unchanged = await judge(folder, { folder: name, file: '', path: '' })
    if (unchanged.by !== null) throw new Error(`${unchanged.by} of ${name} fails without any change`)
  }
  for (let mutant = queue.shift(); mutant !== undefined; mutant = queue.shift()) {
    const { path, start, end, to } = mutant
    const text = readFileSync(path, 'utf8')
    compile(folder, path, text.slice(0, start) + to + text.slice(end))
    appendFileSync(values.log, `${JSON.stringify({ ...mutant, ...(await judge(folder, mutant)) })}\n`)
    compile(folder, path, text)
  }
  rmSync(folder, { recursive: true })
}

const mutantsIn = (folder) =>
  FOLDERS[folder].sources.flatMap((source) =>
    readdirSync(source)
      .filter((name) => name.endsWith('.ts') && !LEFT_OUT.includes(name))
      .filter((name) => values.only === undefined || values.only.split(',').includes(name.replace('.ts', '')))
      .flatMap((name) =>
        mutantsOf(join(source, name)).map((one) => ({ folder, path: join(source, name), ...one })),
      ),
  )

/** As many as are asked for, the same for the same seed. */
function sampleOf(mutants) {
  if (values.sample === undefined) return mutants
  const next = dice(Number(values.seed))
  return mutants
    .map((mutant) => [next(), mutant])
    .sort(([a], [b]) => a - b)
    .slice(0, Number(values.sample))
    .map(([, mutant]) => mutant)
}

const inFolders = wantedFolders.map(mutantsIn)
const all = inFolders.flat()
const mutants = inFolders.flatMap(sampleOf)
const keyOf = ({ path, start, end, to }) => `${path} ${start} ${end} ${to}`
const read = () =>
  existsSync(values.log)
    ? readFileSync(values.log, 'utf8')
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line))
    : []
const done = new Set(read().map(keyOf))
const queue = mutants.filter((one) => !done.has(keyOf(one)))
console.error(`${all.length} mutants, ${mutants.length} of them tried, ${queue.length} still to do`)
await Promise.all(Array.from({ length: Number(values.jobs) }, () => work(queue)))

const wanted = new Set(mutants.map(keyOf))
const results = read().filter((one) => wanted.has(keyOf(one)))
const count = (result, among = results) => among.filter((one) => one.result === result).length
console.log('| File | Tried | Failed a test | Never ended | Survived |\n| --- | ---: | ---: | ---: | ---: |')
for (const path of [...new Set(results.map((one) => one.path))].sort()) {
  const mine = results.filter((one) => one.path === path)
  console.log(
    `| \`${path.replace('src/', '')}\` | ${mine.length} | ${count('failed', mine)} | ${count('timeout', mine)} | ${count('survived', mine)} |`,
  )
}
for (const { path, line, from, to } of results.filter((one) => one.result === 'survived')) {
  console.log(`- ${path}:${line} \`${from.replace(/\s+/g, ' ').slice(0, 90)}\` -> \`${to}\``)
}
if (values.write !== undefined) {
  const survived = count('survived')
  keep({
    name: values.write,
    what: `changes of one thing in ${wantedFolders.map((name) => `src/${name}`).join(', ')}, each held against the tests`,
    count: results.length,
    unit: `mutants of ${all.length}`,
    ...today(),
    outcome: 'passed',
    findings:
      `${count('failed')} failed a test, ${count('timeout')} never ended, ${survived} survived: ` +
      `${(100 - (100 * survived) / results.length).toFixed(1)} % were noticed`,
  })
}
