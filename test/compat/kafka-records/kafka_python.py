# kafka-python's producer and consumer, as its README uses them. usage: kafka_python.py host:port
import itertools
import sys
import uuid

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

ADDRESS = sys.argv[1]
TOPIC = f"kafka-python-{uuid.uuid4().hex[:8]}"
failures = 0


def check(name, expected, found):
    global failures
    if expected == found:
        print("ok", name, flush=True)
        return
    failures += 1
    print(f"not ok {name}: expected {expected!r}, found {found!r}", flush=True)


def read(consumer, count):
    """What is there: ends with the count, or when nothing came for a time that no machine is this slow for."""
    return list(itertools.islice(consumer, count))


producer = KafkaProducer(bootstrap_servers=ADDRESS)
told = producer.send(TOPIC, b"first").get(timeout=20)
check("send tells where it went", (TOPIC, 0, 0), (told.topic, told.partition, told.offset))
for i in range(999):
    producer.send(TOPIC, key=b"k%d" % i, value=b"v%d" % i, headers=[("n", b"%d" % i)])
producer.flush()
squeezed = KafkaProducer(bootstrap_servers=ADDRESS, compression_type="gzip")
for i in range(500):
    squeezed.send(TOPIC, b"z%d" % i)
squeezed.flush()

consumer = KafkaConsumer(TOPIC, bootstrap_servers=ADDRESS, auto_offset_reset="earliest", group_id=None,
                         consumer_timeout_ms=60000)
records = read(consumer, 1500)
check("all are read, in order", list(range(1500)), [record.offset for record in records])
check("with key, value and headers", (b"k7", b"v7", [("n", b"7")]),
      (records[8].key, records[8].value, list(records[8].headers)))
partition = TopicPartition(TOPIC, 0)
check("the end is known", {partition: 1500}, consumer.end_offsets([partition]))
check("offsets are found by time", 0, consumer.offsets_for_times({partition: 0})[partition].offset)
consumer.seek(partition, 1490)
check("seek goes there", list(range(1490, 1500)), [record.offset for record in read(consumer, 10)])

grouped = KafkaConsumer(TOPIC, bootstrap_servers=ADDRESS, auto_offset_reset="earliest", group_id=TOPIC,
                        consumer_timeout_ms=60000)
check("a group reads all", 1500, len(read(grouped, 1500)))
grouped.commit()
check("and commits", 1500, grouped.committed(partition))
grouped.close()
sys.exit(failures > 0)
