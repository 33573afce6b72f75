package xmpp

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"waft/broker"
)

// registry is the leaves: the records of the Store, and all of them in memory, where every publish, read and event
// looks. What it shows has been stored.
type registry struct {
	// Static.
	store          broker.Store
	prefix         string // of the records' keys
	perUser, total int

	// change is held while the store is asked to write, so that memory and store change in one order. Only workers
	// wait for it, and only those that change a node. Taken before mu.
	change sync.Mutex

	mu     sync.RWMutex // guards the rest; to write it takes change as well
	leaves map[broker.Channel]*leaf
	made   map[string]int // leaves by creator
}

func newRegistry(store broker.Store, domain string, perUser, total int) *registry {
	return &registry{
		store: store, prefix: "xmpp/" + domain + "/node", perUser: perUser, total: total,
		leaves: make(map[broker.Channel]*leaf), made: make(map[string]int),
	}
}

// load reads all records. Nothing else may be called before it has returned.
func (g *registry) load(ctx context.Context) error {
	var bad error
	err := g.store.Scan(ctx, g.prefix+"/", func(r broker.Record) bool {
		var l *leaf
		if l, bad = readLeaf(r); bad == nil {
			g.set(l)
		}
		return bad == nil
	})
	if err == nil {
		err = bad
	}
	return err
}

// get is the leaf of a channel, or nil.
func (g *registry) get(c broker.Channel) *leaf {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.leaves[c]
}

// all gives the leaves that pass, in no order.
func (g *registry) all(pass func(*leaf) bool) []*leaf {
	g.mu.RLock()
	defer g.mu.RUnlock()
	var found []*leaf
	for _, l := range g.leaves {
		if pass(l) {
			found = append(found, l)
		}
	}
	return found
}

// size is how many leaves there are.
func (g *registry) size() int {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return len(g.leaves)
}

func (g *registry) set(l *leaf) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.leaves[l.Channel] == nil {
		g.made[l.Creator]++
	}
	g.leaves[l.Channel] = l
}

func (g *registry) unset(l *leaf) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.leaves, l.Channel)
	if g.made[l.Creator]--; g.made[l.Creator] <= 0 {
		delete(g.made, l.Creator)
	}
}

// create stores a new leaf. Errors: errNodeExists, errTooManyNodes, errTooManyNodesInAll, the store's.
func (g *registry) create(ctx context.Context, l *leaf) error {
	g.change.Lock()
	defer g.change.Unlock()
	switch {
	case g.get(l.Channel) != nil:
		return errNodeExists
	case g.made[l.Creator] >= g.perUser:
		return errTooManyNodes
	case len(g.leaves) >= g.total:
		return errTooManyNodesInAll
	}
	revision, err := g.put(ctx, l, 0)
	if err != nil && broker.KindOf(err) == broker.Conflict {
		return errNodeExists // another process was faster
	}
	if err == nil {
		g.set(l.seal(revision))
	}
	return err
}

// maxTries is how often a change is tried again because somebody else has changed the record meanwhile.
const maxTries = 8

// update changes the leaf of a channel: change is given a copy, and again another one when the record was not what it
// had been. Errors: errNoNode, change's, the store's.
func (g *registry) update(ctx context.Context, c broker.Channel, change func(*leaf) error) (*leaf, error) {
	g.change.Lock()
	defer g.change.Unlock()
	now := g.get(c)
	for try := 1; ; try++ {
		if now == nil {
			return nil, errNoNode
		}
		next := now.copy()
		if err := change(next); err != nil {
			return nil, err
		}
		revision, err := g.put(ctx, next, now.revision)
		if err == nil {
			g.set(next.seal(revision))
			return next, nil
		}
		if broker.KindOf(err) != broker.Conflict || try == maxTries {
			return nil, err
		}
		if now, err = g.reread(ctx, now); err != nil {
			return nil, err
		}
	}
}

// reread takes over what the store has of a leaf.
func (g *registry) reread(ctx context.Context, old *leaf) (*leaf, error) {
	r, err := g.store.Get(ctx, g.key(old.Channel))
	if err != nil {
		if broker.KindOf(err) == broker.NotFound {
			g.unset(old)
			return nil, nil
		}
		return nil, err
	}
	l, err := readLeaf(r)
	if err == nil {
		g.set(l)
	}
	return l, err
}

// delete removes a leaf. Errors: the store's.
func (g *registry) delete(ctx context.Context, c broker.Channel) error {
	g.change.Lock()
	defer g.change.Unlock()
	l := g.get(c)
	if l == nil {
		return errNoNode
	}
	if err := g.store.Delete(ctx, g.key(c)); err != nil && broker.KindOf(err) != broker.NotFound {
		return err
	}
	g.unset(l)
	return nil
}

func (g *registry) put(ctx context.Context, l *leaf, revision uint64) (uint64, error) {
	value, err := json.Marshal(l)
	if err != nil {
		return 0, fmt.Errorf("xmpp: writing the record of %s: %w", l.Channel, err)
	}
	return g.store.Put(ctx, broker.Record{Key: g.key(l.Channel), Value: value, Revision: revision})
}

func (g *registry) key(c broker.Channel) string { return g.prefix + string(c) }
