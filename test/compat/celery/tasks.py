"""The tasks that check.py sends: one that works, one that fails twice first, one for later."""
import os
import time

from celery import Celery

app = Celery("tasks", broker=os.environ["AMQP_URL"], backend="rpc://")
app.conf.update(
    task_default_queue=os.environ["TASK_QUEUE"],
    task_acks_late=True,
    worker_prefetch_multiplier=10,
    broker_connection_retry_on_startup=False,
    broker_transport_options={"confirm_publish": True},
)


@app.task
def add(a, b):
    return a + b


@app.task(bind=True, max_retries=3)
def stubborn(self, n):
    if self.request.retries < 2:
        raise self.retry(countdown=0.1)
    return [n, self.request.retries]


@app.task
def later(due):
    return time.time() - due
