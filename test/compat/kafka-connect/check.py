"""A Connect worker in distributed mode, its file connectors made over its own REST interface."""
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid

SERVER, JARS = sys.argv[1:3]
RUN = uuid.uuid4().hex[:8]
folder = tempfile.mkdtemp(prefix="connect-")
source, sink = os.path.join(folder, "in.txt"), os.path.join(folder, "out.txt")
failures = 0


def report(name, ok, detail=""):
    global failures
    failures += not ok
    print(f"{'ok' if ok else 'not ok'} - {name} {'' if ok else detail}", flush=True)
    if not ok:
        with open(os.path.join(folder, "log")) as log:
            print("".join(f"# {line}" for line in log.readlines()[-8:]), flush=True)


def free_port():
    """One below those that systems give to clients: it has to be free again when the second worker starts."""
    while True:
        with socket.socket() as one:
            try:
                one.bind(("127.0.0.1", random.randrange(10000, 30000)))
                return one.getsockname()[1]
            except OSError:
                pass


port = free_port()
settings = {
    "bootstrap.servers": SERVER,
    "group.id": f"connect-{RUN}",
    "key.converter": "org.apache.kafka.connect.storage.StringConverter",
    "value.converter": "org.apache.kafka.connect.storage.StringConverter",
    "config.storage.topic": f"connect-configs-{RUN}",
    "offset.storage.topic": f"connect-offsets-{RUN}",
    "status.storage.topic": f"connect-status-{RUN}",
    "config.storage.replication.factor": 1,
    "offset.storage.replication.factor": 1,
    "status.storage.replication.factor": 1,
    "offset.storage.partitions": 5,
    "offset.flush.interval.ms": 1000,
    "exactly.once.source.support": "enabled",
    "listeners": f"http://127.0.0.1:{port}",
}
properties = os.path.join(folder, "worker.properties")
with open(properties, "w") as file:
    file.writelines(f"{name}={value}\n" for name, value in settings.items())


def start():
    main = "org.apache.kafka.connect.cli.ConnectDistributed"
    log = open(os.path.join(folder, "log"), "a")
    return subprocess.Popen(["java", "-Xmx256m", "-cp", f"{JARS}/*", main, properties], stdout=log, stderr=log)


def rest(method, path, body=None):
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read() or "null")


def wait(what, condition, seconds=200):
    end = time.time() + seconds
    while time.time() < end:
        try:
            if condition():
                return True
        except (OSError, urllib.error.URLError):
            pass
        time.sleep(0.3)
    print(f"waited {seconds} s for {what}", flush=True)
    return False


def lines():
    if not os.path.exists(sink):
        return []
    with open(sink) as file:
        return file.read().splitlines()


def connector(name, **config):
    config = {"tasks.max": "1", **config}
    return wait(name, lambda: rest("PUT", f"/connectors/{name}/config", config) is not None)


def running(name):
    def condition():
        status = rest("GET", f"/connectors/{name}/status")
        return status["connector"]["state"] == "RUNNING" and any(t["state"] == "RUNNING" for t in status["tasks"])

    return wait(f"{name} to run", condition)


with open(source, "w") as file:
    file.writelines(f"line {i}\n" for i in range(500))
worker = start()
try:
    report("the worker joins its group", wait("the worker", lambda: rest("GET", "/connectors") == []))
    kind = "org.apache.kafka.connect.file.FileStream"
    topic = f"connect-lines-{RUN}"
    made = connector("source", **{"connector.class": f"{kind}SourceConnector", "file": source, "topic": topic})
    made &= connector("sink", **{"connector.class": f"{kind}SinkConnector", "file": sink, "topics": topic})
    report("connectors are made and run", made and running("source") and running("sink"))
    expected = [f"line {i}" for i in range(500)]
    report("every line arrives once", wait("500 lines", lambda: lines() == expected), f"{len(lines())} lines")
    worker.kill()
    worker.wait()
    with open(source, "a") as file:
        file.writelines(f"line {i}\n" for i in range(500, 600))
    worker = start()
    report("a killed worker finds its connectors again", running("source") and running("sink"))
    # The source is exactly once; a sink that was killed may repeat what it had not committed.
    everything = {f"line {i}" for i in range(600)}
    report("and goes on where it was", wait("600 lines", lambda: set(lines()) == everything), f"{len(lines())} lines")
finally:
    worker.kill()
sys.exit(failures > 0)
