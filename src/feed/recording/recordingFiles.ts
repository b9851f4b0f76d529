/** What a program can ask of recordings without replaying them. Loaded when it is asked: an import should not wait for it. */
import { createRequire } from 'node:module'
import type * as frames from './frameAt'
import type * as indexes from './recordingIndex'

const load = createRequire(__filename)

/** {@inheritDoc indexes.openIndex} */
export const openIndex: typeof indexes.openIndex = (file, options) =>
  (load('./recordingIndex') as typeof indexes).openIndex(file, options)

/** {@inheritDoc indexes.verifyRecording} */
export const verifyRecording: typeof indexes.verifyRecording = (file, options) =>
  (load('./recordingIndex') as typeof indexes).verifyRecording(file, options)

/** {@inheritDoc frames.frameAt} */
export const frameAt: typeof frames.frameAt = (file, line, options) =>
  (load('./frameAt') as typeof frames).frameAt(file, line, options)
