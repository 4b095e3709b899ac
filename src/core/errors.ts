/**
 * The one error class of the library, with a stable code that a program may switch on and the numbers behind the
 * sentence. What a peer does wrong never becomes an error: it is counted and dropped.
 * @module
 */

/** What went wrong. Codes are stable; messages are for people and may change. */
export type KcpErrorCode =
  /** A field of a configuration is out of range; `detail` has `field`, `value` and `allowed`. */
  | 'ERR_KCP_CONFIG'
  /** An engine cannot be made: conv is not a u32, or output is no function. */
  | 'ERR_KCP_CREATE'
  /** `send` failed with upstream's code in `detail.code`: an empty message where `kcpGoPeer` is on. */
  | 'ERR_KCP_SEND'
  /** The message needs more fragments than allowed; `detail` has `size`, `limit`, `fragments`, `maxFragments`. */
  | 'ERR_KCP_MESSAGE_TOO_LARGE'
  /** The message was not sent within its `ttl`, and was dropped; `detail.ttl` in ms. */
  | 'ERR_KCP_EXPIRED'
  /** Nothing to receive yet. `recv` and `recvInto` say so with undefined; for code that maps upstream's -1 and -2. */
  | 'ERR_KCP_WOULD_BLOCK'
  /** The buffer given is smaller than the message, which stays queued; `detail` has `need` and `got`. */
  | 'ERR_KCP_RECV_BUFFER_TOO_SMALL'
  /** `recv` failed with upstream's code in `detail.code`; for code that maps it. */
  | 'ERR_KCP_RECV'
  /** A datagram was refused; `detail.code` is upstream's negative code. */
  | 'ERR_KCP_INPUT'
  /** The mtu is out of range; `detail` has `mtu` and `code`. */
  | 'ERR_KCP_MTU'
  /** A datagram belongs to another conversation; `detail` has `expected` and `got`. */
  | 'ERR_KCP_CONV_MISMATCH'
  /** The output callback threw; `cause` is what it threw. The engine's state is intact. */
  | 'ERR_KCP_OUTPUT'
  /** The engine was called from inside its own output callback. */
  | 'ERR_KCP_REENTRANT'
  /** The engine was released. */
  | 'ERR_KCP_RELEASED'
  /** Data was not acknowledged for `stallTimeout`; `detail` has `timeout` and `outstanding` (bytes). */
  | 'ERR_KCP_DEAD_LINK'
  /** The peer broke the protocol; the session is over. */
  | 'ERR_KCP_PROTOCOL'
  /** Nothing was heard for too long, or a wait ran out of time; `detail.timeout` in ms. */
  | 'ERR_KCP_TIMEOUT'
  /** The stream or listener is closed. */
  | 'ERR_KCP_CLOSED'
  /** A connection cannot be made (name not found, refused). */
  | 'ERR_KCP_CONNECT'
  /** A listener did not let the conversation begin; `detail.why` is 'full', 'draining' or 'rejected'. */
  | 'ERR_KCP_REFUSED'
  /** A conversation needed more memory than it may have; `detail` has `limit` (bytes). */
  | 'ERR_KCP_LIMIT'
  /** Authenticated mode: the peer did not answer the handshake, or new keys could not be agreed; `detail.timeout` in ms. */
  | 'ERR_KCP_HANDSHAKE'
  /** The socket failed; `cause` is the system's error. */
  | 'ERR_KCP_IO'
  /** The peer no longer knows this conversation. */
  | 'ERR_KCP_RESET'
  /** No further stream fits a multiplexed session; `detail` has `streams` and `limit`. */
  | 'ERR_KCP_SMUX_STREAMS'

/** Numbers behind an error's message. */
export type KcpErrorDetail = Readonly<Record<string, number | string>>

export class KcpError extends Error {
  override readonly name = 'KcpError'
  /** Stable, for programs. */
  readonly code: KcpErrorCode
  /** The numbers behind the message: `{ need, got }`, `{ expected, got }`, `{ mtu }` … */
  readonly detail: KcpErrorDetail

  constructor(
    code: KcpErrorCode,
    message: string,
    options: { readonly cause?: unknown; readonly detail?: KcpErrorDetail } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.detail = options.detail ?? {}
  }

  /** Whether `value` is a KcpError, and of this code when one is given. */
  static is(value: unknown, code?: KcpErrorCode): value is KcpError {
    return value instanceof KcpError && (code === undefined || value.code === code)
  }
}

/** The error for a message of `size` bytes where `maxFragments` of `mss` bytes are the limit. */
export function messageTooLarge(size: number, mss: number, maxFragments: number): KcpError {
  const limit = maxFragments * mss
  return new KcpError(
    'ERR_KCP_MESSAGE_TOO_LARGE',
    `a message of ${size} bytes is over the limit of ${limit} (${maxFragments} fragments of ${mss})`,
    { detail: { size, limit, fragments: Math.ceil(size / mss), maxFragments } },
  )
}

/** The error for a message of `need` bytes and a buffer of `got`. */
export function bufferTooSmall(need: number, got: number): KcpError {
  return new KcpError(
    'ERR_KCP_RECV_BUFFER_TOO_SMALL',
    `the next message has ${need} bytes, the buffer ${got}`,
    { detail: { need, got } },
  )
}

/** The error for a message that was not sent within its `ttl`, ms. */
export function messageExpired(ttl: number): KcpError {
  return new KcpError('ERR_KCP_EXPIRED', `the message was not sent within ${ttl} ms`, { detail: { ttl } })
}

/** The error for an argument of another type than a call takes, as Node's own: a TypeError with ERR_INVALID_ARG_TYPE. */
export function argumentType(
  name: string,
  got: unknown,
  takes: string,
): TypeError & { readonly code: string } {
  const kind = got === null ? 'null' : typeof got
  const shown = kind === 'object' ? `an instance of ${(got as object).constructor?.name ?? 'Object'}` : kind
  const error = new TypeError(`${name} must be ${takes}, got ${shown}`)
  return Object.assign(error, { code: 'ERR_INVALID_ARG_TYPE' })
}
