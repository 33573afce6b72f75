package disk

import "encoding/binary"

// A realm's mark is the database's salt and the number of times that a channel's messages were taken off the disk although no limit
// asked for it: because its rule came to keep nothing. The number is stored in the commit that takes them off, so that no restart
// brings an old mark back; the salt changes whenever what was acknowledged may be missing (prepare, reopen).
//
// Channels that keep nothing and are forgotten to make room do not count: a restart forgets them all, and they had nothing that a reader
// could have been given.

func markKey(realm string) []byte { return metaKey("forgotten " + realm) }

// readMark takes the number over from the disk; pebbleMu is held.
func (e *Engine) readMark() error {
	b, err := e.db.get(markKey(e.realm))
	if err != nil {
		return err
	}
	if len(b) == 8 {
		e.forgotten.Store(binary.BigEndian.Uint64(b))
	}
	return nil
}

// forget notes that messages of a channel are forgotten with this commit.
func (t *txn) forget(e *Engine) error {
	if t.forgotten == nil {
		t.forgotten = map[*Engine]uint64{}
	}
	if _, ok := t.forgotten[e]; !ok {
		t.forgotten[e] = e.forgotten.Load()
	}
	t.forgotten[e]++
	return t.batch.Set(markKey(e.realm), binary.BigEndian.AppendUint64(nil, t.forgotten[e]), nil)
}
