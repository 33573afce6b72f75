package disk

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"waft/broker"
)

// faults is what a check finds in a database that is closed.
func faults(t testing.TB, dir string, fs vfs.FS) []string {
	t.Helper()
	r, err := read(dir, fs)
	if err != nil {
		return []string{fmt.Sprintf("opening it to check: %v", err)}
	}
	defer r.Close()
	report, err := r.Check(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return report.Faults
}

// filled is a closed database that has something of everything.
func filled(t *testing.T) Options {
	t.Helper()
	o := inMemory()
	d := openDB(t, o)
	e := start(t, d)
	for i := range 100 {
		publish(t, e, "/a", fmt.Sprint(i%40), broker.Append{Keep: broker.Retention{Size: 30}, Replace: i%2 == 0, Key: fmt.Sprint(i)})
	}
	publish(t, e, "/b", "1", broker.Append{Keep: broker.Retention{Size: 30, Age: time.Hour}})
	m := &broker.Message{Channel: "/b", ID: "2", Formats: map[string]jsonText{"http-stream": jsonText(`{"content":"x"}`)}, Publisher: "p", Time: time.Now()}
	if _, err := e.Publish(context.Background(), broker.Append{Message: m, Keep: keep}); err != nil {
		t.Fatal(err)
	}
	publish(t, e, "/gone", "1", broker.Append{Keep: keep})
	publish(t, e, "/gone", "1", broker.Append{})
	if _, err := d.Store("default").Put(context.Background(), broker.Record{Key: "k", Value: []byte("v")}); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestCheck_a_good_database_has_no_faults(t *testing.T) {
	o := filled(t)
	r, err := read(o.Dir, o.fs)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	report, err := r.Check(context.Background())
	if err != nil || len(report.Faults) > 0 || report.Realms != 1 || report.Channels != 2 || report.Messages < 32 || report.Keys != 100 || report.Records != 1 || report.Bytes == 0 {
		t.Errorf("the report is %+v, %v", report, err)
	}
}

func TestCheck_finds_what_does_not_fit(t *testing.T) {
	a := channelKey(messageKind, "default", "/a")
	set := func(key, value []byte) func(*pebble.DB) error {
		return func(p *pebble.DB) error { return p.Set(key, value, pebble.Sync) }
	}
	remove := func(key []byte) func(*pebble.DB) error {
		return func(p *pebble.DB) error { return p.Delete(key, pebble.Sync) }
	}
	change := func(key []byte, f func([]byte) []byte) func(*pebble.DB) error {
		return func(p *pebble.DB) error {
			b, err := own(p.Get(key))
			if err != nil {
				return err
			}
			return p.Set(key, f(b), pebble.Sync)
		}
	}
	ofHead := func(f func(*head)) func(*pebble.DB) error {
		return change(headKey("default", "/a"), func(b []byte) []byte {
			h, _ := decodeHead(b)
			f(&h)
			return h.encode()
		})
	}
	item := func(id string) []byte { return join(channelKey(itemKind, "default", "/a"), id) }
	eight := func(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
	for name, c := range map[string]struct {
		tamper func(*pebble.DB) error
		want   string
	}{
		"a message is missing":          {remove(offsetKey(a, 100)), "it has 29 messages, and counts 30"},
		"a message too many":            {set(offsetKey(a, 101), []byte{0}), "message 101 is outside of its history"},
		"a message is cut":              {change(offsetKey(a, 100), func(b []byte) []byte { return b[:len(b)-1] }), "message 100 cannot be read"},
		"a message is no JSON":          {change(offsetKey(a, 100), func(b []byte) []byte { b[len(b)-2] = 0; return b }), "message 100 is not JSON"},
		"a message has another id":      {change(offsetKey(a, 100), func(b []byte) []byte { return []byte(strings.Replace(string(b), "19", "77", 1)) }), "is missing in the index of ids"},
		"a head counts wrong":           {ofHead(func(h *head) { h.count-- }), "it has 30 messages, and counts 29"},
		"a head weighs wrong":           {ofHead(func(h *head) { h.bytes++ }), "bytes, and it counts"},
		"a head makes no sense":         {ofHead(func(h *head) { h.swept = h.lost + 1 }), "its head makes no sense"},
		"a head cannot be read":         {set(headKey("default", "/a"), []byte("x")), "its head cannot be read"},
		"a head is missing":             {remove(headKey("default", "/a")), "there are messages, and no head"},
		"a head of no channel":          {set(headKey("default", "a b"), nil), "does not begin with a slash"},
		"an item is missing":            {remove(item("19")), `"19", is missing in the index of ids`},
		"an item is of another message": {set(item("19"), eight(99)), `which it is not`},
		"an item of nothing":            {set(item("none"), eight(7)), `which it is not`},
		"a record is cut":               {set(append(inRealm(recordKind, "default"), "k"...), []byte("x")), `record "k" cannot be read`},
		"a receipt is cut":              {set(keyKey(7, "default", "/a", "k"), []byte("x")), "an idempotency key of channel /a cannot be read"},
		"a receipt lies elsewhere":      {set(keyKey(7, "default", "/a", "k"), receipt{used: 9 * bucketSpan}.encode()), "lies with those of another minute"},
		"an unknown kind":               {set([]byte("zzz"), nil), "unknown kind 'z'"},
		"no salt":                       {remove(metaSalt), `"salt" is missing`},
	} {
		t.Run(name, func(t *testing.T) {
			o := filled(t)
			p, err := pebble.Open(o.Dir, &pebble.Options{FS: o.fs, FormatMajorVersion: formatOfPebble, Logger: quiet{}})
			if err != nil {
				t.Fatal(err)
			}
			if err := c.tamper(p); err != nil {
				t.Fatal(err)
			}
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
			got := faults(t, o.Dir, o.fs)
			if c.want == "" && len(got) == 0 {
				return
			}
			if c.want == "" || !slices.ContainsFunc(got, func(f string) bool { return strings.Contains(f, c.want) }) {
				t.Errorf("found was %q, want %q", got, c.want)
			}
		})
	}
}

func TestRead_says_what_is_wrong(t *testing.T) {
	if _, err := read("nowhere", vfs.NewMem()); broker.KindOf(err) != broker.NotFound {
		t.Errorf("no directory: %v", err)
	}
	empty := vfs.NewMem()
	if err := empty.MkdirAll("data", 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := read("data", empty); broker.KindOf(err) != broker.NotFound || !strings.Contains(err.Error(), "no database in data") {
		t.Errorf("no database: %v", err)
	}
	dir := t.TempDir()
	d := openDB(t, Options{Dir: dir})
	if _, err := Read(dir); broker.KindOf(err) != broker.Conflict {
		t.Errorf("in use: %v", err)
	}
	if err := d.pebble.Set(metaFormat, []byte{0, 0, 0, 0, 0, 0, 0, format + 1}, pebble.Sync); err != nil {
		t.Fatal(err)
	}
	d.Close()
	if _, err := Read(dir); err == nil || !strings.Contains(err.Error(), "has format 2") {
		t.Errorf("a newer format: %v", err)
	}
}
