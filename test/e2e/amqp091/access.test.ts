// Who may do what, over real sockets: users, their permissions, and RabbitMQ 3.10's words for a refusal.
import { connect } from "amqplib";
import { afterAll, describe, expect, test } from "vitest";
import { startServer } from "../../support/broker.ts";
import { type AmqpError, barrier, Client, drain } from "../../support/client.ts";
import { PROTOCOL_HEADER, RawConnection } from "../../support/raw-connection.ts";

const { broker, address, stop } = await startServer();
afterAll(stop);
const { access, topology } = broker;
const ALL = { configure: ".*", write: ".*", read: ".*" };

async function userOf(name: string, permissions = ALL, vhost = "/"): Promise<Client> {
  await access.putUser(name, "secret", []);
  access.setPermissions(name, vhost, permissions);
  return new Client(`amqp://${name}:secret@${address}/${encodeURIComponent(vhost)}`);
}

const guest = new Client(`amqp://guest:guest@${address}`);
afterAll(() => guest.cleanUp());
const setUp = await guest.channel();
for (const name of ["mine.a", "theirs"]) {
  await setUp.assertQueue(name);
  await setUp.assertExchange(`x.${name}`, "fanout");
}

const refused = (what: string, user = "ann") => ({
  code: 403,
  scope: "channel",
  text: `ACCESS_REFUSED - access to ${what} in vhost '/' refused for user '${user}'`,
});

describe("patterns of a user", async () => {
  const ann = await userOf("ann", {
    configure: "^mine",
    write: "^(mine|x\\.mine)",
    read: "^(mine|x\\.mine)",
  });
  afterAll(() => ann.cleanUp());

  test("what they allow goes", async () => {
    const channel = await ann.confirmChannel();
    await channel.assertQueue("mine.b");
    await channel.bindQueue("mine.b", "x.mine.a", "");
    channel.publish("x.mine.a", "", Buffer.from("hello"));
    await channel.waitForConfirms();
    expect(await drain(channel, "mine.b")).toEqual(["hello"]);
    await channel.deleteQueue("mine.b");
  });

  test.each<[string, string, Parameters<Client["errorOf"]>[0]]>([
    ["declaring a queue", "queue 'other'", (ch) => ch.assertQueue("other")],
    ["deleting a queue", "queue 'theirs'", (ch) => ch.deleteQueue("theirs")],
    ["declaring an exchange", "exchange 'x.new'", (ch) => ch.assertExchange("x.new", "fanout")],
    ["deleting an exchange", "exchange 'x.theirs'", (ch) => ch.deleteExchange("x.theirs")],
    ["binding a queue", "queue 'theirs'", (ch) => ch.bindQueue("theirs", "x.mine.a", "")],
    ["binding to an exchange", "exchange 'x.theirs'", (ch) => ch.bindQueue("mine.a", "x.theirs", "")],
    ["publishing", "exchange 'x.theirs'", (ch) => ch.publish("x.theirs", "", Buffer.from("?"))],
    ["the default exchange", "exchange 'amq.default'", (ch) => ch.sendToQueue("mine.a", Buffer.from("?"))],
    ["consuming", "queue 'theirs'", (ch) => ch.consume("theirs", () => {})],
    ["getting", "queue 'theirs'", (ch) => ch.get("theirs")],
    ["purging", "queue 'theirs'", (ch) => ch.purgeQueue("theirs")],
    [
      "a dead-letter exchange",
      "exchange 'x.theirs'",
      (ch) => ch.assertQueue("mine.dlx", { deadLetterExchange: "x.theirs" }),
    ],
    [
      "an alternate exchange",
      "exchange 'x.theirs'",
      (ch) => ch.assertExchange("mine.x", "fanout", { alternateExchange: "x.theirs" }),
    ],
  ])("%s elsewhere is 403", async (_name, what, operation) => {
    expect(await ann.errorOf(operation)).toMatchObject(refused(what));
  });

  test("nothing of it happened", async () => {
    expect((await setUp.checkQueue("theirs")).consumerCount).toBe(0);
    expect((await setUp.checkQueue("mine.a")).messageCount).toBe(0);
  });
});

test("a passive declaration needs no permission", async () => {
  const none = await userOf("onlooker", { configure: "^$", write: "^$", read: "^$" });
  const channel = await none.channel();
  expect((await channel.checkQueue("theirs")).queue).toBe("theirs");
  await channel.checkExchange("x.theirs");
  await none.cleanUp();
});

test("topic permissions look at the routing key", async () => {
  const bob = await userOf("bob");
  access.setTopicPermissions("bob", "/", "amq.topic", { write: "^{username}\\.", read: "^public\\." });
  const topic = (key: string) =>
    `ACCESS_REFUSED - access to topic '${key}' in exchange exchange 'amq.topic' in vhost '/' refused for user 'bob'`;
  const channel = await bob.confirmChannel();
  const queue = await bob.queue(channel);
  await channel.bindQueue(queue, "amq.topic", "public.#");
  channel.publish("amq.topic", "bob.hears", Buffer.from("fine"));
  await channel.waitForConfirms();
  const written = await bob.errorOf((ch) => ch.publish("amq.topic", "eve.hears", Buffer.from("?")));
  expect(written).toMatchObject({ code: 403, text: topic("eve.hears") });
  const bound = await bob.errorOf((ch) => ch.bindQueue(queue, "amq.topic", "secret.#"));
  expect(bound).toMatchObject({ code: 403, text: topic("secret.#") });
  await bob.cleanUp();
});

test("a permission that is taken away counts at once, on channels that are open", async () => {
  const carl = await userOf("carl");
  const channel = await carl.channel();
  channel.publish("x.mine.a", "", Buffer.from("1"));
  await barrier(channel);
  access.setPermissions("carl", "/", { ...ALL, write: "^$" });
  const failure = new Promise<AmqpError>((resolve) => channel.on("error", resolve));
  channel.publish("x.mine.a", "", Buffer.from("2"));
  expect((await failure).code).toBe(403);
  await carl.cleanUp();
});

describe("entering", () => {
  /** Reply code and text with which opening a vhost is refused. */
  async function refusal(user: string, vhost: string) {
    const raw = await RawConnection.dial(`amqp://${address}`, { user, password: "secret" });
    raw.write(PROTOCOL_HEADER);
    await raw.expect("connection.start");
    raw.startOk();
    const { args } = await raw.expect("connection.tune");
    raw.send("connection.tune-ok", 0, args);
    raw.send("connection.open", 0, { virtualHost: vhost });
    const { replyCode, replyText } = (await raw.expect("connection.close")).args;
    raw.socket.destroy();
    return [replyCode, replyText];
  }

  test("each vhost has its own queues and permissions", async () => {
    topology.createNamespace("other");
    const dora = await userOf("dora", ALL, "other");
    const channel = await dora.channel();
    await dora.queue(channel, {}, "theirs");
    expect((await channel.checkQueue("theirs")).messageCount).toBe(0);
    expect(await refusal("dora", "/")).toEqual([
      530,
      "NOT_ALLOWED - access to vhost '/' refused for user 'dora'",
    ]);
    access.setPermissions("dora", "other", { ...ALL, configure: "^$" });
    expect((await dora.errorOf((ch) => ch.assertQueue("new"))).text).toBe(
      "ACCESS_REFUSED - access to queue 'new' in vhost 'other' refused for user 'dora'",
    );
    await dora.cleanUp();
  });

  test("an unknown vhost is 530", async () => {
    await userOf("fred");
    expect(await refusal("fred", "nowhere")).toEqual([530, "NOT_ALLOWED - vhost nowhere not found"]);
  });

  test("unknown users, wrong passwords, and users that have gone look the same", async () => {
    await userOf("gone");
    access.deleteUser("gone");
    const text = "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN";
    for (const login of ["gone:secret", "nobody:secret", "guest:wrong", "guest:"]) {
      await expect(connect(`amqp://${login}@${address}`)).rejects.toThrow(text);
    }
  });

  test("guest comes over loopback only", async () => {
    const login = { user: "guest", password: "guest" };
    expect(await access.authenticate({ ...login, loopback: true })).toMatchObject({ user: "guest" });
    await expect(access.authenticate({ ...login, loopback: false })).rejects.toThrow("login refused");
  });
});

test("an administrator of one's own takes the place of guest", async () => {
  const own = await startServer({ adminUser: "root", adminPassword: "s3cret" });
  // The first user is stored while the broker is already up; who logs in waits for it.
  await own.broker.access.ready;
  expect(own.broker.access.users().map(({ name, loopbackOnly }) => [name, loopbackOnly])).toEqual([
    ["root", false],
  ]);
  await expect(connect(`amqp://guest:guest@${own.address}`)).rejects.toThrow("ACCESS_REFUSED");
  await (await connect(`amqp://root:s3cret@${own.address}`)).close();
  await own.stop();
});
