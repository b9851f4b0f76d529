import type { BenchDocument } from './document'
export function pageOf(document: BenchDocument): string {
  return JSON.stringify(document)
}
