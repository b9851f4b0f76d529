/** Elements, made and changed with as little work for the browser as there is: what is as it was is not touched. */

type Attributes = Readonly<Record<string, string>>

/** Texts become text, never markup. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value)
  made.append(...children)
  return made
}

export function svgElement<K extends keyof SVGElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: readonly (Node | string)[]
): SVGElementTagNameMap[K] {
  const made = document.createElementNS('http://www.w3.org/2000/svg', tag)
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value)
  made.append(...children)
  return made
}

export function setText(node: Node, text: string): void {
  if (node.textContent !== text) node.textContent = text
}

export function setAttribute(node: Element, name: string, value: string): void {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value)
}

/** A section of the page, which can be jumped to. */
export function section(id: string, title: string, ...children: readonly (Node | string)[]): HTMLElement {
  const heading = element('h2', { id: `${id}-title`, tabindex: '-1' }, title)
  return element('section', { id, 'aria-labelledby': `${id}-title` }, heading, ...children)
}

/** A table whose rows are kept and filled anew. */
export class FilledTable {
  readonly element: HTMLElement
  private readonly body = element('tbody')
  private readonly rows: { readonly row: HTMLTableRowElement; readonly cells: HTMLTableCellElement[] }[] = []

  /** @param columns  titles; those that end with `#` are of numbers, those that end with `~` may be broken into lines */
  constructor(
    label: string,
    private readonly columns: readonly string[],
    private readonly whenEmpty: string,
  ) {
    const heads = columns.map((column) => {
      const title = column.replace(/[#~]$/, '')
      return element('th', { scope: 'col', class: classOf(column) }, title)
    })
    const table = element('table', {}, element('thead', {}, element('tr', {}, ...heads)), this.body)
    this.element = element('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': label }, table)
    this.fill([])
  }

  /** @param rows  the texts of the cells of each row, and what marks it: `bad`, `warn` or nothing */
  fill(rows: readonly { readonly cells: readonly string[]; readonly mark?: string }[]): void {
    setAttribute(this.element, 'data-empty', rows.length === 0 ? this.whenEmpty : '')
    while (this.rows.length > rows.length) this.rows.pop()!.row.remove()
    rows.forEach(({ cells, mark = '' }, at) => {
      const { row, cells: shown } = this.rows[at] ?? this.addRow()
      setAttribute(row, 'class', mark)
      cells.forEach((text, column) => setText(shown[column]!, text))
    })
  }

  private addRow(): (typeof this.rows)[number] {
    const cells = this.columns.map((column) => element('td', { class: classOf(column) }))
    const added = { row: element('tr', {}, ...cells), cells }
    this.body.append(added.row)
    this.rows.push(added)
    return added
  }
}

function classOf(column: string): string {
  return column.endsWith('#') ? 'number' : column.endsWith('~') ? 'long' : ''
}
