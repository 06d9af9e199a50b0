import type { Table } from "../../message/values.ts";
import type { TopologyContext } from "./context.ts";
import { Binding, type Exchange, type QueueEntry } from "./graph.ts";
import { invalidArgument } from "./refusals.ts";
import type { Routing } from "./routing.ts";
import { canonicalArguments } from "./store.ts";

/** The bindings of a namespace: edges are entered at both ends, in the router, the route caches and the store. */
export class Edges {
  private readonly namespace: string;
  private readonly context: TopologyContext;
  private readonly routing: Routing;
  /** An auto-deleting exchange has lost its last binding. */
  private readonly abandoned: (exchange: Exchange) => void;

  constructor(
    namespace: string,
    context: TopologyContext,
    routing: Routing,
    abandoned: (exchange: Exchange) => void,
  ) {
    this.namespace = namespace;
    this.context = context;
    this.routing = routing;
    this.abandoned = abandoned;
  }

  /** @throws BrokerError argument-invalid */
  check(source: Exchange, key: string, args: Table): void {
    const flaw = source.router.check(key, args);
    if (flaw !== null) {
      throw invalidArgument("binding", source.name, this.namespace, flaw.argument, flaw.reason);
    }
  }

  find(source: Exchange, to: Exchange | QueueEntry, key: string, args: Table): Binding | undefined {
    return source.outgoing.get(bindingId(to, key, args));
  }

  /** Has no effect when the binding is there. `restored`: it comes from the store. */
  add(source: Exchange, to: Exchange | QueueEntry, key: string, args: Table, restored: boolean): void {
    const id = bindingId(to, key, args);
    if (source.outgoing.has(id)) return;
    const binding = new Binding(id, source, to, key, args);
    source.outgoing.set(id, binding);
    if (to.kind === "queue") to.incoming ??= new Set();
    to.incoming?.add(binding);
    source.router.add(binding);
    this.routing.invalidateBinding(binding);
    if (restored) return;
    if (binding.durable) this.context.store.putBinding(this.namespace, binding);
    this.context.changed("binding", "created", this.namespace, source.name);
  }

  remove(binding: Binding): void {
    const { source, to } = binding;
    // One removal can lead to others, and round a cycle to this one again.
    if (!source.outgoing.delete(binding.id)) return;
    to.incoming?.delete(binding);
    source.router.remove(binding);
    this.routing.invalidateBinding(binding);
    if (binding.durable) this.context.store.deleteBinding(this.namespace, binding);
    this.context.changed("binding", "deleted", this.namespace, source.name);
    if (source.outgoing.size === 0 && source.declaration.autoDelete && !source.deleted)
      this.abandoned(source);
  }

  /** The node goes: so do all edges from and to it. */
  detach(node: Exchange | QueueEntry): void {
    if (node.kind === "exchange") for (const binding of [...node.outgoing.values()]) this.remove(binding);
    if (node.incoming !== null && node.incoming.size > 0) {
      for (const binding of [...node.incoming]) this.remove(binding);
    }
  }
}

/** A binding is the same when destination, key and arguments are: lengths keep the parts apart. */
function bindingId(to: Exchange | QueueEntry, key: string, args: Table): string {
  return `${to.kind}:${to.name.length}:${to.name}:${key.length}:${key}${canonicalArguments(args)}`;
}
