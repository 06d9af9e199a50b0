import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs the command lines of a file, its lines "> tool arguments", with Kafka's own tools in this JVM, and prints of
 * each what it says and exits with ("= status"). usage: Tools host:port file [ms]    ms: pause behind each, for brokers
 * that act on what they have confirmed only later.
 *
 * --bootstrap-server is added. '...' quotes, "<<< text" is the input,
 * json:... is the content of a file whose name is given. "> @start NAME GROUP TOPIC key=value..." has a consumer run until
 * "> @stop NAME".
 */
public final class Tools {
    private static final Map<String, String> CLASSES = Map.ofEntries(
        Map.entry("topics", "org.apache.kafka.tools.TopicCommand"),
        Map.entry("configs", "kafka.admin.ConfigCommand"),
        Map.entry("consumer-groups", "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"),
        Map.entry("share-groups", "org.apache.kafka.tools.consumer.group.ShareGroupCommand"),
        Map.entry("streams-groups", "org.apache.kafka.tools.streams.StreamsGroupCommand"),
        Map.entry("groups", "org.apache.kafka.tools.GroupsCommand"),
        Map.entry("acls", "org.apache.kafka.tools.AclCommand"),
        Map.entry("get-offsets", "org.apache.kafka.tools.GetOffsetShell"),
        Map.entry("delete-records", "org.apache.kafka.tools.DeleteRecordsCommand"),
        Map.entry("log-dirs", "org.apache.kafka.tools.LogDirsCommand"),
        Map.entry("transactions", "org.apache.kafka.tools.TransactionsCommand"),
        Map.entry("features", "org.apache.kafka.tools.FeatureCommand"),
        Map.entry("leader-election", "org.apache.kafka.tools.LeaderElectionCommand"),
        Map.entry("reassign-partitions", "org.apache.kafka.tools.reassign.ReassignPartitionsCommand"),
        Map.entry("cluster", "org.apache.kafka.tools.ClusterTool"),
        Map.entry("console-producer", "org.apache.kafka.tools.ConsoleProducer"),
        Map.entry("console-consumer", "org.apache.kafka.tools.consumer.ConsoleConsumer"),
        Map.entry("console-share-consumer", "org.apache.kafka.tools.consumer.ConsoleShareConsumer"));

    /** Those with subcommands want the address before them. */
    private static final List<String> FIRST = List.of("features", "transactions");

    /** Written where a tool waits for something that does not come: it is not waited for as long as others are. */
    private static final String LATE = "= late";
    private static final long LATE_MS = 20_000, DONE_MS = 90_000;

    private static final int UNKNOWN = Integer.MIN_VALUE;

    private static final class Exited extends Error {
        Exited() { super("exit", null, false, false); }
    }

    private static final Map<String, Runnable> stops = new HashMap<>();
    private static String address;

    public static void main(String[] args) throws Exception {
        address = args[0];
        PrintStream out = System.out;
        List<String> lines = Files.readAllLines(Path.of(args[1]));
        for (int i = 0; i < lines.size(); i++) {
            String line = lines.get(i);
            if (!line.startsWith("> ")) continue;
            out.println(line);
            if (line.startsWith("> @")) consumer(line.substring(3).split(" "));
            else run(line.substring(2), out, i + 1 < lines.size() && lines.get(i + 1).equals(LATE) ? LATE_MS : DONE_MS);
            if (args.length > 2) Thread.sleep(Long.parseLong(args[2]));
            out.flush();
        }
        out.flush();
        Runtime.getRuntime().halt(0);
    }

    private static void consumer(String[] words) throws Exception {
        if (words[0].equals("stop")) {
            stops.remove(words[1]).run();
            return;
        }
        Properties settings = new Properties();
        settings.putAll(Map.of("bootstrap.servers", address, "client.id", words[1], "group.id", words[2],
            "auto.offset.reset", "earliest", "key.deserializer", StringDeserializer.class, "value.deserializer", StringDeserializer.class));
        // It commits when it stops: not in between, while the tools look.
        settings.put("auto.commit.interval.ms", "3600000");
        for (int i = 4; i < words.length; i++) settings.put(words[i].split("=")[0], words[i].split("=")[1]);
        KafkaConsumer<String, String> consumer = new KafkaConsumer<>(settings);
        CountDownLatch assigned = new CountDownLatch(1);
        Thread thread = new Thread(() -> {
            try (consumer) {
                consumer.subscribe(List.of(words[3]));
                while (true) {
                    consumer.poll(Duration.ofMillis(100));
                    if (!consumer.assignment().isEmpty()) assigned.countDown();
                }
            } catch (WakeupException e) {
                // asked to stop
            }
        });
        stops.put(words[1], () -> {
            consumer.wakeup();
            join(thread, DONE_MS);
        });
        thread.start();
        if (!assigned.await(60, TimeUnit.SECONDS)) System.out.println("no assignment");
    }

    private static void join(Thread thread, long ms) {
        try {
            thread.join(ms);
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    private static void run(String line, PrintStream out, long ms) throws Exception {
        String input = "";
        int at = line.indexOf(" <<< ");
        if (at >= 0) {
            input = line.substring(at + 5).replace("\\n", "\n").replace("\\t", "\t") + "\n";
            line = line.substring(0, at);
        }
        List<String> words = words(line);
        String tool = words.remove(0);
        words.addAll(FIRST.contains(tool) ? 0 : words.size(), List.of("--bootstrap-server", address));
        for (int i = 0; i < words.size(); i++) {
            if (words.get(i).startsWith("json:")) {
                Path file = Files.createTempFile("tools", ".json");
                Files.writeString(file, words.get(i).substring(5));
                words.set(i, file.toString());
            }
        }
        capture(tool, words, input, out, ms);
    }

    private static void capture(String tool, List<String> words, String input, PrintStream out, long ms) {
        ByteArrayOutputStream said = new ByteArrayOutputStream();
        AtomicInteger status = new AtomicInteger(UNKNOWN);
        // What is said after the exit would not be said by a process of its own.
        PrintStream sink = new PrintStream(new OutputStream() {
            @Override public synchronized void write(int b) {
                if (status.get() == UNKNOWN) said.write(b);
            }
        }, true, StandardCharsets.UTF_8);
        Exit.Procedure exit = (code, message) -> {
            if (message != null) sink.println(message);
            status.compareAndSet(UNKNOWN, code);
            throw new Exited();
        };
        List<Runnable> hooks = Collections.synchronizedList(new ArrayList<>());
        Exit.setExitProcedure(exit);
        Exit.setHaltProcedure(exit);
        Exit.setShutdownHookAdder((name, hook) -> hooks.add(hook));
        PrintStream err = System.err;
        System.setOut(sink);
        System.setErr(sink);
        System.setIn(new ByteArrayInputStream(input.getBytes(StandardCharsets.UTF_8)));
        Thread thread = new Thread(() -> {
            call(tool, words.toArray(String[]::new), status, sink);
            List.copyOf(hooks).forEach(Runnable::run);
        });
        thread.start();
        join(thread, ms);
        boolean late = thread.isAlive();
        status.compareAndSet(UNKNOWN, 0);
        // Gone before the next one runs: what it says and how it exits would be taken for that one's.
        while (thread.isAlive()) {
            thread.interrupt();
            join(thread, 100);
        }
        System.setOut(out);
        System.setErr(err);
        out.print(said.toString(StandardCharsets.UTF_8).stripTrailing() + "\n");
        out.println("= " + (late ? "late" : status.get()));
    }

    private static void call(String tool, String[] args, AtomicInteger status, PrintStream sink) {
        try {
            Class<?> type = Class.forName(CLASSES.get(tool));
            if (tool.startsWith("console-")) reset(type);
            type.getMethod("main", String[].class).invoke(null, (Object) args);
        } catch (InvocationTargetException e) {
            if (e.getCause() instanceof Exited) return;
            sink.println("Exception in thread \"main\" " + e.getCause());
            status.compareAndSet(UNKNOWN, 1);
        } catch (ReflectiveOperationException e) {
            sink.println("no such tool: " + e);
        }
    }

    /** It counts in a static field. */
    private static void reset(Class<?> type) throws ReflectiveOperationException {
        try {
            var field = type.getDeclaredField("messageCount");
            field.setAccessible(true);
            field.setInt(null, 0);
        } catch (NoSuchFieldException e) {
            // one without a count
        }
    }

    private static List<String> words(String line) {
        List<String> words = new ArrayList<>();
        StringBuilder word = new StringBuilder();
        boolean quoted = false, any = false;
        for (char c : line.toCharArray()) {
            if (c == '\'') { quoted = !quoted; any = true; }
            else if (c == ' ' && !quoted) {
                if (any) words.add(word.toString());
                word.setLength(0);
                any = false;
            } else { word.append(c); any = true; }
        }
        if (any) words.add(word.toString());
        return words;
    }
}
