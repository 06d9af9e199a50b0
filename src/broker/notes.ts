import type { Journal } from "./store/journal.ts";
import type { Regions } from "./store/regions.ts";
import type { Notebook } from "./types.ts";

/** What a note costs to write again at most in one turn of the cleaner: notes are small, so by number. */
const CARRIED_TOGETHER = 256;

interface Note {
  value: string;
  /** Of the batch that holds its head. */
  position: number;
  /** Length of that head. */
  bytes: number;
}

class Book {
  readonly namespace: string;
  readonly name: string;
  readonly notes = new Map<string, Note>();
  /** Its last note went, and it with it. */
  gone = false;

  constructor(namespace: string, name: string) {
    this.namespace = namespace;
    this.name = name;
  }
}

/** What notes need of the shard's store. */
export interface NoteStore {
  readonly journal: Journal;
  readonly regions: Regions;
}

/**
 * Durable facts beside the messages: all of them in memory, each with its place in the log, which is kept
 * there by the same count of live bytes as messages are, and carried forward by the cleaner like them.
 */
export class Notes {
  private readonly store: NoteStore;
  private readonly synced: boolean;
  private readonly spaces = new Map<string, Map<string, Book>>();
  count = 0;

  /** `synced`: a change asks for stable storage, not only for the operating system. */
  constructor(store: NoteStore, synced: boolean) {
    this.store = store;
    this.synced = synced;
  }

  notebook(namespace: string, name: string): Notebook {
    return new NotebookView(this, namespace, name);
  }

  *names(namespace: string, prefix: string): Iterable<string> {
    for (const name of this.spaces.get(namespace)?.keys() ?? []) if (name.startsWith(prefix)) yield name;
  }

  find(namespace: string, name: string): Book | null {
    return this.spaces.get(namespace)?.get(name) ?? null;
  }

  set(book: Book | null, view: NotebookView, key: string, value: string): Book {
    const { journal, regions } = this.store;
    const bytes = journal.heads.note(view.prefix, key, value);
    const position = journal.headPosition();
    journal.commit(this.synced);
    const into = book ?? this.open(view.namespace, view.name);
    this.put(into, key, value, position, bytes);
    regions.add(position, bytes);
    return into;
  }

  delete(book: Book, view: NotebookView, key: string): void {
    if (!book.notes.has(key)) return;
    this.store.journal.heads.noteEnd(view.prefix, key);
    this.store.journal.commit(this.synced);
    this.drop(book, key);
  }

  clear(book: Book, view: NotebookView): void {
    this.store.journal.heads.bookEnd(view.prefix);
    this.store.journal.commit(this.synced);
    this.dropAll(book);
  }

  /** The namespace is deleted: what it noted is dead. */
  forgetNamespace(namespace: string): void {
    for (const book of [...(this.spaces.get(namespace)?.values() ?? [])]) {
      this.clear(book, new NotebookView(this, namespace, book.name));
    }
  }

  // --- replay and cleaning -------------------------------------------------------------------------

  restore(
    namespace: string,
    name: string,
    key: string,
    value: string,
    position: number,
    bytes: number,
  ): void {
    this.put(this.find(namespace, name) ?? this.open(namespace, name), key, value, position, bytes);
    this.store.regions.add(position, bytes);
  }

  restoredDelete(namespace: string, name: string, key: string): void {
    const book = this.find(namespace, name);
    if (book !== null) this.drop(book, key);
  }

  restoredClear(namespace: string, name: string): void {
    const book = this.find(namespace, name);
    if (book !== null) this.dropAll(book);
  }

  /** Writes the notes that lie in [from, to) of the log again at its end, some at each step. */
  *carry(from: number, to: number): Generator<void> {
    const { journal, regions } = this.store;
    let looked = 0;
    for (const space of [...this.spaces.values()]) {
      for (const book of space.values()) {
        const prefix = notebookPrefix(book.namespace, book.name);
        for (const [key, note] of book.notes) {
          if (++looked % CARRIED_TOGETHER === 0) yield;
          if (note.position < from || note.position >= to || book.notes.get(key) !== note) continue;
          const bytes = journal.heads.note(prefix, key, note.value);
          regions.remove(note.position, note.bytes);
          note.position = journal.headPosition();
          note.bytes = bytes;
          regions.add(note.position, bytes);
          // On stable storage, whatever the level: the older copy may have been, and goes.
          journal.commit(true);
        }
      }
    }
  }

  private open(namespace: string, name: string): Book {
    let space = this.spaces.get(namespace);
    if (space === undefined) {
      space = new Map();
      this.spaces.set(namespace, space);
    }
    const book = new Book(namespace, name);
    space.set(name, book);
    return book;
  }

  private put(book: Book, key: string, value: string, position: number, bytes: number): void {
    const note = book.notes.get(key);
    if (note === undefined) {
      book.notes.set(key, { value, position, bytes });
      this.count++;
      return;
    }
    this.store.regions.remove(note.position, note.bytes);
    note.value = value;
    note.position = position;
    note.bytes = bytes;
  }

  private drop(book: Book, key: string): void {
    const note = book.notes.get(key);
    if (note === undefined) return;
    this.store.regions.remove(note.position, note.bytes);
    book.notes.delete(key);
    this.count--;
    if (book.notes.size === 0) this.close(book);
  }

  private dropAll(book: Book): void {
    for (const note of book.notes.values()) this.store.regions.remove(note.position, note.bytes);
    this.count -= book.notes.size;
    book.notes.clear();
    this.close(book);
  }

  private close(book: Book): void {
    book.gone = true;
    const space = this.spaces.get(book.namespace);
    space?.delete(book.name);
    if (space?.size === 0) this.spaces.delete(book.namespace);
  }
}

/** A notebook as its protocol sees it; outlives the book, which is there only while something stands in it. */
class NotebookView implements Notebook {
  readonly namespace: string;
  readonly name: string;
  /** Namespace and name as they begin every head. */
  readonly prefix: Uint8Array;
  private readonly notes: Notes;
  private known: Book | null = null;

  constructor(notes: Notes, namespace: string, name: string) {
    this.notes = notes;
    this.namespace = namespace;
    this.name = name;
    this.prefix = notebookPrefix(namespace, name);
  }

  get size(): number {
    return this.book()?.notes.size ?? 0;
  }

  get(key: string): string | undefined {
    return this.book()?.notes.get(key)?.value;
  }

  has(key: string): boolean {
    return this.book()?.notes.has(key) === true;
  }

  *entries(): Iterable<readonly [key: string, value: string]> {
    for (const [key, note] of this.book()?.notes ?? []) yield [key, note.value];
  }

  set(key: string, value: string): void {
    this.known = this.notes.set(this.book(), this, key, value);
  }

  delete(key: string): void {
    const book = this.book();
    if (book !== null) this.notes.delete(book, this, key);
  }

  clear(): void {
    const book = this.book();
    if (book !== null) this.notes.clear(book, this);
  }

  private book(): Book | null {
    if (this.known === null || this.known.gone) this.known = this.notes.find(this.namespace, this.name);
    return this.known;
  }
}

/** [u16 length, namespace][u16 length, name] */
function notebookPrefix(namespace: string, name: string): Uint8Array {
  const [n, b] = [Buffer.from(namespace), Buffer.from(name)];
  if (n.length > 0xffff || b.length > 0xffff) throw new RangeError("the name of a notebook is too long");
  const prefix = Buffer.allocUnsafe(4 + n.length + b.length);
  prefix.writeUInt16BE(n.length, 0);
  n.copy(prefix, 2);
  prefix.writeUInt16BE(b.length, 2 + n.length);
  b.copy(prefix, 4 + n.length);
  return prefix;
}
