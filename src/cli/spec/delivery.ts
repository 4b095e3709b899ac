/**
 * Section 3: what reaches the application, told by what it sends back.
 * @module
 */
import { Prng } from '../../sim/index.ts'
import {
  check,
  echo,
  may,
  must,
  open,
  QUIET,
  type SpecCase,
  type SpecSection,
  should,
  stillAlive,
} from './case.ts'
import { isPush, type Probe } from './probe.ts'

/** Datagrams in this order; the echo is `text`. */
function arrives(title: string, lines: readonly string[], text: string): SpecCase {
  return echo(
    must(title, async (probe) => {
      for (const line of lines) probe.send(line)
      await probe.expectText(text)
    }),
  )
}

/** A message of `count` fragments, one digit or letter each. */
function fragments(count: number): { readonly lines: string[]; readonly text: string } {
  const letters = Array.from({ length: count }, (_, i) => String.fromCharCode(97 + (i % 26)))
  return {
    lines: letters.map((letter, sn) => `push sn=${sn} frg=${count - 1 - sn} "${letter}"`),
    text: letters.join(''),
  }
}

function shuffled<T>(items: readonly T[], prng: Prng): T[] {
  const left = [...items]
  for (let i = left.length - 1; i > 0; i--) {
    const j = prng.int(0, i)
    ;[left[i], left[j]] = [left[j]!, left[i]!]
  }
  return left
}

/** Says what has no ACK yet, some at a time, until everything came back. */
async function transfer(probe: Probe, lines: readonly string[], text: string): Promise<void> {
  const flight = 24
  for (let i = 0; i < lines.length; i += flight) {
    for (const line of lines.slice(i, i + flight)) probe.send(line)
    const una = Math.min(i + flight, lines.length)
    await probe.expect(`una=${una}`, (segment) => segment.una >= una)
  }
  await probe.expectText(text)
}

export const DELIVERY: SpecSection = {
  name: 'Delivery',
  cases: [
    arrives('a message comes back', ['push sn=0 "hello"'], 'hello'),
    arrives('two messages keep their order', ['push sn=0 "one"', 'push sn=1 "two"'], 'onetwo'),
    arrives('two messages that arrive in the wrong order', ['push sn=1 "two"', 'push sn=0 "one"'], 'onetwo'),
    arrives(
      'a message that arrives twice is delivered once',
      ['push sn=0 "a"', 'push sn=0 "a"', 'push sn=1 "b"'],
      'ab',
    ),
    arrives(
      'a message that arrives twice in one datagram',
      ['push sn=0 "a" | push sn=0 "a"', 'push sn=1 "b"'],
      'ab',
    ),
    arrives(
      'an early message that arrives twice',
      ['push sn=1 "b"', 'push sn=1 "b"', 'push sn=0 "a"', 'push sn=2 "c"'],
      'abc',
    ),
    arrives(
      'the first of two different payloads with one sn counts',
      ['push sn=0 "first"', 'push sn=0 "other"', 'push sn=1 "!"'],
      'first!',
    ),
    echo(
      must('every byte value comes back as it was', async (probe) => {
        const bytes = Uint8Array.from({ length: 256 }, (_, i) => i)
        const text = Buffer.from(bytes).toString('latin1')
        probe.send(`push sn=0 ${JSON.stringify(text)}`)
        await probe.expectText(text)
      }),
    ),
    echo(
      must('a message that fills the datagram', async (probe) => {
        const text = 'f'.repeat(1376)
        probe.send(`push sn=0 "${text}"`)
        await probe.expectText(text)
      }),
    ),
    arrives('a message of two fragments', ['push sn=0 frg=1 "be"', 'push sn=1 frg=0 "gin"'], 'begin'),
    arrives('its fragments in the wrong order', ['push sn=1 frg=0 "gin"', 'push sn=0 frg=1 "be"'], 'begin'),
    arrives('its fragments in one datagram', ['push sn=0 frg=1 "be" | push sn=1 frg=0 "gin"'], 'begin'),
    arrives(
      'fragments of unequal size',
      ['push sn=0 frg=2 "a"', 'push sn=1 frg=1 "bcdefghij"', 'push sn=2 frg=0 "kl"'],
      'abcdefghijkl',
    ),
    arrives(
      'a fragment that arrives twice',
      ['push sn=0 frg=1 "x"', 'push sn=0 frg=1 "x"', 'push sn=1 "y"'],
      'xy',
    ),
    arrives(
      'a message in fragments between two whole ones',
      ['push sn=0 "<"', 'push sn=1 frg=1 "mid"', 'push sn=2 frg=0 "dle"', 'push sn=3 ">"'],
      '<middle>',
    ),
    echo(
      must('ten fragments in random order', async (probe) => {
        const { lines, text } = fragments(10)
        for (const line of shuffled(lines, new Prng(10))) probe.send(line)
        await probe.expectText(text)
      }),
    ),
    echo(
      should('the longest message of the reference engine: 127 fragments', async (probe) => {
        const { lines, text } = fragments(127)
        await transfer(probe, lines, text)
      }),
    ),
    echo(
      must('an incomplete message is not delivered', async (probe) => {
        probe.send('push sn=0 frg=1 "half"')
        await probe.refuse('PUSH with data', (segment) => isPush()(segment) && segment.data.length > 0, QUIET)
      }),
    ),
    echo(
      must('an incomplete message is delivered when the rest has come', async (probe) => {
        probe.send('push sn=0 frg=1 "half"')
        await probe.pause(QUIET)
        probe.send('push sn=1 frg=0 "whole"')
        await probe.expectText('halfwhole')
      }),
    ),
    echo(
      must('twenty messages in random order', async (probe) => {
        await open(probe)
        const words = Array.from({ length: 20 }, (_, i) => `m${i};`)
        const lines = words.map((word, i) => `push sn=${i + 1} "${word}"`)
        for (const line of shuffled(lines, new Prng(20))) probe.send(line)
        await probe.expectText(`spec${words.join('')}`)
      }),
    ),
    echo(
      must('a thousand messages', async (probe) => {
        const words = Array.from({ length: 1000 }, (_, i) => `${i},`)
        await transfer(
          probe,
          words.map((word, sn) => `push sn=${sn} "${word}"`),
          words.join(''),
        )
      }),
    ),
    should('a message of 0 bytes is acknowledged, and the conversation goes on', async (probe) => {
      await open(probe)
      probe.send('push sn=1 ts=2')
      probe.sndNxt = 2
      await probe.expect('una=2', ({ una }) => una === 2)
      await stillAlive(probe)
    }),
    echo(
      may('messages keep their boundaries: two that arrive together come back as two', async (probe) => {
        await open(probe)
        await probe.expectText('spec')
        probe.send('push sn=1 "one" | push sn=2 "two"')
        await probe.expectText('speconetwo')
        check(probe.payloads().length === 3, 'expected two PUSHes, got their bytes in one: a stream')
      }),
    ),
  ],
}
