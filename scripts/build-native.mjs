/**
 * Builds the addon (native/udp.c) for the Node that runs this, with the node-gyp that npm brings and the headers that
 * lie beside this Node. Nothing is downloaded: what is missing is told, and the package works without.
 *
 *   node scripts/build-native.mjs [--clean]     tells everything, and fails where there is no addon in the end
 *
 * `npm run build` calls `buildNative`, which is quiet and never fails.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const FOLDER = fileURLToPath(new URL('../native', import.meta.url))
const SOURCES = ['udp.c', 'binding.gyp'].map((name) => join(FOLDER, name))
/** Where src/node/native.ts looks. */
export const BINARY = join(FOLDER, 'build', 'Release', 'kcp_udp.node')
/** Which Node and system the binary was built for. */
const TARGET_FILE = join(FOLDER, 'build', 'target.txt')

/** 'gnu' or 'musl', as the packages of native.ts call the C library that Node runs on. */
export function libc() {
  const { report } = process
  // Its list of network interfaces would be looked up by name.
  report.excludeNetwork = true
  return report.getReport().header.glibcVersionRuntime === undefined ? 'musl' : 'gnu'
}

/**
 * Builds the addon unless it is up to date. Undefined when it is there in the end, else a line that tells why not.
 * `tell` hands the tools' output through.
 */
export function buildNative({ clean = false, tell = false } = {}) {
  if (process.platform !== 'linux') return `there is none for ${process.platform}`
  if (!clean && isUpToDate()) return undefined
  const nodedir = findHeaders()
  if (nodedir === undefined)
    return "Node's headers (include/node beside it, or npm_config_nodedir) are not here"
  const gyp = findNodeGyp()
  if (gyp === undefined) return "npm's node-gyp is not here"
  // A process that has the old one loaded keeps it: the compiler would write into the file.
  rmSync(join(FOLDER, 'build'), { recursive: true, force: true })
  const { status, error, stdout, stderr } = spawnSync(
    process.execPath,
    [gyp, 'rebuild', `--directory=${FOLDER}`, `--nodedir=${nodedir}`, '--loglevel=error'],
    { stdio: ['ignore', ...(tell ? ['inherit', 'inherit'] : ['pipe', 'pipe'])], encoding: 'utf8' },
  )
  if (status !== 0 || !existsSync(BINARY)) {
    rmSync(BINARY, { force: true })
    return error?.message ?? firstComplaint(`${stderr ?? ''}\n${stdout ?? ''}`)
  }
  mkdirSync(dirname(TARGET_FILE), { recursive: true })
  writeFileSync(TARGET_FILE, target())
  return undefined
}

function target() {
  const { modules, napi } = process.versions
  return `${process.platform} ${process.arch} ${libc()}, modules ${modules}, Node-API ${napi}\n`
}

function isUpToDate() {
  try {
    const { mtimeMs } = statSync(BINARY)
    return (
      SOURCES.every((path) => statSync(path).mtimeMs <= mtimeMs) &&
      readFileSync(TARGET_FILE, 'utf8') === target()
    )
  } catch {
    return false
  }
}

/** The folder that has include/node/node_api.h, as node-gyp's --nodedir. */
function findHeaders() {
  const folders = [process.env.npm_config_nodedir, dirname(dirname(realpathSync(process.execPath)))]
  return folders.find((folder) => folder && existsSync(join(folder, 'include', 'node', 'node_api.h')))
}

/** node-gyp: npm tells its scripts where it is; else that of the npm beside Node or on the path. */
function findNodeGyp() {
  const inNpm = join('node_modules', 'node-gyp', 'bin', 'node-gyp.js')
  const beside = [process.execPath, realpathSync(process.execPath)].map((path) => dirname(dirname(path)))
  const onPath = (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, 'npm'))
  const paths = [
    process.env.npm_config_node_gyp,
    ...beside.map((prefix) => join(prefix, 'lib', 'node_modules', 'npm', inNpm)),
    // <npm>/bin/npm-cli.js
    ...onPath.filter(existsSync).map((path) => join(dirname(dirname(realpathSync(path))), inNpm)),
  ]
  return paths.find((path) => path && existsSync(path))
}

/** The line of the tools' output that says most. */
function firstComplaint(output) {
  const lines = output.split('\n').map((line) => line.trim())
  const telling = [/\berror: /, /not found|No such file/, /^gyp ERR! (?:stack )?.*Error: /, /^gyp ERR! \S/]
  for (const pattern of telling) {
    const found = lines.find((line) => pattern.test(line))
    if (found !== undefined) return found.replace(/^gyp ERR! (?:stack )?(?:Error: )?/, '')
  }
  return lines.findLast((line) => line !== '') ?? 'node-gyp failed'
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const reason = buildNative({ clean: process.argv.includes('--clean'), tell: true })
  console.log(reason === undefined ? `native: ${BINARY}` : `native: not built: ${reason}`)
  process.exitCode = reason === undefined ? 0 : 1
}
