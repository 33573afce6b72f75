package brokertest

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"testing"

	"waft/broker"
)

type jsonText = json.RawMessage

// RunStore holds a store against the contract of broker.Store. open gives an empty one.
func RunStore(t *testing.T, open func(t *testing.T) broker.Store) {
	ctx := context.Background()
	put := func(t *testing.T, s broker.Store, key, value string, revision uint64) uint64 {
		t.Helper()
		r, err := s.Put(ctx, broker.Record{Key: key, Value: []byte(value), Revision: revision})
		if err != nil {
			t.Fatalf("put %s at revision %d: %v", key, revision, err)
		}
		return r
	}
	t.Run("what is put can be got, and is nobody else's memory", func(t *testing.T) {
		s := open(t)
		value := []byte("one")
		revision, err := s.Put(ctx, broker.Record{Key: "k", Value: value})
		if err != nil {
			t.Fatal(err)
		}
		value[0] = 'X'
		got, err := s.Get(ctx, "k")
		if err != nil || string(got.Value) != "one" || got.Revision != revision || got.Key != "k" {
			t.Fatalf("got %+v, %v", got, err)
		}
		got.Value[0] = 'X'
		if got, _ := s.Get(ctx, "k"); string(got.Value) != "one" {
			t.Error("changing what was got changed the store")
		}
	})
	t.Run("a stale or invented revision conflicts", func(t *testing.T) {
		s := open(t)
		first := put(t, s, "k", "one", 0)
		put(t, s, "k", "two", first)
		for _, stale := range []uint64{0, first, first + 100} {
			if _, err := s.Put(ctx, broker.Record{Key: "k", Value: []byte("x"), Revision: stale}); broker.KindOf(err) != broker.Conflict {
				t.Errorf("put at revision %d: %v", stale, err)
			}
		}
		if got, _ := s.Get(ctx, "k"); string(got.Value) != "two" {
			t.Errorf("the record is %q", got.Value)
		}
	})
	t.Run("one of many writers wins", func(t *testing.T) {
		s := open(t)
		var wg sync.WaitGroup
		errs := make([]error, 16)
		for i := range errs {
			wg.Go(func() { _, errs[i] = s.Put(ctx, broker.Record{Key: "k", Value: []byte{byte(i)}}) })
		}
		wg.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else if broker.KindOf(err) != broker.Conflict {
				t.Error(err)
			}
		}
		if won != 1 {
			t.Errorf("%d writers won", won)
		}
	})
	t.Run("what is missing is not found", func(t *testing.T) {
		s := open(t)
		if _, err := s.Get(ctx, "none"); broker.KindOf(err) != broker.NotFound {
			t.Errorf("get: %v", err)
		}
		if err := s.Delete(ctx, "none"); broker.KindOf(err) != broker.NotFound {
			t.Errorf("delete: %v", err)
		}
		put(t, s, "k", "one", 0)
		if err := s.Delete(ctx, "k"); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Get(ctx, "k"); broker.KindOf(err) != broker.NotFound {
			t.Errorf("get after delete: %v", err)
		}
		put(t, s, "k", "again", 0)
	})
	t.Run("scan goes by prefix, in order, until told to stop", func(t *testing.T) {
		s := open(t)
		for _, k := range []string{"b/2", "a/1", "b/1", "b/3", "c"} {
			put(t, s, k, k, 0)
		}
		scan := func(prefix string, most int) (keys []string) {
			err := s.Scan(ctx, prefix, func(r broker.Record) bool {
				keys = append(keys, string(r.Value))
				return len(keys) < most
			})
			if err != nil {
				t.Fatal(err)
			}
			return keys
		}
		if got := scan("b/", 99); !slices.Equal(got, []string{"b/1", "b/2", "b/3"}) {
			t.Errorf("scan b/: %q", got)
		}
		if got := scan("", 2); !slices.Equal(got, []string{"a/1", "b/1"}) {
			t.Errorf("scan of the first two: %q", got)
		}
	})
}
