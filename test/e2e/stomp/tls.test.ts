// stompjs over WebSocket over TLS, as a page that came by https has to.
import { Client } from "@stomp/stompjs";
import { afterAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { startServer } from "../../support/broker.ts";
import { makeCertificates } from "../../support/certificates.ts";

const certificates = makeCertificates(["ann"], []);

describe.skipIf(certificates === null)("STOMP over wss", async () => {
  if (certificates === null) return;
  const { port, stop } = await startServer({ wssPort: "0", sharedPort: "0", ...certificates.options });
  afterAll(stop);
  const urls = {
    "on its own port": `wss://localhost:${port("wss")}/stomp`,
    "on the shared port": `wss://localhost:${port("shared")}/stomp`,
  };

  function open(url: string, passcode: string, trusting = true): Promise<Client> {
    const tls = trusting ? certificates?.client() : {};
    const client = new Client({
      webSocketFactory: () => {
        const socket = new WebSocket(url, ["v12.stomp", "v11.stomp", "v10.stomp"], tls);
        socket.on("error", () => {});
        return socket;
      },
      connectHeaders: { login: "guest", passcode, host: "/" },
      reconnectDelay: 0,
    });
    return new Promise((resolve, reject) => {
      client.onConnect = () => resolve(client);
      const fail = (why: string): void => {
        void client.deactivate({ force: true });
        reject(new Error(why));
      };
      client.onStompError = ({ headers }) => fail(`${headers.message}`);
      client.onWebSocketClose = ({ code }) => fail(`closed: ${code}`);
      client.activate();
    });
  }

  describe.each(Object.entries(urls))("%s", (_, url) => {
    test("messages small and large, acknowledged, in a transaction, with receipts", async () => {
      const client = await open(url, "guest");
      const queue = `/queue/sealed-${Math.random()}`;
      const bodies = ["", "small", "ü".repeat(200_000)];
      const came: string[] = [];
      const all = new Promise<void>((resolve) => {
        client.subscribe(
          queue,
          (message) => {
            message.ack();
            if (came.push(message.body) === bodies.length) resolve();
          },
          { ack: "client-individual" },
        );
      });
      const committed = new Promise((resolve) => client.watchForReceipt("committed", resolve));
      const transaction = client.begin();
      for (const body of bodies)
        client.publish({ destination: queue, body, headers: { transaction: transaction.id } });
      client.publish({ destination: "/topic/nobody", body: "", headers: { receipt: "committed" } });
      await committed;
      expect(came).toEqual([]);
      transaction.commit();
      await all;
      expect(came).toEqual(bodies);
      await client.deactivate();
    });

    test("a wrong password, and a certificate that is not trusted, are refused", async () => {
      await expect(open(url, "wrong")).rejects.toThrow("Bad CONNECT");
      await expect(open(url, "guest", false)).rejects.toThrow("closed: 1006");
    });
  });
});
