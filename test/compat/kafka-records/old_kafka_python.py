# kafka-python of 2017: its simple client speaks the oldest versions there are. usage: old_kafka_python.py host:port
import itertools
import sys
import uuid

from kafka import KafkaConsumer, KafkaProducer, SimpleClient, SimpleConsumer, SimpleProducer
from kafka.protocol import CODEC_GZIP

ADDRESS = sys.argv[1]
RUN = uuid.uuid4().hex[:8]
failures = 0


def check(name, expected, found):
    global failures
    if expected == found:
        print("ok", name, flush=True)
        return
    failures += 1
    print(f"not ok {name}: expected {expected!r}, found {found!r}", flush=True)


topic = f"old-{RUN}"
client = SimpleClient(ADDRESS)
client.ensure_topic_exists(topic)
told = SimpleProducer(client).send_messages(topic, b"one", b"two", b"three")
check("SimpleProducer", [(0, 0)], [(answer.error, answer.offset) for answer in told])
told = SimpleProducer(client, codec=CODEC_GZIP).send_messages(topic, b"four", b"five")
check("SimpleProducer with gzip", [(0, 3)], [(answer.error, answer.offset) for answer in told])
everything = [b"one", b"two", b"three", b"four", b"five"]


def simple(group):
    consumer = SimpleConsumer(client, group, topic, auto_commit=group is not None)
    values = [read.message.value for read in consumer.get_messages(count=5, block=True, timeout=60)]
    if group is not None:
        consumer.commit()
    consumer.stop()
    return values


check("SimpleConsumer", everything, simple(None))
check("SimpleConsumer with offsets committed", everything, simple(f"group-{RUN}"))

for version in (None, (0, 8, 2), (0, 9), (0, 10, 1)):
    named = "-".join(str(part) for part in version or ("any",))
    topic = f"old-{named}-{RUN}"
    options = {"bootstrap_servers": ADDRESS, "api_version": version}
    producer = KafkaProducer(compression_type="gzip", **options)
    sent = [producer.send(topic, key=b"k", value=b"%d" % i) for i in range(100)]
    check(f"KafkaProducer {named}", 99, sent[-1].get(timeout=20).offset)
    group = None if version == (0, 8, 2) else f"group-{named}-{RUN}"
    consumer = KafkaConsumer(topic, group_id=group, auto_offset_reset="earliest", consumer_timeout_ms=60000, **options)
    check(f"KafkaConsumer {named}", [(b"k", b"%d" % i) for i in range(100)], [(one.key, one.value) for one in itertools.islice(consumer, 100)])
    consumer.close()
sys.exit(failures > 0)
