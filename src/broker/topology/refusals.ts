import { BrokerError } from "../../base/errors.ts";

/** The errors of the topology, with all that a wire layer needs to word them its own way in `detail`. */
type Kind = "queue" | "exchange";

export function notFound(kind: Kind, name: string, namespace: string): BrokerError {
  const code = kind === "queue" ? "queue-not-found" : "exchange-not-found";
  return new BrokerError(code, `no ${kind} '${name}' in namespace '${namespace}'`, { kind, name, namespace });
}

export function namespaceNotFound(namespace: string): BrokerError {
  const detail = { kind: "namespace", name: namespace, namespace };
  return new BrokerError("namespace-not-found", `namespace '${namespace}' not found`, detail);
}

export function onDefaultExchange(namespace: string): BrokerError {
  const detail = { kind: "exchange", name: "", namespace };
  return new BrokerError("default-exchange", "operation not permitted on the default exchange", detail);
}

export function reservedName(kind: Kind, name: string, namespace: string): BrokerError {
  const detail = { kind, name, namespace, prefix: "amq." };
  return new BrokerError("name-reserved", `${kind} name '${name}' has the reserved prefix 'amq.'`, detail);
}

export function queueLocked(name: string, namespace: string): BrokerError {
  const text = `queue '${name}' in namespace '${namespace}' is exclusive to another connection, or was not declared so`;
  return new BrokerError("queue-locked", text, { kind: "queue", name, namespace });
}

export function inUse(kind: Kind, name: string, namespace: string): BrokerError {
  const code = kind === "queue" ? "queue-in-use" : "exchange-in-use";
  return new BrokerError(code, `${kind} '${name}' in namespace '${namespace}' is in use`, {
    kind,
    name,
    namespace,
  });
}

export function notEmpty(name: string, namespace: string): BrokerError {
  const detail = { kind: "queue", name, namespace };
  return new BrokerError(
    "queue-not-empty",
    `queue '${name}' in namespace '${namespace}' is not empty`,
    detail,
  );
}

export function systemExchange(name: string, namespace: string): BrokerError {
  const detail = { kind: "exchange", name, namespace };
  return new BrokerError("system-exchange", `exchange '${name}' is part of the system`, detail);
}

/** `received` and `current` are plain values for options, typed values for arguments; undefined: not set. */
export function inequivalent(
  kind: Kind,
  name: string,
  namespace: string,
  option: string,
  received: unknown,
  current: unknown,
): BrokerError {
  const text = `${kind} '${name}' in namespace '${namespace}' was declared with another '${option}'`;
  return new BrokerError("inequivalent", text, { kind, name, namespace, option, received, current });
}

export function invalidArgument(
  kind: Kind | "binding",
  name: string,
  namespace: string,
  argument: string,
  reason: string,
): BrokerError {
  const text = `argument '${argument}' of ${kind} '${name}' ${reason}`;
  return new BrokerError("argument-invalid", text, { kind, name, namespace, argument, reason });
}

export function limitReached(what: string, limit: number, namespace: string): BrokerError {
  return new BrokerError("limit-reached", `limit of ${limit} ${what} is reached`, { what, limit, namespace });
}

export function streamExists(name: string, namespace: string): BrokerError {
  const detail = { kind: "queue", name, namespace };
  return new BrokerError(
    "stream-exists",
    `there is a queue or stream '${name}' in namespace '${namespace}'`,
    detail,
  );
}
