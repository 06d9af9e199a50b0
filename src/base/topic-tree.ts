/** How a family of patterns is written. */
export interface TopicSyntax {
  readonly separator: string;
  /** A word that stands for exactly one word. */
  readonly one: string;
  /** A word that stands for any number of words, none included. */
  readonly many: string;
}

export const DOTTED_TOPICS: TopicSyntax = { separator: ".", one: "*", many: "#" };

class TreeNode<T> {
  readonly parent: TreeNode<T> | null;
  readonly word: string;
  /** Reached by the wildcard for many words: stays active whatever word comes. */
  readonly repeats: boolean;
  children: Map<string, TreeNode<T>> | null = null;
  one: TreeNode<T> | null = null;
  many: TreeNode<T> | null = null;
  values: Set<T> | null = null;
  /** Step of matching in which the node was last made active. */
  stamp = 0;

  constructor(parent: TreeNode<T> | null, word: string, repeats: boolean) {
    this.parent = parent;
    this.word = word;
    this.repeats = repeats;
  }
}

/**
 * Patterns of words in a trie. Matching walks all fitting branches at once and holds every node at
 * most once per word (a nondeterministic automaton), so that its cost is bounded by words times
 * nodes whatever the number of wildcards: backtracking would be exponential in "#.#.#.x".
 *
 * Empty words are words like any other; the empty key has none, so that only wildcards for many
 * words and the empty pattern match it. Not reentrant: `visit` must not call `match`.
 */
export class TopicTree<T> {
  private readonly syntax: TopicSyntax;
  private readonly root = new TreeNode<T>(null, "", false);
  private active: TreeNode<T>[] = [];
  private next: TreeNode<T>[] = [];
  private stamp = 0;
  private count = 0;

  constructor(syntax: TopicSyntax = DOTTED_TOPICS) {
    this.syntax = syntax;
  }

  get size(): number {
    return this.count;
  }

  /** Whether the pattern matches anything but the key that is spelled like it. */
  isWild(pattern: string): boolean {
    const { separator, one, many } = this.syntax;
    if (!pattern.includes(one) && !pattern.includes(many)) return false;
    return pattern.split(separator).some((word) => word === one || word === many);
  }

  /** Adding the same value to the same pattern again changes nothing. */
  add(pattern: string, value: T): void {
    let node = this.root;
    for (const word of this.words(pattern)) node = this.childOf(node, word) ?? this.grow(node, word);
    node.values ??= new Set();
    if (node.values.has(value)) return;
    node.values.add(value);
    this.count++;
  }

  remove(pattern: string, value: T): void {
    let node: TreeNode<T> | null = this.root;
    for (const word of this.words(pattern)) {
      node = this.childOf(node, word);
      if (node === null) return;
    }
    if (node.values?.delete(value) !== true) return;
    this.count--;
    if (node.values.size === 0) node.values = null;
    this.prune(node);
  }

  /** Visits the values of all patterns that match; one that stands under several of them, several times. */
  match(key: string, visit: (value: T) => void): void {
    let active = this.active;
    let next = this.next;
    active.length = 0;
    this.stamp++;
    this.enter(this.root, active);
    let start = key === "" ? -1 : 0;
    while (start >= 0 && active.length > 0) {
      const end = key.indexOf(this.syntax.separator, start);
      const word = end < 0 ? key.slice(start) : key.slice(start, end);
      next.length = 0;
      this.stamp++;
      for (let i = 0; i < active.length; i++) this.step(active[i] as TreeNode<T>, word, next);
      [active, next] = [next, active];
      start = end < 0 ? -1 : end + 1;
    }
    this.active = active;
    this.next = next;
    for (let i = 0; i < active.length; i++) (active[i] as TreeNode<T>).values?.forEach(visit);
  }

  private step(node: TreeNode<T>, word: string, into: TreeNode<T>[]): void {
    if (node.repeats) this.enter(node, into);
    const child = node.children?.get(word);
    if (child !== undefined) this.enter(child, into);
    if (node.one !== null) this.enter(node.one, into);
  }

  private enter(node: TreeNode<T>, into: TreeNode<T>[]): void {
    if (node.stamp === this.stamp) return;
    node.stamp = this.stamp;
    into.push(node);
    if (node.many !== null) this.enter(node.many, into);
  }

  private words(pattern: string): string[] {
    return pattern === "" ? [] : pattern.split(this.syntax.separator);
  }

  private childOf(node: TreeNode<T>, word: string): TreeNode<T> | null {
    if (word === this.syntax.one) return node.one;
    if (word === this.syntax.many) return node.many;
    return node.children?.get(word) ?? null;
  }

  private grow(node: TreeNode<T>, word: string): TreeNode<T> {
    const child = new TreeNode(node, word, word === this.syntax.many);
    if (word === this.syntax.one) node.one = child;
    else if (word === this.syntax.many) node.many = child;
    else {
      node.children ??= new Map();
      node.children.set(word, child);
    }
    return child;
  }

  private prune(leaf: TreeNode<T>): void {
    let node = leaf;
    while (node.parent !== null && node.values === null && node.one === null && node.many === null) {
      if (node.children !== null && node.children.size > 0) return;
      const parent = node.parent;
      if (parent.one === node) parent.one = null;
      else if (parent.many === node) parent.many = null;
      else parent.children?.delete(node.word);
      node = parent;
    }
  }
}
