<?php
// Everyday work with php-amqplib. Prints one "ok" or "not ok" line per case.
error_reporting(E_ALL & ~E_DEPRECATED);
require_once 'PhpAmqpLib/autoload.php';

use PhpAmqpLib\Connection\AMQPStreamConnection;
use PhpAmqpLib\Exception\AMQPProtocolChannelException;
use PhpAmqpLib\Message\AMQPMessage;
use PhpAmqpLib\Wire\AMQPTable;

$url = parse_url(getenv('AMQP_URL'));
$connection = new AMQPStreamConnection($url['host'], $url['port'] ?? 5672, 'guest', 'guest', '/');
$failures = 0;

function check(string $name, callable $run): void
{
    global $connection, $failures;
    try {
        $channel = $connection->channel();
        $run($channel);
        if ($channel->is_open()) {
            $channel->close();
        }
        echo "ok - $name\n";
    } catch (Throwable $error) {
        $failures++;
        echo "not ok - $name: " . get_class($error) . ': ' . $error->getMessage() . "\n";
    }
}

function expect($expected, $actual): void
{
    if ($expected !== $actual) {
        throw new Exception('expected ' . json_encode($expected) . ', got ' . json_encode($actual));
    }
}

check('hello world', function ($channel) {
    [$queue] = $channel->queue_declare('', false, false, true);
    $channel->basic_publish(new AMQPMessage('Hello World!'), '', $queue);
    $seen = [];
    $channel->basic_consume($queue, '', false, true, false, false, function ($m) use (&$seen) { $seen[] = $m->getBody(); });
    $channel->wait(null, false, 60);
    expect(['Hello World!'], $seen);
});

check('406 for another durable', function ($channel) use ($connection) {
    $queue = 'test.' . bin2hex(random_bytes(8));
    $channel->queue_declare($queue, false, false, false, true);
    try {
        $connection->channel()->queue_declare($queue, false, true, false, true);
        throw new Exception('accepted');
    } catch (AMQPProtocolChannelException $error) {
        expect("PRECONDITION_FAILED - inequivalent arg 'durable' for queue '$queue' in vhost '/': "
            . "received 'true' but current is 'false'", $error->amqp_reply_text);
    }
    $channel->queue_delete($queue);
});

check('confirms and mandatory returns', function ($channel) {
    [$queue] = $channel->queue_declare('', false, false, true);
    $acks = 0;
    $returned = [];
    $channel->set_ack_handler(function () use (&$acks) { $acks++; });
    $channel->set_return_listener(function ($code, $text) use (&$returned) { $returned[] = [$code, $text]; });
    $channel->confirm_select();
    for ($i = 0; $i < 200; $i++) {
        $channel->basic_publish(new AMQPMessage("$i", ['delivery_mode' => 2]), '', $queue);
    }
    $channel->basic_publish(new AMQPMessage('lost'), '', bin2hex(random_bytes(8)), true);
    $channel->wait_for_pending_acks_returns(60);
    expect(201, $acks);
    expect([[312, 'NO_ROUTE']], $returned);
    [, $count] = $channel->queue_declare($queue, true);
    expect(200, $count);
});

check('prefetch, nack, redelivery', function ($channel) {
    [$queue] = $channel->queue_declare('', false, false, true);
    foreach (['0', '1', '2'] as $body) {
        $channel->basic_publish(new AMQPMessage($body), '', $queue);
    }
    $channel->basic_qos(0, 1, false);
    $seen = [];
    $channel->basic_consume($queue, '', false, false, false, false, function ($m) use (&$seen) {
        $seen[] = [$m->getBody(), $m->isRedelivered()];
        $m->getBody() === '1' && !$m->isRedelivered() ? $m->nack(true) : $m->ack();
    });
    while (count($seen) < 4) {
        $channel->wait(null, false, 60);
    }
    expect([['0', false], ['1', false], ['1', true], ['2', false]], $seen);
});

check('topics, headers, large bodies', function ($channel) {
    $exchange = 'test.' . bin2hex(random_bytes(8));
    $channel->exchange_declare($exchange, 'topic', false, false, true);
    [$queue] = $channel->queue_declare('', false, false, true);
    $channel->queue_bind($queue, $exchange, 'a.#');
    $body = random_bytes(300000);
    $headers = ['n' => 5, 'nested' => ['list' => [1, 'two']], 'yes' => true];
    $message = new AMQPMessage($body, ['application_headers' => new AMQPTable($headers)]);
    $channel->basic_publish($message, $exchange, 'a.b');
    $got = $channel->basic_get($queue, true);
    expect(true, $got->getBody() === $body);
    expect($headers, $got->get('application_headers')->getNativeData());
});

check('dead letters after a TTL', function ($channel) {
    [$dead] = $channel->queue_declare('', false, false, true);
    $arguments = new AMQPTable(['x-message-ttl' => 50, 'x-dead-letter-exchange' => '', 'x-dead-letter-routing-key' => $dead]);
    [$queue] = $channel->queue_declare('', false, false, true, false, false, $arguments);
    $channel->basic_publish(new AMQPMessage('x'), '', $queue);
    $reasons = [];
    $channel->basic_consume($dead, '', false, true, false, false, function ($m) use (&$reasons) {
        $reasons[] = $m->get('application_headers')->getNativeData()['x-death'][0]['reason'];
    });
    $channel->wait(null, false, 60);
    expect(['expired'], $reasons);
});

check('transactions', function ($channel) {
    [$queue] = $channel->queue_declare('', false, false, true);
    $channel->tx_select();
    $channel->basic_publish(new AMQPMessage('undone'), '', $queue);
    $channel->tx_rollback();
    $channel->basic_publish(new AMQPMessage('kept'), '', $queue);
    $channel->tx_commit();
    [, $count] = $channel->queue_declare($queue, true);
    expect(1, $count);
});

$connection->close();
exit($failures > 0 ? 1 : 0);
