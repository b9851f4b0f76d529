/** A queue from whose middle entries can be taken out, each operation in constant time. */
export class Fifo<T> {
  private head: FifoNode<T> | undefined
  private tail: FifoNode<T> | undefined
  private count = 0

  get size(): number {
    return this.count
  }

  push(value: T): FifoNode<T> {
    const node: FifoNode<T> = { value, previous: undefined, next: undefined }
    this.append(node)
    return node
  }

  peek(): T | undefined {
    return this.head?.value
  }

  shift(): T | undefined {
    const node = this.head
    if (node === undefined) return undefined
    this.remove(node)
    return node.value
  }

  /** Takes out an entry of this queue; it must be in it. */
  remove(node: FifoNode<T>): void {
    if (node.previous === undefined) this.head = node.next
    else node.previous.next = node.next
    if (node.next === undefined) this.tail = node.previous
    else node.next.previous = node.previous
    // An old entry that still led to the one after it would keep alive all that ever came, until the whole heap is collected.
    node.previous = node.next = undefined
    this.count--
  }

  /** Puts an entry of this queue at its end; it must be in it. */
  renew(node: FifoNode<T>): void {
    this.remove(node)
    this.append(node)
  }

  clear(): void {
    this.head = this.tail = undefined
    this.count = 0
  }

  private append(node: FifoNode<T>): void {
    node.previous = this.tail
    if (this.tail === undefined) this.head = node
    else this.tail.next = node
    this.tail = node
    this.count++
  }
}

export interface FifoNode<T> {
  readonly value: T
  previous: FifoNode<T> | undefined
  next: FifoNode<T> | undefined
}
