import { exposeSource } from '../../workers/exposeSource'
import { openMarket } from '../marketInThread'

/** The thread of a feed with `placement: 'worker'`: sockets, decoding and books live here. */
exposeSource(openMarket)
