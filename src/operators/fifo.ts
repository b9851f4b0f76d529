/** A queue from whose middle entries can be taken out, each operation in constant time. */
export class Fifo<T> {
  private head: FifoNode<T> | undefined
  private tail: FifoNode<T> | undefined
  private count = 0

  get size(): number {
    return this.count
  }

  push(value: T): FifoNode<T> {
    const node: FifoNode<T> = { value, previous: this.tail, next: undefined }
    if (this.tail === undefined) this.head = node
    else this.tail.next = node
    this.tail = node
    this.count++
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
    this.count--
  }

  clear(): void {
    this.head = this.tail = undefined
    this.count = 0
  }
}

export interface FifoNode<T> {
  readonly value: T
  previous: FifoNode<T> | undefined
  next: FifoNode<T> | undefined
}
