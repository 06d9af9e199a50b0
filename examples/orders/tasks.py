"""What is done with an order."""
import os

from celery import Celery

app = Celery("tasks", broker=os.environ.get("AMQP_URL", "amqp://guest:guest@127.0.0.1"))
app.conf.update(
    task_default_queue=os.environ.get("ORDERS_QUEUE", "orders"),
    task_acks_late=True,
    broker_connection_retry_on_startup=True,
)


@app.task(name="orders.place", bind=True)
def place(self, item, count):
    """Answers the shop where it said it waits: a queue by name."""
    text = f"{count} x {item}: on their way"
    answer_to = self.request.reply_to
    if answer_to:
        with app.amqp.producer_pool.acquire(block=True) as producer:
            producer.publish(
                text, exchange="", routing_key=answer_to, correlation_id=self.request.correlation_id,
                content_type="text/plain", content_encoding="utf-8")
    return text
