/**
 * Builds peer.go where Debian's kcp-go and a Go toolchain are (apt install golang-go golang-github-xtaci-kcp-dev).
 * @module
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { projectRoot } from './link.ts'

const GOPATH = '/usr/share/gocode'
const SOURCE = fileURLToPath(new URL('bench/link/peer.go', projectRoot))
const BINARY = fileURLToPath(new URL('build/bench/link/peer', projectRoot))

/** Why there is no kcp-go here; undefined when there is. */
export function whyNoGo(): string | undefined {
  if (!existsSync(`${GOPATH}/src/github.com/xtaci/kcp-go`)) return `kcp-go is not in ${GOPATH}`
  return spawnSync('go', ['version']).error === undefined ? undefined : 'go cannot be started'
}

/** Path of the compiled peer; compiles it when it is older than its source. */
export function goPeer(): string {
  if (existsSync(BINARY) && statSync(BINARY).mtimeMs > statSync(SOURCE).mtimeMs) return BINARY
  mkdirSync(fileURLToPath(new URL('.', new URL('build/bench/link/peer', projectRoot))), { recursive: true })
  const cache = fileURLToPath(new URL('build/bench/link/go-cache', projectRoot))
  const { status, stderr } = spawnSync('go', ['build', '-o', BINARY, SOURCE], {
    encoding: 'utf8',
    // Go's own cache lies below HOME, which a bare container may not have.
    env: { GOCACHE: cache, ...process.env, CGO_ENABLED: '0', GO111MODULE: 'off', GOPATH },
  })
  if (status !== 0) throw new Error(`go build of ${SOURCE} failed:\n${stderr}`)
  return BINARY
}
