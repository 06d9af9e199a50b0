# Members of a group go over from one protocol to the other and back, with confluent-kafka (librdkafka), while
# records come. usage: migration.py host:port
import sys
import threading
import time
import uuid

from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

ADDRESS = sys.argv[1]
PARTITIONS = 6


class Member:
    """A consumer in a thread of its own, which notes what it has and what it reads."""

    def __init__(self, group, topic, protocol, strategy):
        settings = {"bootstrap.servers": ADDRESS, "group.id": group, "auto.offset.reset": "earliest",
                    "group.protocol": protocol}
        if protocol == "classic":
            settings |= {"partition.assignment.strategy": strategy, "heartbeat.interval.ms": 300}
        self.consumer = Consumer(settings)
        self.values, self.errors, self.assigned, self.running = [], [], set(), True
        self.consumer.subscribe([topic])
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while self.running:
            message = self.consumer.poll(0.05)
            self.assigned = {one.partition for one in self.consumer.assignment()}
            if message is None:
                continue
            if message.error() is None:
                self.values.append(message.value())
            elif message.error().fatal() or not message.error().retriable():
                self.errors.append(str(message.error()))
        self.consumer.close()

    def close(self):
        self.running = False
        self.thread.join()


def until(what, holds):
    end = time.monotonic() + 40
    while not holds():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.01)


def migrates(strategy):
    name = f"confluent-{strategy}-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": ADDRESS})
    admin.create_topics([NewTopic(name, PARTITIONS, 1)])[name].result(20)
    producer, sent, over = Producer({"bootstrap.servers": ADDRESS}), set(), threading.Event()

    def produce():
        number = 0
        while not over.is_set():
            value = str(number).encode()
            producer.produce(name, value, partition=number % PARTITIONS)
            producer.flush()
            sent.add(value)
            number += 1
            time.sleep(0.005)

    source = threading.Thread(target=produce)
    source.start()
    everybody = []

    def start(protocol):
        everybody.append(Member(name, name, protocol, strategy))
        return everybody[-1]

    try:
        members = [start("classic") for _ in range(3)]

        def even():
            return sorted(p for member in members for p in member.assigned) == list(range(PARTITIONS)) and \
                all(len(member.assigned) == 2 for member in members)

        until("each has two", even)
        for protocol in ("consumer", "classic"):
            for place in range(3):
                before, members[place] = members[place], start(protocol)
                if place == 0:
                    until("the fourth has some", lambda: members[0].assigned)
                before.close()
                until(f"each has two, {place + 1} as {protocol}", even)
            kind = admin.describe_consumer_groups([name])[name].result(20)
            assert len(kind.members) == 3, kind.members
            assert kind.type.name.lower() == protocol, kind.type
        over.set()
        source.join()
        until("all was read", lambda: sent <= {value for member in everybody for value in member.values})
        errors = [error for member in everybody for error in member.errors]
        assert not errors, errors
        read = sum(len(member.values) for member in everybody)
        print(f"# {len(sent)} records, {read - len(sent)} of them read twice")
    finally:
        over.set()
        for member in everybody:
            member.close()


failures = 0
for strategy in ("range", "cooperative-sticky"):
    try:
        migrates(strategy)
        print(f"ok members go over to the broker's dividing and back, {strategy}", flush=True)
    except Exception as error:  # whatever it is, it is a failure
        failures += 1
        print(f"not ok members go over to the broker's dividing and back, {strategy}: {error}", flush=True)
sys.exit(failures)
