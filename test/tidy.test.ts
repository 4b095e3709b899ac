/**
 * The rules of the house that a compiler does not know: who may import whom, what the pure rooms must not touch, how
 * files look. Reads the sources as syntax trees, so words in comments and texts trip nothing.
 * @module
 */
import { deepEqual, equal, ok } from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, posix } from 'node:path'
import { test } from 'node:test'
import ts from 'typescript'

/** Which rooms a room may import from. A new arrow is a design decision: argue it in docs/decisions. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  index: ['core', 'crypto', 'node', 'session'],
  core: [],
  crypto: [],
  fec: ['core'],
  snappy: ['core', 'crypto'],
  smux: ['core'],
  sys: ['core'],
  session: ['core', 'crypto', 'fec'],
  secure: ['core', 'crypto', 'session'],
  sim: ['core', 'session'],
  node: ['core', 'crypto', 'secure', 'session', 'smux'],
  cli: ['core', 'crypto', 'fec', 'node', 'session', 'sim', 'smux', 'snappy'],
}

/** Rooms that know no clock, no chance, no socket and no runtime: language only. */
const PURE: ReadonlySet<string> = new Set([
  'core',
  'crypto',
  'fec',
  'secure',
  'session',
  'sim',
  'smux',
  'snappy',
  'sys',
])

/** What the parts of the engine may import from one another; `kcp.ts` and `index.ts` import the parts. */
const SHARED_PARTS: ReadonlySet<string> = new Set([
  'assert.ts',
  'cell-arena.ts',
  'deadline-heap.ts',
  'errors.ts',
  'int-list.ts',
  'memory.ts',
  'memory-budget.ts',
  'options.ts',
  'segment.ts',
  'send-slot.ts',
  'seq.ts',
])
/** Arrows between two parts beyond those, with the reason. */
const ARGUED: ReadonlySet<string> = new Set([
  // The default of `probeInterval` stays where its origin is told.
  'config.ts -> window-probe.ts',
  // The rules change the state that controllers see; only its type is imported.
  'congestion/classic.ts -> congestion/controller.ts',
])

/**
 * Names of the outside world. `clock.setTimeout(…)`, a member of something passed in, is none of them; nor is
 * `window`, which means something here.
 */
const OUTSIDE: ReadonlySet<string> = new Set([
  'Buffer',
  'Date',
  'WebSocket',
  'clearImmediate',
  'clearInterval',
  'clearTimeout',
  'console',
  'crypto',
  'document',
  'fetch',
  'global',
  'globalThis',
  'navigator',
  'performance',
  'process',
  'queueMicrotask',
  'require',
  'setImmediate',
  'setInterval',
  'setTimeout',
])

/** The natural size of a file is 300; what is longer than this holds two ideas. */
const LINES_MAX = 750
/** But for those, with the reason. */
const LONG: ReadonlySet<string> = new Set([
  // One ring and its orders (by sn, by ts, by deadline): parts of it would pass its slots to and fro on the hot path.
  'src/core/send-window.ts',
  // The life of one session: what begins, goes on and ends in it hangs together by its fields.
  'src/session/session.ts',
  // One stream and its two sides: what either does to the other goes through its private state.
  'src/node/kcp-stream.ts',
  // The readable engine is read beside the one that it is a twin of.
  'test/reference/engine.ts',
  // One simulated world: what happens in it goes through its clock, its hosts and its network.
  'test/simulation/world.ts',
])

/** Folders of test/ that mirror no room of src/. */
const TEST_FOLDERS: ReadonlySet<string> = new Set([
  'examples',
  'bench',
  'demo',
  'fuzz',
  'interop',
  'live',
  'package',
  'reference',
  'soak',
  'simulation',
  'support',
  'vectors',
])

interface Source {
  /** From the repository's root, with slashes. */
  readonly path: string
  readonly text: string
  readonly tree: ts.SourceFile
}

function sources(...folders: readonly string[]): Source[] {
  return folders.flatMap((folder) =>
    filesBelow(folder)
      .filter((path) => path.endsWith('.ts'))
      .map((path) => {
        const text = readFileSync(path, 'utf8')
        return { path, text, tree: ts.createSourceFile(path, text, ts.ScriptTarget.ES2022, true) }
      }),
  )
}

/** Folders that hold nothing of ours. */
const FOREIGN: ReadonlySet<string> = new Set(['.git', 'build', 'coverage', 'dist', 'node_modules', 'vectors'])

function filesBelow(folder: string): string[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = posix.join(folder, entry.name)
    if (entry.isDirectory()) return FOREIGN.has(entry.name) ? [] : filesBelow(path)
    return entry.isFile() ? [path] : []
  })
}

const ours = sources('src')
const everything = [...ours, ...sources('test', 'demo', 'bench', 'examples')]

/** `src/core/kcp.ts` is in the room core, `src/sys.ts` is the room sys. */
function roomOf(path: string): string {
  return path.split('/')[1]!.replace(/\.ts$/, '')
}

/** What a file imports or re-exports from, types included. */
function importsOf({ tree }: Source): string[] {
  const names: string[] = []
  visit(tree, (node) => {
    if ((ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) && node.moduleSpecifier) {
      if (ts.isStringLiteral(node.moduleSpecifier)) names.push(node.moduleSpecifier.text)
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      names.push(node.arguments[0]!.getText().replace(/^'|'$/g, ''))
    } else if (ts.isImportTypeNode(node)) {
      names.push(node.argument.getText().slice(1, -1))
    }
  })
  return names
}

function visit(node: ts.Node, see: (node: ts.Node) => void): void {
  see(node)
  ts.forEachChild(node, (child) => visit(child, see))
}

/** Whether an identifier only names a member: `x.name`, `{ name: … }`, a method, a property. */
function isMemberName(node: ts.Identifier): boolean {
  const { parent } = node
  if (ts.isPropertyAccessExpression(parent)) return parent.name === node
  if (ts.isQualifiedName(parent)) return parent.right === node
  return (
    (ts.isMethodDeclaration(parent) ||
      ts.isMethodSignature(parent) ||
      ts.isPropertyDeclaration(parent) ||
      ts.isPropertySignature(parent) ||
      ts.isPropertyAssignment(parent) ||
      ts.isGetAccessor(parent) ||
      ts.isSetAccessor(parent)) &&
    parent.name === node
  )
}

function place(source: Source, node: ts.Node): string {
  return `${source.path}:${source.tree.getLineAndCharacterOfPosition(node.getStart()).line + 1}`
}

test('the sources are found', () => {
  ok(ours.length > 30 && everything.length > ours.length + 20)
  deepEqual(
    [...new Set(ours.map(({ path }) => roomOf(path)))].filter((room) => MAY_IMPORT[room] === undefined),
    [],
    'every room has its row in the table',
  )
})

test('imports flow one way', () => {
  const wrong: string[] = []
  for (const source of ours) {
    const from = roomOf(source.path)
    for (const name of importsOf(source).filter((one) => one.startsWith('.'))) {
      const to = roomOf(posix.join(posix.dirname(source.path), name))
      if (from !== to && !MAY_IMPORT[from]!.includes(to)) wrong.push(`${source.path} -> ${name}`)
    }
  }
  deepEqual(wrong, [])
})

test("only the rooms node and cli import Node's modules, and none imports a package", () => {
  const wrong: string[] = []
  for (const source of ours) {
    for (const name of importsOf(source)) {
      if (name.startsWith('.')) continue
      if (!['node', 'cli'].includes(roomOf(source.path)) || !name.startsWith('node:'))
        wrong.push(`${source.path} -> ${name}`)
    }
  }
  deepEqual(wrong, [])
})

/** What puts the parts together. */
const OWNERS = new Set(['engine.ts', 'engine-state.ts', 'kcp.ts', 'index.ts'])

test('inside core the parts know only the few files that all share', () => {
  const wrong: string[] = []
  for (const source of ours) {
    const part = source.path.replace('src/core/', '')
    if (roomOf(source.path) !== 'core' || OWNERS.has(part)) continue
    for (const name of importsOf(source)) {
      const arrow = `${part} -> ${posix.join(posix.dirname(part), name)}`
      if (!SHARED_PARTS.has(arrow.split(' -> ')[1]!) && !ARGUED.has(arrow)) wrong.push(arrow)
    }
  }
  deepEqual(wrong, [])
})

test('the pure rooms know no clock, no chance, no socket and no runtime', () => {
  const wrong: string[] = []
  for (const source of ours) {
    if (!PURE.has(roomOf(source.path))) continue
    visit(source.tree, (node) => {
      if (ts.isIdentifier(node) && OUTSIDE.has(node.text) && !isMemberName(node)) {
        wrong.push(`${place(source, node)} ${node.text}`)
      }
    })
  }
  deepEqual(wrong, [])
})

test('the engine and the session make no promises: async begins at the stream', () => {
  const wrong: string[] = []
  for (const source of ours) {
    if (!['core', 'sys', 'session', 'smux'].includes(roomOf(source.path))) continue
    visit(source.tree, (node) => {
      if (
        node.kind === ts.SyntaxKind.AsyncKeyword ||
        ts.isAwaitExpression(node) ||
        (ts.isNewExpression(node) && node.expression.getText() === 'Promise')
      ) {
        wrong.push(place(source, node))
      }
    })
  }
  deepEqual(wrong, [])
})

test('chance comes from a seed, or for secrets from the system: never from Math.random', () => {
  const wrong: string[] = []
  for (const source of everything) {
    visit(source.tree, (node) => {
      if (ts.isPropertyAccessExpression(node) && node.getText() === `Math.${'random'}`) {
        wrong.push(place(source, node))
      }
    })
  }
  deepEqual(wrong, [])
})

test('there are no default exports', () => {
  const wrong = ours.filter(({ tree }) =>
    tree.statements.some((statement) => ts.isExportAssignment(statement)),
  )
  deepEqual(
    wrong.map(({ path }) => path),
    [],
  )
})

test("a room's index only re-exports", () => {
  for (const { path, tree } of ours) {
    if (!/^src\/([a-z]+\/)?index\.ts$/.test(path)) continue
    ok(
      tree.statements.every((statement) => ts.isExportDeclaration(statement) && statement.moduleSpecifier),
      path,
    )
  }
})

test('every file but a test starts by telling its job', () => {
  const silent = everything.filter(
    ({ path, text }) => !path.endsWith('.test.ts') && !/^(#!.*\n)?\/\*\*\s/.test(text),
  )
  deepEqual(
    silent.map(({ path }) => path),
    [],
  )
})

test('no file is longer than a reader can hold', () => {
  const long = everything
    .map(({ path, text }) => ({ path, lines: text.split('\n').length - 1 }))
    .filter(({ path, lines }) => lines > LINES_MAX && !LONG.has(path))
  deepEqual(long, [])
})

test('a test lies where what it tests lies', () => {
  const lost: string[] = []
  for (const path of filesBelow('test')) {
    const [, folder = '', ...rest] = path.split('/')
    if (rest.length === 0 || TEST_FOLDERS.has(folder)) continue
    if (!existsSync(join('src', folder)) && !existsSync(join('src', `${folder}.ts`))) lost.push(path)
  }
  deepEqual(lost, [])
})

test('every part of the engine has its test', () => {
  // Covered by the tests of what uses them: tables of numbers, one-liners, and the engine under Kcp and sys.
  const small = new Set(['assert', 'engine', 'engine-state', 'index', 'log', 'stats'])
  const missing = ours
    .filter(({ path }) => roomOf(path) === 'core')
    .map(({ path }) => path.replace(/^src\/(.*)\.ts$/, '$1'))
    .filter((part) => !small.has(part.replace('core/', '')) && !existsSync(`test/${part}.test.ts`))
  deepEqual(missing, [])
})

test('no test is left running alone', () => {
  const alone: string[] = []
  for (const source of everything.filter(({ path }) => path.endsWith('.test.ts'))) {
    visit(source.tree, (node) => {
      if (ts.isPropertyAccessExpression(node) && node.name.text === 'only') alone.push(place(source, node))
      if (ts.isPropertyAssignment(node) && node.name.getText() === 'only') alone.push(place(source, node))
    })
  }
  deepEqual(alone, [])
})

test('the name of a test is a sentence, without the code of a list', () => {
  const coded: string[] = []
  for (const source of everything.filter(({ path }) => path.endsWith('.test.ts'))) {
    visit(source.tree, (node) => {
      if (!ts.isCallExpression(node) || !/^(test|onBoth|describe)$/.test(node.expression.getText())) return
      const name = node.arguments[0]?.getText() ?? ''
      if (/^.[A-Z]\d+[:,] /.test(name)) coded.push(`${place(source, node)} ${name}`)
    })
  }
  deepEqual(coded, [])
})

/** Every text file of the repository. */
function texts(): { readonly path: string; readonly text: string }[] {
  return filesBelow('.')
    .filter((path) => !/\.(tgz|log|gz|png|wasm)$/.test(path) && path !== 'package-lock.json')
    .map((path) => ({ path, text: readFileSync(path, 'utf8') }))
    .filter(({ text }) => !text.includes('\0'))
}

test('nothing is left to be done, and nothing points out of the repository', () => {
  // Put together here, so that this file does not find itself.
  const banned = ['TO' + 'DO', 'FIX' + 'ME', '..' + '/shared', '/ro' + 'ot/', '/home' + '/']
  const found: string[] = []
  for (const { path, text } of texts()) {
    for (const [i, line] of text.split('\n').entries()) {
      for (const word of banned) if (line.includes(word)) found.push(`${path}:${i + 1} ${word}`)
    }
  }
  deepEqual(found, [])
})

test('a document has one title', () => {
  for (const { path, text } of texts()) {
    // GitHub puts the template of a pull request into a text field, where a title would be noise.
    if (!path.endsWith('.md') || path.startsWith('.github/')) continue
    const prose = text.replace(/^```[\s\S]*?^```/gm, '')
    equal(prose.match(/^# /gm)?.length, 1, path)
  }
})

test('every decision is in the index by its title, has the four sections, and fits forty lines', () => {
  const index = readFileSync('docs/decisions/README.md', 'utf8')
  const rows = new Map(
    [...index.matchAll(/^\| \[(\d{4})\]\(([^)]+)\) *\| (.*?) *\| .*\. *\|$/gm)].map(
      ([, number, file, title]) => [file!, `# ${number}: ${title}`],
    ),
  )
  const records = readdirSync('docs/decisions').filter((file) => file !== 'README.md')
  deepEqual([...rows.keys()], records.sort(), 'the index lists the records in order')
  for (const file of records) {
    const text = readFileSync(`docs/decisions/${file}`, 'utf8')
    const [title, ...lines] = text.trimEnd().split('\n')
    equal(title, rows.get(file))
    ok(
      /^# \d{4}: (?:[A-Z]|tsc)/.test(title!) && title!.slice(2, 6) === file.slice(0, 4),
      `the title of ${file}`,
    )
    deepEqual(
      lines.filter((line) => line.startsWith('## ')),
      ['## Context', '## Choice', '## Why', '## Given up'],
      file,
    )
    ok(lines.length < 40, `${file} has ${lines.length + 1} lines`)
  }
})
