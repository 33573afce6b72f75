package broker

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
)

// MemoryStore is a Store in RAM: it lasts as long as the process.
type MemoryStore struct {
	mu       sync.RWMutex // guards the rest
	records  map[string]Record
	revision uint64
}

var _ Store = (*MemoryStore)(nil)

// NewMemoryStore makes an empty store.
func NewMemoryStore() *MemoryStore { return &MemoryStore{records: map[string]Record{}} }

// Get implements Store.
func (s *MemoryStore) Get(_ context.Context, key string) (Record, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	r, ok := s.records[key]
	if !ok {
		return Record{}, Errorf(NotFound, "there is no record %s", Quote(key))
	}
	r.Value = bytes.Clone(r.Value)
	return r, nil
}

// Put implements Store.
func (s *MemoryStore) Put(_ context.Context, r Record) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.records[r.Key].Revision; now != r.Revision {
		return 0, Errorf(Conflict, "record %s is at revision %d, not %d", Quote(r.Key), now, r.Revision)
	}
	s.revision++
	r.Revision, r.Value = s.revision, bytes.Clone(r.Value)
	s.records[r.Key] = r
	return r.Revision, nil
}

// Delete implements Store.
func (s *MemoryStore) Delete(_ context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.records[key]; !ok {
		return Errorf(NotFound, "there is no record %s", Quote(key))
	}
	delete(s.records, key)
	return nil
}

// Scan implements Store. It yields the records as they were when it was called.
func (s *MemoryStore) Scan(_ context.Context, prefix string, yield func(Record) bool) error {
	s.mu.RLock()
	var found []Record
	for _, key := range slices.Sorted(maps.Keys(s.records)) {
		if strings.HasPrefix(key, prefix) {
			r := s.records[key]
			r.Value = bytes.Clone(r.Value)
			found = append(found, r)
		}
	}
	s.mu.RUnlock()
	for _, r := range found {
		if !yield(r) {
			break
		}
	}
	return nil
}
