/**
 * What the application hands in to be called: hooks, handlers, transports. One of them that fails must not end the
 * process, and must not stay unheard either.
 * @module
 */
import { isThenable } from '../core/options.ts'

/** Reports that `hook` failed. Says each hook once. */
export type ReportHook = (hook: string, error: unknown) => void

/** One for each listener and each conversation: a peer that makes a hook fail again and again fills no log. */
export function hookReporter(): ReportHook {
  const told = new Set<string>()
  return (hook, error) => {
    if (told.has(hook)) return
    told.add(hook)
    process.emitWarning(`${hook} failed: ${messageOf(error)}. Further failures of it are only counted`, {
      code: 'KCP_HOOK',
      detail: error instanceof Error ? (error.stack ?? '') : '',
    })
  }
}

/** An error in few words; anything may be thrown. */
export function messageOf(error: unknown): string {
  try {
    return error instanceof Error ? `${error.name}: ${error.message}` : String(error)
  } catch {
    return 'something that is no error'
  }
}

/** Whatever was thrown, as an error. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(messageOf(thrown))
}

/** Handles the rejection of what should not have been a promise; `onRejected` hears of it. */
export function settleQuietly(value: unknown, onRejected: (error: unknown) => void = () => undefined): void {
  if (isThenable(value)) Promise.resolve(value).then(undefined, onRejected)
}

/** Functions whose result is never a plain value. */
const DEFERRED: ReadonlySet<string> = new Set([
  '[object AsyncFunction]',
  '[object AsyncGeneratorFunction]',
  '[object GeneratorFunction]',
])

/** Whether a function can be seen to answer later: declared async, or a generator. */
export function isDeferred(hook: object): boolean {
  return DEFERRED.has(Object.prototype.toString.call(hook))
}
