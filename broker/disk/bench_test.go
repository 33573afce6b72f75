package disk

import (
	"context"
	"flag"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"waft/broker"
)

// BenchmarkPublish is publishes of 256 bytes that are on the disk when they are answered.
func BenchmarkPublish(b *testing.B) {
	data := []byte(`"` + strings.Repeat("x", 254) + `"`)
	for _, publishers := range []int{1, 64, 512} {
		for _, keyed := range []bool{false, true} {
			b.Run(fmt.Sprintf("publishers=%d/keyed=%v", publishers, keyed), func(b *testing.B) {
				d := openDB(b, Options{})
				e := start(b, d)
				var next atomic.Int64
				b.ReportAllocs()
				b.SetBytes(256)
				b.ResetTimer()
				var wg sync.WaitGroup
				for range publishers {
					wg.Go(func() {
						for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
							a := broker.Append{
								Message: &broker.Message{Channel: broker.Channel(fmt.Sprintf("/c/%d", i%1000)), ID: fmt.Sprint(i), Data: data, Time: time.Now()},
								Keep:    broker.Retention{Size: 100},
							}
							if keyed {
								a.Key, a.Replace = a.Message.ID, true
							}
							if _, err := e.Publish(context.Background(), a); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
				if n := d.Stats().Commits; n > 0 {
					b.ReportMetric(float64(d.Stats().Operations)/float64(n), "ops/commit")
				}
			})
		}
	}
}

// BenchmarkPublish_not_kept is what history costs a channel that has none.
func BenchmarkPublish_not_kept(b *testing.B) {
	e := start(b, openDB(b, Options{}))
	m := &broker.Message{Channel: "/a", ID: "x", Data: []byte(`1`), Time: time.Now()}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Publish(context.Background(), broker.Append{Message: m}); err != nil {
			b.Fatal(err)
		}
	}
}

// fillChannels publishes to many channels, in batches.
func fillChannels(b testing.TB, e *Engine, channels, each int) {
	data := []byte(`"` + strings.Repeat("x", 254) + `"`)
	batch := make([]broker.Append, 0, 512)
	send := func() {
		if _, err := e.PublishAll(context.Background(), batch); err != nil {
			b.Fatal(err)
		}
		batch = batch[:0]
	}
	for i := range channels * each {
		batch = append(batch, broker.Append{
			Message: &broker.Message{Channel: broker.Channel(fmt.Sprintf("/c/%d", i%channels)), ID: fmt.Sprint(i), Data: data, Time: time.Now()},
			Keep:    broker.Retention{Size: 100},
		})
		if len(batch) == cap(batch) {
			send()
		}
	}
	send()
}

// BenchmarkHistory reads 100 messages of one channel among 100,000, as a client that resumes: from the newest messages in memory, from
// Pebble's blocks in memory, and from its files, which the system has in memory.
func BenchmarkHistory(b *testing.B) {
	const channels, deep = 100_000, 1000
	o := Options{Dir: b.TempDir(), Fsync: FsyncNever, MinFree: 1}
	d := openDB(b, o)
	e := start(b, d)
	fillChannels(b, e, channels, 3)
	fillChannels(b, e, deep, 97)
	if err := d.Close(); err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name        string
		tail, cache int64
		warm        bool
	}{{"tail", 1 << 30, 0, true}, {"blocks", 1, 1 << 30, true}, {"cold", 1, 1 << 20, false}} {
		b.Run(c.name, func(b *testing.B) {
			o := o
			o.Cache = c.cache
			d := openDB(b, o)
			e, err := d.Engine("default", EngineOptions{MaxTail: c.tail})
			if err == nil {
				err = e.Start(func(*broker.Message) int { return 0 })
			}
			if err != nil {
				b.Fatal(err)
			}
			read := func(i int) {
				p, err := e.History(context.Background(), broker.Channel(fmt.Sprintf("/c/%d", i*7919%deep)), broker.Range{})
				if err != nil || len(p.Messages) != 100 {
					b.Fatal(len(p.Messages), err)
				}
			}
			for i := 0; c.warm && i < deep; i++ {
				read(i)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				read(i)
			}
		})
	}
}

// BenchmarkTail_storm is many clients that resume in one channel at a time.
func BenchmarkTail_storm(b *testing.B) {
	e := start(b, openDB(b, Options{Fsync: FsyncNever}))
	fillChannels(b, e, 1, 100)
	p, err := e.History(context.Background(), "/c/0", broker.Range{Limit: 1})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if p, err := e.History(context.Background(), "/c/0", broker.Range{After: p.Last}); err != nil || len(p.Messages) != 0 {
				b.Error(len(p.Messages), err)
			}
			if p, err := e.History(context.Background(), "/c/0", broker.Range{After: p.Messages[0].Position}); err != nil || len(p.Messages) != 99 {
				b.Error(len(p.Messages), err)
			}
		}
	})
}

// messages is how many BenchmarkOpen has: go test -run '^$' -bench Open ./broker/disk -messages 1000000
var messages = flag.Int("messages", 100_000, "messages that BenchmarkOpen has stored, ten in a channel")

// BenchmarkOpen opens a database and counts what is in it.
func BenchmarkOpen(b *testing.B) {
	o := Options{Dir: b.TempDir(), Fsync: FsyncNever, MinFree: 1}
	d := openDB(b, o)
	fillChannels(b, start(b, d), max(*messages/10, 1), 10)
	heap := func() float64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return float64(m.HeapInuse)
	}
	var closed, open float64
	b.ReportAllocs()
	for b.Loop() {
		if err := d.Close(); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		closed = heap()
		b.StartTimer()
		var err error
		if d, err = Open(o); err != nil {
			b.Fatal(err)
		}
		start(b, d)
		b.StopTimer()
		open = heap()
		b.StartTimer()
	}
	b.ReportMetric((open-closed)/1e6, "MB-heap")
	b.ReportMetric(float64(*messages), "messages")
	d.Close()
}

// BenchmarkPublishAll is a hundred messages of 256 bytes that wait for the disk together.
func BenchmarkPublishAll(b *testing.B) {
	e := start(b, openDB(b, Options{}))
	b.ReportAllocs()
	for b.Loop() {
		fillChannels(b, e, 100, 1)
	}
	b.ReportMetric(100*float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}
