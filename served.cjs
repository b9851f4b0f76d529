
const { pipeline, feed, memory, toBooks } = require('millrace')
exports.default = pipeline('served', ({ source, sink }) => {
  const market = source('market', feed({ exchanges: ['okx'], instruments: ['BTC-USDT'], channel: 'book' }), { capacity: 1_000, onFull: 'block' })
  sink(market.through('books', toBooks()), memory({ capacity: 1 }), { capacity: 1_000, onFull: 'dropOldest', name: 'views' })
})