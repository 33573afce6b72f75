package disk

import (
	"context"
	"fmt"
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

// fill publishes to many channels.
func fillChannels(b *testing.B, e *Engine, channels, each int) {
	var wg sync.WaitGroup
	var next atomic.Int64
	for range 256 {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(channels*each); i = next.Add(1) {
				publish(b, e, broker.Channel(fmt.Sprintf("/c/%d", i%int64(channels))), fmt.Sprint(i), broker.Append{Keep: broker.Retention{Size: 100}})
			}
		})
	}
	wg.Wait()
}

// BenchmarkHistory reads 100 messages of one channel among many.
func BenchmarkHistory(b *testing.B) {
	e := start(b, openDB(b, Options{Fsync: FsyncNever}))
	const channels = 1000
	fillChannels(b, e, channels, 100)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		p, err := e.History(context.Background(), broker.Channel(fmt.Sprintf("/c/%d", i*7919%channels)), broker.Range{})
		if err != nil || len(p.Messages) != 100 {
			b.Fatal(len(p.Messages), err)
		}
	}
}

// BenchmarkOpen opens a database of 100,000 messages in 10,000 channels.
func BenchmarkOpen(b *testing.B) {
	o := Options{Dir: b.TempDir(), Fsync: FsyncNever, MinFree: 1}
	d := openDB(b, o)
	fillChannels(b, start(b, d), 10_000, 10)
	b.ReportAllocs()
	for b.Loop() {
		if err := d.Close(); err != nil {
			b.Fatal(err)
		}
		var err error
		if d, err = Open(o); err != nil {
			b.Fatal(err)
		}
		start(b, d)
	}
	d.Close()
}
