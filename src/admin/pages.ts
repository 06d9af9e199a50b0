import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";

/** What a page answers with. */
export interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

export type Page = () => Answer | Promise<Answer>;

export function json(content: unknown, status = 200): Answer {
  return { status, contentType: "application/json", body: JSON.stringify(content) };
}

/** Pages by their path: `GET` and `HEAD`, and nothing else. A page that throws is a fault of ours. */
export function servePages(pages: ReadonlyMap<string, Page>, onFault: (error: Error) => void): Server {
  return createServer((request, response) => {
    void answer(pages, request).then(
      (found) => send(response, found),
      (error: Error) => {
        onFault(error);
        send(response, json({ error: "internal error" }, 500));
      },
    );
  });
}

async function answer(pages: ReadonlyMap<string, Page>, { url, method }: IncomingMessage): Promise<Answer> {
  const page = pages.get((url ?? "").split("?", 1)[0]!);
  if (page === undefined) return json({ error: "not found" }, 404);
  if (method !== "GET" && method !== "HEAD") return json({ error: "method not allowed" }, 405);
  return page();
}

/** Node leaves the body out where the request was HEAD. */
function send(response: ServerResponse, { status, contentType, body }: Answer): void {
  const allow = status === 405 ? { allow: "GET, HEAD" } : {};
  const length = Buffer.byteLength(body);
  response.writeHead(status, { "content-type": contentType, "content-length": length, ...allow }).end(body);
}
