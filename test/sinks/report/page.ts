/** What a page holds for its charts, as far as tests look at it. */
export interface PageNumbers {
  readonly format: string
  readonly originUs: number
  readonly latest: readonly { readonly what: string; readonly fields: Readonly<Record<string, unknown>> }[]
  readonly instruments: readonly {
    readonly exchange: string
    readonly name: string
    readonly values: number
    readonly mid?: { readonly t: readonly number[]; readonly last: readonly number[] }
    readonly trades?: { readonly t: readonly number[] }
    readonly heat?: { readonly t: readonly number[] }
    readonly bars: readonly { readonly t: readonly number[] }[]
  }[]
}

export function dataOf(page: string): PageNumbers {
  const json = /<script type="application\/json" id="data">(.*?)<\/script>/s.exec(page)![1]!
  return JSON.parse(json) as PageNumbers
}
