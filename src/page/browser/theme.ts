/** The colours of the page's style sheet, for what draws on a canvas. */
const NAMES = [
  'paper',
  'panel',
  'ink',
  'muted',
  'line',
  'grid',
  'accent',
  'band',
  'up',
  'down',
  'point',
  'heat-line',
] as const

export type ThemeColor = (typeof NAMES)[number]

/** As they were read last. */
export const theme: Record<ThemeColor, string> & { isDark: boolean } = {
  ...(Object.fromEntries(NAMES.map((name) => [name, ''])) as Record<ThemeColor, string>),
  isDark: false,
}

/** Told apart from each other on both grounds. */
export const PALETTE = ['#1f77b4', '#ff7f0e', '#2ca02c', '#d62728', '#9467bd', '#17becf', '#e377c2', '#bcbd22'] as const

/** Paper is light whatever the screen is: `data-theme="light"` on the root says so. */
export function readTheme(): void {
  const root = document.documentElement
  const style = getComputedStyle(root)
  for (const name of NAMES) theme[name] = style.getPropertyValue(`--${name}`).trim()
  theme.isDark = matchMedia('(prefers-color-scheme: dark)').matches && root.dataset['theme'] !== 'light'
}
