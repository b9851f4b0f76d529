import { exposeEntry } from '../../workers/entry'
import { outcomeOf } from './sweep'

/** A thread of {@link sweep}: one seed a call. */
exposeEntry({ run: outcomeOf })
