import { BlockList, isIP } from "node:net";
import type { ValueType } from "./value-types.ts";

function split(text: string): string[] {
  const parts = text.split(",").map((part) => part.trim());
  if (parts.includes("")) throw new RangeError(`'${text}' is no list (try a, b)`);
  return parts;
}

/** Names of listeners; `on` is all of them, `off` none. */
export const LISTENER_NAMES: ValueType<"all" | readonly string[]> = {
  placeholder: "names",
  syntax: "`off`, `on`, or listeners: `amqp, mqtts`",
  parse: (text) => {
    if (/^(off|no|false)$/i.test(text)) return [];
    return /^(on|yes|true|all)$/i.test(text) ? "all" : split(text);
  },
  format: (value) => (value === "all" ? "on" : value.length === 0 ? "off" : value.join(", ")),
};

export interface Networks {
  readonly text: string;
  readonly list: BlockList;
}

/** Addresses and networks; null is any. */
export const NETWORKS: ValueType<Networks | null> = {
  placeholder: "networks",
  syntax: "`any`, or addresses and networks: `10.0.0.0/8, ::1`",
  parse: (text) => {
    if (/^any$/i.test(text)) return null;
    const list = new BlockList();
    for (const part of split(text)) {
      const [address = "", prefix, ...more] = part.split("/");
      const version = isIP(address);
      const bits = version === 4 ? 32 : 128;
      const length = prefix === undefined ? bits : /^\d{1,3}$/.test(prefix) ? Number(prefix) : -1;
      if (version === 0 || more.length > 0 || length < 0 || length > bits) {
        throw new RangeError(`'${part}' is neither an address nor a network (try 10.0.0.0/8)`);
      }
      list.addSubnet(address, length, version === 4 ? "ipv4" : "ipv6");
    }
    return { text: split(text).join(", "), list };
  },
  format: (value) => value?.text ?? "any",
};

/** What a browser calls the origin of a page (RFC 6454); null is any. */
export const ORIGINS: ValueType<readonly string[] | null> = {
  placeholder: "origins",
  syntax: "`any`, or origins: `https://chat.example, http://localhost:8080`",
  parse: (text) => {
    if (/^any$/i.test(text)) return null;
    return split(text).map((part) => {
      if (URL.canParse(part) && /^https?:$/.test(new URL(part).protocol)) return new URL(part).origin;
      throw new RangeError(`'${part}' is no origin (try https://chat.example)`);
    });
  },
  format: (value) => value?.join(", ") ?? "any",
};
