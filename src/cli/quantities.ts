/** Quantities for people. */

export function bytesText(bytes: number): string {
  if (bytes < 10_000) return `${Math.round(bytes)} bytes`
  const [size, unit] =
    bytes < 10_000_000 ? [bytes / 1_000, 'kB'] : bytes < 10_000_000_000 ? [bytes / 1e6, 'MB'] : [bytes / 1e9, 'GB']
  return `${size.toFixed(1)} ${unit}`
}

export function counted(count: number, noun: string, nouns = `${noun}s`): string {
  return `${count.toLocaleString('en')} ${count === 1 ? noun : nouns}`
}

/** How long something took. */
export function durationText(us: number): string {
  const seconds = us / 1_000_000
  if (seconds < 120) return `${seconds.toFixed(seconds < 10 ? 3 : 1)} s`
  const minutes = Math.floor(seconds / 60)
  return minutes < 120
    ? `${minutes} min ${Math.round(seconds % 60)} s`
    : `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

/** About how long something will still take, in whole seconds at the finest. */
export function waitText(seconds: number): string {
  const whole = Math.ceil(seconds)
  if (whole < 120) return `${whole} s`
  const minutes = Math.floor(whole / 60)
  if (minutes < 120) return `${minutes} min ${whole % 60} s`
  const hours = Math.floor(minutes / 60)
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days`
}

/** Something a second, short: `52340`, `123k`, `1.2M`. */
export function rateText(perSecond: number): string {
  if (perSecond >= 1e6) return `${(perSecond / 1e6).toFixed(1)}M`
  return perSecond >= 100_000 ? `${(perSecond / 1_000).toFixed(0)}k` : perSecond.toFixed(0)
}

/** How old something is, in at most five letters. Two clocks may disagree: what is from the future is new. */
export function ageText(us: number): string {
  const ms = Math.max(0, us) / 1_000
  if (ms < 1_000) return `${Math.floor(ms)}ms`
  if (ms < 10_000) return `${(Math.floor(ms / 100) / 10).toFixed(1)}s`
  if (ms < 100_000) return `${Math.floor(ms / 1_000)}s`
  if (ms < 6_000_000) return `${Math.floor(ms / 60_000)}m`
  return ms < 360_000_000 ? `${Math.floor(ms / 3_600_000)}h` : `${Math.floor(ms / 86_400_000)}d`
}

/** A latency in microseconds. */
export function latencyText(us: number): string {
  if (us < 1_000) return `${us.toFixed(0)} µs`
  return us < 1e6 ? `${(us / 1_000).toFixed(us < 10_000 ? 1 : 0)} ms` : `${(us / 1e6).toFixed(1)} s`
}

export function priceText(price: number): string {
  return price >= 1_000 ? price.toFixed(2) : price >= 1 ? price.toFixed(4) : price.toPrecision(6)
}
