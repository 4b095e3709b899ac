import { fail } from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { describe, replay, type Schedule } from './replay.ts'

for (const folder of ['ikcp', 'ikcp-extra']) {
  for (const file of readdirSync(join('test/vectors', folder)).sort()) {
    if (!file.endsWith('.json.gz')) continue
    test(`${folder}/${file} comes out as the reference engine recorded it`, () => {
      const text = gunzipSync(readFileSync(join('test/vectors', folder, file))).toString()
      const difference = replay(JSON.parse(text) as Schedule)
      if (difference !== null) fail(describe(difference))
    })
  }
}
