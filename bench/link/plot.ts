/**
 * Draws how samples are distributed, as SVG: the cumulative distribution with its share along the bottom, stretched
 * towards the end so that each step to the right is the worst tenth of what is left (90 %, 99 %, 99.9 %), and times
 * upwards. What lies lower is better.
 * @module
 */
import { quantile } from './summary.ts'

export interface Line {
  readonly name: string
  /** ms, sorted; Infinity for what never came. */
  readonly samples: readonly number[]
  /** Of ours: drawn thicker. */
  readonly strong?: boolean
}

export interface Plot {
  readonly title: string
  readonly subtitle: string
  /** What is on the upward axis. */
  readonly label: string
  readonly lines: readonly Line[]
}

const WIDTH = 900
const HEIGHT = 490
const LEFT = 58
const RIGHT = 240
const TOP = 110
const BOTTOM = 46
/** Shares that are named; the line ends at the last that has a sample of its own. */
const SHARES = [0, 0.5, 0.9, 0.95, 0.99, 0.999]
const END = 0.9995
/** Points of a line: one each 4 pixels. */
const STEPS = 150
/** Distance of two labels, pixels. */
const LABEL = 15
/** Names in one row of the legend. */
const LEGEND_COLUMNS = 3
/** Okabe and Ito's colours, which the colour-blind tell apart, without yellow: it is too light on white. */
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#56b4e9', '#e69f00', '#000000', '#7f7f7f']
/** And a dash for each, as a second difference. */
const DASHES = ['', '7 3', '2 3', '9 3 2 3', '', '4 2', '1 2', '12 4']
const FONT = 'font-family="system-ui, sans-serif"'

/** 0 at share 0, 1 at 90 %, 2 at 99 %, 3 at 99.9 %. */
function tail(share: number): number {
  return -Math.log10(1 - share)
}

export function drawPlot({ title, subtitle, label, lines }: Plot): string {
  const finite = lines.flatMap(({ samples }) => [
    quantile(samples, 0),
    ...SHARES.map((p) => quantile(samples, p)),
  ])
  const shown = finite.filter(Number.isFinite)
  const low = Math.min(...shown) / 1.08
  const high = Math.max(...shown) * 1.08
  const x = (share: number): number => LEFT + (tail(share) / tail(END)) * (WIDTH - LEFT - RIGHT)
  const y = (ms: number): number => {
    const up = Math.log(Math.min(ms, high) / low) / Math.log(high / low)
    return HEIGHT - BOTTOM - up * (HEIGHT - BOTTOM - TOP)
  }
  const text = (at: readonly [number, number], words: string, more = ''): string =>
    `<text x="${round(at[0])}" y="${round(at[1])}" ${more}>${escapeText(words)}</text>`
  const parts: string[] = [
    text([LEFT, 22], title, 'font-size="15" font-weight="600"'),
    text([LEFT, 40], subtitle, 'fill="#555"'),
  ]
  for (const share of SHARES) {
    parts.push(`<path d="M${round(x(share))} ${TOP}V${HEIGHT - BOTTOM}" stroke="#ddd"/>`)
    const name = share === 0 ? 'fastest' : `${Number((share * 100).toFixed(1))} %`
    parts.push(text([x(share), HEIGHT - BOTTOM + 17], name, 'text-anchor="middle" fill="#555"'))
  }
  parts.push(
    text(
      [(LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8],
      'share of all messages that took no longer (each step: the worst tenth of the one before)',
      'text-anchor="middle" fill="#555"',
    ),
  )
  for (const ms of ticks(low, high)) {
    parts.push(`<path d="M${LEFT} ${round(y(ms))}H${WIDTH - RIGHT}" stroke="#ddd"/>`)
    parts.push(text([LEFT - 6, y(ms) + 4], String(ms), 'text-anchor="end" fill="#555"'))
  }
  parts.push(
    `<text transform="translate(14 ${(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle" fill="#555">${escapeText(label)}</text>`,
  )
  const ends: number[] = []
  for (const [i, { samples, strong }] of lines.entries()) {
    const last = Math.min(END, 1 - 0.5 / samples.length)
    const points: string[] = []
    let end = 0
    for (let step = 0; step <= STEPS; step++) {
      const share = 1 - 10 ** ((-tail(last) * step) / STEPS)
      end = y(quantile(samples, share))
      points.push(`${round(x(share))} ${round(end)}`)
    }
    ends.push(end)
    parts.push(`<path d="M${points.join('L')}" fill="none" ${stroke(i, strong)}/>`)
  }
  const places = spread(ends, LABEL, TOP, HEIGHT - BOTTOM)
  for (const [i, { name, strong }] of lines.entries()) {
    const right = WIDTH - RIGHT
    parts.push(
      `<path d="M${right + 2} ${round(ends[i]!)}L${right + 12} ${round(places[i]!)}" stroke="${colour(i)}" opacity="0.6"/>`,
      text([right + 16, places[i]! + 4], name, `fill="${colour(i)}"${strong ? ' font-weight="600"' : ''}`),
    )
    const column = i % LEGEND_COLUMNS
    const row = Math.floor(i / LEGEND_COLUMNS)
    const at = [LEFT + (column * (WIDTH - LEFT - 10)) / LEGEND_COLUMNS, 58 + row * 16] as const
    parts.push(
      `<path d="M${round(at[0])} ${at[1]}h26" ${stroke(i, strong)}/>`,
      text([at[0] + 32, at[1] + 4], name),
    )
  }
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" ${FONT} font-size="12">`,
    `<title>${escapeText(title)}</title>`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    ...parts,
    '</svg>',
    '',
  ].join('\n')
}

function colour(i: number): string {
  return COLOURS[i % COLOURS.length]!
}

function stroke(i: number, strong = false): string {
  const dash = DASHES[i % DASHES.length]!
  return `stroke="${colour(i)}" stroke-width="${strong ? 2.6 : 1.6}"${dash === '' ? '' : ` stroke-dasharray="${dash}"`}`
}

/** Places as near to `wanted` as they can be, `distance` apart, within `from` .. `to` while there is room. */
export function spread(wanted: readonly number[], distance: number, from: number, to: number): number[] {
  const order = wanted.map((_, i) => i).sort((a, b) => wanted[a]! - wanted[b]!)
  const places = [...wanted]
  let least = from
  for (const i of order) {
    places[i] = Math.max(wanted[i]!, least)
    least = places[i]! + distance
  }
  let most = to
  for (const i of order.reverse()) {
    places[i] = Math.min(places[i]!, most)
    most = places[i]! - distance
  }
  return places
}

/** 1, 1.5, 2, 3, 5, 7 and their tens within a range: a few, evenly on a logarithmic axis. */
export function ticks(low: number, high: number): number[] {
  const found: number[] = []
  const steps = high / low > 30 ? [1, 2, 5] : [1, 1.5, 2, 3, 5, 7]
  for (let ten = 10 ** Math.floor(Math.log10(low)); ten < high; ten *= 10) {
    for (const step of steps) {
      const tick = step * ten
      if (tick >= low && tick <= high) found.push(Number(tick.toPrecision(3)))
    }
  }
  return found
}

function round(value: number): string {
  return String(Math.round(value * 10) / 10)
}

function escapeText(words: string): string {
  return words.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;')
}
