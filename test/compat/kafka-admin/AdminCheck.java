// Kafka's own administration client: topics, configurations, access, users, quotas, logins.
// usage: AdminCheck host:port     the address takes clients without a login as an administrator
import java.util.*;
import java.util.concurrent.ExecutionException;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.acl.*;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.quota.*;
import org.apache.kafka.common.resource.*;
import org.apache.kafka.common.serialization.*;

public class AdminCheck {
    static final String RUN = Long.toString(System.nanoTime(), 36);
    static String bootstrap;
    static int failures;

    interface Step { void run() throws Exception; }

    static void check(String name, Step step) {
        try {
            step.run();
            System.out.println("ok " + name);
        } catch (Throwable error) {
            failures++;
            System.out.println("not ok " + name + ": " + error);
            error.printStackTrace(System.out);
        }
    }

    static void same(Object expected, Object found) {
        if (!Objects.equals(expected, found)) throw new AssertionError("expected " + expected + ", found " + found);
    }

    static void that(boolean holds, Object found) {
        if (!holds) throw new AssertionError("found " + found);
    }

    static <T extends Throwable> T fails(Class<T> type, Step step) throws Exception {
        try {
            step.run();
        } catch (Exception error) {
            Throwable cause = error instanceof ExecutionException ? error.getCause() : error;
            if (type.isInstance(cause)) return type.cast(cause);
            throw new AssertionError("expected " + type.getSimpleName() + ", found " + cause, cause);
        }
        throw new AssertionError("expected " + type.getSimpleName() + ", and it went well");
    }

    static Map<String, Object> client(String... more) {
        Map<String, Object> config = new HashMap<>();
        config.put("bootstrap.servers", bootstrap);
        config.put("request.timeout.ms", "30000");
        config.put("default.api.timeout.ms", "60000");
        for (int i = 0; i < more.length; i += 2) config.put(more[i], more[i + 1]);
        return config;
    }

    static String[] sasl(String mechanism, String user, String password) {
        String module = mechanism.equals("PLAIN")
            ? "org.apache.kafka.common.security.plain.PlainLoginModule"
            : "org.apache.kafka.common.security.scram.ScramLoginModule";
        String jaas = module + " required username=\"" + user + "\" password=\"" + password + "\";";
        return new String[] {"security.protocol", "SASL_PLAINTEXT", "sasl.mechanism", mechanism, "sasl.jaas.config", jaas};
    }

    static ConfigResource topic(String name) { return new ConfigResource(ConfigResource.Type.TOPIC, name); }

    static AlterConfigOp op(String name, String value, AlterConfigOp.OpType type) {
        return new AlterConfigOp(new ConfigEntry(name, value), type);
    }

    static ConfigEntry config(Admin admin, ConfigResource resource, String name) throws Exception {
        DescribeConfigsOptions options = new DescribeConfigsOptions().includeSynonyms(true).includeDocumentation(true);
        return admin.describeConfigs(List.of(resource), options).all().get().get(resource).get(name);
    }

    static void alter(Admin admin, ConfigResource resource, AlterConfigOp... ops) throws Exception {
        admin.incrementalAlterConfigs(Map.of(resource, List.of(ops))).all().get();
    }

    static KafkaProducer<String, String> producer(String... more) {
        Map<String, Object> config = client(more);
        config.put("max.block.ms", "60000");
        config.put("enable.idempotence", "false");
        return new KafkaProducer<>(config, new StringSerializer(), new StringSerializer());
    }

    static void topics(Admin admin) {
        String t = "topics." + RUN;
        check("a topic with a replication factor of 3 is created, and has one replica", () -> {
            NewTopic made = new NewTopic(t, 3, (short) 3).configs(Map.of("retention.ms", "100000"));
            CreateTopicsResult result = admin.createTopics(List.of(made));
            result.all().get();
            same(3, result.numPartitions(t).get());
            same(1, result.replicationFactor(t).get());
            same("100000", result.config(t).get().get("retention.ms").value());
            TopicDescription found = admin.describeTopics(List.of(t)).allTopicNames().get().get(t);
            same(result.topicId(t).get(), found.topicId());
            same(3, found.partitions().size());
            same(1, found.partitions().get(0).replicas().size());
        });
        check("a topic with the broker's defaults", () -> {
            CreateTopicsResult result = admin.createTopics(List.of(new NewTopic(t + ".d", Optional.empty(), Optional.empty())));
            result.all().get();
            same(1, result.numPartitions(t + ".d").get());
        });
        check("a topic with its replicas assigned", () -> {
            int id = admin.describeCluster().controller().get().id();
            admin.createTopics(List.of(new NewTopic(t + ".a", Map.of(0, List.of(id), 1, List.of(id))))).all().get();
            same(2, admin.describeTopics(List.of(t + ".a")).allTopicNames().get().get(t + ".a").partitions().size());
        });
        check("what only looks like another name is another name", () -> {
            admin.createTopics(List.of(new NewTopic(t.replace('.', '_'), 1, (short) 1))).all().get();
        });
        check("what cannot be is refused", () -> {
            fails(TopicExistsException.class, () -> admin.createTopics(List.of(new NewTopic(t, 1, (short) 1))).all().get());
            fails(InvalidTopicException.class, () -> admin.createTopics(List.of(new NewTopic("no way", 1, (short) 1))).all().get());
            fails(InvalidTopicException.class, () -> admin.createTopics(List.of(new NewTopic("..", 1, (short) 1))).all().get());
            fails(InvalidPartitionsException.class, () -> admin.createTopics(List.of(new NewTopic(t + ".x", 0, (short) 1))).all().get());
            fails(InvalidReplicationFactorException.class, () -> admin.createTopics(List.of(new NewTopic(t + ".x", 1, (short) 0))).all().get());
            for (Map<String, String> wrong : List.of(Map.of("no.such", "1"), Map.of("retention.ms", "soon"), Map.of("cleanup.policy", "burn"), Map.of("compression.type", "gzip"))) {
                NewTopic made = new NewTopic(t + ".x", 1, (short) 1).configs(wrong);
                fails(InvalidConfigurationException.class, () -> admin.createTopics(List.of(made)).all().get());
            }
            that(!admin.listTopics().names().get().contains(t + ".x"), "the topic");
        });
        check("a topic that is only tried is not there", () -> {
            CreateTopicsOptions dry = new CreateTopicsOptions().validateOnly(true);
            admin.createTopics(List.of(new NewTopic(t + ".v", 1, (short) 1)), dry).all().get();
            fails(TopicExistsException.class, () -> admin.createTopics(List.of(new NewTopic(t, 1, (short) 1)), dry).all().get());
            NewTopic large = new NewTopic(t + ".v", 10_000_000, (short) 1);
            fails(InvalidPartitionsException.class, () -> admin.createTopics(List.of(large), dry).all().get());
            that(!admin.listTopics().names().get().contains(t + ".v"), "the topic");
        });
        check("topics grow and do not shrink", () -> {
            admin.createPartitions(Map.of(t, NewPartitions.increaseTo(5))).all().get();
            same(5, admin.describeTopics(List.of(t)).allTopicNames().get().get(t).partitions().size());
            fails(InvalidPartitionsException.class, () -> admin.createPartitions(Map.of(t, NewPartitions.increaseTo(4))).all().get());
            fails(InvalidPartitionsException.class, () -> admin.createPartitions(Map.of(t, NewPartitions.increaseTo(5))).all().get());
            fails(UnknownTopicOrPartitionException.class, () -> admin.createPartitions(Map.of("nope." + RUN, NewPartitions.increaseTo(4))).all().get());
        });
        check("records are deleted up to an offset, and to the end", () -> {
            TopicPartition partition = new TopicPartition(t, 0);
            try (KafkaProducer<String, String> producer = producer()) {
                for (int i = 0; i < 10; i++) producer.send(new ProducerRecord<>(t, 0, null, "record " + i)).get();
            }
            same(4L, admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(4))).lowWatermarks().get(partition).get().lowWatermark());
            same(4L, admin.listOffsets(Map.of(partition, OffsetSpec.earliest())).partitionResult(partition).get().offset());
            same(10L, admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(-1))).lowWatermarks().get(partition).get().lowWatermark());
            fails(org.apache.kafka.common.errors.OffsetOutOfRangeException.class, () -> admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(11))).all().get());
        });
        check("sizes of partitions are told", () -> {
            try (KafkaProducer<String, String> producer = producer()) {
                producer.send(new ProducerRecord<>(t, 1, null, "x".repeat(10_000))).get();
            }
            int id = admin.describeCluster().controller().get().id();
            Map<String, LogDirDescription> dirs = admin.describeLogDirs(List.of(id)).allDescriptions().get().get(id);
            same(1, dirs.size());
            LogDirDescription dir = dirs.values().iterator().next();
            that(dir.replicaInfos().get(new TopicPartition(t, 1)).size() > 10_000, dir);
            that(dir.totalBytes().orElse(1) > 0, dir);
        });
        check("there is nothing to elect and nothing to move", () -> {
            TopicPartition partition = new TopicPartition(t, 0);
            fails(ElectionNotNeededException.class, () -> {
                Optional<Throwable> error = admin.electLeaders(ElectionType.PREFERRED, Set.of(partition)).partitions().get().get(partition);
                throw new ExecutionException(error.get());
            });
            admin.electLeaders(ElectionType.PREFERRED, null).all().get();
            same(Map.of(), admin.listPartitionReassignments().reassignments().get());
            int id = admin.describeCluster().controller().get().id();
            admin.alterPartitionReassignments(Map.of(partition, Optional.of(new NewPartitionReassignment(List.of(id))))).all().get();
            fails(InvalidReplicaAssignmentException.class, () -> admin.alterPartitionReassignments(Map.of(partition, Optional.of(new NewPartitionReassignment(List.of(id + 7))))).all().get());
            fails(NoReassignmentInProgressException.class, () -> admin.alterPartitionReassignments(Map.of(partition, Optional.empty())).all().get());
        });
        check("topics are deleted by name and by id", () -> {
            Uuid id = admin.describeTopics(List.of(t + ".d")).allTopicNames().get().get(t + ".d").topicId();
            admin.deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all().get();
            admin.deleteTopics(List.of(t + ".a")).all().get();
            Set<String> names = admin.listTopics().names().get();
            that(!names.contains(t + ".d") && !names.contains(t + ".a") && names.contains(t), names);
            fails(UnknownTopicOrPartitionException.class, () -> admin.deleteTopics(List.of(t + ".a")).all().get());
            fails(UnknownTopicIdException.class, () -> admin.deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all().get());
        });
    }

    static void configs(Admin admin) throws Exception {
        String t = "configs." + RUN;
        admin.createTopics(List.of(new NewTopic(t, 1, (short) 1).configs(Map.of("retention.bytes", "1000000")))).all().get();
        ConfigResource resource = topic(t);
        check("configurations of topics tell who set them", () -> {
            ConfigEntry own = config(admin, resource, "retention.bytes");
            same("1000000", own.value());
            same(ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, own.source());
            same(ConfigEntry.ConfigType.LONG, own.type());
            same(2, own.synonyms().size());
            same("log.retention.bytes", own.synonyms().get(1).name());
            that(own.documentation() != null && !own.documentation().isEmpty(), own);
            ConfigEntry other = config(admin, resource, "cleanup.policy");
            same("delete", other.value());
            same(ConfigEntry.ConfigSource.DEFAULT_CONFIG, other.source());
            same(ConfigEntry.ConfigType.LIST, other.type());
            for (String name : List.of("retention.ms", "segment.bytes", "segment.ms", "min.insync.replicas", "max.message.bytes",
                "compression.type", "message.timestamp.type", "message.timestamp.before.max.ms", "message.timestamp.after.max.ms",
                "delete.retention.ms", "min.compaction.lag.ms", "max.compaction.lag.ms", "min.cleanable.dirty.ratio",
                "flush.ms", "flush.messages", "preallocate", "unclean.leader.election.enable"))
                that(config(admin, resource, name) != null, name);
        });
        check("configurations of topics are set, reset, appended to and subtracted from", () -> {
            alter(admin, resource, op("retention.ms", "5000", AlterConfigOp.OpType.SET), op("retention.bytes", "", AlterConfigOp.OpType.DELETE));
            same("5000", config(admin, resource, "retention.ms").value());
            same("-1", config(admin, resource, "retention.bytes").value());
            alter(admin, resource, op("cleanup.policy", "compact", AlterConfigOp.OpType.APPEND));
            same(Set.of("delete", "compact"), Set.of(config(admin, resource, "cleanup.policy").value().split(",")));
            alter(admin, resource, op("cleanup.policy", "delete", AlterConfigOp.OpType.SUBTRACT));
            same("compact", config(admin, resource, "cleanup.policy").value());
            alter(admin, resource, op("flush.messages", "1", AlterConfigOp.OpType.SET));
            same("1", config(admin, resource, "flush.messages").value());
            alter(admin, resource, op("max.compaction.lag.ms", "9223372036854775807", AlterConfigOp.OpType.SET));
            same("9223372036854775807", config(admin, resource, "max.compaction.lag.ms").value());
        });
        check("configurations of topics that cannot be are refused, and nothing of the request acts", () -> {
            fails(InvalidConfigurationException.class, () -> alter(admin, resource, op("retention.ms", "7000", AlterConfigOp.OpType.SET), op("no.such", "1", AlterConfigOp.OpType.SET)));
            fails(InvalidConfigurationException.class, () -> alter(admin, resource, op("retention.ms", "1", AlterConfigOp.OpType.APPEND)));
            fails(InvalidConfigurationException.class, () -> alter(admin, resource, op("segment.bytes", "-4", AlterConfigOp.OpType.SET)));
            same("5000", config(admin, resource, "retention.ms").value());
            fails(UnknownTopicOrPartitionException.class, () -> alter(admin, topic("nope." + RUN), op("retention.ms", "1", AlterConfigOp.OpType.SET)));
        });
        check("configurations of the broker are told, and some changed while it runs", () -> {
            String id = admin.describeCluster().controller().get().idString();
            ConfigResource broker = new ConfigResource(ConfigResource.Type.BROKER, id);
            ConfigResource all = new ConfigResource(ConfigResource.Type.BROKER, "");
            for (String name : List.of("num.partitions", "default.replication.factor", "auto.create.topics.enable", "delete.topic.enable",
                "message.max.bytes", "log.retention.ms", "log.retention.bytes", "log.cleanup.policy", "min.insync.replicas",
                "offsets.topic.replication.factor", "inter.broker.protocol.version", "log.dirs", "listeners", "advertised.listeners"))
                that(config(admin, broker, name) != null, name);
            alter(admin, all, op("num.partitions", "4", AlterConfigOp.OpType.SET));
            ConfigEntry found = config(admin, broker, "num.partitions");
            same("4", found.value());
            same(ConfigEntry.ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG, found.source());
            admin.createTopics(List.of(new NewTopic(t + ".p", Optional.empty(), Optional.empty()))).all().get();
            same(4, admin.describeTopics(List.of(t + ".p")).allTopicNames().get().get(t + ".p").partitions().size());
            alter(admin, all, op("num.partitions", "", AlterConfigOp.OpType.DELETE));
            same("1", config(admin, broker, "num.partitions").value());
            fails(InvalidRequestException.class, () -> alter(admin, all, op("broker.id", "7", AlterConfigOp.OpType.SET)));
        });
        check("defaults of topics are changed while it runs", () -> {
            ConfigResource all = new ConfigResource(ConfigResource.Type.BROKER, "");
            ConfigResource plain = topic(t + ".p");
            alter(admin, all, op("log.retention.ms", "123456", AlterConfigOp.OpType.SET));
            same("123456", config(admin, plain, "retention.ms").value());
            same(ConfigEntry.ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG, config(admin, plain, "retention.ms").source());
            same("5000", config(admin, resource, "retention.ms").value());
            alter(admin, all, op("log.retention.ms", "", AlterConfigOp.OpType.DELETE));
            same("604800000", config(admin, plain, "retention.ms").value());
        });
    }

    static void cluster(Admin admin) {
        check("the cluster describes itself", () -> {
            DescribeClusterResult found = admin.describeCluster(new DescribeClusterOptions().includeAuthorizedOperations(true));
            same(1, found.nodes().get().size());
            that(found.clusterId().get().length() == 22, found.clusterId().get());
            that(found.authorizedOperations().get().contains(AclOperation.ALTER), found.authorizedOperations().get());
        });
        check("the quorum is one broker", () -> {
            QuorumInfo found = admin.describeMetadataQuorum().quorumInfo().get();
            same(1, found.voters().size());
        });
        check("features cannot be switched", () -> {
            admin.describeFeatures().featureMetadata().get();
            fails(ApiException.class, () -> admin.updateFeatures(
                Map.of("metadata.version", new FeatureUpdate((short) 99, FeatureUpdate.UpgradeType.UPGRADE)), new UpdateFeaturesOptions()).all().get());
        });
    }

    static void users(Admin admin) throws Exception {
        String user = "user-" + RUN, t = "users." + RUN;
        admin.createTopics(List.of(new NewTopic(t, 1, (short) 1))).all().get();
        check("users are made with SCRAM passwords", () -> {
            ScramCredentialInfo info = new ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 8192);
            ScramCredentialInfo other = new ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096);
            admin.alterUserScramCredentials(List.of(
                new UserScramCredentialUpsertion(user, info, "secret"),
                new UserScramCredentialUpsertion(user, other, "secret"))).all().get();
            UserScramCredentialsDescription found = admin.describeUserScramCredentials(List.of(user)).description(user).get();
            same(Set.of(info, other), Set.copyOf(found.credentialInfos()));
            that(admin.describeUserScramCredentials().users().get().contains(user), user);
            fails(ResourceNotFoundException.class, () -> admin.describeUserScramCredentials(List.of("nobody")).description("nobody").get());
            fails(UnacceptableCredentialException.class, () -> admin.alterUserScramCredentials(List.of(
                new UserScramCredentialUpsertion(user, new ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 100), "x"))).all().get());
        });
        check("who has no rights does not get in, and is told why", () -> {
            try (Admin nobody = Admin.create(client(sasl("SCRAM-SHA-256", user, "secret")))) {
                SaslAuthenticationException error = fails(SaslAuthenticationException.class, () -> nobody.listTopics().names().get());
                that(error.getMessage().contains("refused"), error.getMessage());
            }
        });
        AclBinding write = acl(ResourceType.TOPIC, t, PatternType.LITERAL, user, AclOperation.WRITE, AclPermissionType.ALLOW);
        AclBinding read = acl(ResourceType.TOPIC, "users." + RUN, PatternType.PREFIXED, user, AclOperation.READ, AclPermissionType.ALLOW);
        AclBinding group = acl(ResourceType.GROUP, "*", PatternType.LITERAL, user, AclOperation.READ, AclPermissionType.ALLOW);
        AclBinding deny = acl(ResourceType.TOPIC, t, PatternType.LITERAL, user, AclOperation.WRITE, AclPermissionType.DENY);
        check("access rules are created and found", () -> {
            admin.createAcls(List.of(write, read, group)).all().get();
            AclBindingFilter ofUser = new AclBindingFilter(ResourcePatternFilter.ANY, new AccessControlEntryFilter("User:" + user, null, AclOperation.ANY, AclPermissionType.ANY));
            same(Set.of(write, read, group), Set.copyOf(admin.describeAcls(ofUser).values().get()));
            AclBindingFilter match = new AclBindingFilter(new ResourcePatternFilter(ResourceType.TOPIC, t, PatternType.MATCH), AccessControlEntryFilter.ANY);
            same(Set.of(write, read), admin.describeAcls(match).values().get().stream().filter(b -> b.entry().principal().endsWith(user)).collect(Collectors.toSet()));
            fails(InvalidRequestException.class, () -> admin.createAcls(List.of(acl(ResourceType.GROUP, "g", PatternType.LITERAL, user, AclOperation.WRITE, AclPermissionType.ALLOW))).all().get());
        });
        for (String mechanism : List.of("SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN")) {
            check("with " + mechanism + " a user does what rules allow, and no more", () -> {
                String[] login = sasl(mechanism, user, "secret");
                try (KafkaProducer<String, String> producer = producer(login)) {
                    producer.send(new ProducerRecord<>(t, "by " + mechanism)).get();
                    fails(TopicAuthorizationException.class, () -> producer.send(new ProducerRecord<>("configs." + RUN, "no")).get());
                }
                try (Admin limited = Admin.create(client(login))) {
                    same(Set.of("users." + RUN), limited.listTopics().names().get());
                    fails(TopicAuthorizationException.class, () -> limited.createTopics(List.of(new NewTopic("users.new", 1, (short) 1))).all().get());
                    fails(TopicAuthorizationException.class, () -> limited.deleteTopics(List.of(t)).all().get());
                    fails(ClusterAuthorizationException.class, () -> limited.describeAcls(AclBindingFilter.ANY).values().get());
                    fails(ClusterAuthorizationException.class, () -> limited.createAcls(List.of(write)).all().get());
                    fails(ClusterAuthorizationException.class, () -> limited.describeUserScramCredentials().all().get());
                    fails(ClusterAuthorizationException.class, () -> limited.describeClientQuotas(ClientQuotaFilter.all()).entities().get());
                }
            });
            check("with " + mechanism + " a wrong password is refused", () -> {
                try (Admin wrong = Admin.create(client(sasl(mechanism, user, "wrong")))) {
                    fails(SaslAuthenticationException.class, () -> wrong.listTopics().names().get());
                }
                try (Admin wrong = Admin.create(client(sasl(mechanism, "nobody", "secret")))) {
                    fails(SaslAuthenticationException.class, () -> wrong.listTopics().names().get());
                }
            });
        }
        check("a rule that denies wins", () -> {
            admin.createAcls(List.of(deny)).all().get();
            try (KafkaProducer<String, String> producer = producer(sasl("SCRAM-SHA-256", user, "secret"))) {
                fails(TopicAuthorizationException.class, () -> producer.send(new ProducerRecord<>(t, "no")).get());
                admin.deleteAcls(List.of(deny.toFilter())).all().get();
                producer.send(new ProducerRecord<>(t, "yes")).get();
            }
        });
        check("a consumer in a group reads what rules allow", () -> {
            Map<String, Object> config = client(sasl("SCRAM-SHA-512", user, "secret"));
            config.putAll(Map.of("group.id", "g." + RUN, "auto.offset.reset", "earliest"));
            try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer())) {
                consumer.subscribe(List.of(t));
                Set<String> found = new HashSet<>();
                long until = System.currentTimeMillis() + 60_000;
                while (found.size() < 4 && System.currentTimeMillis() < until)
                    for (ConsumerRecord<String, String> record : consumer.poll(java.time.Duration.ofMillis(500))) found.add(record.value());
                same(Set.of("by SCRAM-SHA-256", "by SCRAM-SHA-512", "by PLAIN", "yes"), found);
            }
        });
        check("access rules are deleted by a filter, and what was deleted is told", () -> {
            AclBindingFilter ofUser = new AclBindingFilter(ResourcePatternFilter.ANY, new AccessControlEntryFilter("User:" + user, null, AclOperation.ANY, AclPermissionType.ANY));
            same(Set.of(write, read, group), Set.copyOf(admin.deleteAcls(List.of(ofUser)).all().get()));
            same(0, admin.describeAcls(ofUser).values().get().size());
        });
        check("SCRAM passwords are taken away", () -> {
            admin.alterUserScramCredentials(List.of(new UserScramCredentialDeletion(user, ScramMechanism.SCRAM_SHA_256))).all().get();
            same(1, admin.describeUserScramCredentials(List.of(user)).description(user).get().credentialInfos().size());
            fails(ResourceNotFoundException.class, () -> admin.alterUserScramCredentials(List.of(new UserScramCredentialDeletion(user, ScramMechanism.SCRAM_SHA_256))).all().get());
            admin.alterUserScramCredentials(List.of(new UserScramCredentialDeletion(user, ScramMechanism.SCRAM_SHA_512))).all().get();
            try (Admin wrong = Admin.create(client(sasl("PLAIN", user, "secret")))) {
                fails(SaslAuthenticationException.class, () -> wrong.listTopics().names().get());
            }
        });
    }

    static AclBinding acl(ResourceType type, String name, PatternType pattern, String user, AclOperation operation, AclPermissionType permission) {
        return new AclBinding(new ResourcePattern(type, name, pattern), new AccessControlEntry("User:" + user, "*", operation, permission));
    }

    static double metric(Producer<?, ?> producer, String name) {
        return producer.metrics().values().stream().filter(m -> m.metricName().name().equals(name))
            .mapToDouble(m -> (Double) m.metricValue()).max().orElse(-1);
    }

    static void quotas(Admin admin) throws Exception {
        String t = "quotas." + RUN, client = "client-" + RUN;
        admin.createTopics(List.of(new NewTopic(t, 1, (short) 1))).all().get();
        ClientQuotaEntity entity = new ClientQuotaEntity(Map.of(ClientQuotaEntity.CLIENT_ID, client));
        check("quotas are set, found and refused", () -> {
            admin.alterClientQuotas(List.of(new ClientQuotaAlteration(entity, List.of(
                new ClientQuotaAlteration.Op("producer_byte_rate", 100_000.0), new ClientQuotaAlteration.Op("request_percentage", 200.0))))).all().get();
            ClientQuotaFilter filter = ClientQuotaFilter.contains(List.of(ClientQuotaFilterComponent.ofEntity(ClientQuotaEntity.CLIENT_ID, client)));
            same(Map.of(entity, Map.of("producer_byte_rate", 100_000.0, "request_percentage", 200.0)), admin.describeClientQuotas(filter).entities().get());
            fails(InvalidRequestException.class, () -> admin.alterClientQuotas(List.of(new ClientQuotaAlteration(entity,
                List.of(new ClientQuotaAlteration.Op("no_such_rate", 1.0))))).all().get());
        });
        check("a producer over its quota is slowed down, and told so", () -> {
            try (KafkaProducer<String, String> producer = producer("client.id", client, "linger.ms", "0")) {
                long started = System.nanoTime();
                for (int i = 0; i < 30; i++) producer.send(new ProducerRecord<>(t, "x".repeat(10_000))).get();
                double seconds = (System.nanoTime() - started) / 1e9;
                // 300 kB at 100 kB/s, one second of which was saved up.
                that(seconds > 1.5, seconds);
                // 10 kB each take 100 ms: what it was told does not depend on how fast this machine is.
                double throttled = metric(producer, "produce-throttle-time-max");
                that(throttled > 0 && throttled < 1000, throttled);
            }
            try (KafkaProducer<String, String> producer = producer("linger.ms", "0")) {
                for (int i = 0; i < 30; i++) producer.send(new ProducerRecord<>(t, "x".repeat(10_000))).get();
                same(0.0, metric(producer, "produce-throttle-time-max"));
            }
        });
        check("a consumer over its quota is slowed down, and told so", () -> {
            ClientQuotaEntity reader = new ClientQuotaEntity(Map.of(ClientQuotaEntity.CLIENT_ID, client + "-reader"));
            admin.alterClientQuotas(List.of(new ClientQuotaAlteration(reader, List.of(new ClientQuotaAlteration.Op("consumer_byte_rate", 200_000.0))))).all().get();
            Map<String, Object> config = client("client.id", client + "-reader", "auto.offset.reset", "earliest", "max.partition.fetch.bytes", "50000");
            try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer())) {
                consumer.assign(List.of(new TopicPartition(t, 0)));
                long started = System.nanoTime();
                int found = 0;
                while (found < 60 && System.nanoTime() - started < 60e9) found += consumer.poll(java.time.Duration.ofMillis(500)).count();
                double seconds = (System.nanoTime() - started) / 1e9;
                same(60, found);
                // 600 kB at 200 kB/s, one second of which was saved up.
                that(seconds > 1.5, seconds);
                double throttled = consumer.metrics().values().stream().filter(m -> m.metricName().name().equals("fetch-throttle-time-max"))
                    .mapToDouble(m -> (Double) m.metricValue()).max().orElse(-1);
                that(throttled > 0 && throttled < 2000, throttled);
            }
            admin.alterClientQuotas(List.of(new ClientQuotaAlteration(reader, List.of(new ClientQuotaAlteration.Op("consumer_byte_rate", null))))).all().get();
        });
        check("quotas are removed", () -> {
            admin.alterClientQuotas(List.of(new ClientQuotaAlteration(entity, List.of(
                new ClientQuotaAlteration.Op("producer_byte_rate", null), new ClientQuotaAlteration.Op("request_percentage", null))))).all().get();
            that(!admin.describeClientQuotas(ClientQuotaFilter.all()).entities().get().containsKey(entity), entity);
        });
    }

    public static void main(String[] args) throws Exception {
        bootstrap = args[0];
        try (Admin admin = Admin.create(client())) {
            topics(admin);
            configs(admin);
            cluster(admin);
            users(admin);
            quotas(admin);
        }
        System.exit(failures > 0 ? 1 : 0);
    }
}
