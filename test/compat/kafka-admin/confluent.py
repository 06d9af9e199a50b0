# confluent-kafka's (librdkafka's) administration client. usage: confluent.py host:port
import sys
import uuid

from confluent_kafka import KafkaException, Producer, TopicCollection, TopicPartition
from confluent_kafka.admin import (
    AclBinding, AclBindingFilter, AclOperation, AclPermissionType, AdminClient, AlterConfigOpType, ConfigEntry,
    ConfigResource, NewPartitions, NewTopic, OffsetSpec, ResourcePatternType, ResourceType, ScramCredentialInfo,
    ScramMechanism, UserScramCredentialDeletion, UserScramCredentialUpsertion)

ADDRESS = sys.argv[1]
RUN = uuid.uuid4().hex[:8]
TOPIC, USER = f"confluent-{RUN}", f"confluent-user-{RUN}"
failures = 0
admin = AdminClient({"bootstrap.servers": ADDRESS})


def check(name):
    def run(step):
        global failures
        try:
            step()
            print("ok", name, flush=True)
        except Exception as error:  # whatever it is, it is a failure
            failures += 1
            print(f"not ok {name}: {type(error).__name__}: {error}", flush=True)
    return run


def same(expected, found):
    assert expected == found, f"expected {expected}, found {found}"


def done(futures):
    return {name: future.result(60) for name, future in futures.items()}


def fails(code, step):
    try:
        step()
    except KafkaException as error:
        same(code, error.args[0].name())
        return
    raise AssertionError("it went well")


@check("topics are made, described and grown")
def _():
    done(admin.create_topics([NewTopic(TOPIC, 2, 3, config={"retention.ms": "7000"})]))
    fails("TOPIC_ALREADY_EXISTS", lambda: done(admin.create_topics([NewTopic(TOPIC, 2, 1)])))
    done(admin.create_partitions([NewPartitions(TOPIC, 4)]))
    found = done(admin.describe_topics(TopicCollection([TOPIC]), include_authorized_operations=True))[TOPIC]
    same(4, len(found.partitions))
    assert AclOperation.DELETE in found.authorized_operations


@check("configurations are told and changed")
def _():
    resource = ConfigResource(ConfigResource.Type.TOPIC, TOPIC)
    same("7000", done(admin.describe_configs([resource]))[resource]["retention.ms"].value)
    entry = ConfigEntry("retention.ms", "9000", incremental_operation=AlterConfigOpType.SET)
    done(admin.incremental_alter_configs([ConfigResource(ConfigResource.Type.TOPIC, TOPIC, incremental_configs=[entry])]))
    same("9000", done(admin.describe_configs([resource]))[resource]["retention.ms"].value)


@check("records are deleted, and offsets told")
def _():
    producer = Producer({"bootstrap.servers": ADDRESS})
    for i in range(5):
        producer.produce(TOPIC, f"record {i}", partition=0)
    producer.flush(60)
    done(admin.delete_records([TopicPartition(TOPIC, 0, 3)]))
    partition = TopicPartition(TOPIC, 0)
    same(3, done(admin.list_offsets({partition: OffsetSpec.earliest()}))[partition].offset)
    same(5, done(admin.list_offsets({partition: OffsetSpec.latest()}))[partition].offset)


def login(mechanism, password, user=USER):
    return {"bootstrap.servers": ADDRESS, "security.protocol": "SASL_PLAINTEXT", "sasl.mechanisms": mechanism,
            "sasl.username": user, "sasl.password": password}


@check("users are made with SCRAM passwords, and rules say what they may do")
def _():
    info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 5000)
    done(admin.alter_user_scram_credentials([UserScramCredentialUpsertion(USER, info, b"secret")]))
    same(5000, done(admin.describe_user_scram_credentials([USER]))[USER].scram_credential_infos[0].iterations)
    rule = AclBinding(ResourceType.TOPIC, TOPIC, ResourcePatternType.LITERAL, f"User:{USER}", "*",
                      AclOperation.WRITE, AclPermissionType.ALLOW)
    done(admin.create_acls([rule]))
    for mechanism in ("SCRAM-SHA-512", "PLAIN"):
        refusals = []
        producer = Producer(login(mechanism, "secret"))
        producer.produce(TOPIC, "mine", callback=lambda error, _: error and refusals.append(error.name()))
        same(0, producer.flush(60))
        same([], refusals)
    limited = AdminClient(login("PLAIN", "secret"))
    fails("TOPIC_AUTHORIZATION_FAILED", lambda: done(limited.delete_topics([TOPIC])))


@check("rules and passwords are found and deleted")
def _():
    of_user = AclBindingFilter(ResourceType.ANY, None, ResourcePatternType.ANY, f"User:{USER}", None,
                               AclOperation.ANY, AclPermissionType.ANY)
    same(1, len(admin.describe_acls(of_user).result(60)))
    same(1, len(done(admin.delete_acls([of_user]))[of_user]))
    same(0, len(admin.describe_acls(of_user).result(60)))
    done(admin.alter_user_scram_credentials([UserScramCredentialDeletion(USER, ScramMechanism.SCRAM_SHA_512)]))


@check("the cluster describes itself")
def _():
    found = admin.describe_cluster(include_authorized_operations=True).result(60)
    same(1, len(found.nodes))
    assert found.cluster_id


@check("topics are deleted")
def _():
    done(admin.delete_topics([TOPIC]))
    fails("UNKNOWN_TOPIC_OR_PART", lambda: done(admin.delete_topics([TOPIC])))


sys.exit(1 if failures else 0)
