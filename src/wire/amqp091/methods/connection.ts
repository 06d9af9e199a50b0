import type { MethodArguments, MethodName } from "../codec/method.ts";
import { AmqpError } from "../errors.ts";
import type { Link } from "../link.ts";

/** A method on channel 0 of an open connection. True when the client closes. @throws AmqpError */
export function connectionMethod(link: Link, name: MethodName, args: Record<string, unknown>): boolean {
  switch (name) {
    case "connection.close":
      return true;
    case "connection.close-ok":
      return false;
    case "connection.update-secret":
      updateSecret(link, args as MethodArguments<"connection.update-secret">);
      return false;
    default:
      throw new AmqpError("CHANNEL_ERROR", "unexpected method in connection state running");
  }
}

/** Passwords are checked when a connection opens; a new one changes nothing for this one. */
function updateSecret(link: Link, { reason }: MethodArguments<"connection.update-secret">): void {
  link.context.logger.info({ user: link.principal.user, reason }, "client updated its secret");
  link.send(0, "connection.update-secret-ok", {});
}
