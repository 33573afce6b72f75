package disk

import (
	"context"
	"encoding/binary"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"waft/broker"
)

// Store is one realm's records.
type Store struct {
	db     *DB
	prefix []byte
	realm  string
}

var _ broker.Store = (*Store)(nil)

// Store gives a realm's records. They share commits with its messages.
func (d *DB) Store(realm string) *Store { return &Store{d, inRealm(recordKind, realm), realm} }

func decodeRecord(key string, b []byte) (broker.Record, error) {
	if len(b) < 8 {
		return broker.Record{}, errRecord
	}
	return broker.Record{Key: key, Revision: binary.BigEndian.Uint64(b), Value: b[8:]}, nil
}

// Get implements broker.Store.
func (s *Store) Get(_ context.Context, key string) (broker.Record, error) {
	s.db.pebbleMu.RLock()
	defer s.db.pebbleMu.RUnlock()
	b, err := s.db.get(join(s.prefix, key))
	if err != nil {
		return broker.Record{}, unavailable(err)
	}
	if b == nil {
		return broker.Record{}, errNoRecord(key)
	}
	r, err := decodeRecord(key, b)
	if err != nil {
		return broker.Record{}, unavailable(err)
	}
	return r, nil
}

func errNoRecord(key string) error {
	return broker.Errorf(broker.NotFound, "there is no record %s", broker.Quote(key))
}

// Put implements broker.Store.
func (s *Store) Put(ctx context.Context, r broker.Record) (revision uint64, err error) {
	key := join(s.prefix, r.Key)
	err = s.db.do(ctx, &op{grows: true, run: func(t *txn) error {
		b, err := t.get(key)
		if err != nil {
			return err
		}
		var now uint64
		if len(b) >= 8 {
			now = binary.BigEndian.Uint64(b)
		}
		if now != r.Revision {
			return broker.Errorf(broker.Conflict, "record %s is at revision %d, not %d", broker.Quote(r.Key), now, r.Revision)
		}
		t.revision++
		revision = t.revision
		if err := t.batch.Set(key, append(binary.BigEndian.AppendUint64(nil, revision), r.Value...), nil); err != nil {
			return t.fatal(err)
		}
		return nil
	}})
	if err != nil {
		return 0, err
	}
	return revision, nil
}

// Delete implements broker.Store.
func (s *Store) Delete(ctx context.Context, key string) error {
	full := join(s.prefix, key)
	return s.db.do(ctx, &op{run: func(t *txn) error {
		b, err := t.get(full)
		switch {
		case err != nil:
			return err
		case b == nil:
			return errNoRecord(key)
		}
		if err := t.batch.Delete(full, nil); err != nil {
			return t.fatal(err)
		}
		return nil
	}})
}

// Scan implements broker.Store.
func (s *Store) Scan(_ context.Context, prefix string, yield func(broker.Record) bool) error {
	from := join(s.prefix, prefix)
	for end := after(from); ; {
		page, err := s.some(from, end)
		if err != nil {
			return unavailable(err)
		}
		for _, r := range page {
			if !yield(r) {
				return nil
			}
		}
		if len(page) < scanPage {
			return nil
		}
		from = append(join(s.prefix, page[len(page)-1].Key), 0)
	}
}

// scanPage is how many records are read at a time; yield may write, so nothing is held meanwhile.
const scanPage = 1000

// some reads the first records of a range.
func (s *Store) some(from, end []byte) (page []broker.Record, err error) {
	s.db.pebbleMu.RLock()
	defer s.db.pebbleMu.RUnlock()
	if s.db.pebble == nil {
		return nil, errBlown
	}
	it, err := s.db.pebble.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: end})
	if err != nil {
		return nil, err
	}
	defer it.Close()
	for ok := it.First(); ok && len(page) < scanPage; ok = it.Next() {
		r, err := decodeRecord(string(it.Key()[len(s.prefix):]), slices.Clone(it.Value()))
		if err != nil {
			return nil, err
		}
		page = append(page, r)
	}
	return page, it.Error()
}
