import { Fault, messageOf, type FaultData } from '../model/fault'

/**
 * What crosses the thread boundary, in either direction, as plain data.
 *
 * Structured clone keeps neither the class of an error nor its own fields, and `threads` loses values that are falsy. So
 * an answer is always an object: either the value, or what was thrown.
 */
export type Answer = { readonly value: unknown } | { readonly thrown: ThrownData }

export interface ThrownData {
  readonly fault: FaultData
  readonly cause: { readonly name: string; readonly message: string; readonly stack: string | undefined } | undefined
}

/** A fault crosses as itself; anything else becomes `STAGE_FAILED` with the original as its cause. */
export function thrownToData(thrown: unknown): ThrownData {
  const fault = thrown instanceof Fault ? thrown : new Fault('STAGE_FAILED', messageOf(thrown), {}, { cause: thrown })
  const { cause } = fault
  return {
    fault: { ...fault.toData(), details: cloneable(fault.details) },
    cause:
      cause === undefined
        ? undefined
        : cause instanceof Error
          ? { name: cause.name, message: cause.message, stack: cause.stack }
          : { name: 'Error', message: messageOf(cause), stack: undefined },
  }
}

export function thrownFromData({ fault, cause }: ThrownData): Fault {
  if (cause === undefined) return Fault.fromData(fault)
  const error = new Error(cause.message)
  error.name = cause.name
  if (cause.stack !== undefined) error.stack = cause.stack
  return new Fault(fault.code, fault.message, fault.details, { cause: error })
}

/** The details that structured clone can carry; the others as text, so that a fault is never lost to its own details. */
function cloneable(details: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const entries = Object.entries(details).map(([name, value]): [string, unknown] => {
    try {
      return [name, structuredClone(value)]
    } catch {
      return [name, messageOf(value)]
    }
  })
  return Object.fromEntries(entries)
}
