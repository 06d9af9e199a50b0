"""stomp.py against the broker at STOMP_URL: what its users do, in STOMP 1.0, 1.1 and 1.2."""
import os
import queue
import sys
import uuid
from urllib.parse import urlparse

import stomp

ADDRESS = urlparse(os.environ["STOMP_URL"])
HOST = [(ADDRESS.hostname, ADDRESS.port)]
KINDS = {"1.0": stomp.Connection10, "1.1": stomp.Connection11, "1.2": stomp.Connection12}
failures = 0


def check(name, run):
    global failures
    try:
        run()
        print(f"ok - {name}", flush=True)
    except Exception as error:  # one failing case must not hide the others
        failures += 1
        print(f"not ok - {name}: {type(error).__name__}: {error}", flush=True)


class Inbox(stomp.ConnectionListener):
    def __init__(self):
        self.messages, self.errors, self.receipts = queue.Queue(), queue.Queue(), queue.Queue()
        self.gone, self.beats = queue.Queue(), queue.Queue()

    def on_message(self, frame):
        self.messages.put(frame)

    def on_error(self, frame):
        self.errors.put(frame)

    def on_receipt(self, frame):
        self.receipts.put(frame.headers["receipt-id"])

    def on_heartbeat(self):
        self.beats.put(True)

    def on_disconnected(self):
        self.gone.put(True)


class Client:
    def __init__(self, version, **options):
        self.version = version
        self.inbox = Inbox()
        arguments = {} if version == "1.0" else {"vhost": "/"}
        arguments.update(options)
        self.connection = KINDS[version](HOST, **arguments)
        self.connection.set_listener("inbox", self.inbox)
        self.connection.connect("guest", "guest", wait=True)

    def subscribe(self, destination, ack="auto", **headers):
        if self.version == "1.0":
            self.connection.subscribe(destination, ack=ack, headers=headers)
        else:
            self.connection.subscribe(destination, id="1", ack=ack, headers=headers)

    def send(self, destination, body, **headers):
        receipt = str(uuid.uuid4())
        self.connection.send(destination, body, headers={**headers, "receipt": receipt})
        while self.inbox.receipts.get(timeout=60) != receipt:
            pass

    def next(self):
        return self.inbox.messages.get(timeout=60)

    def ack(self, frame, transaction=None):
        if self.version == "1.0":
            self.connection.ack(frame.headers["message-id"], transaction)
        elif self.version == "1.1":
            self.connection.ack(frame.headers["message-id"], "1", transaction)
        else:
            self.connection.ack(frame.headers["ack"], transaction)

    def close(self):
        self.connection.disconnect()


def fresh(kind="queue"):
    return f"/{kind}/stompy-{uuid.uuid4().hex}"


def send_and_receive(version):
    client = Client(version)
    destination = fresh()
    client.subscribe(destination)
    client.send(destination, "Grüße", **{"content-type": "text/plain", "x-own": "a b"})
    frame = client.next()
    assert frame.body == "Grüße", frame.body
    assert frame.headers["x-own"] == "a b" and frame.headers["destination"] == destination, frame.headers
    client.close()


def special_characters(version):
    client = Client(version)
    destination = fresh()
    client.subscribe(destination)
    value = "colon: backslash \\ newline \n end"
    client.send(destination, "x", special=value)
    assert client.next().headers["special"] == value
    client.close()


def unacknowledged_comes_back(version):
    destination = fresh()
    first = Client(version)
    first.subscribe(destination, ack="client")
    first.send(destination, "again")
    first.next()
    first.close()
    second = Client(version)
    second.subscribe(destination, ack="client")
    frame = second.next()
    assert frame.body == "again" and frame.headers["redelivered"] == "true", frame.headers
    second.ack(frame)
    second.close()


def nack_returns(version):
    client = Client(version)
    destination = fresh()
    client.subscribe(destination, ack="client-individual")
    client.send(destination, "no")
    frame = client.next()
    if version == "1.1":
        client.connection.nack(frame.headers["message-id"], "1")
    else:
        client.connection.nack(frame.headers["ack"])
    assert client.next().body == "no"
    client.close()


def transactions(version):
    client = Client(version)
    destination = fresh()
    client.subscribe(destination)
    aborted = client.connection.begin()
    client.connection.send(destination, "aborted", transaction=aborted)
    client.connection.abort(aborted)
    committed = client.connection.begin()
    client.connection.send(destination, "committed", transaction=committed)
    client.connection.commit(committed)
    assert client.next().body == "committed"
    client.close()


def topics(version):
    client = Client(version)
    topic = fresh("topic")
    client.subscribe(f"{topic}.*.c")
    client.send(f"{topic}.b.d", "no")
    client.send(f"{topic}.b.c", "yes")
    assert client.next().body == "yes"
    client.close()


def heartbeats(version):
    # What is late by less than a few seconds is no missing heart-beat: the machine may be busy.
    client = Client(version, heartbeats=(2000, 1000), heart_beat_receive_scale=5)
    destination = fresh()
    client.subscribe(destination)
    # Nothing is said for more than two of the client's intervals: without heart-beats from it it would be over.
    try:
        client.inbox.gone.get(timeout=5)
        raise AssertionError("disconnected")
    except queue.Empty:
        pass
    for _ in range(3):
        client.inbox.beats.get(timeout=60)
    client.send(destination, "still here")
    assert client.next().body == "still here"
    client.close()


def errors(version):
    client = Client(version)
    client.connection.send("/nowhere", "x")
    frame = client.inbox.errors.get(timeout=60)
    assert "nowhere" in frame.body, frame.body


def wrong_password(version):
    connection = KINDS[version](HOST, **({} if version == "1.0" else {"vhost": "/"}))
    try:
        connection.connect("guest", "wrong", wait=True)
    except stomp.exception.ConnectFailedException:
        return
    raise AssertionError("was let in")


for kind in KINDS:
    cases = [send_and_receive, unacknowledged_comes_back, transactions, topics, errors, wrong_password]
    if kind != "1.0":
        cases += [special_characters, nack_returns, heartbeats]
    for case in cases:
        check(f"{kind} {case.__name__}", lambda: case(kind))
sys.exit(failures > 0)
