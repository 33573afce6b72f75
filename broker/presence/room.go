package presence

import (
	"time"

	"waft/broker"
)

// room is one channel whose presence is told.
type room struct {
	channel broker.Channel // static

	// guarded by Tracker.mu
	timer     *broker.Timer
	scheduled bool      // to be looked at,
	at        time.Time // then
	asked     bool      // somebody new hears the presence channel

	// owned by who tells
	members   map[string]*member
	visit     uint64 // number of this look
	anonymous crowd
	told      int // of anonymous
}

// member is one subject.
type member struct {
	seen uint64    // the last look at which it was there
	gone time.Time // the first one at which it was not; zero while it is there
	told bool      // that it has joined
}

func (r *room) empty() bool { return len(r.members) == 0 && r.told == 0 && r.anonymous.shown == 0 }

// longestSubject is how many bytes a subject may have that is remembered and told; longer ones count as anonymous.
const longestSubject = 256

// visit looks who is there and tells what has changed. next is when there is something to look at again though nothing happens, 0
// for never; told is false if it could not be published, and all is as before.
func (t *Tracker) visit(r *room, asked bool) (next time.Duration, told bool) {
	now := time.Now()
	r.visit++
	anonymous := 0
	for subject := range t.broker.Readers(broker.Pattern(r.channel)) {
		if !t.mark(r, subject) {
			anonymous++
		}
	}
	var c change
	again := r.anonymous.count(anonymous, now, t.opts.Grace)
	for subject, m := range r.members {
		switch {
		case m.seen == r.visit:
			m.gone = time.Time{}
			c.present(subject, m)
		case !m.told: // came and went between two looks
			t.forget(r, subject)
		default:
			if m.gone.IsZero() {
				m.gone = now
			}
			if left := m.gone.Add(t.opts.Grace); now.Before(left) {
				again = earlier(again, left)
				c.present(subject, m)
			} else {
				c.left = append(c.left, subject)
			}
		}
	}
	c.anonymous = r.anonymous.shown
	if asked || len(c.joined)+len(c.left) > 0 || c.anonymous != r.told {
		if err := t.publish(r.channel, &c, asked); err != nil {
			t.counters.failed.Add(1)
			return 0, false
		}
		t.counters.published.Add(1)
	}
	for _, subject := range c.joined {
		r.members[subject].told = true
	}
	for _, subject := range c.left {
		t.forget(r, subject)
	}
	r.told = c.anonymous
	if !again.IsZero() {
		next = max(again.Sub(now), 1)
	}
	return next, true
}

// mark notes that the subject is there. It is false for one that is not to be named.
func (t *Tracker) mark(r *room, subject string) bool {
	if subject == "" || len(subject) > longestSubject {
		return false
	}
	m := r.members[subject]
	if m == nil {
		if t.members >= t.opts.MaxMembers {
			t.counters.unnamed.Add(1)
			return false
		}
		if r.members == nil {
			r.members = map[string]*member{}
		}
		m = &member{}
		r.members[subject] = m
		t.members++
		t.counters.members.Add(1)
	}
	m.seen = r.visit
	return true
}

func (t *Tracker) forget(r *room, subject string) {
	delete(r.members, subject)
	t.members--
	t.counters.members.Add(-1)
}

// crowd is the number of those who have no name, and cannot be told apart. What it shows falls when fewer have been there for all of the
// grace, to the most that were there in it; so who comes back in time is not seen to have left.
type crowd struct {
	shown int
	since time.Time // since when there are fewer; zero: there are not
	most  int       // that were there since
}

// count says how many are there, and gives when to count again; zero for not before something happens.
func (c *crowd) count(n int, now time.Time, grace time.Duration) (again time.Time) {
	if n >= c.shown {
		*c = crowd{shown: n}
		return time.Time{}
	}
	if !c.since.IsZero() {
		c.most = max(c.most, n)
		if end := c.since.Add(grace); now.Before(end) {
			return end
		}
		c.shown = c.most
		if n == c.shown {
			c.since = time.Time{}
			return time.Time{}
		}
	}
	c.since, c.most = now, n
	return now.Add(grace)
}

// earlier is the earlier of two times; zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}
