# kafka-python's administration client. usage: kafka_python.py host:port
import sys
import uuid

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import (
    ACL, ACLFilter, ACLOperation, ACLPermissionType, ACLResourcePatternType, AlterConfigOp, ConfigResource,
    ConfigResourceType, ResourcePattern, ResourcePatternFilter, ResourceType, ScramMechanism,
    UserScramCredentialDeletion, UserScramCredentialUpsertion)
from kafka.errors import KafkaError, TopicAlreadyExistsError

ADDRESS = sys.argv[1]
RUN = uuid.uuid4().hex[:8]
TOPIC, USER = f"python-{RUN}", f"python-user-{RUN}"
failures = 0
admin = KafkaAdminClient(bootstrap_servers=ADDRESS)


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


def fails(kind, step):
    try:
        step()
    except kind:
        return
    raise AssertionError(f"no {kind.__name__}")


def config(name):
    found = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, TOPIC)], config_filter="all")
    return found["topic"][TOPIC][name]["value"]


@check("topics are made, listed and grown")
def _():
    admin.create_topics({TOPIC: {"num_partitions": 2, "replication_factor": 3, "configs": {"retention.ms": "7000"}}})
    assert TOPIC in admin.list_topics()
    fails(TopicAlreadyExistsError, lambda: admin.create_topics({TOPIC: {"num_partitions": 1}}))
    admin.create_partitions({TOPIC: 4})
    same(4, len(admin.describe_topics([TOPIC])[0]["partitions"]))


@check("configurations are told and changed")
def _():
    same("7000", config("retention.ms"))
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, TOPIC, {"retention.ms": "8000"})])
    same("8000", config("retention.ms"))
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, TOPIC, {"retention.ms": (AlterConfigOp.DELETE, None)})])
    same("604800000", config("retention.ms"))


@check("records are deleted, and sizes told")
def _():
    producer = KafkaProducer(bootstrap_servers=ADDRESS)
    for i in range(5):
        producer.send(TOPIC, b"record %d" % i, partition=0).get(60)
    producer.close()
    partition = TopicPartition(TOPIC, 0)
    admin.delete_records({partition: 3})
    consumer = KafkaConsumer(bootstrap_servers=ADDRESS)
    same({partition: 3}, consumer.beginning_offsets([partition]))
    consumer.close()
    sizes = admin.describe_log_dirs()[0]["log_dirs"][0]["topics"]
    assert any(topic["name"] == TOPIC for topic in sizes)


@check("users are made with SCRAM passwords, and rules say what they may do")
def _():
    admin.alter_user_scram_credentials(
        [UserScramCredentialUpsertion(USER, ScramMechanism.SCRAM_SHA_256, "secret", iterations=4096)])
    pattern = ResourcePattern(ResourceType.TOPIC, TOPIC)
    admin.create_acls([ACL(f"User:{USER}", "*", ACLOperation.WRITE, ACLPermissionType.ALLOW, pattern)])
    login = dict(bootstrap_servers=ADDRESS, security_protocol="SASL_PLAINTEXT", sasl_mechanism="SCRAM-SHA-256",
                 sasl_plain_username=USER, sasl_plain_password="secret")
    producer = KafkaProducer(**login)
    producer.send(TOPIC, b"by scram").get(60)
    producer.close()
    limited = KafkaAdminClient(**login)
    fails(KafkaError, lambda: limited.delete_topics([TOPIC]))
    limited.close()
    fails(KafkaError, lambda: KafkaAdminClient(**{**login, "sasl_plain_password": "wrong"}).list_topics())


@check("rules and passwords are found and deleted")
def _():
    pattern = ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY)
    of_user = ACLFilter(f"User:{USER}", None, ACLOperation.ANY, ACLPermissionType.ANY, pattern)
    same(1, len(admin.describe_acls(of_user)[0]))
    admin.delete_acls([of_user])
    same(0, len(admin.describe_acls(of_user)[0]))
    admin.alter_user_scram_credentials([UserScramCredentialDeletion(USER, ScramMechanism.SCRAM_SHA_256)])


@check("the cluster and its quorum describe themselves")
def _():
    same(1, len(admin.describe_cluster()["brokers"]))
    admin.describe_metadata_quorum()
    admin.list_partition_reassignments()
    admin.list_config_resources()


@check("topics are deleted")
def _():
    admin.delete_topics([TOPIC])
    assert TOPIC not in admin.list_topics()


admin.close()
sys.exit(1 if failures else 0)
