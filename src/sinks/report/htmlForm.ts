import type { ReportForm } from './personReport'
import { htmlPage } from './htmlPage'
import { pageParts, type PageParts } from './pageParts'

/** A report as a page. */
export function htmlForm(): ReportForm {
  let parts: PageParts | undefined
  return {
    prepare: async () => {
      parts = await pageParts()
    },
    pieces: (text, model, run) => htmlPage(text, model, run, parts!),
  }
}
