import os
import signal
import subprocess
import sys
import time
import uuid
from datetime import datetime, timedelta, timezone

os.environ["TASK_QUEUE"] = "celery." + uuid.uuid4().hex
here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, here)

import tasks  # noqa: E402  (reads TASK_QUEUE)

PLAIN, RETRIED, LATER = 700, 200, 100
worker = subprocess.Popen(
    [sys.executable, "-m", "celery", "-A", "tasks", "worker", "--pool", "threads", "--concurrency", "4",
     "--loglevel", "WARNING", "-n", f"{uuid.uuid4().hex}@polymq"], cwd=here)
failures = 0


def check(name, good, detail=""):
    global failures
    failures += not good
    print(f"{'ok' if good else 'not ok'} - {name} {detail}")


try:
    plain = [tasks.add.delay(n, n) for n in range(PLAIN)]
    retried = [tasks.stubborn.delay(n) for n in range(RETRIED)]
    due = time.time() + 3
    eta = datetime.now(timezone.utc) + timedelta(seconds=3)
    later = [tasks.later.apply_async((due,), eta=eta) for _ in range(LATER)]

    deadline = time.time() + 120
    wait = lambda results: [result.get(timeout=max(1, deadline - time.time())) for result in results]
    check(f"{PLAIN} plain tasks", wait(plain) == [n + n for n in range(PLAIN)])
    check(f"{RETRIED} tasks that succeed at the third attempt", wait(retried) == [[n, 2] for n in range(RETRIED)])
    lateness = wait(later)
    check(f"{LATER} tasks with an ETA, none early", min(lateness) >= -0.05, f"(latest {max(lateness):.2f} s)")
    replies = tasks.app.control.ping(timeout=60, limit=1)
    check("answers a ping over its broadcast exchange", len(replies) >= 1)
except Exception as error:
    check("tasks come back", False, f"{type(error).__name__}: {error}")
finally:
    worker.send_signal(signal.SIGTERM)
    code = worker.wait(60)
    check("the worker stops when asked", code == 0, f"(exit {code})")

with tasks.app.connection_for_write() as connection:
    channel = connection.default_channel
    left = channel.queue_declare(os.environ["TASK_QUEUE"], passive=True).message_count
    check("nothing is left in the queue", left == 0, f"({left})")
    channel.queue_delete(os.environ["TASK_QUEUE"])
sys.exit(1 if failures else 0)
