/**
 * `npm run mutation -- [--sample 500] [--seed 1] [--only engine,rtt] [--jobs 2] [--log FILE] [--write NAME]`
 *
 * Changes one thing at a time in src/core and looks whether a test notices: the part's own tests first, then the
 * readable engine, the recorded vectors and all other tests of core, until one fails. What is in the log already is not
 * run again. Without --sample every mutant is tried, which takes hours; a sample is the same for the same seed.
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

const { values } = parseArgs({
  options: {
    sample: { type: 'string' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string' },
    jobs: { type: 'string', default: '2' },
    log: { type: 'string', default: 'mutation.jsonl' },
    write: { type: 'string' },
  },
})

const ROOT = resolve('.')
/** Texts, and what only tells people something. */
const LEFT_OUT = ['errors.ts', 'log.ts', 'index.ts', 'assert.ts']
/** Most CPU for some files of tests, s: a mutant may loop for ever. All together take five alone. */
const CPU_LIMIT = 20
/** And most time, ms: one that waits for ever. */
const PATIENCE = 180_000
/** What counts steps and garbage takes as long as all the others, and is not about what the engine does. */
const LEFT_OUT_TESTS = ['cost.test.js', 'allocation.test.js']
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

const testFiles = ['reference', 'sys', 'core'].flatMap((room) =>
  readdirSync(join(ROOT, 'build/test', room))
    .filter((name) => name.endsWith('.test.js') && !LEFT_OUT_TESTS.includes(name))
    .map((name) => join(room, name)),
)

/** Runs files of tests in one process. */
function run(cwd, files) {
  const program = files.map((file) => `await import('./build/test/${file}')`).join('\n')
  return new Promise((done) => {
    const limited = ['-c', `ulimit -t ${CPU_LIMIT}; exec "$0" "$@"`, process.execPath]
    const child = spawn('/bin/sh', [...limited, '--input-type=module', '--eval', program], {
      cwd,
      stdio: 'ignore',
      timeout: PATIENCE,
      killSignal: 'SIGKILL',
      env: { ...process.env, SEEDS: '20' },
    })
    child.on('exit', (code, signal) => done(signal !== null ? 'timeout' : code === 0 ? 'passed' : 'failed'))
  })
}

/** Which tests notice, or none. */
async function judge(folder, mutant) {
  const own = join('core', mutant.file.replace(/\.ts$/, '.test.js'))
  const first = [own, join('reference', 'twin.test.js')].filter((file) => testFiles.includes(file))
  const rest = testFiles.filter((file) => !first.includes(file))
  for (const files of [...first.map((file) => [file]), rest]) {
    const result = await run(folder, files)
    if (result !== 'passed') return { by: files.length === 1 ? files[0] : 'others', result }
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
  cpSync(join(ROOT, 'test/vectors'), join(folder, 'test/vectors'), { recursive: true })
  for (const name of ['node_modules', 'src', 'package.json', 'docs'])
    symlinkSync(join(ROOT, name), join(folder, name))
  // Compiled here and unchanged, all of it must pass: or every mutant would seem to be noticed.
  for (const path of new Set(all.map((mutant) => mutant.path)))
    compile(folder, path, readFileSync(path, 'utf8'))
  const unchanged = await judge(folder, { file: '' })
  if (unchanged.by !== null) throw new Error(`${unchanged.by} fails without any change`)
  for (let mutant = queue.shift(); mutant !== undefined; mutant = queue.shift()) {
    const { path, start, end, to } = mutant
    const text = readFileSync(path, 'utf8')
    compile(folder, path, text.slice(0, start) + to + text.slice(end))
    appendFileSync(values.log, `${JSON.stringify({ ...mutant, ...(await judge(folder, mutant)) })}\n`)
    compile(folder, path, text)
  }
  rmSync(folder, { recursive: true })
}

const folders = ['src/core', 'src/core/congestion']
const all = folders.flatMap((folder) =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.ts') && !LEFT_OUT.includes(name))
    .filter((name) => values.only === undefined || values.only.split(',').includes(name.replace('.ts', '')))
    .flatMap((name) => mutantsOf(join(folder, name)).map((one) => ({ path: join(folder, name), ...one }))),
)
let mutants = all
if (values.sample !== undefined) {
  const next = dice(Number(values.seed))
  mutants = mutants
    .map((mutant) => [next(), mutant])
    .sort(([a], [b]) => a - b)
    .slice(0, Number(values.sample))
    .map(([, mutant]) => mutant)
}
const keyOf = ({ path, start, to }) => `${path} ${start} ${to}`
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
for (const file of [...new Set(results.map((one) => one.file))].sort()) {
  const mine = results.filter((one) => one.file === file)
  console.log(
    `| \`${file}\` | ${mine.length} | ${count('failed', mine)} | ${count('timeout', mine)} | ${count('survived', mine)} |`,
  )
}
for (const { path, line, from, to } of results.filter((one) => one.result === 'survived')) {
  console.log(`- ${path}:${line} \`${from.replace(/\s+/g, ' ').slice(0, 90)}\` -> \`${to}\``)
}
if (values.write !== undefined) {
  const survived = count('survived')
  keep({
    name: values.write,
    what: 'changes of one thing in src/core, each held against the tests',
    count: results.length,
    unit: `mutants of ${all.length}`,
    ...today(),
    outcome: 'passed',
    findings:
      `${count('failed')} failed a test, ${count('timeout')} never ended, ${survived} survived: ` +
      `${(100 - (100 * survived) / results.length).toFixed(1)} % were noticed`,
  })
}
