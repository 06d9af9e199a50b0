# Everyday work with bunny. Prints one "ok" or "not ok" line per case.
require "bunny"
require "securerandom"
require "timeout"

$failures = 0

def check(name, connection)
  channel = connection.create_channel
  Timeout.timeout(60) { yield channel }
  channel.close if channel.open?
  puts "ok - #{name}"
rescue StandardError => error
  $failures += 1
  puts "not ok - #{name}: #{error.class}: #{error.message}"
end

def expect(expected, actual)
  raise "expected #{expected.inspect}, got #{actual.inspect}" unless expected == actual
end

connection = Bunny.new(ENV.fetch("AMQP_URL"), automatically_recover: false)
connection.start

check("hello world", connection) do |channel|
  queue = channel.queue("", exclusive: true)
  channel.default_exchange.publish("Hello World!", routing_key: queue.name)
  inbox = Queue.new
  queue.subscribe { |_delivery, _properties, body| inbox << body }
  expect("Hello World!", inbox.pop)
end

check("406 for another durable", connection) do |channel|
  queue = channel.queue("test.#{SecureRandom.hex}", auto_delete: true)
  other = connection.create_channel
  begin
    other.queue(queue.name, auto_delete: true, durable: true)
    raise "accepted"
  rescue Bunny::PreconditionFailed => error
    expect("PRECONDITION_FAILED - inequivalent arg 'durable' for queue '#{queue.name}' in vhost '/': " \
           "received 'true' but current is 'false'", error.channel_close.reply_text)
  end
  queue.delete
end

check("confirms and mandatory returns", connection) do |channel|
  queue = channel.queue("", exclusive: true)
  channel.confirm_select
  exchange = channel.default_exchange
  returned = Queue.new
  exchange.on_return { |info, _properties, body| returned << [info.reply_code, body] }
  500.times { |n| exchange.publish(n.to_s, routing_key: queue.name, persistent: true) }
  expect(true, channel.wait_for_confirms)
  expect(500, queue.message_count)
  exchange.publish("lost", routing_key: SecureRandom.hex, mandatory: true)
  expect(true, channel.wait_for_confirms)
  expect([312, "lost"], returned.pop)
end

check("prefetch, nack, redelivery", connection) do |channel|
  queue = channel.queue("", exclusive: true)
  3.times { |n| queue.publish(n.to_s) }
  channel.prefetch(1)
  seen = []
  done = Queue.new
  queue.subscribe(manual_ack: true) do |delivery, _properties, body|
    seen << [body, delivery.redelivered?]
    delivery.redelivered? || body != "1" ? channel.ack(delivery.delivery_tag) : channel.nack(delivery.delivery_tag, false, true)
    done << true if seen.size == 4
  end
  done.pop
  expect([["0", false], ["1", false], ["1", true], ["2", false]], seen)
end

check("topics, headers, large bodies", connection) do |channel|
  exchange = channel.topic("test.#{SecureRandom.hex}", auto_delete: true)
  queue = channel.queue("", exclusive: true).bind(exchange, routing_key: "a.*")
  body = SecureRandom.random_bytes(300_000)
  headers = { "n" => 5, "nested" => { "list" => [1, "two"] }, "yes" => true }
  exchange.publish(body, routing_key: "a.b", headers: headers, type: "t")
  delivery, properties, got = queue.pop
  expect(body, got.b)
  expect(headers, properties.headers)
  expect("a.b", delivery.routing_key)
end

check("dead letters after a TTL", connection) do |channel|
  dead = channel.queue("", exclusive: true)
  arguments = { "x-message-ttl" => 50, "x-dead-letter-exchange" => "", "x-dead-letter-routing-key" => dead.name }
  channel.queue("", exclusive: true, arguments: arguments).publish("x")
  inbox = Queue.new
  dead.subscribe { |_delivery, properties, _body| inbox << properties.headers["x-death"][0]["reason"] }
  expect("expired", inbox.pop)
end

check("transactions", connection) do |channel|
  queue = channel.queue("", exclusive: true)
  channel.tx_select
  queue.publish("undone")
  channel.tx_rollback
  queue.publish("kept")
  channel.tx_commit
  expect(1, queue.message_count)
end

check("consumer cancelled when its queue goes", connection) do |channel|
  queue = channel.queue("", exclusive: true)
  cancelled = Queue.new
  queue.subscribe(on_cancellation: ->(_cancel) { cancelled << true }) {}
  connection.create_channel.queue_delete(queue.name)
  expect(true, cancelled.pop)
end

connection.close
exit($failures.zero? ? 0 : 1)
