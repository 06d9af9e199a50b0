// What only the Java client from 4.1 on can do with groups: share groups (KIP-932), patterns that the broker
// matches. Prints TAP.
import java.time.Duration;
import java.util.*;
import java.util.function.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.common.*;

public class NewerCheck extends Check {
  static void pattern() throws Exception {
    String prefix = "pattern-" + RUN;
    admin.createTopics(List.of(new NewTopic(prefix + "-a", 1, (short) 1))).all().get();
    Properties properties = properties("group.id", prefix, "group.protocol", "consumer");
    try (Member member = new Member(properties, self -> self.consumer.subscribe(new SubscriptionPattern(prefix + "-[ab]+")))) {
      until("one topic", () -> member.assigned.size() == 1);
      admin.createTopics(List.of(new NewTopic(prefix + "-b", 2, (short) 1), new NewTopic(prefix + "-c", 2, (short) 1))).all().get();
      until("two topics", () -> member.assigned.size() == 3);
      var described = admin.describeConsumerGroups(List.of(prefix)).all().get().get(prefix);
      same(described.type(), GroupType.CONSUMER);
      same(described.members().iterator().next().assignment().topicPartitions().size(), 3);
    }
  }

  static KafkaShareConsumer<String, String> sharer(String group, boolean explicit) {
    return new KafkaShareConsumer<>(properties("group.id", group,
        "share.acknowledgement.mode", explicit ? "explicit" : "implicit"));
  }

  static void groupConfig(String group, String... pairs) throws Exception {
    List<AlterConfigOp> ops = new ArrayList<>();
    for (int i = 0; i < pairs.length; i += 2) {
      ops.add(new AlterConfigOp(new ConfigEntry(pairs[i], pairs[i + 1]), AlterConfigOp.OpType.SET));
    }
    var resource = new org.apache.kafka.common.config.ConfigResource(
        org.apache.kafka.common.config.ConfigResource.Type.GROUP, group);
    admin.incrementalAlterConfigs(Map.of(resource, ops)).all().get();
  }

  /** Polls until `enough`, and hands each record to `each`. */
  static void read(KafkaShareConsumer<String, String> consumer, BooleanSupplier enough,
      java.util.function.Consumer<ConsumerRecord<String, String>> each) throws Exception {
    long end = System.currentTimeMillis() + 30_000;
    while (!enough.getAsBoolean()) {
      if (System.currentTimeMillis() > end) throw new AssertionError("not enough records");
      for (var record : consumer.poll(Duration.ofMillis(200))) each.accept(record);
    }
  }

  static void shares() throws Exception {
    String topic = topic("share", 1);
    groupConfig(topic, "share.auto.offset.reset", "earliest");
    produce(topic, 0, 500);
    try (var a = sharer(topic, false); var b = sharer(topic, false)) {
      a.subscribe(List.of(topic));
      b.subscribe(List.of(topic));
      List<String> values = new ArrayList<>();
      int[] counts = new int[2];
      long end = System.currentTimeMillis() + 30_000;
      int produced = 500;
      while (values.size() < produced && System.currentTimeMillis() < end) {
        for (var record : a.poll(Duration.ofMillis(100))) { values.add(record.value()); counts[0]++; }
        for (var record : b.poll(Duration.ofMillis(100))) { values.add(record.value()); counts[1]++; }
        if (produced < 1000 && values.size() == produced) { produce(topic, produced, produced + 100); produced += 100; }
      }
      same(values.size(), produced);
      same(new HashSet<>(values).size(), produced);
      a.commitSync();
      b.commitSync();
    }
    var described = admin.describeShareGroups(List.of(topic)).all().get().get(topic);
    same(described.groupState(), GroupState.EMPTY);
    var offsets = admin.listShareGroupOffsets(Map.of(topic, new ListShareGroupOffsetsSpec())).partitionsToOffsetInfo(topic).get();
    same(offsets.get(new TopicPartition(topic, 0)).startOffset(), 1000L);
  }

  static void verdicts() throws Exception {
    String topic = topic("verdicts", 1);
    String graves = topic("graves", 1);
    groupConfig(topic, "share.auto.offset.reset", "earliest", "errors.deadletterqueue.topic.name", graves,
        "share.delivery.count.limit", "3", "share.record.lock.duration.ms", "2000");
    produce(topic, 0, 4);
    Map<String, List<Integer>> seen = new TreeMap<>();
    try (var consumer = sharer(topic, true)) {
      consumer.subscribe(List.of(topic));
      read(consumer, () -> seen.getOrDefault("2", List.of()).size() == 3, record -> {
        seen.computeIfAbsent(record.value(), key -> new ArrayList<>()).add((int) record.deliveryCount().get());
        AcknowledgeType type = switch (record.value()) {
          case "0" -> AcknowledgeType.ACCEPT;
          case "1" -> AcknowledgeType.REJECT;
          case "2" -> AcknowledgeType.RELEASE;
          default -> record.deliveryCount().get() == 1 ? AcknowledgeType.RELEASE : AcknowledgeType.ACCEPT;
        };
        consumer.acknowledge(record, type);
      });
      consumer.commitSync();
    }
    same(seen, Map.of("0", List.of(1), "1", List.of(1), "2", List.of(1, 2, 3), "3", List.of(1, 2)));
    try (Member reader = new Member(properties("group.id", graves + "-r"), graves)) {
      until("the dead letters came", () -> reader.values.size() == 2);
      same(Set.copyOf(reader.values), Set.of("1", "2"));
    }
  }

  /** What a member has and says nothing of comes again. */
  static void lapses() throws Exception {
    String topic = topic("lapses", 1);
    groupConfig(topic, "share.auto.offset.reset", "earliest", "share.record.lock.duration.ms", "2000");
    produce(topic, 0, 1);
    List<Integer> counts = new ArrayList<>();
    try (var silent = sharer(topic, true)) {
      silent.subscribe(List.of(topic));
      List<ConsumerRecord<String, String>> had = new ArrayList<>();
      read(silent, () -> had.size() == 1, had::add);
      counts.add((int) had.get(0).deliveryCount().get());
      int[] last = {0};
      try (var other = sharer(topic, false)) {
        other.subscribe(List.of(topic));
        read(other, () -> last[0] > 0, record -> last[0] = record.deliveryCount().get());
        other.commitSync();
      }
      // A client fetches on in the background, so that the silent one may have been the next who had it: then
      // that was a delivery, too.
      silent.acknowledge(had.get(0));
      for (var record : silent.poll(Duration.ofMillis(500))) {
        counts.add((int) record.deliveryCount().get());
        silent.acknowledge(record);
      }
      counts.add(last[0]);
    }
    System.out.println("# deliveries " + counts);
    List<Integer> expected = new ArrayList<>();
    for (int i = 1; i <= Math.max(2, counts.size()); i++) expected.add(i);
    same(counts, expected);
  }

  /** Deliveries count that failed, not those to a member that went away: it has not looked at most of what it had. */
  static void goings() throws Exception {
    String topic = topic("goings", 1);
    groupConfig(topic, "share.auto.offset.reset", "earliest");
    produce(topic, 0, 1);
    for (int i = 0; i < 7; i++) {
      try (var consumer = sharer(topic, true)) {
        consumer.subscribe(List.of(topic));
        List<Integer> counts = new ArrayList<>();
        read(consumer, () -> counts.size() == 1, record -> counts.add((int) record.deliveryCount().get()));
        same(counts, List.of(1));
      }
    }
  }

  public static void main(String[] arguments) throws Exception {
    begin(arguments);
    check("a pattern finds topics as they come", () -> pattern());
    check("a share group reads a topic like a queue", () -> shares());
    check("verdicts of a share group, limits, dead letters", () -> verdicts());
    check("what nobody speaks of comes again", () -> lapses());
    check("what a member takes with it was no delivery", () -> goings());
    end();
  }
}
