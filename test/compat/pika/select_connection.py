"""pika.SelectConnection: the asynchronous example's shape, publisher confirms and a consumer in one loop."""
import os
import sys

import pika

COUNT = 500


class Session:
    def __init__(self):
        self.confirmed = 0
        self.bodies = []
        self.problem = "stopped early"
        parameters = pika.URLParameters(os.environ["AMQP_URL"])
        self.connection = pika.SelectConnection(
            parameters,
            on_open_callback=lambda connection: connection.channel(on_open_callback=self.channel_open),
            on_open_error_callback=lambda _connection, error: self.stop(f"cannot connect: {error}"),
            on_close_callback=lambda connection, _reason: connection.ioloop.stop())
        self.connection.ioloop.call_later(60, lambda: self.stop("timed out"))

    def stop(self, problem):
        self.problem = problem
        if self.connection.is_open:
            self.connection.close()
        else:
            self.connection.ioloop.stop()

    def channel_open(self, channel):
        self.channel = channel
        channel.add_on_close_callback(lambda _channel, reason: self.problem and self.stop(f"channel closed: {reason}"))
        channel.queue_declare("", exclusive=True, callback=self.declared)

    def declared(self, frame):
        self.queue = frame.method.queue
        self.channel.basic_qos(prefetch_count=50, callback=self.qos_set)

    def qos_set(self, _frame):
        self.channel.basic_consume(self.queue, self.delivered)
        self.channel.confirm_delivery(self.confirmed_delivery, callback=self.publish)

    def publish(self, _frame):
        for n in range(COUNT):
            self.channel.basic_publish("", self.queue, str(n).encode(), pika.BasicProperties(delivery_mode=2))

    def confirmed_delivery(self, frame):
        if isinstance(frame.method, pika.spec.Basic.Nack):
            return self.stop("nacked")
        tag = frame.method.delivery_tag
        self.confirmed = tag if frame.method.multiple else max(self.confirmed, tag)
        self.finish()

    def delivered(self, channel, method, _properties, body):
        self.bodies.append(int(body))
        channel.basic_ack(method.delivery_tag)
        self.finish()

    def finish(self):
        if self.confirmed == COUNT and len(self.bodies) == COUNT:
            self.stop(None)


session = Session()
session.connection.ioloop.start()
checks = {
    "connects, publishes and closes cleanly": session.problem is None,
    f"{COUNT} confirms": session.confirmed == COUNT,
    f"{COUNT} deliveries in order": session.bodies == list(range(COUNT)),
}
for name, good in checks.items():
    print(f"{'ok' if good else 'not ok'} - {name}" + ("" if good else f": {session.problem}"))
sys.exit(0 if all(checks.values()) else 1)
