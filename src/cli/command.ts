/**
 * What a subcommand is, and what it may ask of the world it runs in.
 * @module
 */

/** Where a command writes and what it was given besides its words; a test has its own. */
export interface Io {
  /** Answers to questions: help, versions, results. */
  readonly out: (text: string) => void
  /** Complaints and progress. */
  readonly err: (text: string) => void
  readonly env: Readonly<Record<string, string | undefined>>
}

export interface Command {
  /** One line for the list of commands. */
  readonly summary: string
  /** Resolves with the exit code once there is nothing left to do. `words` are those behind the command's name. */
  readonly run: (words: readonly string[], io: Io) => Promise<number>
}

/** Exit codes: as shells and their tools have them. */
export const ExitCode = { Good: 0, Failed: 1, Usage: 2 } as const

/** The words of a command line, or a configuration file, are wrong: told with exit code 2 and no stack. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}
