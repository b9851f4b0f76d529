setInterval(() => undefined, 1_000)
export {}
