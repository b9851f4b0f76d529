/**
 * A disk, of one MiB unless told otherwise, that a test can fill: a tmpfs, mounted at a folder of its own, with ballast that can be thrown overboard.
 *
 * Mounting is for root on Linux, and not even for root in every container.
 */
import { spawnSync } from 'node:child_process'
import { mkdtemp, open, rm, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { errnoOf } from '../../src/model/fileFault'

const BYTES = 1_048_576

export class SmallDisk {
  private constructor(readonly folder: string) {}

  /** Says why there is none, where there is none: tests that need it then skip themselves. */
  static async mount(bytes = BYTES): Promise<SmallDisk | string> {
    if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'mounting a small disk takes root on Linux'
    const folder = await mkdtemp(path.join(tmpdir(), 'millrace-small-disk-'))
    const { status, stderr, error } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', folder])
    if (status === 0) return new SmallDisk(folder)
    await rm(folder, { recursive: true, force: true })
    return `a small disk cannot be mounted here: ${(error?.message ?? String(stderr)).trim()}`
  }

  /** Leaves so many bytes, to the next page, whoever else writes meanwhile. */
  async fillBut(bytes: number): Promise<void> {
    const ballast = await open(this.ballast, 'w')
    try {
      for (;;) {
        const { bavail, bsize } = await statfs(this.folder)
        if (bavail * bsize <= bytes) return
        await ballast.write(Buffer.alloc(bsize))
      }
    } catch (cause) {
      if (errnoOf(cause) !== 'ENOSPC') throw cause
    } finally {
      await ballast.close()
    }
  }

  async makeRoom(): Promise<void> {
    await rm(this.ballast)
  }

  async unmount(): Promise<void> {
    spawnSync('umount', ['--lazy', this.folder])
    await rm(this.folder, { recursive: true, force: true })
  }

  private get ballast(): string {
    return path.join(this.folder, 'ballast')
  }
}
