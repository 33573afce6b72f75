package disk

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"waft/broker"
)

// The crash tests run a database on a file system that forgets at a crash what was not synced, take copies of it at random
// moments as a crash then would have left it, and hold against them what had been acknowledged by then.

// ledger is what was acknowledged.
type ledger struct {
	mu       sync.Mutex
	receipts map[broker.Channel][]acknowledged
	records  map[string]uint64
	removed  map[string]bool
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
		c.receipts[k] = v[:len(v):len(v)]
	}
	for k, v := range l.records {
		c.records[k] = v
	}
	for k := range l.removed {
		c.removed[k] = true
	}
	return c
}

// crash runs publishers, and takes copies of the file system while they work.
func crash(t *testing.T, fsync Fsync, seed uint64, crashes int) (lost []string) {
	fs := vfs.NewCrashableMem()
	d := openDB(t, Options{Dir: "data", fs: fs, Fsync: fsync})
	e, s := start(t, d), d.Store("default")
	l := &ledger{receipts: map[broker.Channel][]acknowledged{}, records: map[string]uint64{}, removed: map[string]bool{}}
	ctx, cancel := context.WithCancel(context.Background())
	var working sync.WaitGroup
	for p := range 4 {
		working.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(p)))
			for i := 0; ctx.Err() == nil; i++ {
				c := broker.Channel("/c/" + strconv.Itoa(random.IntN(3)))
				id := fmt.Sprintf("%d-%d", p, i)
				r, err := tryPublish(e, c, id, broker.Append{Key: id, Keep: broker.Retention{Size: 100_000}, Replace: true})
				if err != nil {
					t.Errorf("publish: %v", err)
					return
				}
				l.mu.Lock()
				l.receipts[c] = append(l.receipts[c], acknowledged{id, id, r.Position})
				l.mu.Unlock()
				switch random.IntN(8) {
				case 0:
					name := fmt.Sprintf("r%d", p)
					l.mu.Lock()
					revision := l.records[name]
					l.mu.Unlock()
					if revision, err = s.Put(ctx, broker.Record{Key: name, Value: []byte(id), Revision: revision}); err != nil {
						if ctx.Err() == nil {
							t.Errorf("put: %v", err)
						}
						return
					}
					l.mu.Lock()
					l.records[name] = revision
					l.mu.Unlock()
				case 1:
					l.mu.Lock()
					l.removed[id] = true // from now on it may be gone
					l.mu.Unlock()
					if err := e.Remove(context.Background(), c, id, false); err != nil {
						t.Errorf("remove: %v", err)
					}
				}
			}
		})
	}
	random := rand.New(rand.NewPCG(seed, 99))
	for range crashes {
		time.Sleep(time.Duration(random.IntN(2000)) * time.Microsecond) // a crash comes when it comes
		before := l.copy()
		dead := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 0, 30, 100}[random.IntN(4)], RNG: rand.New(rand.NewPCG(seed, random.Uint64()))})
		lost = append(lost, before.missing(t, dead, fsync)...)
		if len(lost) > 5 {
			break
		}
	}
	cancel()
	working.Wait()
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
	rounds := 40
	if testing.Short() {
		rounds = 5
	}
	began, crashes := time.Now(), 0
	for seed := range uint64(rounds) {
		for _, what := range crash(t, FsyncAlways, seed, 50) {
			t.Errorf("seed %d: %s", seed, what)
		}
		if crashes += 50; t.Failed() || time.Since(began) > 12*time.Second {
			break
		}
	}
	t.Logf("%d crashes", crashes)
}

// The check must find out an engine that acknowledges before the disk has it.
func TestCrash_the_check_notices_what_is_acknowledged_too_early(t *testing.T) {
	for seed := range uint64(20) {
		if len(crash(t, FsyncNever, seed, 10)) > 0 {
			return
		}
	}
	t.Error("nothing was lost without fsync: the check sees nothing")
}
