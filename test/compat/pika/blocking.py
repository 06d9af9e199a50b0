"""pika.BlockingConnection: the textbook's hello world, unchanged, and everyday work around it."""
import os
import sys
import uuid

import pika

URL = pika.URLParameters(os.environ["AMQP_URL"])
failures = 0


def check(name, run):
    global failures
    try:
        run()
        print(f"ok - {name}")
    except Exception as error:  # one failing case must not hide the others
        failures += 1
        print(f"not ok - {name}: {type(error).__name__}: {error}")


def hello_world():
    connection = pika.BlockingConnection(pika.ConnectionParameters('localhost'))
    channel = connection.channel()
    channel.queue_declare(queue='hello')
    channel.queue_purge('hello')
    channel.basic_publish(exchange='', routing_key='hello', body='Hello World!')
    connection.close()

    received = []

    def callback(ch, method, properties, body):
        received.append((method.routing_key, body))
        ch.stop_consuming()

    connection = pika.BlockingConnection(pika.ConnectionParameters('localhost'))
    channel = connection.channel()
    channel.queue_declare(queue='hello')
    channel.basic_consume(queue='hello', on_message_callback=callback, auto_ack=True)
    channel.start_consuming()
    connection.close()
    assert received == [("hello", b"Hello World!")], received


def durable_mismatch():
    connection = pika.BlockingConnection(pika.ConnectionParameters('localhost'))
    channel = connection.channel()
    try:
        channel.queue_declare(queue='hello', durable=True)
    except pika.exceptions.ChannelClosedByBroker as error:
        assert error.reply_code == 406, error
        assert error.reply_text == (
            "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'hello' in vhost '/': "
            "received 'true' but current is 'false'"), error.reply_text
    else:
        raise AssertionError("accepted")
    connection.channel().queue_delete("hello")
    connection.close()


def confirms_and_returns():
    connection = pika.BlockingConnection(URL)
    channel = connection.channel()
    channel.confirm_delivery()
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.basic_publish("", queue, b"x", pika.BasicProperties(delivery_mode=2), mandatory=True)
    try:
        channel.basic_publish("", "nowhere-" + uuid.uuid4().hex, b"x", mandatory=True)
    except pika.exceptions.UnroutableError as error:
        assert error.messages[0].method.reply_code == 312
    else:
        raise AssertionError("not returned")
    assert channel.queue_declare(queue, passive=True).method.message_count == 1
    connection.close()


def generator_acks_and_redelivery():
    connection = pika.BlockingConnection(URL)
    channel = connection.channel()
    queue = channel.queue_declare("", exclusive=True).method.queue
    for n in range(5):
        channel.basic_publish("", queue, str(n).encode())
    channel.basic_qos(prefetch_count=2)
    seen = []
    for method, _properties, body in channel.consume(queue, inactivity_timeout=60):
        assert method is not None, "timed out"
        seen.append((body, method.redelivered))
        if body == b"1" and not method.redelivered:
            channel.basic_nack(method.delivery_tag)
        else:
            channel.basic_ack(method.delivery_tag)
        if len(seen) == 6:
            break
    channel.cancel()
    assert sorted(seen) == [(b"0", False), (b"1", False), (b"1", True), (b"2", False), (b"3", False), (b"4", False)], seen
    connection.close()


def topics_headers_and_large_bodies():
    connection = pika.BlockingConnection(URL)
    channel = connection.channel()
    exchange = "test." + uuid.uuid4().hex
    channel.exchange_declare(exchange, "topic", auto_delete=True)
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(queue, exchange, "a.#")
    body = os.urandom(400_000)
    headers = {"text": "ü", "n": 1 << 40, "list": [1, "two"], "nested": {"yes": True}, "none": None}
    channel.basic_publish(exchange, "a.b", body, pika.BasicProperties(headers=headers, content_type="x/y"))
    method, properties, got = channel.basic_get(queue, auto_ack=True)
    assert got == body and properties.headers == headers and properties.content_type == "x/y"
    assert (method.exchange, method.routing_key) == (exchange, "a.b")
    connection.close()


def dead_letters_after_ttl():
    connection = pika.BlockingConnection(URL)
    channel = connection.channel()
    dead = channel.queue_declare("", exclusive=True).method.queue
    arguments = {"x-message-ttl": 50, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead}
    queue = channel.queue_declare("", exclusive=True, arguments=arguments).method.queue
    channel.basic_publish("", queue, b"x")
    for method, properties, _body in channel.consume(dead, inactivity_timeout=60):
        assert method is not None, "timed out"
        assert properties.headers["x-death"][0]["reason"] == "expired"
        break
    connection.close()


def transactions():
    connection = pika.BlockingConnection(URL)
    channel = connection.channel()
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.tx_select()
    channel.basic_publish("", queue, b"undone")
    channel.tx_rollback()
    channel.basic_publish("", queue, b"kept")
    channel.tx_commit()
    assert channel.queue_declare(queue, passive=True).method.message_count == 1
    connection.close()


def rpc_over_direct_reply_to():
    connection = pika.BlockingConnection(URL)
    channel = connection.channel()
    queue = channel.queue_declare("", exclusive=True).method.queue
    answers = []
    channel.basic_consume("amq.rabbitmq.reply-to", lambda ch, m, p, body: answers.append(body), auto_ack=True)

    def serve(ch, method, properties, body):
        ch.basic_publish("", properties.reply_to, body.upper())

    server = connection.channel()
    server.basic_consume(queue, serve, auto_ack=True)
    channel.basic_publish("", queue, b"ping", pika.BasicProperties(reply_to="amq.rabbitmq.reply-to"))
    for _ in range(600):
        connection.process_data_events(time_limit=0.1)
        if answers:
            break
    assert answers == [b"PING"], answers
    connection.close()


for case in (hello_world, durable_mismatch, confirms_and_returns, generator_acks_and_redelivery,
             topics_headers_and_large_bodies, dead_letters_after_ttl, transactions, rpc_over_direct_reply_to):
    check(case.__name__.replace("_", " "), case)
sys.exit(1 if failures else 0)
