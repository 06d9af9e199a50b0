import { DOTTED_TOPICS, TopicTree } from "../../base/topic-tree.ts";
import type { Table } from "../../message/values.ts";
import { PATTERN_GUARDED_ARGUMENT, PATTERN_ONE_ARGUMENT, type RoutedMessage } from "../types.ts";
import type { Destination, Flaw, Router, RouterBinding } from "./exchange-type.ts";

/** Patterns that are written alike. */
class Family {
  readonly tree: TopicTree<RouterBinding>;
  /** The guarded ones that begin with a wildcard: not asked about keys that begin with "$". */
  readonly guarded: TopicTree<RouterBinding>;

  constructor(one: string) {
    this.tree = new TopicTree({ ...DOTTED_TOPICS, one });
    this.guarded = new TopicTree({ ...DOTTED_TOPICS, one });
  }
}

export class TopicRouter implements Router {
  readonly dynamic = false;
  readonly keys = "all";
  readonly delaying = false;
  /** By the word that stands for one word. */
  private readonly families = new Map<string, Family>();
  private into: Destination[] = [];
  /** One visitor for all matches, so that a match allocates no closure. */
  private readonly visit = (binding: RouterBinding): void => {
    this.into.push(binding.to);
  };

  scope(binding: RouterBinding): string | null {
    return this.familyOf(binding).tree.isWild(binding.key) ? null : binding.key;
  }

  check(_key: string, args: Table): Flaw | null {
    const one = args.get(PATTERN_ONE_ARGUMENT)?.value ?? DOTTED_TOPICS.one;
    if (one !== "*" && one !== "+") return { argument: PATTERN_ONE_ARGUMENT, reason: "neither '*' nor '+'" };
    const guarded = args.get(PATTERN_GUARDED_ARGUMENT)?.value ?? false;
    if (typeof guarded === "boolean") return null;
    return { argument: PATTERN_GUARDED_ARGUMENT, reason: "not a boolean" };
  }

  add(binding: RouterBinding): void {
    this.treeOf(binding).add(binding.key, binding);
  }

  remove(binding: RouterBinding): void {
    this.treeOf(binding).remove(binding.key, binding);
  }

  route(key: string, _message: RoutedMessage | null, into: Destination[]): void {
    this.into = into;
    for (const { tree, guarded } of this.families.values()) {
      tree.match(key, this.visit);
      if (guarded.size > 0 && !key.startsWith("$")) guarded.match(key, this.visit);
    }
  }

  private treeOf(binding: RouterBinding): TopicTree<RouterBinding> {
    const family = this.familyOf(binding);
    const guarded = binding.args.get(PATTERN_GUARDED_ARGUMENT)?.value === true;
    return guarded && startsWild(binding.key, oneOf(binding)) ? family.guarded : family.tree;
  }

  private familyOf(binding: RouterBinding): Family {
    const one = oneOf(binding);
    let family = this.families.get(one);
    if (family === undefined) {
      family = new Family(one);
      this.families.set(one, family);
    }
    return family;
  }
}

function oneOf({ args }: RouterBinding): string {
  return (args.get(PATTERN_ONE_ARGUMENT)?.value as string | undefined) ?? DOTTED_TOPICS.one;
}

function startsWild(pattern: string, one: string): boolean {
  const first = pattern.split(DOTTED_TOPICS.separator, 1)[0];
  return first === one || first === DOTTED_TOPICS.many;
}
