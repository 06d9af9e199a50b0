// franz-go: produce, consume in a group, transactions, administration of its own client library.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

var failed = false

func check(name string, err error) {
	if err != nil {
		failed = true
		fmt.Printf("not ok - %s: %v\n", name, err)
		return
	}
	fmt.Printf("ok - %s\n", name)
}

func client(opts ...kgo.Opt) *kgo.Client {
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(os.Args[1])}, opts...)...)
	if err != nil {
		panic(err)
	}
	return c
}

func consume(ctx context.Context, c *kgo.Client, want int) ([]string, error) {
	var got []string
	for len(got) < want {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return got, err
		}
		fetches.EachRecord(func(r *kgo.Record) { got = append(got, string(r.Value)) })
	}
	return got, nil
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 240*time.Second)
	defer cancel()
	topic := fmt.Sprintf("franz-%d", time.Now().UnixNano())

	admin := client()
	defer admin.Close()
	_, err := kadm.NewClient(admin).CreateTopic(ctx, 3, 1, nil, topic)
	check("creates a topic", err)

	producer := client(kgo.ProducerBatchCompression(kgo.ZstdCompression(), kgo.GzipCompression()))
	for i := 0; i < 1000; i++ {
		producer.Produce(ctx, &kgo.Record{Topic: topic, Key: []byte(fmt.Sprint(i % 7)), Value: []byte(fmt.Sprint(i))}, nil)
	}
	check("produces idempotently", producer.Flush(ctx))
	producer.Close()

	member := client(kgo.ConsumerGroup("g-"+topic), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	got, err := consume(ctx, member, 1000)
	if err == nil && len(got) != 1000 {
		err = fmt.Errorf("%d records", len(got))
	}
	check("consumes in a group", err)
	check("commits its offsets", member.CommitUncommittedOffsets(ctx))
	member.Close()

	transactional := client(kgo.TransactionalID("t-" + topic))
	output := topic + "-out"
	_, err = kadm.NewClient(admin).CreateTopic(ctx, 1, 1, nil, output)
	for _, commit := range []bool{false, true} {
		if err == nil {
			err = transactional.BeginTransaction()
		}
		if err == nil {
			err = transactional.ProduceSync(ctx, &kgo.Record{Topic: output, Value: []byte(fmt.Sprint(commit))}).FirstErr()
		}
		if err == nil {
			err = transactional.EndTransaction(ctx, kgo.TransactionEndTry(commit))
		}
	}
	check("aborts one transaction and commits another", err)
	transactional.Close()

	reader := client(kgo.ConsumeTopics(output), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	got, err = consume(ctx, reader, 1)
	if err == nil && (len(got) != 1 || got[0] != "true") {
		err = fmt.Errorf("%v", got)
	}
	check("reads what was committed, and nothing else", err)
	reader.Close()

	lags, err := kadm.NewClient(admin).Lag(ctx, "g-"+topic)
	if err == nil {
		lag := lags["g-"+topic]
		if err = lag.Error(); err == nil && lag.Lag.Total() != 0 {
			err = fmt.Errorf("lag %d", lag.Lag.Total())
		}
	}
	check("sees that the group has no lag", err)
	_, err = kadm.NewClient(admin).DeleteTopics(ctx, topic, output)
	check("deletes topics", err)
	if failed {
		os.Exit(1)
	}
}
