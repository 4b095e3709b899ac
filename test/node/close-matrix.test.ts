/**
 * The close matrix: each way to end a conversation, by each end, in each state. Every cell runs over this library, in both
 * modes, and over node:net, and both ends note what they see (test/support/close-cell.ts). A difference from TCP has its
 * row and its reason in DIFFERENCES, or it is a fault; docs/CLOSING.md shows the same table. test/node/close-states.test.ts
 * has further states, on a virtual clock.
 */
import { deepEqual, equal, ok } from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import {
  CALLS,
  type Cell,
  cells,
  type How,
  type Kind,
  mayStay,
  type Notes,
  perform,
  type Seen,
} from '../support/close-cell.ts'

/** The end that acts, the other one, or either of two that act at once. */
type Role = 'actor' | 'other' | 'both'

interface Difference {
  readonly how: readonly How[]
  readonly at: Role
  readonly states: readonly string[]
  /** `field: with TCP > here`; a cell shows each of them for each way and each state. */
  readonly changes: readonly string[]
  /** The same, for what only some runs show, as it depends on what was received first. */
  readonly sometimes?: readonly string[]
  readonly why: string
}

const WRITTEN = ['data in flight', 'a slow reader', 'a late reader'] as const
const UNREAD_THERE = ['a paused reader', 'nothing is read'] as const
const CUT = ['end: end > no end', 'finish: finish > no finish', 'error: no error > reset'] as const
const QUEUED = 'data queued at the other end'

const DIFFERENCES: readonly Difference[] = [
  {
    how: ['destroy(error)'],
    at: 'other',
    states: ['idle', ...WRITTEN],
    changes: CUT,
    why: 'An end that fails says so: the peer gets a Reset, after what came in order. TCP shows the peer a clean end.',
  },
  {
    how: ['destroy'],
    at: 'other',
    states: WRITTEN,
    changes: CUT,
    why: 'Not everything was acknowledged, so nobody will retransmit what is lost: the peer gets a Reset, after what came in order. A kernel retransmits for a program that is gone.',
  },
  {
    how: ['destroy', 'destroy(error)'],
    at: 'other',
    states: [...UNREAD_THERE],
    changes: ['error: no error > reset', 'close: no close > close'],
    why: 'The same Reset; what came is kept for a reader that reads no more for `stallTimeout`, and in a TCP socket forever.',
  },
  {
    how: ['destroySoon', 'close'],
    at: 'other',
    states: ['nothing is read'],
    changes: ['close: no close > close'],
    why: 'The peer closed both ways. A stream that nobody has begun to read is kept for `stallTimeout`, and a TCP socket forever.',
  },
  {
    how: ['destroy'],
    at: 'other',
    states: ['unread data'],
    changes: ['end: no end > end', 'finish: no finish > finish', 'error: reset > no error'],
    why: 'Everything was acknowledged, so `destroy()` is a close, also when the program left data unread. TCP resets for that.',
  },
  {
    how: ['destroy'],
    at: 'other',
    states: [QUEUED],
    changes: ['end: no end > end', 'error: reset > closed'],
    why: 'The same close; data that is not delivered any more fails with ERR_KCP_CLOSED.',
  },
  {
    how: ['destroySoon'],
    at: 'other',
    states: [QUEUED],
    changes: ['error: reset > closed'],
    why: 'The peer closed both ways; data that is not delivered any more fails with ERR_KCP_CLOSED, not as a reset.',
  },
  {
    how: ['destroySoon'],
    at: 'both',
    states: [QUEUED],
    changes: ['error: reset > closed'],
    why: 'As where one end does it.',
  },
  {
    how: ['destroySoon'],
    at: 'both',
    states: [...WRITTEN, ...UNREAD_THERE],
    changes: ['end: no end > end', 'finish: finish > no finish', 'error: no error > closed'],
    why: '`finish` means acknowledged here. The other end was destroyed before it took everything, and the writer learns that; a kernel reports success for what it only holds.',
  },
  {
    how: ['close'],
    at: 'both',
    states: [...WRITTEN, ...UNREAD_THERE, QUEUED],
    changes: ['end: end > no end', 'finish: finish > no finish', 'error: no error > closed'],
    sometimes: ['read: all > part', 'read: all > none', 'write: success > failure'],
    why: 'An end that closes discards what still arrives, and the writer at the other end learns that it was not taken. The program for TCP, `end()` and `resume()`, goes on reading.',
  },
  {
    how: ['close'],
    at: 'other',
    states: [QUEUED],
    changes: ['finish: finish > no finish', 'error: no error > closed', 'write: success > failure'],
    why: 'As where both ends close.',
  },
  {
    how: ['close'],
    at: 'actor',
    states: UNREAD_THERE,
    changes: ['end: no end > end', 'close: no close > close'],
    why: '`close()` waits until everything is acknowledged, and not until the other program has read or ended.',
  },
  {
    how: ['close'],
    at: 'actor',
    states: ['unread data', QUEUED],
    changes: [],
    sometimes: ['end: end > no end', 'read: all > part', 'read: all > none'],
    why: 'An end that closes discards what still arrives.',
  },
  {
    how: ['close'],
    at: 'both',
    states: ['unread data'],
    changes: ['end: end > no end'],
    sometimes: ['read: all > none'],
    why: 'As where one end closes.',
  },
  {
    how: ['end'],
    at: 'actor',
    states: ['unread data'],
    changes: ['close: no close > close'],
    why: 'Both ends have ended, but this one has not begun to read: it is kept for `stallTimeout`, and a TCP socket forever.',
  },
  {
    how: ['end'],
    at: 'both',
    states: ['unread data', 'nothing is read'],
    changes: ['close: no close > close'],
    why: 'As where one end does it.',
  },
  {
    how: ['killed'],
    at: 'other',
    states: ['idle', 'unread data'],
    changes: ['end: end > no end', 'finish: finish > no finish'],
    sometimes: ['error: no error > timeout', 'error: no error > reset'],
    why: 'A kernel ends the connections of a dead process, and it looks like a clean end. Nobody does so for a protocol over UDP: silence ends it, or refusals of the host do, after everything received was read.',
  },
  {
    how: ['killed'],
    at: 'other',
    states: [QUEUED],
    changes: ['error: reset > dead link'],
    why: 'The same: data that is not acknowledged for `stallTimeout`.',
  },
  {
    how: ['socket closed'],
    at: 'actor',
    states: ['idle', 'data in flight', 'unread data'],
    changes: ['error: no error > socket', 'close: no close > close'],
    why: 'A program may hand in its UDP socket and close it; that is ERR_KCP_IO. For a TCP socket only its inner handle can be closed, which no stream notices.',
  },
  {
    how: ['socket closed'],
    at: 'other',
    states: ['idle', 'data in flight'],
    changes: ['end: end > no end', 'finish: finish > no finish', 'error: no error > timeout'],
    sometimes: ['read: all > part', 'read: all > none'],
    why: 'Nothing can be sent through a closed socket, so silence tells. A kernel says that a TCP socket was closed.',
  },
  {
    how: ['socket closed'],
    at: 'other',
    states: ['unread data'],
    changes: [],
    sometimes: [
      'end: end > no end',
      'finish: finish > no finish',
      'error: no error > timeout',
      'error: reset > timeout',
    ],
    why: 'The same; a kernel resets where it holds data that was not read.',
  },
]

const FIELDS: readonly (keyof Seen)[] = ['read', 'end', 'finish', 'error', 'close', 'write', 'ended', 'order']
const REASONS = ['local', 'peer', 'timeout', 'dead-link', 'protocol-error', 'reset', 'refused', 'limit']
const KINDS: readonly Kind[] = ['tcp', 'message', 'stream']

/** The differences as rows of a document. */
function table(): string {
  const code = (how: How): string => {
    if (!(CALLS as readonly string[]).includes(how)) return how
    return how.endsWith(')') ? `\`${how}\`` : `\`${how}()\``
  }
  const rows = DIFFERENCES.map(({ how, at, states, changes, sometimes = [], why }) => [
    how.map(code).join(', '),
    at,
    states.join(', '),
    [...changes, ...sometimes.map((one) => `${one} (sometimes)`)]
      .map((one) => one.replace(' > ', ' → '))
      .join('; '),
    why,
  ])
  return [['How', 'At', 'States', 'With TCP → here', 'Why'], ['---', '---', '---', '---', '---'], ...rows]
    .map((row) => `| ${row.join(' | ')} |`)
    .join('\n')
}

/** The formatter pads tables. */
const plain = (text: string): string => text.replace(/ +/g, ' ').replace(/-{3,}/g, '---')

test('docs/CLOSING.md shows the differences', () => {
  const document = plain(readFileSync('docs/CLOSING.md', 'utf8'))
  ok(document.includes(plain(table())), `docs/CLOSING.md lacks this table:\n${table()}`)
})

function roleOf({ who }: Cell, end: 'client' | 'server'): Role {
  return who === 'both' ? 'both' : who === end ? 'actor' : 'other'
}

test('each end of each cell sees what it sees over TCP, but for the differences with a reason', {
  timeout: 230_000,
}, async (t) => {
  const matrix = cells()
  const all = matrix.flatMap((cell) => KINDS.map((kind) => ({ cell, kind })))
  const seen = new Map<Cell, Map<Kind, Notes>>()
  // Some of the cells only wait, the others work: two queues, so that a slow machine is not asked for all at once.
  const queue = async (jobs: typeof all, width: number): Promise<void> => {
    let at = 0
    const work = async (): Promise<void> => {
      while (at < jobs.length) {
        const { cell, kind } = jobs[at++]!
        if (!seen.has(cell)) seen.set(cell, new Map())
        seen.get(cell)!.set(kind, await perform(kind, cell))
      }
    }
    await Promise.all(Array.from({ length: width }, work))
  }
  await Promise.all([
    queue(
      all.filter(({ cell }) => mayStay(cell)),
      32,
    ),
    queue(
      all.filter(({ cell }) => !mayStay(cell)),
      8,
    ),
  ])

  const wrong: string[] = []
  const shown = new Set<string>()
  for (const [cell, byKind] of seen) {
    for (const kind of ['message', 'stream'] as const) {
      for (const end of ['client', 'server'] as const) {
        const tcp = byKind.get('tcp')![end]
        const ours = byKind.get(kind)![end]
        if (tcp === undefined || ours === undefined) continue
        const at = roleOf(cell, end)
        const name = `${cell.state}, ${cell.who}, ${cell.how}: the ${end} (${at}), ${kind} mode`
        for (const field of FIELDS) {
          if (tcp[field] === ours[field]) continue
          const change = `${field}: ${tcp[field]} > ${ours[field]}`
          const row = DIFFERENCES.findIndex(
            (one) =>
              one.at === at &&
              one.how.includes(cell.how) &&
              one.states.includes(cell.state) &&
              (one.changes.includes(change) || one.sometimes?.includes(change)),
          )
          if (row < 0) wrong.push(`${name}: ${change}`)
          else for (const word of [cell.how, cell.state, change]) shown.add(`${row} ${word}`)
        }
        if (ours.order !== 'in order') wrong.push(`${name}: ${ours.order}`)
        if (ours.close === 'close' && !REASONS.includes(ours.reason))
          wrong.push(`${name}: closed for '${ours.reason}'`)
      }
    }
  }
  deepEqual(wrong, [], 'differences that are not in the table')
  const idle = DIFFERENCES.flatMap(({ how, states, changes }, row) =>
    // A row for what only some runs show need not be shown at all.
    changes.length === 0
      ? []
      : [...how, ...states, ...changes]
          .filter((word) => !shown.has(`${row} ${word}`))
          .map((word) => `row ${row}: ${word}`),
  )
  deepEqual(idle, [], 'entries that no cell shows')
  equal(seen.size, matrix.length)
  t.diagnostic(`${seen.size} cells, each over TCP and in both modes`)
})
