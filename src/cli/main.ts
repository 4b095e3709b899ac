#!/usr/bin/env node
/**
 * What npm installs as `kcp-io`.
 * @module
 */
import { runCli } from './cli.ts'

process.exitCode = await runCli(process.argv.slice(2), {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  env: process.env,
})
