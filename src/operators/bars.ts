/**
 * Bars, by what ends them.
 *
 * time  the clock: {@link timeBars}
 */
import { timeBars } from './timeBars'

export const bars = { time: timeBars } as const
