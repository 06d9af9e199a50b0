"""Sends orders over STOMP and waits for what becomes of them. usage: shop.py [ORDERS]"""
import json
import os
import queue
import sys
import uuid
from urllib.parse import urlparse

import stomp

orders = int(sys.argv[1]) if len(sys.argv) > 1 else 3
where = urlparse(os.environ.get("STOMP_URL", "stomp://127.0.0.1:61613"))
destination = "/queue/" + os.environ.get("ORDERS_QUEUE", "orders")
answers = queue.Queue()


class Listener(stomp.ConnectionListener):
    def on_message(self, frame):
        answers.put((frame.headers["correlation-id"], frame.body))

    def on_error(self, frame):
        answers.put((None, frame.body))


shop = stomp.Connection12([(where.hostname, where.port)])
shop.set_listener("", Listener())
shop.connect("guest", "guest", wait=True)
sent = {}
for n in range(1, orders + 1):
    order = str(uuid.uuid4())
    sent[order] = f"{n} x tea: on their way"
    # A celery task (protocol 2): arguments, keyword arguments, and what celery keeps for itself.
    body = json.dumps([["tea", n], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}])
    shop.send(destination, body, content_type="application/json", headers={
        "content-encoding": "utf-8",
        "persistent": "true",
        "lang": "py",
        "task": "orders.place",
        "id": order,
        "root_id": order,
        "correlation-id": order,
        "reply-to": "/temp-queue/answers",
    })
for _ in range(orders):
    order, answer = answers.get(timeout=60)
    print(answer)
    if sent.get(order) != answer:
        sys.exit(f"unexpected: {answer!r}")
shop.disconnect()
