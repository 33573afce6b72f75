package xmpp

import (
	"hash/maphash"
	"slices"
	"sync"
	"time"
)

// chats keeps conversations from running in circles: an admin may be a program that answers everything it is told. What
// the service has said itself is not answered, a word that is no command once a minute, and nothing beyond a rate.
type chats struct {
	// Static.
	seed maphash.Seed
	rate int // answers in a minute

	mu sync.Mutex // guards the rest
	by map[string]*chatter
}

// chatter is one bare JID that chats.
type chatter struct {
	began  time.Time // of the minute that is counted
	count  int
	hinted time.Time
	said   []uint64 // the last answers to it
}

const (
	chatMinute = time.Minute
	maxChatter = 1_000 // beyond it somebody is forgotten: then his minute begins anew
	maxSaid    = 8
)

func newChats(seed maphash.Seed, rate int) *chats {
	return &chats{seed: seed, rate: rate, by: make(map[string]*chatter)}
}

// admit tells whether a text may be answered, and counts it.
func (h *chats) admit(user, text string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.by[user]
	if c == nil {
		if len(h.by) >= maxChatter {
			for other := range h.by {
				delete(h.by, other)
				break
			}
		}
		c = &chatter{}
		h.by[user] = c
	}
	if now := time.Now(); now.Sub(c.began) >= chatMinute {
		c.began, c.count = now, 0
	}
	if slices.Contains(c.said, maphash.String(h.seed, text)) || c.count >= h.rate {
		return false
	}
	c.count++
	return true
}

// hint tells whether it is time again to say what the service understands.
func (h *chats) hint(user string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.by[user]
	now := time.Now()
	if c == nil || !c.hinted.IsZero() && now.Sub(c.hinted) < chatMinute {
		return false
	}
	c.hinted = now
	return true
}

// said remembers an answer.
func (h *chats) said(user, text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c := h.by[user]; c != nil {
		if len(c.said) >= maxSaid {
			c.said = slices.Delete(c.said, 0, 1)
		}
		c.said = append(c.said, maphash.String(h.seed, text))
	}
}
