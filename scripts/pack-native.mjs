/**
 * Packs the addon as the package of the platform that runs this: `npm run pack:native [-- --out DIR]`. A binary without
 * symbols and no install script; npm installs it where `os`, `cpu` and `libc` fit.
 */
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { BINARY, buildNative, libc } from './build-native.mjs'

const { nativePackages } = await import('../dist/node/native.js').catch(() => {
  throw new Error('nothing is built yet: npm run build')
})

const ROOT = fileURLToPath(new URL('..', import.meta.url))
/** What Node 20 itself needs (its BUILDING.md): who can run that can load us. */
const GLIBC_FLOOR = [2, 28]

/** The word after `--out`; the folder is made. Default: here. */
export function outFolder() {
  const at = process.argv.indexOf('--out')
  const folder = resolve(at < 0 ? '.' : (process.argv[at + 1] ?? '.'))
  mkdirSync(folder, { recursive: true })
  return folder
}

/** Packs `folder` into `out`; the tarball's path. */
export function pack(folder, out) {
  const words = ['pack', '--ignore-scripts', '--json', '--pack-destination', out]
  const [packed] = JSON.parse(execFileSync('npm', words, { cwd: folder, encoding: 'utf8' }))
  return join(out, packed.filename)
}

/** Runs `use` with a folder that is gone afterwards. */
export function inFolder(use) {
  const folder = mkdtempSync(join(tmpdir(), 'kcp-io-pack-'))
  try {
    return use(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

export function packNative(out) {
  const missing = buildNative()
  if (missing !== undefined) throw new Error(`there is no addon to pack: ${missing}`)
  const kind = libc()
  const name = nativePackages().find((one) => one.endsWith(`-${kind}`))
  const { version, license, engines } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
  const manifest = {
    name,
    version,
    description: `UDP in batches for kcp-io on ${process.platform}, ${process.arch}, ${kind}`,
    license,
    engines,
    os: [process.platform],
    cpu: [process.arch],
    libc: [kind === 'gnu' ? 'glibc' : 'musl'],
    main: './kcp_udp.node',
    files: ['kcp_udp.node'],
    publishConfig: { access: 'public' },
  }
  return inFolder((folder) => {
    const binary = join(folder, 'kcp_udp.node')
    copyFileSync(BINARY, binary)
    execFileSync('strip', ['--strip-unneeded', binary])
    requireOldGlibc(binary)
    copyFileSync(join(ROOT, 'LICENSE'), join(folder, 'LICENSE'))
    writeFileSync(
      join(folder, 'README.md'),
      `# ${name}\n\nThe optional addon of kcp-io for this platform. kcp-io depends on it; there is no other use for it.\n`,
    )
    writeFileSync(join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`)
    return pack(folder, out)
  })
}

/** Throws when the binary needs a newer C library than Node does: it was linked on too new a system. */
function requireOldGlibc(binary) {
  const [major, minor] = GLIBC_FLOOR
  const needed = readFileSync(binary, 'latin1').match(/GLIBC_\d+\.\d+/g) ?? []
  const newer = needed.filter((word) => {
    const [a, b] = word.slice(6).split('.').map(Number)
    return a > major || (a === major && b > minor)
  })
  if (newer.length > 0) throw new Error(`it needs ${[...new Set(newer)]}: build it on an older system`)
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  console.log(packNative(outFolder()))
}
