import { equal, match } from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { connect } from '../../src/index.ts'

const MAIN = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url))

test('kcp-io echo sends back what it gets, and ends when it is told to', async () => {
  const server = spawn(process.execPath, [MAIN, 'echo', '0', '--preset', 'turbo'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const [line] = (await once(server.stderr, 'data')) as [Buffer]
  match(String(line), /^listening on 127\.0\.0\.1:\d+, preset turbo\n$/)
  const port = Number(/:(\d+),/.exec(String(line))![1])
  const stream = await connect({ host: '127.0.0.1', port, preset: 'turbo' })
  await stream.send('back again')
  equal(String(await stream.recv()), 'back again')
  await stream.close()
  server.kill('SIGTERM')
  const [code] = (await once(server, 'exit')) as [number | null]
  equal(code, 0)
})

test('kcp-io echo says what is wrong with its arguments', async () => {
  for (const words of [[], ['x'], ['70000'], ['0', '--preset', 'quick']]) {
    const server = spawn(process.execPath, [MAIN, 'echo', ...words], { stdio: ['ignore', 'ignore', 'pipe'] })
    const complaints: Buffer[] = []
    server.stderr.on('data', (chunk: Buffer) => complaints.push(chunk))
    const [code] = (await once(server, 'close')) as [number | null]
    equal(code, 2, words.join(' '))
    match(Buffer.concat(complaints).toString(), /^kcp-io: /)
  }
})
