// The table of docs/CONFORMANCE.md from results of `kcp-io spec --json`: node scripts/conformance-table.mjs NAME=FILE…
import { readFileSync } from 'node:fs'
import { asTable, summaryLine } from '../dist/cli/spec/report.js'

const columns = Object.fromEntries(
  process.argv.slice(2).map((word) => {
    const [name, file] = word.split('=')
    return [name, JSON.parse(readFileSync(file, 'utf8'))]
  }),
)
for (const [name, results] of Object.entries(columns)) console.log(`- ${name}: ${summaryLine(results)}`)
console.log(`\n${asTable(columns)}`)
