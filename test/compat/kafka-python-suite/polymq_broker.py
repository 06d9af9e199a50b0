"""A pytest plugin for kafka-python's integration suite: where its fixtures start Kafka (and ZooKeeper) from
an unpacked release, they start PolyMQ, one broker for each module and login, as they do with Kafka.
BROKER_MAIN names the program. To be loaded with -p."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import types

sys.path.insert(0, os.getcwd())
os.environ.setdefault("KAFKA_ROOT", os.getcwd())
# What starts processes is not in the source distribution, and not needed.
sys.modules["test.service"] = types.SimpleNamespace(ExternalService=None, SpawnedService=None)

import kafka  # noqa: E402
from test.integration import fixtures  # noqa: E402

START_SECONDS = 120

# The client forgets to ask about a topic that is subscribed while a first request for metadata is on its way: the next
# one is sent when what it has is too old, which is after five minutes. That first request comes 100 ms after the start, when
# a test with few records is just done with them: one run in three of test_end_to_end then failed.
kafka.KafkaConsumer.DEFAULT_CONFIG["metadata_max_age_ms"] = 1000


class Process:
    """A broker with a directory of its own."""

    def __init__(self, options, directory):
        self.log = os.path.join(directory, "broker.log")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                ["node", os.environ["BROKER_MAIN"], "serve", "--data-dir", os.path.join(directory, "data"), *options],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.port = self._wait_for_port()

    def _wait_for_port(self):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            said = self.dump_logs()
            if "PolyMQ ready" in said:
                return int(re.search(r"kafkas?://[^ ]*127\.0\.0\.1:(\d+)", said).group(1))
            time.sleep(0.05)
        raise RuntimeError("PolyMQ did not start: " + self.dump_logs())

    def dump_logs(self):
        with open(self.log, encoding="utf-8") as log:
            return log.read()

    def stop(self):
        self.process.terminate()
        self.process.wait(60)


class Broker(fixtures.KafkaFixture):
    """Offers what the suite asks of its KafkaFixture."""

    def __init__(self, host, port, broker_id, transport="PLAINTEXT", partitions=4, sasl_mechanism=None, **ignored):
        self.host, self.broker_id, self.transport, self.partitions = "localhost", broker_id, transport, partitions
        self.replicas, self.sasl_mechanism, self.ssl_dir = 1, sasl_mechanism, None
        self.zookeeper = self.child = self.directory = None

    def open(self):
        self.directory = tempfile.mkdtemp(prefix="polymq-")
        self.child = Process(self._options(), self.directory)
        self.port = self.child.port

    def start(self):
        """Called again by one of the tests."""

    def close(self):
        if self.child is not None:
            self.child.stop()
            shutil.rmtree(self.directory)
        self.child = None

    __del__ = stop = close

    def get_topic_names(self):
        with kafka.KafkaAdminClient(**self._enrich_client_params({})) as admin:
            return admin.list_topics()

    def _options(self):
        ports = subprocess.check_output(["node", os.environ["BROKER_MAIN"], "config"], text=True)
        options = {"--" + name: "off" for name in re.findall(r"^(\S+-port) ", ports, re.M)}
        options["--kafkas-port" if self.ssl_enabled else "--kafka-port"] = "0"
        options["--kafka-node-id"] = str(self.broker_id)
        options["--kafka-num-partitions"] = str(self.partitions)
        options["--group-session-timeout-min"] = "1s"  # as in the suite's configuration of Kafka
        options["--log-level"] = "warn"
        if self.sasl_enabled:
            options["--admin-user"], options["--admin-password"] = self.broker_user, self.broker_password
            options["--kafka-sasl-mechanisms"], options["--kafka-anonymous-user"] = self.sasl_mechanism, "off"
        if self.ssl_enabled:
            self.ssl_dir = self.directory
            options["--tls-cert"], options["--tls-key"] = self._certificate()
        return [text for option in options.items() for text in option]

    def _certificate(self):
        certificate, key = (os.path.join(self.directory, name) for name in ("ca-cert", "key"))
        subprocess.check_call(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
             "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
            stderr=subprocess.DEVNULL)
        return certificate, key

    def _enrich_client_params(self, params, **defaults):
        # The suite tells its clients what release they talk to; without that they ask, as they do by themselves.
        params = {**params, "api_version": None}
        return super()._enrich_client_params(params, **defaults)


fixtures.KafkaFixture = Broker
