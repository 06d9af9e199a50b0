import com.rabbitmq.client.*;
import java.io.IOException;
import java.util.*;
import java.util.concurrent.*;

/** Everyday work with the RabbitMQ Java client. Prints one "ok" or "not ok" line per case. */
public class Check {
  interface Case { void run(Channel channel) throws Exception; }

  static Connection connection;
  static int failures = 0;

  static void check(String name, Case test) {
    try {
      Channel channel = connection.createChannel();
      test.run(channel);
      if (channel.isOpen()) channel.close();
      System.out.println("ok - " + name);
    } catch (Throwable error) {
      failures++;
      System.out.println("not ok - " + name + ": " + error);
    }
  }

  static void expect(Object expected, Object actual) {
    if (!Objects.equals(expected, actual)) throw new AssertionError("expected " + expected + ", got " + actual);
  }

  static void same(byte[] expected, byte[] actual) {
    if (!Arrays.equals(expected, actual)) throw new AssertionError("bodies differ");
  }

  static AMQP.Channel.Close closeOf(Case test) throws Exception {
    Channel channel = connection.createChannel();
    try {
      test.run(channel);
    } catch (IOException error) {
      return (AMQP.Channel.Close) ((ShutdownSignalException) error.getCause()).getReason();
    }
    throw new AssertionError("accepted");
  }

  public static void main(String[] args) throws Exception {
    ConnectionFactory factory = new ConnectionFactory();
    factory.setUri(System.getenv("AMQP_URL"));
    connection = factory.newConnection("polymq compatibility");
    check("hello world", Check::helloWorld);
    check("406 for another durable", Check::durableMismatch);
    check("confirms and mandatory returns", Check::confirms);
    check("prefetch, ack, nack, redelivery", Check::redelivery);
    check("topics, headers, large bodies", Check::topics);
    check("dead letters after a TTL", Check::deadLetters);
    check("transactions", Check::transactions);
    check("RPC over direct reply-to", Check::rpc);
    check("consumer cancelled when its queue goes", Check::cancelled);
    check("exchange to exchange, alternate exchange", Check::exchanges);
    connection.close();
    recovery(factory);
    System.exit(failures > 0 ? 1 : 0);
  }

  static void helloWorld(Channel channel) throws Exception {
    String queue = channel.queueDeclare().getQueue();
    channel.basicPublish("", queue, null, "Hello World!".getBytes());
    BlockingQueue<String> inbox = new LinkedBlockingQueue<>();
    channel.basicConsume(queue, true, (tag, m) -> inbox.add(new String(m.getBody())), tag -> {});
    expect("Hello World!", inbox.poll(60, TimeUnit.SECONDS));
  }

  static void durableMismatch(Channel channel) throws Exception {
    String queue = "test." + UUID.randomUUID();
    channel.queueDeclare(queue, false, false, true, null);
    AMQP.Channel.Close close = closeOf(ch -> ch.queueDeclare(queue, true, false, true, null));
    expect(406, close.getReplyCode());
    expect("PRECONDITION_FAILED - inequivalent arg 'durable' for queue '" + queue
        + "' in vhost '/': received 'true' but current is 'false'", close.getReplyText());
    channel.queueDelete(queue);
  }

  static void confirms(Channel channel) throws Exception {
    String queue = channel.queueDeclare().getQueue();
    BlockingQueue<Integer> returned = new LinkedBlockingQueue<>();
    channel.addReturnListener(r -> returned.add(r.getReplyCode()));
    channel.confirmSelect();
    for (int i = 0; i < 1000; i++) {
      channel.basicPublish("", queue, MessageProperties.PERSISTENT_BASIC, ("" + i).getBytes());
    }
    channel.waitForConfirmsOrDie(60_000);
    expect(1000L, channel.messageCount(queue));
    channel.basicPublish("", UUID.randomUUID().toString(), true, null, "x".getBytes());
    channel.waitForConfirmsOrDie(60_000);
    expect(312, returned.poll(60, TimeUnit.SECONDS));
  }

  static void redelivery(Channel channel) throws Exception {
    String queue = channel.queueDeclare("", false, true, false, null).getQueue();
    for (int i = 0; i < 4; i++) channel.basicPublish("", queue, null, ("" + i).getBytes());
    channel.basicQos(2);
    BlockingQueue<Delivery> inbox = new LinkedBlockingQueue<>();
    String tag = channel.basicConsume(queue, false, (t, m) -> inbox.add(m), t -> {});
    Delivery first = inbox.poll(60, TimeUnit.SECONDS);
    Delivery second = inbox.poll(60, TimeUnit.SECONDS);
    expect(null, inbox.poll(100, TimeUnit.MILLISECONDS));
    channel.basicNack(first.getEnvelope().getDeliveryTag(), false, true);
    Delivery again = inbox.poll(60, TimeUnit.SECONDS);
    expect("0", new String(again.getBody()));
    expect(true, again.getEnvelope().isRedeliver());
    channel.basicCancel(tag);
    channel.basicAck(again.getEnvelope().getDeliveryTag(), true);
    expect(2L, channel.messageCount(queue));
    expect(true, second != null);
  }

  static void topics(Channel channel) throws Exception {
    String exchange = "test." + UUID.randomUUID();
    channel.exchangeDeclare(exchange, "topic", false, true, null);
    String queue = channel.queueDeclare().getQueue();
    channel.queueBind(queue, exchange, "*.b.#");
    byte[] body = new byte[500_000];
    new Random(1).nextBytes(body);
    Map<String, Object> headers = new HashMap<>();
    headers.put("int", 7);
    headers.put("long", 1L << 40);
    headers.put("list", List.of(1, true));
    headers.put("nested", Map.of("double", 1.5));
    AMQP.BasicProperties properties = new AMQP.BasicProperties.Builder().headers(headers).priority(3).build();
    channel.basicPublish(exchange, "a.b.c", properties, body);
    GetResponse got = channel.basicGet(queue, true);
    same(body, got.getBody());
    expect(headers, got.getProps().getHeaders());
    expect(3, got.getProps().getPriority());
  }

  static void deadLetters(Channel channel) throws Exception {
    String dead = channel.queueDeclare().getQueue();
    Map<String, Object> arguments = new HashMap<>();
    arguments.put("x-message-ttl", 50);
    arguments.put("x-dead-letter-exchange", "");
    arguments.put("x-dead-letter-routing-key", dead);
    String queue = channel.queueDeclare("", false, true, true, arguments).getQueue();
    BlockingQueue<Delivery> inbox = new LinkedBlockingQueue<>();
    channel.basicConsume(dead, true, (tag, m) -> inbox.add(m), tag -> {});
    channel.basicPublish("", queue, null, "x".getBytes());
    Delivery letter = inbox.poll(60, TimeUnit.SECONDS);
    Map<?, ?> death = (Map<?, ?>) ((List<?>) letter.getProperties().getHeaders().get("x-death")).get(0);
    expect("expired", death.get("reason").toString());
    expect(1L, death.get("count"));
  }

  static void transactions(Channel channel) throws Exception {
    String queue = channel.queueDeclare().getQueue();
    channel.txSelect();
    channel.basicPublish("", queue, null, "undone".getBytes());
    channel.txRollback();
    channel.basicPublish("", queue, null, "kept".getBytes());
    channel.txCommit();
    expect(1L, channel.messageCount(queue));
  }

  static void rpc(Channel channel) throws Exception {
    String queue = channel.queueDeclare().getQueue();
    Channel server = connection.createChannel();
    server.basicConsume(queue, true, (tag, m) ->
        server.basicPublish("", m.getProperties().getReplyTo(), null, "pong".getBytes()), tag -> {});
    BlockingQueue<String> replies = new LinkedBlockingQueue<>();
    channel.basicConsume("amq.rabbitmq.reply-to", true, (tag, m) -> replies.add(new String(m.getBody())), tag -> {});
    AMQP.BasicProperties ask = new AMQP.BasicProperties.Builder().replyTo("amq.rabbitmq.reply-to").build();
    channel.basicPublish("", queue, ask, "ping".getBytes());
    expect("pong", replies.poll(60, TimeUnit.SECONDS));
    server.close();
  }

  static void cancelled(Channel channel) throws Exception {
    String queue = channel.queueDeclare().getQueue();
    BlockingQueue<String> cancels = new LinkedBlockingQueue<>();
    String tag = channel.basicConsume(queue, true, (t, m) -> {}, cancels::add);
    channel.queueDelete(queue);
    expect(tag, cancels.poll(60, TimeUnit.SECONDS));
  }

  static void exchanges(Channel channel) throws Exception {
    String alternate = "test." + UUID.randomUUID(), source = "test." + UUID.randomUUID();
    channel.exchangeDeclare(alternate, "fanout", false, true, null);
    channel.exchangeDeclare(source, "direct", false, true, Map.of("alternate-exchange", alternate));
    String queue = channel.queueDeclare().getQueue();
    channel.queueBind(queue, alternate, "");
    channel.exchangeBind("amq.fanout", source, "known");
    channel.confirmSelect();
    channel.basicPublish(source, "unknown", null, "x".getBytes());
    channel.waitForConfirmsOrDie(60_000);
    expect(1L, channel.messageCount(queue));
    channel.exchangeDelete(source);
  }

  /** The client's own recovery: forced off, it comes back with its consumer. */
  static void recovery(ConnectionFactory factory) throws Exception {
    factory.setNetworkRecoveryInterval(100);
    RecoverableConnection recovering = (RecoverableConnection) factory.newConnection();
    CountDownLatch recovered = new CountDownLatch(1);
    recovering.addRecoveryListener(new RecoveryListener() {
      public void handleRecovery(Recoverable r) { recovered.countDown(); }
      public void handleRecoveryStarted(Recoverable r) {}
    });
    connection = recovering;
    check("automatic recovery with topology", channel -> {
      String queue = channel.queueDeclare("", false, true, true, null).getQueue();
      BlockingQueue<String> inbox = new LinkedBlockingQueue<>();
      channel.basicConsume(queue, true, (tag, m) -> inbox.add(new String(m.getBody())), tag -> {});
      Channel bad = connection.createChannel();
      bad.basicConsume(queue, true, "same", (tag, m) -> {}, tag -> {});
      // A connection error: the broker ends the connection, the client comes back by itself.
      try { bad.basicConsume(queue, true, "same", (tag, m) -> {}, tag -> {}); } catch (Exception expected) {}
      expect(true, recovered.await(60, TimeUnit.SECONDS));
    });
    connection.close();
  }
}
