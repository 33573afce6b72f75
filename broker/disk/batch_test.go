package disk

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"waft/broker"
)

// items is a batch of so many messages, for three channels.
func items(n int) []broker.Append {
	batch := make([]broker.Append, n)
	for i := range batch {
		batch[i] = broker.Append{
			Message: &broker.Message{Channel: broker.Channel(fmt.Sprintf("/b/%d", i%3)), ID: fmt.Sprint(i), Data: []byte("1"), Time: time.Now()},
			Keep:    broker.Retention{Size: 100}, Key: fmt.Sprint(i),
		}
	}
	return batch
}

func TestBatch_waits_for_the_disk_once(t *testing.T) {
	d := openDB(t, inMemory())
	e := start(t, d)
	before := d.Stats()
	if _, err := e.PublishAll(context.Background(), items(50)); err != nil {
		t.Fatal(err)
	}
	if s := d.Stats(); s.Syncs != before.Syncs+1 || s.Commits != before.Commits+1 || s.Operations != before.Operations+50 {
		t.Errorf("counted were %+v, then %+v", before, s)
	}
}

func TestBatch_is_stored_whole_or_not_at_all(t *testing.T) {
	fs := newAiling(vfs.NewMem())
	d := openDB(t, Options{Dir: "data", fs: fs, Retry: 2 * time.Millisecond})
	e := newEngine(t, d)
	delivered := make(chan string, 100)
	if err := e.Start(func(m *broker.Message) int { delivered <- m.ID; return 1 }); err != nil {
		t.Fatal(err)
	}
	fs.fail(func(op errorfs.Op) error {
		if strings.HasSuffix(op.Path, ".log") && op.Kind == errorfs.OpFileWrite {
			return syscall.EIO
		}
		return allProbes(op)
	})
	if r, err := e.PublishAll(context.Background(), items(6)); broker.KindOf(err) != broker.Unavailable || r != nil {
		t.Fatalf("publishing to a failing disk: %+v, %v", r, err)
	}
	fs.heal()
	until(t, "the repair", func() bool { return d.Health() == nil })
	stored := 0
	for i := range 3 {
		p, err := e.History(context.Background(), broker.Channel(fmt.Sprintf("/b/%d", i)), broker.Range{})
		if err != nil {
			t.Fatal(err)
		}
		stored += len(p.Messages)
	}
	if stored != 0 && stored != 6 || stored != len(delivered) {
		t.Errorf("%d of 6 are stored, and %d were delivered", stored, len(delivered))
	}
	if receipts, err := e.PublishAll(context.Background(), items(6)); err != nil || receipts[0].Duplicate != (stored == 6) || receipts[5].Position.Offset != 2 {
		t.Errorf("publishing it again: %+v, %v", receipts, err)
	}
}

func TestBatch_of_more_than_a_realm_may_store_is_refused_whole(t *testing.T) {
	d := openDB(t, inMemory())
	e, err := d.Engine("default", EngineOptions{MaxBytes: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(func(*broker.Message) int { t.Error("a delivery"); return 0 }); err != nil {
		t.Fatal(err)
	}
	if _, err := e.PublishAll(context.Background(), items(6)); broker.KindOf(err) != broker.Unavailable {
		t.Errorf("publishing: %v", err)
	}
	if s := e.Stats(); s.Messages != 0 {
		t.Errorf("counted are %+v", s)
	}
}

// Whoever gave the batch may try again without the one at fault: nothing of it is there.
func TestBatch_says_which_is_at_fault(t *testing.T) {
	d := openDB(t, inMemory())
	e, err := d.Engine("default", EngineOptions{MaxBytes: 2000})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(func(*broker.Message) int { return 1 }); err != nil {
		t.Fatal(err)
	}
	batch := items(20)
	live := &broker.Message{Channel: "/live", ID: "live", Data: []byte("1"), Time: time.Now()}
	_, err = e.PublishAll(context.Background(), append([]broker.Append{{Message: live}}, batch...))
	at, ok := errors.AsType[*broker.BatchError](err)
	if !ok || broker.KindOf(err) != broker.Unavailable || at.Index < 2 || at.Index > 19 {
		t.Fatalf("publishing more than there is room for: %v", err)
	}
	if r, err := e.PublishAll(context.Background(), batch[:at.Index-1]); err != nil || r[0].Duplicate || r[len(r)-1].Receivers != 1 {
		t.Errorf("publishing what there is room for: %+v, %v", r, err)
	}
	if _, err := e.PublishAll(context.Background(), batch[at.Index-1:]); err == nil {
		t.Error("there was room for one more")
	}
}

// A record that cannot be read is the fault of the one that needs it, also when others of the batch were looked at before it.
func TestBatch_that_meets_a_damaged_record_is_told_where(t *testing.T) {
	d := openDB(t, inMemory())
	e := start(t, d)
	batch := items(6)
	damaged := keyKey(d.clock()/bucketSpan, "default", batch[3].Message.Channel, batch[3].Key)
	if err := d.pebble.Set(damaged, []byte("damaged"), pebble.NoSync); err != nil {
		t.Fatal(err)
	}
	live := broker.Append{Message: &broker.Message{Channel: "/live", ID: "live", Data: []byte("1"), Time: time.Now()}} // which the disk does not see
	_, err := e.PublishAll(context.Background(), append([]broker.Append{live}, batch...))
	if at, ok := errors.AsType[*broker.BatchError](err); !ok || at.Index != 4 || broker.KindOf(err) != broker.Internal {
		t.Fatalf("publishing: %v", err)
	}
	if r, err := e.PublishAll(context.Background(), batch[:3]); err != nil || r[0].Duplicate || r[0].Position.Offset != 1 || r[2].Position.Offset != 1 {
		t.Errorf("publishing those before it: %+v, %v", r, err)
	}
}

// What a channel had kept goes with the first message under a rule that keeps nothing: in the same commit as the rest of a batch, or not at all.
func TestBatch_is_stored_whole_with_a_channel_that_comes_to_keep_nothing(t *testing.T) {
	d := openDB(t, inMemory())
	e := start(t, d)
	publish(t, e, "/was", "1", broker.Append{Keep: keep})
	was := broker.Append{Message: &broker.Message{Channel: "/was", ID: "2", Data: []byte("1"), Time: time.Now()}}
	before := d.Stats()
	receipts, err := e.PublishAll(context.Background(), append(items(2), was, items(3)[2]))
	if err != nil || receipts[2].ID != "2" || receipts[2].Position.Offset != 2 || receipts[3].ID != "2" || receipts[3].Position.Offset != 1 {
		t.Fatalf("publishing: %+v, %v", receipts, err)
	}
	if s := d.Stats(); s.Commits != before.Commits+1 || s.Operations != before.Operations+4 {
		t.Errorf("counted were %+v, then %+v", before, s)
	}
	if p, err := e.History(context.Background(), "/was", broker.Range{}); err != nil || p.Total != 0 {
		t.Errorf("the history is %+v, %v", p, err)
	}
}
