/**
 * Promises that wait for something, and that an AbortSignal takes out of their list.
 * @module
 */

export interface Waiter<T> {
  readonly resolve: (value: T) => void
  readonly reject: (error: Error) => void
}

function ignore(): void {}

/**
 * Marks a promise as handled: a caller that does not wait for it must not have its process ended by the peer. A caller
 * that does gets the error all the same.
 */
export function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(ignore)
  return promise
}

/** Adds a waiter to a list; an abort takes it out again and rejects it. */
export function enlist<T extends Waiter<never>>(list: T[], waiter: T, signal: AbortSignal | undefined): void {
  if (signal === undefined) {
    list.push(waiter)
    return
  }
  const onAbort = (): void => {
    const at = list.indexOf(armed)
    if (at >= 0) list.splice(at, 1)
    waiter.reject(signal.reason as Error)
  }
  const armed: T = {
    ...waiter,
    resolve: (value: never) => {
      signal.removeEventListener('abort', onAbort)
      waiter.resolve(value)
    },
    reject: (error: Error) => {
      signal.removeEventListener('abort', onAbort)
      waiter.reject(error)
    },
  }
  if (signal.aborted) {
    waiter.reject(signal.reason as Error)
    return
  }
  signal.addEventListener('abort', onAbort, { once: true })
  list.push(armed)
}
