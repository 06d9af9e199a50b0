# confluent-kafka (librdkafka), idempotent, with each compression. usage: confluent.py host:port
import sys
import time
import uuid

from confluent_kafka import Consumer, Producer

ADDRESS = sys.argv[1]
RUN = uuid.uuid4().hex[:8]
COUNT = 5000
failures = 0


def check(name, expected, found):
    global failures
    if expected == found:
        print("ok", name, flush=True)
        return
    failures += 1
    print(f"not ok {name}: expected {expected!r}, found {found!r}", flush=True)


def read(topic, isolation):
    consumer = Consumer({"bootstrap.servers": ADDRESS, "group.id": f"{topic}-{isolation}",
                         "auto.offset.reset": "earliest", "isolation.level": isolation})
    consumer.subscribe([topic])
    values, deadline = [], time.time() + 60
    while len(values) < COUNT and time.time() < deadline:
        values += [message.value() for message in consumer.consume(1000, 1.0) if message.error() is None]
    consumer.close()
    return values


for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
    topic = f"confluent-{codec}-{RUN}"
    producer = Producer({"bootstrap.servers": ADDRESS, "enable.idempotence": True, "compression.type": codec,
                         "linger.ms": 5})
    refused = []
    for i in range(COUNT):
        producer.produce(topic, b"%d" % i, on_delivery=lambda error, _: error and refused.append(error))
    check(f"{codec}: all are taken", (0, []), (producer.flush(60), refused))
    expected = [b"%d" % i for i in range(COUNT)]
    check(f"{codec}: all are read, in order", expected, read(topic, "read_committed"))
sys.exit(failures > 0)
