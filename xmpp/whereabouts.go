package xmpp

import (
	"strings"
	"sync"
	"sync/atomic"
)

// whereabouts is who is online, as far as users have told the service: by presence sent to it, or because they let it
// subscribe to theirs. It is bounded; who does not fit counts as offline.
//
// Presence that was learnt on an earlier link is stale: what came while there was none is lost, and directed presence cannot be
// asked for again. Who is stale counts as online, whatever his show, until he is heard of.
type whereabouts struct {
	perUser, total int           // resources; static
	turnedAway     atomic.Uint64 // presences that did not fit

	mu    sync.RWMutex // guards the rest
	link  uint64       // which one it is
	users map[string]*whereabout
	count int // resources
}

// whereabout is where one user is.
type whereabout struct {
	link      uint64 // that this was learnt on
	resources map[string]shows
}

func newWhereabouts(perUser, total int) *whereabouts {
	return &whereabouts{perUser: perUser, total: total, users: make(map[string]*whereabout)}
}

// relinked makes all that is known stale.
func (w *whereabouts) relinked() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.link++
}

// arrive notes an available presence of a user's resource. It tells whether the resource is new, and whether the user is.
func (w *whereabouts) arrive(user, resource string, show shows) (freshResource, freshUser bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	u := w.users[user]
	if u != nil && u.link != w.link {
		w.count -= len(u.resources)
		_, was := u.resources[resource]
		u.link, u.resources = w.link, make(map[string]shows)
		if w.note(u, resource, show) {
			return !was, false
		}
		delete(w.users, user)
		return false, false
	}
	freshUser = u == nil
	if freshUser {
		u = &whereabout{link: w.link, resources: make(map[string]shows)}
	}
	_, was := u.resources[resource]
	if !w.note(u, resource, show) {
		return false, false
	}
	w.users[user] = u
	return !was, freshUser
}

// note puts a resource down if there is room; mu is held.
func (w *whereabouts) note(u *whereabout, resource string, show shows) bool {
	if _, known := u.resources[resource]; !known {
		if len(u.resources) >= w.perUser || w.count >= w.total && !w.forgetStale() {
			w.turnedAway.Add(1)
			return false
		}
		w.count++
	}
	u.resources[resource] = show
	return true
}

// forgetStale makes room by forgetting somebody who is stale, if a look at a few finds one; mu is held.
func (w *whereabouts) forgetStale() bool {
	looks := 0
	for user, u := range w.users {
		if u.link != w.link {
			w.count -= len(u.resources)
			delete(w.users, user)
			return true
		}
		if looks++; looks == 32 {
			break
		}
	}
	return false
}

// leave notes that a resource, or with "" the whole user, has gone, and tells whether the user is offline now.
func (w *whereabouts) leave(user, resource string) (offline bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	u := w.users[user]
	if u == nil {
		return true
	}
	if resource == "" {
		w.count -= len(u.resources)
		delete(w.users, user)
		return true
	}
	if _, was := u.resources[resource]; was {
		delete(u.resources, resource)
		w.count--
	}
	if len(u.resources) == 0 {
		delete(w.users, user)
		return true
	}
	return false
}

// present tells whether a JID of the user's is online, as one of those shows unless there are none. A bare JID is when any
// resource is.
func (w *whereabouts) present(user, jid string, as shows) bool {
	w.mu.RLock()
	defer w.mu.RUnlock()
	u := w.users[user]
	switch {
	case u == nil:
		return false
	case u.link != w.link:
		return true
	}
	if _, resource, full := strings.Cut(jid, "/"); full {
		show, ok := u.resources[resource]
		return ok && (as == 0 || as&show != 0)
	}
	for _, show := range u.resources {
		if as == 0 || as&show != 0 {
			return true
		}
	}
	return false
}

// knows tells whether anything fresh is known of a user.
func (w *whereabouts) knows(user string) bool {
	w.mu.RLock()
	defer w.mu.RUnlock()
	u := w.users[user]
	return u != nil && u.link == w.link
}

// size is how many resources are known.
func (w *whereabouts) size() int {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.count
}
