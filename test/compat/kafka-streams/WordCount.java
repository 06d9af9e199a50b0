import java.io.File;
import java.nio.file.Files;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.*;
import org.apache.kafka.streams.*;
import org.apache.kafka.streams.kstream.*;

/**
 * Counts words with exactly_once_v2. The counting process is killed while it works, twice, and started
 * again on the same state; whoever reads committed records sees each count exactly once, and the last ones right.
 */
public class WordCount {
  static final String[] WORDS = {"amber", "birch", "cedar", "dune", "ember", "fern", "gale"};
  static final int LINES = 6000;

  public static void main(String[] args) throws Exception {
    if (args[0].equals("count")) count(args[1], args[2], args[3]);
    else check(args[0], args[1]);
  }

  static Properties common(String server) {
    Properties p = new Properties();
    p.put("bootstrap.servers", server);
    return p;
  }

  /** The application itself: a process of its own, so that it can be killed. */
  static void count(String server, String run, String state) {
    Properties p = common(server);
    p.put(StreamsConfig.APPLICATION_ID_CONFIG, "word-count-" + run);
    p.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
    p.put(StreamsConfig.STATE_DIR_CONFIG, state);
    p.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
    p.put("session.timeout.ms", 6000);
    p.put("heartbeat.interval.ms", 500);
    p.put("transaction.timeout.ms", 10000);
    p.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
    p.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
    StreamsBuilder builder = new StreamsBuilder();
    builder.<String, String>stream("lines-" + run)
        .flatMapValues(line -> Arrays.asList(line.split(" ")))
        .groupBy((key, word) -> word)
        .count(Materialized.as("counts"))
        .toStream()
        .to("counts-" + run, Produced.with(Serdes.String(), Serdes.Long()));
    new KafkaStreams(builder.build(), p).start();
  }

  static Process start(String server, String classpath, String run, File state) throws Exception {
    String java = System.getProperty("java.home") + "/bin/java";
    return new ProcessBuilder(java, "-Xmx256m", "-cp", classpath, "WordCount", "count", server, run, state.getPath())
        .redirectErrorStream(true).redirectOutput(new File(state, "log")).start();
  }

  static void check(String server, String classpath) throws Exception {
    String run = UUID.randomUUID().toString().substring(0, 8);
    File state = Files.createTempDirectory("word-count").toFile();
    try (Admin admin = Admin.create(common(server))) {
      admin.createTopics(List.of(new NewTopic("lines-" + run, 2, (short) 1), new NewTopic("counts-" + run, 1, (short) 1)))
          .all().get(30, TimeUnit.SECONDS);
    }
    Map<String, Long> expected = feed(server, run);
    Process process = start(server, classpath, run, state);
    Map<String, Long> seen = new TreeMap<>();
    boolean contiguous = true;
    int kills = 0;
    Properties p = common(server);
    p.put("isolation.level", "read_committed");
    p.put("auto.offset.reset", "earliest");
    p.put("group.id", "reader-" + run);
    long end = System.currentTimeMillis() + 400_000;
    try (KafkaConsumer<String, Long> consumer = new KafkaConsumer<>(p, new StringDeserializer(), new LongDeserializer())) {
      consumer.subscribe(List.of("counts-" + run));
      while (!seen.equals(expected) && System.currentTimeMillis() < end) {
        for (var record : consumer.poll(Duration.ofMillis(200))) {
          long before = seen.getOrDefault(record.key(), 0L);
          // Counts may be skipped by the cache before a commit; they never come twice or go back.
          if (record.value() <= before) contiguous = false;
          seen.put(record.key(), record.value());
        }
        long total = seen.values().stream().mapToLong(Long::longValue).sum();
        if (kills < 2 && total > (kills + 1) * LINES * 3L / 4) {
          process.destroyForcibly().waitFor();
          kills++;
          more(server, run, expected);
          process = start(server, classpath, run, state);
        }
      }
    } finally {
      process.destroyForcibly();
    }
    report("killed twice while it counted", kills == 2);
    report("every count is right: " + seen + " of " + expected, seen.equals(expected));
    report("no count came twice or went back", contiguous);
    if (kills == 2 && seen.equals(expected) && contiguous) return;
    List<String> log = Files.readAllLines(new File(state, "log").toPath());
    for (String line : log.subList(Math.max(0, log.size() - 8), log.size())) System.out.println("# " + line);
  }

  static Map<String, Long> feed(String server, String run) {
    Map<String, Long> expected = new TreeMap<>();
    more(server, run, expected);
    return expected;
  }

  static void more(String server, String run, Map<String, Long> expected) {
    Random random = new Random(expected.size());
    try (KafkaProducer<String, String> producer = new KafkaProducer<>(common(server), new StringSerializer(), new StringSerializer())) {
      for (int i = 0; i < LINES; i++) {
        String a = WORDS[random.nextInt(WORDS.length)], b = WORDS[random.nextInt(WORDS.length)];
        producer.send(new ProducerRecord<>("lines-" + run, a + " " + b));
        expected.merge(a, 1L, Long::sum);
        expected.merge(b, 1L, Long::sum);
      }
    }
  }

  static void report(String what, boolean ok) {
    System.out.println((ok ? "ok - " : "not ok - ") + what);
  }
}
