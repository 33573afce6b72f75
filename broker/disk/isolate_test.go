package disk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"waft/broker"
)

// together has what the functions do be one group: the committer is held up until each of them waits for it, in order.
func together(t *testing.T, d *DB, do ...func()) {
	t.Helper()
	held, release := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := d.do(context.Background(), &op{run: func(*txn) error { close(held); <-release; return nil }}); err != nil {
			t.Error(err)
		}
	})
	<-held
	for i, f := range do {
		wg.Go(f)
		until(t, "the next in the queue", func() bool { return len(d.queue) == i+1 })
	}
	close(release)
	wg.Wait()
}

// What a channel had stored before is damaged on the disk, and whoever publishes to it is told so. Those whose publishes share a wait for
// the disk with his notice nothing.
func TestCommit_a_publish_that_meets_damage_fails_alone(t *testing.T) {
	light := broker.Append{Keep: broker.Retention{Size: 100, Bytes: 700}} // room for two
	for _, c := range []struct {
		name   string
		damage func(ch *channel) []byte // what is damaged of a channel with the messages 1 and 2
		with   broker.Append            // what is published as 1
		spoils bool                     // it is found out only when something has been written
	}{
		{"of what falls out of the history", func(ch *channel) []byte { return offsetKey(ch.messages, 1) }, light, true},
		{"of what is replaced", func(ch *channel) []byte { return offsetKey(ch.messages, 1) }, broker.Append{Keep: light.Keep, Replace: true}, false},
		{
			"of an idempotency key", func(ch *channel) []byte { return keyKey(ch.engine.db.clock()/bucketSpan, "default", "/bad", "key") },
			broker.Append{Keep: keep, Key: "key"},
			false,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := inMemory()
			d := openDB(t, o)
			e, noted := startNoting(t, d)
			publish(t, e, "/bad", "1", light)
			publish(t, e, "/bad", "2", light)
			publish(t, e, "/a", "1", broker.Append{Keep: keep})
			ch, err := e.acquire("/bad")
			if err != nil {
				t.Fatal(err)
			}
			damaged := c.damage(ch)
			e.release(ch)
			if err := d.pebble.Set(damaged, []byte{0xff}, pebble.NoSync); err != nil {
				t.Fatal(err)
			}
			noted.take()
			before := d.Stats()

			good := func(channel broker.Channel, id string, a broker.Append, offset uint64) func() {
				return func() {
					r, err := tryPublish(e, channel, id, a)
					if err != nil || r.Position.Offset != offset || r.Duplicate || r.Receivers != 1 {
						t.Errorf("publishing %s to %s: %+v, %v", id, channel, r, err)
					}
				}
			}
			bad := func() {
				if r, err := tryPublish(e, "/bad", "1", c.with); broker.KindOf(err) != broker.Internal || !strings.Contains(err.Error(), "damaged") {
					t.Errorf("publishing to the channel that is damaged: %+v, %v", r, err)
				}
			}
			record := func() {
				if r, err := d.Store("default").Put(context.Background(), broker.Record{Key: "k", Value: []byte("v")}); err != nil || r == 0 {
					t.Errorf("a record: %d, %v", r, err)
				}
			}
			batch := func() {
				list := slices.Concat(items(1), []broker.Append{c.with})
				list[1].Message = &broker.Message{Channel: "/bad", ID: "1", Data: []byte("1")}
				_, err := e.PublishAll(context.Background(), list)
				if at, ok := errors.AsType[*broker.BatchError](err); !ok || at.Index != 1 {
					t.Errorf("a batch with such a publish: %v", err)
				}
			}
			together(t, d,
				good("/a", "1", broker.Append{Keep: keep, Replace: true, Key: "once"}, 2), record, bad, bad,
				good("/a", "2", broker.Append{Keep: keep}, 3), batch, good("/bad", "new", broker.Append{Keep: broker.Retention{Size: 100}}, 3), bad)

			if c.spoils && d.Stats().Commits != before.Commits+3 { // before each that spoils one, and after the first two there was nothing to store
				t.Errorf("%d commits, not 3", d.Stats().Commits-before.Commits)
			}
			if err := d.Health(); err != nil {
				t.Errorf("the health: %v", err)
			}
			delivered := noted.take()
			slices.Sort(delivered)
			if got := fmt.Sprint(delivered); got != "[/a1 /a2 /badnew]" {
				t.Errorf("delivered were %s", got)
			}
			if p, err := e.History(context.Background(), "/a", broker.Range{}); err != nil || len(p.Messages) != 2 || p.Messages[0].ID != "1" || p.Messages[1].ID != "2" {
				t.Errorf("the history is %+v, %v", p, err)
			}
			publish(t, e, "/a", "3", broker.Append{Keep: keep})
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			for _, fault := range faults(t, o.Dir, o.fs) {
				if !strings.Contains(fault, "/bad") {
					t.Errorf("a check says: %s", fault)
				}
			}
		})
	}
}
