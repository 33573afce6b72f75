package xmpp

import (
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"waft/broker"
)

// leaf is a channel that somebody has made a node of his own. What the rules open is a node without it; a leaf adds
// owners, a configuration and affiliations. It is never changed: a change makes another.
type leaf struct {
	Version      int                    `json:"v"`
	Channel      broker.Channel         `json:"channel"`
	Created      time.Time              `json:"created"`
	Creator      string                 `json:"creator"` // bare JID; the node counts in his limit whoever owns it later
	Config       config                 `json:"config"`
	Affiliations map[string]affiliation `json:"affiliations"` // by bare JID; never "none"

	revision uint64 // of the record
	shuts    bool   // somebody among the affiliations may not read though everybody may
}

// leafVersion is the version of the record that is written, and the only one that is read.
const leafVersion = 1

func newLeaf(c broker.Channel, creator string, conf config) *leaf {
	return &leaf{
		Version: leafVersion, Channel: c, Created: time.Now().UTC().Truncate(time.Second), Creator: creator, Config: conf,
		Affiliations: map[string]affiliation{creator: affOwner},
	}
}

// copy is a leaf to be changed.
func (l *leaf) copy() *leaf {
	other := *l
	other.Affiliations = maps.Clone(l.Affiliations)
	return &other
}

// seal finishes a leaf: from now on it is not changed.
func (l *leaf) seal(revision uint64) *leaf {
	l.revision, l.shuts = revision, false
	for _, a := range l.Affiliations {
		l.shuts = l.shuts || a == affOutcast || a == affPublishOnly
	}
	return l
}

// config is how a channel is set up: by its leaf, if it has one. It is shared: read only.
func (l *leaf) config() *config {
	if l == nil {
		return &unclaimed
	}
	return &l.Config
}

// readLeaf reads a record. A record that cannot be read must not be passed over: it may be all that keeps a node closed.
func readLeaf(r broker.Record) (*leaf, error) {
	l := &leaf{Config: defaultConfig()}
	if err := json.Unmarshal(r.Value, l); err != nil {
		return nil, fmt.Errorf("xmpp: record %s: %w", broker.Quote(r.Key), err)
	}
	if l.Version != leafVersion {
		return nil, fmt.Errorf("xmpp: record %s is of version %d; this waft knows version %d", broker.Quote(r.Key), l.Version, leafVersion)
	}
	if _, err := broker.ParseChannel(string(l.Channel)); err != nil {
		return nil, fmt.Errorf("xmpp: record %s: %w", broker.Quote(r.Key), err)
	}
	return l.seal(r.Revision), nil
}
