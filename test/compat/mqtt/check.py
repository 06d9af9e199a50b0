"""paho-mqtt in every version: QoS, sessions, retained messages, wills, and what MQTT 5 added."""
import os
import queue
import time
from urllib.parse import urlparse

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

URL = urlparse(os.environ["MQTT_URL"])
VERSIONS = {"3.1": mqtt.MQTTv31, "3.1.1": mqtt.MQTTv311, "5": mqtt.MQTTv5}
WAIT = 60


class Peer:
    """A client whose events can be waited for."""

    def __init__(self, version, name, lasting=False, will=None):
        self.messages = queue.Queue()
        self.connected = queue.Queue()
        self.subscribed = queue.Queue()
        options = {} if version == mqtt.MQTTv5 else {"clean_session": not lasting}
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=version, **options)
        self.client.on_connect = lambda _c, _u, flags, reason, _p: self.connected.put((flags, reason))
        self.client.on_message = lambda _c, _u, message: self.messages.put(message)
        self.client.on_subscribe = lambda _c, _u, _m, reasons, _p: self.subscribed.put(reasons)
        if will:
            self.client.will_set(will, "gone", qos=1)
        more = {}
        if version == mqtt.MQTTv5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 600 if lasting else 0
            more = {"clean_start": not lasting, "properties": properties}
        self.client.connect(URL.hostname, URL.port, **more)
        self.client.loop_start()
        self.flags, self.reason = self.connected.get(timeout=WAIT)
        assert not self.reason.is_failure, self.reason

    def subscribe(self, topic, **options):
        self.client.subscribe(topic, **options)
        return self.subscribed.get(timeout=WAIT)

    def publish(self, topic, payload, **options):
        self.client.publish(topic, payload, **options).wait_for_publish(WAIT)

    def get(self):
        return self.messages.get(timeout=WAIT)

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()

    def drop(self):
        self.client._sock_close()
        self.client.loop_stop()


def check(name, test):
    try:
        test()
        print(f"ok {name}", flush=True)
    except Exception as error:  # noqa: BLE001
        print(f"not ok {name}: {error!r}", flush=True)


def everything(name, version):
    def qualities():
        a, b = Peer(version, f"a{name}"), Peer(version, f"b{name}")
        b.subscribe(f"paho/{name}/+", qos=2)
        for qos in (0, 1, 2):
            a.publish(f"paho/{name}/{qos}", f"{qos}", qos=qos)
            message = b.get()
            assert (message.payload, message.qos, message.retain) == (f"{qos}".encode(), qos, False), message
        a.close(), b.close()

    def many():
        a, b = Peer(version, f"a{name}"), Peer(version, f"b{name}")
        b.subscribe(f"many/{name}", qos=2)
        infos = [a.client.publish(f"many/{name}", f"{i}", qos=i % 3) for i in range(600)]
        for info in infos:
            info.wait_for_publish(WAIT)
        got = [b.get().payload.decode() for _ in range(600)]
        for qos in (0, 1, 2):
            assert [n for n in got if int(n) % 3 == qos] == [f"{i}" for i in range(600) if i % 3 == qos]
        a.close(), b.close()

    def session():
        first = Peer(version, f"s{name}", lasting=True)
        first.subscribe(f"session/{name}", qos=2)
        first.close()
        a = Peer(version, f"a{name}")
        for i in range(10):
            a.publish(f"session/{name}", f"{i}", qos=1 + i % 2)
        again = Peer(version, f"s{name}", lasting=True)
        # Version 3.1 does not say so: its byte for that is reserved.
        assert again.flags.session_present == (version != mqtt.MQTTv31)
        # A message of QoS 2 is only the application's when it was released.
        got = [again.get().payload.decode() for _ in range(10)]
        assert [n for n in got if int(n) % 2 == 0] == list("02468"), got
        assert [n for n in got if int(n) % 2 == 1] == list("13579"), got
        again.close(), a.close()
        Peer(version, f"s{name}").close()

    def retained():
        a = Peer(version, f"a{name}")
        a.publish(f"kept/{name}", "kept", qos=1, retain=True)
        b = Peer(version, f"b{name}")
        b.subscribe(f"kept/{name}/#", qos=1)
        message = b.get()
        assert (message.payload, message.retain) == (b"kept", True)
        a.publish(f"kept/{name}", "", qos=1, retain=True)
        a.close(), b.close()

    def will():
        b = Peer(version, f"b{name}")
        b.subscribe(f"will/{name}", qos=1)
        Peer(version, f"w{name}", will=f"will/{name}").drop()
        assert b.get().payload == b"gone"
        b.close()

    for test in (qualities, many, session, retained, will):
        check(f"MQTT {name} {test.__name__}", test)


def only_5():
    version = mqtt.MQTTv5

    def properties():
        a = Peer(version, "a5")
        a.subscribe("five/props", qos=1)
        sent = Properties(PacketTypes.PUBLISH)
        sent.UserProperty = [("a", "1"), ("b", "2"), ("a", "1")]
        sent.ContentType = "text/plain"
        sent.CorrelationData = b"\x00\xff"
        sent.ResponseTopic = "five/answer"
        sent.MessageExpiryInterval = 60
        a.publish("five/props", "x", qos=1, properties=sent)
        got = a.get().properties
        assert got.UserProperty == sent.UserProperty, got
        assert (got.ContentType, got.CorrelationData, got.ResponseTopic) == ("text/plain", b"\x00\xff", "five/answer")
        a.close()

    def options():
        a = Peer(version, "a5")
        a.publish("five/kept", "kept", qos=1, retain=True)
        a.subscribe("five/kept", options=SubscribeOptions(qos=1, noLocal=True, retainHandling=2))
        a.publish("five/kept", "own", qos=1)
        b = Peer(version, "b5")
        b.publish("five/kept", "other", qos=1, retain=True)
        assert a.get().payload == b"other"
        assert a.messages.empty()
        b.publish("five/kept", "", qos=1, retain=True)
        a.close(), b.close()

    def shared():
        members = [Peer(version, f"m{i}") for i in range(3)]
        for member in members:
            member.subscribe("$share/group/five/shared", qos=1)
        a = Peer(version, "a5")
        for i in range(30):
            a.publish("five/shared", f"{i}", qos=1)
        deadline = time.monotonic() + WAIT
        while sum(member.messages.qsize() for member in members) < 30 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert [member.messages.qsize() for member in members] == [10, 10, 10]
        for peer in (*members, a):
            peer.close()

    for test in (properties, options, shared):
        check(f"MQTT 5 {test.__name__}", test)


for name, version in VERSIONS.items():
    everything(name, version)
only_5()
os._exit(0)
