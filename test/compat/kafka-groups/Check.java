// Groups and transactions with Kafka's own Java client, from 3.9 on: classic and cooperative groups, static
// members, groups that the broker divides (KIP-848), transactions. Prints TAP.
import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;
import java.util.function.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.serialization.*;

public class Check {
  static String bootstrap;
  static Admin admin;
  static int number = 0;
  static int failed = 0;
  static String only;
  // Two clients run side by side, and may start in the same millisecond.
  static final String RUN = System.currentTimeMillis() + "-" + ProcessHandle.current().pid();

  interface Part { void run() throws Exception; }

  static void check(String name, Part part) {
    if (only != null && !name.contains(only)) return;
    number++;
    try {
      part.run();
      System.out.println("ok " + number + " - " + name);
    } catch (Throwable error) {
      failed++;
      System.out.println("not ok " + number + " - " + name);
      System.out.println("# " + error);
      for (StackTraceElement at : error.getStackTrace()) {
        if (at.getClassName().startsWith("Check")) System.out.println("#   " + at);
      }
      for (Throwable cause = error.getCause(); cause != null; cause = cause.getCause()) System.out.println("# " + cause);
    }
    System.out.flush();
  }

  static void same(Object actual, Object expected) {
    if (!Objects.equals(actual, expected)) throw new AssertionError("got " + actual + ", not " + expected);
  }

  static String topic(String name, int partitions) throws Exception {
    String topic = name + "-" + RUN;
    admin.createTopics(List.of(new NewTopic(topic, partitions, (short) 1))).all().get();
    return topic;
  }

  static Properties properties(Object... pairs) {
    Properties properties = new Properties();
    properties.put("bootstrap.servers", bootstrap);
    properties.put("key.serializer", StringSerializer.class.getName());
    properties.put("value.serializer", StringSerializer.class.getName());
    properties.put("key.deserializer", StringDeserializer.class.getName());
    properties.put("value.deserializer", StringDeserializer.class.getName());
    for (int i = 0; i < pairs.length; i += 2) properties.put(pairs[i], String.valueOf(pairs[i + 1]));
    return properties;
  }

  static void produce(String topic, int from, int to) throws Exception {
    try (var producer = new KafkaProducer<String, String>(properties())) {
      for (int i = from; i < to; i++) producer.send(new ProducerRecord<>(topic, "k" + i, "" + i));
    }
  }

  /** A consumer in a thread of its own, which notes what it is given and what it reads. */
  static class Member implements AutoCloseable {
    final KafkaConsumer<String, String> consumer;
    final Set<TopicPartition> assigned = ConcurrentHashMap.newKeySet();
    final List<String> values = Collections.synchronizedList(new ArrayList<>());
    volatile int revocations = 0;
    volatile Throwable error;
    volatile boolean running = true;
    final Thread thread;

    Member(Properties properties, java.util.function.Consumer<Member> subscribe) {
      properties.putIfAbsent("auto.offset.reset", "earliest");
      consumer = new KafkaConsumer<>(properties);
      subscribe.accept(this);
      thread = new Thread(() -> {
        try {
          while (running) {
            for (var record : consumer.poll(Duration.ofMillis(50))) values.add(record.value());
            assigned.retainAll(consumer.assignment());
            assigned.addAll(consumer.assignment());
          }
        } catch (Throwable thrown) {
          error = thrown;
        } finally {
          consumer.close();
        }
      });
      thread.start();
    }

    Member(Properties properties, String topic) {
      this(properties, self -> self.consumer.subscribe(List.of(topic), new ConsumerRebalanceListener() {
        public void onPartitionsRevoked(Collection<TopicPartition> gone) { self.revocations += gone.size(); }
        public void onPartitionsAssigned(Collection<TopicPartition> come) { }
      }));
    }

    @Override public void close() throws Exception {
      running = false;
      thread.join();
      if (error != null) throw new AssertionError("consumer failed", error);
    }
  }

  static void until(String what, BooleanSupplier holds) throws Exception {
    until(what, holds, () -> "");
  }

  static void until(String what, BooleanSupplier holds, Callable<String> instead) throws Exception {
    long end = System.currentTimeMillis() + 30_000;
    while (!holds.getAsBoolean()) {
      if (System.currentTimeMillis() > end) throw new AssertionError("never: " + what + "; " + instead.call());
      Thread.sleep(10);
    }
  }

  /** What the members hold, and what the broker says that they should. */
  static String seen(String topic, Member[] members) throws Exception {
    StringBuilder text = new StringBuilder();
    for (Member member : members) text.append(member.assigned).append(member.error == null ? " " : member.error + " ");
    return text.append(admin.describeConsumerGroups(List.of(topic)).all().get().get(topic)).toString();
  }

  static void divides(String name, Object... settings) throws Exception {
    String topic = topic(name, 6);
    produce(topic, 0, 600);
    Supplier<Properties> one = () -> {
      Properties properties = properties(settings);
      properties.put("group.id", topic);
      return properties;
    };
    Member a = new Member(one.get(), topic);
    until("a has all", () -> a.assigned.size() == 6);
    Member b = new Member(one.get(), topic);
    until("each has half", () -> a.assigned.size() == 3 && b.assigned.size() == 3);
    produce(topic, 600, 1200);
    Member c = new Member(one.get(), topic);
    until("each has a third", () -> a.assigned.size() == 2 && b.assigned.size() == 2 && c.assigned.size() == 2);
    b.close();
    until("a and c have half", () -> a.assigned.size() == 3 && c.assigned.size() == 3);
    until("everything was read", () -> {
      Set<String> all = new HashSet<>();
      for (Member member : List.of(a, b, c)) synchronized (member.values) { all.addAll(member.values); }
      return all.size() == 1200;
    });
    a.close();
    c.close();
    Member again = new Member(one.get(), topic);
    until("again has all", () -> again.assigned.size() == 6);
    produce(topic, 1200, 1201);
    until("the new one came", () -> again.values.contains("1200"));
    same(again.values.size(), 1);
    again.close();
  }

  static void staticMember(String name, Object... settings) throws Exception {
    String topic = topic(name, 4);
    Function<String, Properties> one = instance -> {
      Properties properties = properties(settings);
      properties.put("group.id", topic);
      properties.put("group.instance.id", instance);
      return properties;
    };
    Member a = new Member(one.apply("a"), topic);
    Member b = new Member(one.apply("b"), topic);
    until("each has half", () -> a.assigned.size() == 2 && b.assigned.size() == 2);
    Set<TopicPartition> had = Set.copyOf(b.assigned);
    int before = a.revocations;
    b.close();
    Member back = new Member(one.apply("b"), topic);
    until("b has what it had", () -> back.assigned.equals(had));
    same(a.revocations, before);
    a.close();
    back.close();
  }

  /** Members go over from one protocol to the other, one after the other, and back, while records come. */
  static void migrates(String name, String... assignors) throws Exception {
    String topic = topic(name, 6);
    // So that it takes seconds, where the client knows of it (3.9 does not) and the broker has no bound (Kafka has).
    var group = new org.apache.kafka.common.config.ConfigResource(
        org.apache.kafka.common.config.ConfigResource.Type.forId((byte) 32), topic);
    var often = new AlterConfigOp(new ConfigEntry("consumer.heartbeat.interval.ms", "500"), AlterConfigOp.OpType.SET);
    try {
      admin.incrementalAlterConfigs(Map.of(group, List.of(often))).all().get();
    } catch (ExecutionException slower) {
    }
    Set<String> sent = ConcurrentHashMap.newKeySet();
    boolean[] over = {false};
    Thread source = new Thread(() -> {
      try (var producer = new KafkaProducer<String, String>(properties())) {
        for (int i = 0; !over[0]; i++) {
          producer.send(new ProducerRecord<>(topic, i % 6, "k", "" + i)).get();
          sent.add("" + i);
          Thread.sleep(5);
        }
      } catch (Exception error) {
        throw new RuntimeException(error);
      }
    });
    source.start();
    List<Member> all = new ArrayList<>();
    Function<String, Member> one = protocol -> {
      Properties properties = properties("group.id", topic, "group.protocol", protocol);
      if (protocol.equals("classic")) {
        properties.put("partition.assignment.strategy", String.join(",", assignors));
        properties.put("heartbeat.interval.ms", "300");
      }
      Member member = new Member(properties, topic);
      all.add(member);
      return member;
    };
    Member[] members = new Member[3];
    BooleanSupplier even = () -> {
      Set<TopicPartition> distinct = new HashSet<>();
      for (Member member : members) {
        if (member.assigned.size() != 2) return false;
        distinct.addAll(member.assigned);
      }
      return distinct.size() == 6;
    };
    for (int i = 0; i < 3; i++) members[i] = one.apply("classic");
    until("each has two", even);
    for (String protocol : List.of("consumer", "classic")) {
      for (int i = 0; i < 3; i++) {
        // The first one comes before another goes: the group is of both kinds, and of four.
        Member before = members[i];
        members[i] = one.apply(protocol);
        if (i == 0) until("the fourth has some", () -> members[0].assigned.size() > 0);
        before.close();
        until("each has two, " + (i + 1) + " as " + protocol, even, () -> seen(topic, members));
      }
      var kind = admin.describeConsumerGroups(List.of(topic)).all().get().get(topic);
      same(kind.type().toString().toLowerCase(), protocol);
      same(kind.members().size(), 3);
    }
    over[0] = true;
    source.join();
    until("all was read", () -> {
      Set<String> read = new HashSet<>();
      for (Member member : all) synchronized (member.values) { read.addAll(member.values); }
      return read.containsAll(sent);
    });
    for (Member member : members) member.close();
    int read = 0;
    for (Member member : all) {
      read += member.values.size();
      if (member.error != null) throw new AssertionError("a member failed", member.error);
    }
    System.out.println("# " + sent.size() + " records, " + (read - sent.size()) + " of them read twice");
    Map<TopicPartition, OffsetSpec> ends = new HashMap<>();
    for (int i = 0; i < 6; i++) ends.put(new TopicPartition(topic, i), OffsetSpec.latest());
    var offsets = admin.listConsumerGroupOffsets(topic).partitionsToOffsetAndMetadata().get();
    for (var end : admin.listOffsets(ends).all().get().entrySet())
      same(offsets.get(end.getKey()).offset(), end.getValue().offset());
  }

  static void transactions() throws Exception {
    String source = topic("tx-source", 1);
    String target = topic("tx-target", 2);
    produce(source, 0, 50);
    String group = source;
    try (var consumer = new KafkaConsumer<String, String>(
            properties("group.id", group, "auto.offset.reset", "earliest", "enable.auto.commit", false));
        var producer = new KafkaProducer<String, String>(properties("transactional.id", "tx-" + RUN))) {
      producer.initTransactions();
      consumer.subscribe(List.of(source));
      int moved = 0;
      for (int round = 0; moved < 50; round++) {
        var records = consumer.poll(Duration.ofMillis(200));
        if (records.isEmpty()) continue;
        producer.beginTransaction();
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        for (var record : records) {
          producer.send(new ProducerRecord<>(target, record.key(), "moved " + record.value()));
          offsets.put(new TopicPartition(source, record.partition()), new OffsetAndMetadata(record.offset() + 1));
          moved++;
        }
        producer.sendOffsetsToTransaction(offsets, consumer.groupMetadata());
        producer.commitTransaction();
      }
      producer.beginTransaction();
      producer.send(new ProducerRecord<>(target, "k", "dropped"));
      producer.flush();
      producer.abortTransaction();
      var committed = consumer.committed(Set.of(new TopicPartition(source, 0)));
      same(committed.get(new TopicPartition(source, 0)).offset(), 50L);
    }
    try (Member reader = new Member(properties("group.id", group + "-r", "isolation.level", "read_committed"), target)) {
      until("all was read", () -> reader.values.size() >= 50);
      Thread.sleep(200);
      same(reader.values.stream().filter(value -> value.equals("dropped")).count(), 0L);
    }
  }

  /** KIP-890, from 4.0 on: partitions join by being written to, and each transaction has an epoch of its own. */
  static void renewal() throws Exception {
    var features = admin.describeFeatures().featureMetadata().get().finalizedFeatures();
    same(features.get("transaction.version").maxVersionLevel(), (short) 2);
    String topic = topic("renewed", 4);
    String id = "renew-" + RUN;
    String group = "group of " + id;
    int rounds = 60;
    List<String> expected = new ArrayList<>();
    try (var producer = new KafkaProducer<String, String>(properties("transactional.id", id, "linger.ms", 0))) {
      producer.initTransactions();
      int before = admin.describeTransactions(List.of(id)).all().get().get(id).producerEpoch();
      for (int round = 0; round < rounds; round++) {
        boolean kept = round % 3 != 2;
        producer.beginTransaction();
        for (int i = 0; i < 20; i++) {
          String value = round + " " + i;
          producer.send(new ProducerRecord<>(topic, i % 4, "k", value));
          if (kept) expected.add(value);
        }
        var offset = new OffsetAndMetadata(round);
        producer.sendOffsetsToTransaction(Map.of(new TopicPartition(topic, 0), offset), new ConsumerGroupMetadata(group));
        if (kept) producer.commitTransaction();
        else producer.abortTransaction();
      }
      // One of nothing but offsets, and one of nothing at all.
      producer.beginTransaction();
      producer.sendOffsetsToTransaction(Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(77)), new ConsumerGroupMetadata(group));
      producer.commitTransaction();
      producer.beginTransaction();
      producer.commitTransaction();
      var described = admin.describeTransactions(List.of(id)).all().get().get(id);
      boolean renews = !org.apache.kafka.common.utils.AppInfoParser.getVersion().startsWith("3.");
      same(described.producerEpoch(), renews ? before + rounds + 1 : before);
      var offsets = admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get();
      same(offsets.get(new TopicPartition(topic, 0)).offset(), 77L);
    }
    try (Member reader = new Member(properties("group.id", topic, "isolation.level", "read_committed"), topic)) {
      until("all was read", () -> reader.values.size() >= expected.size());
      Thread.sleep(200);
      var read = new ArrayList<>(reader.values);
      Collections.sort(read);
      Collections.sort(expected);
      same(read, expected);
    }
  }

  static void fencing() throws Exception {
    String topic = topic("fenced", 1);
    var old = new KafkaProducer<String, String>(properties("transactional.id", "fence-" + RUN));
    var young = new KafkaProducer<String, String>(properties("transactional.id", "fence-" + RUN));
    old.initTransactions();
    old.beginTransaction();
    old.send(new ProducerRecord<>(topic, "old")).get();
    young.initTransactions();
    try {
      old.commitTransaction();
      throw new AssertionError("not fenced");
    } catch (ProducerFencedException | InvalidProducerEpochException expected) {
      old.close(Duration.ZERO);
    }
    young.beginTransaction();
    young.send(new ProducerRecord<>(topic, "young")).get();
    young.commitTransaction();
    young.close();
    try (Member reader = new Member(properties("group.id", topic, "isolation.level", "read_committed"), topic)) {
      until("the young one's was read", () -> reader.values.size() > 0);
      same(reader.values, List.of("young"));
    }
  }

  static void hanging() throws Exception {
    String topic = topic("hanging", 1);
    var partition = new TopicPartition(topic, 0);
    var producer = new KafkaProducer<String, String>(properties("transactional.id", "hang-" + RUN));
    producer.initTransactions();
    producer.beginTransaction();
    producer.send(new ProducerRecord<>(topic, "x")).get();
    var one = admin.describeProducers(List.of(partition)).all().get().get(partition).activeProducers().get(0);
    same(one.currentTransactionStartOffset().getAsLong(), 0L);
    admin.abortTransaction(new AbortTransactionSpec(partition, one.producerId(), (short) one.producerEpoch(), 0)).all().get();
    var again = admin.describeProducers(List.of(partition)).all().get().get(partition).activeProducers().get(0);
    same(again.currentTransactionStartOffset().isEmpty(), true);
    admin.fenceProducers(List.of("hang-" + RUN)).all().get();
    try {
      producer.commitTransaction();
      throw new AssertionError("not fenced");
    } catch (ProducerFencedException | InvalidProducerEpochException expected) {
      producer.close(Duration.ZERO);
    }
  }

  static void administration() throws Exception {
    String topic = topic("admin", 2);
    produce(topic, 0, 10);
    var partition = new TopicPartition(topic, 0);
    admin.alterConsumerGroupOffsets(topic, Map.of(partition, new OffsetAndMetadata(3, "note"))).all().get();
    var offsets = admin.listConsumerGroupOffsets(topic).partitionsToOffsetAndMetadata().get();
    same(offsets, Map.of(partition, new OffsetAndMetadata(3, Optional.empty(), "note")));
    try (Member member = new Member(properties("group.id", topic, "client.id", "me"), topic)) {
      until("it has all", () -> member.assigned.size() == 2);
      var described = admin.describeConsumerGroups(List.of(topic)).all().get().get(topic);
      same(described.state().toString(), "Stable"); // deprecated in 4.0, which has another name for it
      same(described.members().iterator().next().clientId(), "me");
      same(described.members().iterator().next().assignment().topicPartitions().size(), 2);
      try {
        admin.deleteConsumerGroups(List.of(topic)).all().get();
        throw new AssertionError("deleted");
      } catch (ExecutionException expected) {
        same(expected.getCause().getClass(), GroupNotEmptyException.class);
      }
    }
    var producers = admin.describeProducers(List.of(partition)).all().get().get(partition).activeProducers();
    same(producers.stream().allMatch(one -> one.currentTransactionStartOffset().isEmpty()), true);
    admin.deleteConsumerGroupOffsets(topic, Set.of(partition)).all().get();
    admin.deleteConsumerGroups(List.of(topic)).all().get();
    same(admin.listConsumerGroups().all().get().stream().noneMatch(group -> group.groupId().equals(topic)), true);
    same(admin.listTransactions().all().get().stream().anyMatch(one -> one.transactionalId().equals("tx-" + RUN)), true);
    same(admin.describeTransactions(List.of("tx-" + RUN)).all().get().get("tx-" + RUN).state(), TransactionState.COMPLETE_ABORT);
  }

  static void begin(String[] arguments) {
    bootstrap = arguments[0];
    only = arguments.length > 1 ? arguments[1] : null;
    admin = Admin.create(properties());
  }

  static void end() {
    admin.close();
    System.out.println("1.." + number);
    System.exit(failed == 0 ? 0 : 1);
  }

  public static void main(String[] arguments) throws Exception {
    begin(arguments);
    check("a classic group divides its topic", () -> divides("classic"));
    check("a cooperative group divides its topic", () -> divides("cooperative",
        "partition.assignment.strategy", CooperativeStickyAssignor.class.getName()));
    check("a group that the broker divides", () -> divides("consumer", "group.protocol", "consumer"));
    check("a group that the broker divides by range", () -> divides("range", "group.protocol", "consumer",
        "group.remote.assignor", "range"));
    check("static members keep their share", () -> staticMember("static"));
    check("static members keep their share where the broker divides", () -> staticMember("static-consumer", "group.protocol", "consumer"));
    check("members go over to the broker's dividing and back, range", () -> migrates("migrates-range",
        RangeAssignor.class.getName()));
    check("members go over to the broker's dividing and back, cooperative", () -> migrates("migrates-cooperative",
        CooperativeStickyAssignor.class.getName()));
    check("transactions move records and offsets", () -> transactions());
    check("many transactions one after the other", () -> renewal());
    check("a producer is fenced by its successor", () -> fencing());
    check("a transaction that hangs is aborted by hand", () -> hanging());
    check("tools see, move and delete groups", () -> administration());
    end();
  }
}
