/**
 * What a command of the command line is.
 *
 * Machine output goes to standard output alone; everything for a person goes to standard error. Exit status: 0 done;
 * 1 ran, but the data or a sink had faults that were not repaired; 2 wrong usage or an invalid pipeline.
 */
import { parseArgs, type ParseArgsConfig } from 'node:util'
import { Fault, type FaultCode } from '../model/fault'
import { didYouMean } from '../model/nearest'
import { clearProgress } from './progressLine'

export interface Command {
  readonly name: string
  /** One line for the list of commands. */
  readonly summary: string
  /** What `--help` prints: usage, options, examples. */
  readonly help: string
  /** The same of a command with commands of its own, of the one that is named; undefined where none is. */
  readonly helpFor?: (args: readonly string[]) => Promise<string | undefined>
  /** Resolves with the exit status. */
  run(args: readonly string[]): Promise<number>
}

export const EXIT = { done: 0, faults: 1, usage: 2 } as const

/** A mistake in how a command was called. Its message is a sentence; `--help` of the command is named beside it. */
export class UsageError extends Error {}

export interface OptionSpec {
  /** What the value is, for options that have one; flags have none. */
  readonly value?: string
  readonly meaning: string
  readonly multiple?: boolean
}

export interface ParsedArgs {
  readonly positionals: readonly string[]
  text(option: string): string | undefined
  texts(option: string): readonly string[]
  flag(option: string): boolean
  /** A number within limits; throws a UsageError otherwise. */
  number(
    option: string,
    limits: { readonly min: number; readonly max: number; readonly integer?: boolean },
  ): number | undefined
}

/** @throws UsageError for unknown options (with the nearest names) and missing values */
export function parse(args: readonly string[], specs: Readonly<Record<string, OptionSpec>>): ParsedArgs {
  const config: NonNullable<ParseArgsConfig['options']> = Object.fromEntries(
    Object.entries(specs).map(([name, { value, multiple }]) => [
      name,
      { type: value === undefined ? 'boolean' : 'string', multiple: multiple === true },
    ]),
  )
  let parsed
  try {
    parsed = parseArgs({ args: [...args], options: config, allowPositionals: true, strict: true })
  } catch (thrown) {
    throw new UsageError(explain(thrown as Error, specs))
  }
  const values = new Map<string, unknown>(Object.entries(parsed.values))
  const text = (option: string): string | undefined => values.get(option) as string | undefined
  return {
    positionals: parsed.positionals,
    text,
    texts: (option) => (values.get(option) as string[] | undefined) ?? [],
    flag: (option) => values.get(option) === true,
    number(option, { min, max, integer }) {
      const given = text(option)
      if (given === undefined) return undefined
      const number = Number(given)
      if (given.trim() === '' || !(number >= min && number <= max) || (integer === true && !Number.isInteger(number))) {
        throw new UsageError(
          `--${option} is a ${integer === true ? 'whole ' : ''}number from ${min} to ${max}; it is ${JSON.stringify(given)}.`,
        )
      }
      return number
    },
  }
}

/** What is wrong with an option, in the words of the help page. */
function explain({ message }: Error, specs: Readonly<Record<string, OptionSpec>>): string {
  const unknown = /Unknown option '(--?[^' =]+)/.exec(message)?.[1]
  if (unknown !== undefined) {
    return `There is no option ${unknown}.${didYouMean(unknown.replace(/^-+/, ''), Object.keys(specs))}`
  }
  const option = /^Option '(?:-\w, )?--([\w-]+)/.exec(message)?.[1] ?? ''
  const value = Object.hasOwn(specs, option) ? specs[option]?.value : undefined
  if (value !== undefined) {
    return `--${option} needs a value, --${option} ${value}; one that begins with a dash is written --${option}=-1.`
  }
  return option === '' ? message.split('\n')[0]! : `--${option} takes no value.`
}

/** @throws UsageError when words are left over that the command has no use for */
export function optionsOnly(command: string, { positionals }: ParsedArgs): void {
  if (positionals.length > 0) throw new UsageError(`${command} takes options only; ${positionals.join(' ')} is none.`)
}

/** The options' part of a help page. */
export function optionsHelp(specs: Readonly<Record<string, OptionSpec>>): string {
  const rows = Object.entries(specs).map(([name, { value, meaning }]) => [
    `--${name}${value === undefined ? '' : ` ${value}`}`,
    meaning,
  ])
  const width = Math.max(...rows.map(([option]) => option!.length))
  return rows.map(([option, meaning]) => `  ${option!.padEnd(width)}  ${meaning}`).join('\n')
}

/** Writes for a person. */
export function say(text: string): void {
  clearProgress()
  process.stderr.write(`${text}\n`)
}

/** Writes for a program. */
export function print(text: string): void {
  clearProgress()
  process.stdout.write(`${text}\n`)
}

/** Faults that are the caller's to mend: a command that meets one has not begun. */
const USAGE_FAULTS: ReadonlySet<FaultCode> = new Set(['OPTION_INVALID', 'PIPELINE_INVALID', 'RECORDING_INVALID'])

export function isUsageFault(thrown: unknown): thrown is Fault {
  return thrown instanceof Fault && USAGE_FAULTS.has(thrown.code)
}
