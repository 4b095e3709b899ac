/**
 * Packs what is published: `npm run pack:release [-- --out DIR]` makes the tarball of the package, with the addon's
 * packages of all platforms as optional dependencies, and that of the platform that runs this.
 *
 * The repository's package.json does not name them: a lock file cannot hold a version that is not published yet.
 * `--built` packs what is built already, `--package-only` leaves the platform's tarball out: it was packed elsewhere.
 */
import { execFileSync } from 'node:child_process'
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
/** Linux only: see docs/decisions/0011-udp-in-batches.md. */
const ARCHITECTURES = ['x64', 'arm64']

if (!process.argv.includes('--built')) {
  execFileSync(process.execPath, [join(ROOT, 'scripts', 'build.mjs'), '--clean'], {
    cwd: ROOT,
    stdio: 'inherit',
  })
}
// They read what was built.
const { inFolder, outFolder, pack, packNative } = await import('./pack-native.mjs')
const { nativePackages } = await import('../dist/node/native.js')

const out = outFolder()
if (!process.argv.includes('--package-only')) console.log(packNative(out))
console.log(
  inFolder((folder) => {
    const words = ['pack', '--dry-run', '--ignore-scripts', '--json']
    const [{ files }] = JSON.parse(execFileSync('npm', words, { cwd: ROOT, encoding: 'utf8' }))
    for (const { path } of files) cpSync(join(ROOT, path), join(folder, path))
    const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
    const names = ARCHITECTURES.flatMap((architecture) => nativePackages('linux', architecture))
    manifest.optionalDependencies = Object.fromEntries(names.map((name) => [name, manifest.version]))
    writeFileSync(join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`)
    return pack(folder, out)
  }),
)
