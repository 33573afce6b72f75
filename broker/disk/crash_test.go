package disk

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"waft/broker"
)

// What acknowledges or syncs was changed: `go test ./broker/disk -run TestCrash -crash-time 1m` looks closer.
var crashTime = flag.Duration("crash-time", 4*time.Second, "how long TestCrash goes on crashing, up to 3,000 times")

// The crash tests run a database on a file system that forgets at a crash what was not synced, take copies of it at random
// moments as a crash then would have left it, and hold against them what had been acknowledged by then.

// ledger is what was acknowledged.
type ledger struct {
	mu       sync.Mutex
	receipts map[broker.Channel][]acknowledged
	records  map[string]uint64
	removed  map[string]bool
	batches  [][]acknowledged // begun; the place is of no account
}

type acknowledged struct {
	id, key string
	at      broker.Position
}

func (l *ledger) copy() *ledger {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := &ledger{receipts: map[broker.Channel][]acknowledged{}, records: map[string]uint64{}, removed: map[string]bool{}}
	for k, v := range l.receipts {
		c.receipts[k] = slices.Clip(v)
	}
	maps.Copy(c.records, l.records)
	maps.Copy(c.removed, l.removed)
	c.batches = slices.Clip(l.batches)
	return c
}

// crash runs publishers, and takes copies of the file system before operations on it at random.
func crash(t *testing.T, fsync Fsync, seed uint64, crashes int) (lost []string) {
	type crashed struct {
		before *ledger
		fs     *vfs.MemFS
	}
	var mu sync.Mutex // guards the rest
	var dead []crashed
	random := rand.New(rand.NewPCG(seed, 99))
	l := &ledger{receipts: map[broker.Channel][]acknowledged{}, records: map[string]uint64{}, removed: map[string]bool{}}
	fs := vfs.NewCrashableMem()
	hooked := errorfs.Wrap(fs, errorfs.InjectorFunc(func(errorfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		if len(dead) < crashes && random.IntN(6) == 0 {
			before := l.copy()
			dead = append(dead, crashed{before, fs.CrashClone(vfs.CrashCloneCfg{
				UnsyncedDataPercent: []int{0, 0, 30, 100}[random.IntN(4)], RNG: rand.New(rand.NewPCG(seed, random.Uint64())),
			})})
		}
		return nil
	}))
	d := openDB(t, Options{Dir: "data", fs: hooked, Fsync: fsync})
	e, s := start(t, d), d.Store("default")
	var working sync.WaitGroup
	for p := range 4 {
		working.Go(func() { l.work(t, e, s, p, rand.New(rand.NewPCG(seed, uint64(p)))) })
	}
	working.Wait()
	mu.Lock()
	defer mu.Unlock()
	for i, c := range dead {
		lost = append(lost, c.before.missing(t, c.fs, fsync)...)
		if i%5 == 0 {
			lost = append(lost, faults(t, "data", c.fs)...)
		}
		points.Add(1)
	}
	return lost
}

// points counts the crashes.
var points atomic.Int64

// work publishes, removes and writes records, and notes what was acknowledged.
func (l *ledger) work(t *testing.T, e *Engine, s *Store, p int, random *rand.Rand) {
	ctx, name := context.Background(), fmt.Sprintf("r%d", p)
	note := func(f func()) {
		l.mu.Lock()
		defer l.mu.Unlock()
		f()
	}
	var revision uint64
	for i := range 12 {
		c := broker.Channel("/c/" + strconv.Itoa(random.IntN(3)))
		id := fmt.Sprintf("%d-%d", p, i)
		r, err := tryPublish(e, c, id, broker.Append{Key: id, Keep: broker.Retention{Size: 1000}, Replace: true})
		if err != nil {
			t.Errorf("publish: %v", err)
			return
		}
		note(func() { l.receipts[c] = append(l.receipts[c], acknowledged{id, id, r.Position}) })
		switch random.IntN(6) {
		case 3:
			l.grow(t, e, broker.Channel("/aged/"+id), id, note)
		case 2:
			l.batch(t, e, fmt.Sprintf("b%d-%d", p, i), note)
		case 0:
			if revision, err = s.Put(ctx, broker.Record{Key: name, Value: []byte(id), Revision: revision}); err != nil {
				t.Errorf("put: %v", err)
			}
			note(func() { l.records[name] = revision })
		case 1:
			note(func() { l.removed[id] = true }) // from now on it may be gone
			if err := e.Remove(ctx, c, id, false); err != nil {
				t.Errorf("remove: %v", err)
			}
		}
	}
}

// batch publishes one message to each of three channels, all or none.
func (l *ledger) batch(t *testing.T, e *Engine, name string, note func(func())) {
	var list []broker.Append
	var begun []acknowledged
	for i := range 3 {
		id := fmt.Sprintf("%s.%d", name, i)
		list = append(list, broker.Append{
			Message: &broker.Message{Channel: broker.Channel("/c/" + strconv.Itoa(i)), ID: id, Data: []byte("1"), Time: time.Now()},
			Keep:    broker.Retention{Size: 1000, Bytes: 1 << 30}, Key: id,
		})
		begun = append(begun, acknowledged{id: id})
	}
	note(func() { l.batches = append(l.batches, begun) })
	receipts, err := e.PublishAll(context.Background(), list)
	if err != nil {
		t.Errorf("publish a batch: %v", err)
		return
	}
	note(func() {
		for i, r := range receipts {
			c := list[i].Message.Channel
			l.receipts[c] = append(l.receipts[c], acknowledged{r.ID, r.ID, r.Position})
		}
	})
}

// grow publishes what is too old for its channel, and then what may be as old as it likes.
func (l *ledger) grow(t *testing.T, e *Engine, c broker.Channel, id string, note func(func())) {
	m := &broker.Message{Channel: c, ID: "old " + id, Data: []byte("1"), Time: time.Now().Add(-time.Hour)}
	if _, err := e.Publish(context.Background(), broker.Append{Message: m, Keep: broker.Retention{Size: 1000, Age: time.Minute}}); err != nil {
		t.Errorf("publish: %v", err)
	}
	r, err := tryPublish(e, c, id, broker.Append{Key: "aged " + id, Keep: broker.Retention{Size: 1000, Age: 2 * time.Hour}})
	if err != nil {
		t.Errorf("publish: %v", err)
		return
	}
	note(func() { l.receipts[c] = append(l.receipts[c], acknowledged{id, "aged " + id, r.Position}) })
}

// torn says which batches a database has a part of.
func (l *ledger) torn(there map[string]bool) (lost []string) {
	for _, b := range l.batches {
		n := 0
		for _, a := range b {
			if there[a.id] {
				n++
			}
		}
		if n != 0 && n != len(b) {
			lost = append(lost, fmt.Sprintf("%d of the %d messages of batch %s are there", n, len(b), b[0].id))
		}
	}
	return lost
}

// missing says what of the ledger a database that is opened after the crash does not have.
func (l *ledger) missing(t *testing.T, fs *vfs.MemFS, fsync Fsync) (lost []string) {
	t.Helper()
	d, err := Open(Options{Dir: "data", fs: fs, Fsync: fsync, MinFree: 1})
	if err != nil {
		return []string{fmt.Sprintf("opening after the crash: %v", err)}
	}
	defer d.Close()
	e, s := start(t, d), d.Store("default")
	there := map[string]bool{}
	for i := range 3 {
		page, err := e.History(context.Background(), broker.Channel("/c/"+strconv.Itoa(i)), broker.Range{})
		if err != nil {
			return append(lost, fmt.Sprintf("history of channel %d: %v", i, err))
		}
		for _, m := range page.Messages {
			there[m.ID] = true
		}
	}
	lost = append(lost, l.torn(there)...)
	for c, list := range l.receipts {
		page, err := e.History(context.Background(), c, broker.Range{})
		if err != nil {
			return append(lost, fmt.Sprintf("history of %s: %v", c, err))
		}
		at, last := map[broker.Position]string{}, uint64(0)
		for _, m := range page.Messages {
			if m.Position.Offset <= last {
				lost = append(lost, fmt.Sprintf("%s: offset %d comes after %d", c, m.Position.Offset, last))
			}
			last = m.Position.Offset
			if strings.HasPrefix(m.ID, "old ") {
				lost = append(lost, fmt.Sprintf("%s: %s had expired and is there again", c, m.ID))
			}
			at[m.Position] = m.ID
		}
		if len(page.Messages) != page.Total || page.Last.Offset < last {
			lost = append(lost, fmt.Sprintf("%s: %d messages of %d, the last at %d of %d", c, len(page.Messages), page.Total, last, page.Last.Offset))
		}
		for i, a := range list {
			if at[a.at] != a.id && !l.removed[a.id] {
				lost = append(lost, fmt.Sprintf("%s: %s was acknowledged at %v", c, a.id, a.at))
			}
			if i < len(list)-3 {
				continue // the newest keys will do
			}
			if r, err := tryPublish(e, c, "again", broker.Append{Key: a.key, Keep: keep}); err != nil || !r.Duplicate || r.Position != a.at || r.ID != a.id {
				lost = append(lost, fmt.Sprintf("%s: repeating key %s gave %+v, %v", c, a.key, r, err))
			}
		}
	}
	for name, revision := range l.records {
		if r, err := s.Get(context.Background(), name); err != nil || r.Revision < revision {
			lost = append(lost, fmt.Sprintf("record %s was at revision %d, now %+v, %v", name, revision, r, err))
		}
	}
	return lost
}

func TestCrash_what_was_acknowledged_is_there_in_order_with_its_keys(t *testing.T) {
	limit := *crashTime // a machine that is slow has fewer crashes
	if testing.Short() {
		limit = time.Second
	}
	points.Store(0)
	for seed, began := uint64(0), time.Now(); points.Load() < 3000 && time.Since(began) < limit && !t.Failed(); seed++ {
		for _, what := range crash(t, FsyncAlways, seed, 30) {
			t.Errorf("seed %d: %s", seed, what)
		}
	}
	t.Logf("%d crashes", points.Load())
}

// The check must find out an engine that acknowledges before the disk has it.
func TestCrash_the_check_notices_what_is_acknowledged_too_early(t *testing.T) {
	for seed := range uint64(20) {
		if len(crash(t, FsyncNever, seed, 30)) > 0 {
			return
		}
	}
	t.Error("nothing was lost without fsync: the check sees nothing")
}
