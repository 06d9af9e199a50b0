/** A PROXY protocol header of version 2, from its bytes in hexadecimal. */
export function proxyHeader({ command = 0x21, family = 0x11, body = "" }): Buffer {
  const fixed = Buffer.from("\r\n\r\n\0\r\nQUIT\n\0\0\0\0", "latin1");
  const rest = Buffer.from(body, "hex");
  fixed[12] = command;
  fixed[13] = family;
  fixed.writeUInt16BE(rest.length, 14);
  return Buffer.concat([fixed, rest]);
}
