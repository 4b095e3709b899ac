/**
 * The options of `kcp-io tunnel`: kcptun's, by its names and with its defaults, and a few of ours. docs/TUNNEL.md has
 * the same table; a test compares.
 * @module
 */
import type { Flag, FlagTable } from '../flags.ts'

/** kcptun's pass phrase when none is given: known to everybody. */
export const PUBLIC_KEY = "it's a secrect"

/** Newer kcptuns know all of these, Debian's neither `aes-128-gcm` nor `null`. */
const CRYPTS = [
  'aes',
  'aes-128',
  'aes-128-gcm',
  'aes-192',
  'salsa20',
  'blowfish',
  'twofish',
  'cast5',
  '3des',
  'tea',
  'xtea',
  'xor',
  'sm4',
  'none',
  'null',
] as const

const WINDOW = [1, 65_535] as const
const NOT_HERE = 'Node has no way to set it on a UDP socket'

const key: Flag = {
  name: 'key',
  default: PUBLIC_KEY,
  env: 'KCPTUN_KEY',
  help: 'pass phrase, the same at both ends',
}
const crypt: Flag = {
  name: 'crypt',
  default: 'aes',
  oneOf: CRYPTS,
  help: 'cipher, the same at both ends: aes, aes-128, aes-128-gcm, aes-192, salsa20, blowfish, twofish, cast5, 3des, tea, xtea, xor, sm4, none, null',
}
const mode: Flag = {
  name: 'mode',
  default: 'fast',
  oneOf: ['normal', 'fast', 'fast2', 'fast3', 'manual'],
  help: 'how eagerly to resend: normal, fast, fast2, fast3, manual',
}
const windows = (sndwnd: number, rcvwnd: number): FlagTable => [
  { name: 'sndwnd', default: sndwnd, range: WINDOW, help: 'send window, segments' },
  { name: 'rcvwnd', default: rcvwnd, range: WINDOW, help: 'receive window, segments' },
]
const mtu: Flag = { name: 'mtu', default: 1350, range: [64, 1500], help: 'largest UDP payload, bytes' }
const fec: FlagTable = [
  {
    name: 'datashard',
    aliases: ['ds'],
    default: 10,
    range: [0, 255],
    help: 'data datagrams of a group of FEC; 0 (this or parityshard): no FEC',
  },
  {
    name: 'parityshard',
    aliases: ['ps'],
    default: 3,
    range: [0, 255],
    help: 'parity datagrams behind each group',
  },
]
const rest = (smuxRole: string, closewait: number): FlagTable => [
  {
    name: 'dscp',
    default: 0,
    range: [0, 63],
    help: 'DSCP of the IP header',
    fate: { kind: 'ignored', why: NOT_HERE },
  },
  { name: 'nocomp', default: false, help: 'no compression, the same at both ends' },
  {
    name: 'ratelimit',
    default: 0,
    help: 'bytes per second of one session, outgoing; 0: no limit',
    fate: { kind: 'ignored', why: 'sessions are not paced; limit the interface (tc) instead' },
  },
  {
    name: 'acknodelay',
    default: false,
    hidden: true,
    help: 'ACKs leave at the end of the turn that owes them, with it and without',
  },
  { name: 'nodelay', default: 0, range: [0, 1], help: 'of --mode manual: 0 or 1', hidden: true },
  {
    name: 'interval',
    default: 50,
    range: [10, 5000],
    help: 'of --mode manual: ms between checks',
    hidden: true,
  },
  { name: 'resend', default: 0, help: 'of --mode manual: later ACKs before a resend; 0: none', hidden: true },
  { name: 'nc', default: 0, range: [0, 1], help: 'of --mode manual: 1: no congestion window', hidden: true },
  {
    name: 'sockbuf',
    default: 4_194_304,
    help: 'buffers of the UDP socket, bytes; 0: as the system has them',
  },
  { name: 'smuxver', default: 1, range: [1, 2], help: smuxRole },
  {
    name: 'smuxbuf',
    default: 4_194_304,
    range: [1, 0x7fff_ffff],
    help: 'bytes of a session that may wait for all its TCP connections',
  },
  { name: 'framesize', default: 8192, range: [1, 65_535], help: 'largest frame of smux, bytes' },
  {
    name: 'streambuf',
    default: 2_097_152,
    range: [1, 0x7fff_ffff],
    help: 'bytes that may wait for one TCP connection, smux 2',
  },
  { name: 'keepalive', default: 10, range: [1, 86_400], help: 'seconds of silence before a sign of life' },
  {
    name: 'closewait',
    default: closewait,
    range: [0, 86_400],
    help: 'once the other end has closed a TCP connection: seconds, 1 at least, until this end does',
  },
  {
    name: 'snmplog',
    default: '',
    help: 'file for counters',
    fate: { kind: 'ignored', why: 'SIGUSR1 writes the counters to the log' },
  },
  { name: 'snmpperiod', default: 60, help: 'seconds between two lines of snmplog', hidden: true },
  {
    name: 'pprof',
    default: false,
    help: 'profiling server',
    fate: { kind: 'ignored', why: 'node --cpu-prof and node --inspect do this' },
  },
  { name: 'log', default: '', help: 'file to append the log to; none: standard error' },
  { name: 'quiet', default: false, help: 'no lines for single TCP connections' },
  {
    name: 'tcp',
    default: false,
    help: 'datagrams dressed up as TCP',
    fate: { kind: 'refused', why: 'it takes raw sockets, and the other end must do it too' },
  },
  {
    name: 'QPP',
    key: 'qpp',
    default: false,
    help: 'quantum permutation pads',
    fate: { kind: 'refused', why: 'not implemented, and the other end must do it too' },
  },
  { name: 'QPPCount', key: 'qpp-count', default: 61, help: 'number of pads', hidden: true },
]
const ours = (maxsessions: FlagTable): FlagTable => [
  {
    name: 'loglevel',
    default: 'info',
    oneOf: ['error', 'warn', 'info', 'debug'],
    help: 'least important lines to log: error, warn, info, debug',
  },
  { name: 'maxstreams', default: 4096, range: [1, 65_535], help: 'TCP connections of one session at once' },
  ...maxsessions,
  {
    name: 'stopwait',
    default: 5,
    range: [0, 3600],
    help: 'seconds that a stop waits for TCP connections to end',
  },
]
const last: FlagTable = [
  { name: 'c', key: null, default: '', help: 'JSON file of options by their long names; it wins' },
  { name: 'help', aliases: ['h'], key: null, default: false, help: 'this' },
  { name: 'version', aliases: ['v'], key: null, default: false, help: 'the version' },
]

export const CLIENT_FLAGS: FlagTable = [
  {
    name: 'localaddr',
    aliases: ['l'],
    default: ':12948',
    help: 'TCP address to listen at: [HOST]:PORT, or a path',
  },
  {
    name: 'remoteaddr',
    aliases: ['r'],
    default: 'vps:29900',
    help: 'the server: HOST:PORT, or HOST:LOW-HIGH for a port of these by chance',
  },
  key,
  crypt,
  mode,
  { name: 'conn', default: 1, range: [1, 1024], help: 'sessions side by side; TCP connections go round' },
  { name: 'autoexpire', default: 0, help: 'seconds after which a session gets no new connections; 0: never' },
  {
    name: 'scavengettl',
    default: 600,
    help: 'seconds that such a session may still live; 0: as its connections',
  },
  mtu,
  ...windows(128, 512),
  ...fec,
  ...rest('version of smux, 1 or 2, as the server has', 0),
  ...ours([]),
  ...last,
]

export const SERVER_FLAGS: FlagTable = [
  {
    name: 'listen',
    aliases: ['l'],
    default: ':29900',
    help: 'UDP address to listen at: [HOST]:PORT, or [HOST]:LOW-HIGH for all of these ports',
  },
  {
    name: 'target',
    aliases: ['t'],
    default: '127.0.0.1:12948',
    help: 'where to connect to: HOST:PORT, or a path',
  },
  key,
  crypt,
  mode,
  mtu,
  ...windows(1024, 1024),
  ...fec,
  ...rest('version of smux, 1 or 2; not given: as each client does', 30),
  {
    name: 'proxy-protocol',
    default: 'off',
    oneOf: ['off', 'v2'],
    help: "v2: tell the target the client's address, with a PROXY header before its bytes",
  },
  ...ours([{ name: 'maxsessions', default: 1024, range: [1, 65_536], help: 'sessions at once' }]),
  ...last,
]
