import { LinearPattern } from "../../base/linear-pattern.ts";
import type { AssignedMember } from "./assigned-member.ts";
import type { AssignableStream } from "./assignors.ts";

export interface KnownStream extends AssignableStream {
  readonly name: string;
}

/** The streams of one namespace, as far as groups care. */
export interface StreamDirectory {
  find(name: string): KnownStream | null;
  all(): Iterable<KnownStream>;
}

const PATTERNS_MAX = 1000;

/** From what a member says that it wants to read to the streams that there are. */
export class Subscriptions {
  private readonly directory: StreamDirectory;
  private readonly patterns = new Map<string, LinearPattern | null>();
  /** What a pattern may find for a member: only what its user may see. */
  private readonly visible = new WeakMap<AssignedMember, (stream: string) => boolean>();

  constructor(directory: StreamDirectory) {
    this.directory = directory;
  }

  isValid(pattern: string): boolean {
    return this.compiled(pattern) !== null;
  }

  allow(member: AssignedMember, visible: (stream: string) => boolean): void {
    this.visible.set(member, visible);
  }

  forget(member: AssignedMember): void {
    this.visible.delete(member);
  }

  streamsOf(member: AssignedMember): KnownStream[] {
    const found = new Map<string, KnownStream>();
    const { streams, pattern } = member.spec;
    for (const name of streams) {
      const stream = this.directory.find(name);
      if (stream !== null) found.set(stream.id, stream);
    }
    if (pattern !== null) {
      for (const stream of this.directory.all()) {
        if (this.matches(member, stream.name)) found.set(stream.id, stream);
      }
    }
    return [...found.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  reads(member: AssignedMember, stream: string): boolean {
    return member.spec.streams.includes(stream) || this.matches(member, stream);
  }

  private matches(member: AssignedMember, stream: string): boolean {
    const { pattern } = member.spec;
    if (pattern === null || this.compiled(pattern)?.matches(stream) !== true) return false;
    return this.visible.get(member)?.(stream) ?? true;
  }

  private compiled(pattern: string): LinearPattern | null {
    let compiled = this.patterns.get(pattern);
    if (compiled === undefined) {
      try {
        compiled = new LinearPattern(pattern);
      } catch {
        compiled = null;
      }
      if (this.patterns.size >= PATTERNS_MAX) this.patterns.clear();
      this.patterns.set(pattern, compiled);
    }
    return compiled;
  }
}
