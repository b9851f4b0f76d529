/** How an edge holds back, and lets go, whatever feeds it. */
export interface Pressure {
  pause(): void
  resume(): void
}
