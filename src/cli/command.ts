/**
 * What a subcommand is, and what it may ask of the world it runs in.
 * @module
 */
import { type ParseArgsConfig, parseArgs } from 'node:util'

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
  /**
   * Resolves with the exit code once there is nothing left to do. `words` are those behind the command's name. Rejects
   * with what `runCli` tells without a stack: UsageError, CommandFailure, KcpError.
   */
  readonly run: (words: readonly string[], io: Io) => Promise<number>
}

/** Exit codes: as shells and their tools have them. */
export const ExitCode = { Good: 0, Failed: 1, Usage: 2 } as const

/** The words of a command line, or a configuration file, are wrong: told with exit code 2 and no stack. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** What was asked for could not be done, through no fault of the program's: told with exit code 1 and no stack. */
export class CommandFailure extends Error {
  override readonly name: string = 'CommandFailure'
}

/** The options and the other words of a command line; what does not fit is a UsageError. */
export function parseWords<const T extends NonNullable<ParseArgsConfig['options']>>(
  words: readonly string[],
  options: T,
): ReturnType<typeof parseArgs<{ allowPositionals: true; options: T }>> {
  try {
    return parseArgs({ args: [...words], allowPositionals: true, options })
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}
