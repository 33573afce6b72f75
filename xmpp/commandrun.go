package xmpp

import (
	"crypto/rand"
	"hash/maphash"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"
)

// runs are the commands that somebody has begun: the sessions of XEP-0050. They are bounded by user and in all, and end
// when nothing has come for a while. What is out of date is taken away when room is needed.
type runs struct {
	// Static.
	seed           maphash.Seed
	perUser, total int
	ttl            time.Duration

	mu    sync.Mutex // guards the rest, and which runs there are
	byID  map[string]*run
	users map[string]int // runs by bare JID as sent
}

// run is one execution of a command. It belongs to its requester, whose stanzas one worker handles in order; only used
// is guarded by runs.mu.
type run struct {
	// Static.
	id    string
	owner string // full JID as sent
	cmd   *command

	stage int
	in    map[string][]string // of the stages before, and what they were shown with

	used time.Time
}

// maxRunBytes bounds what a run keeps between its stages. What completes a command is not kept.
const maxRunBytes = 16 << 10

func newRuns(seed maphash.Seed, perUser, total int, ttl time.Duration) *runs {
	return &runs{seed: seed, perUser: perUser, total: total, ttl: ttl, byID: make(map[string]*run), users: make(map[string]int)}
}

// id makes a session's id: never given twice, and with a mark of its owner, so that what has ended can be told from what
// never was without a table (XEP-0050 §4.4: session-expired and bad-sessionid).
func (h *runs) id(owner string) string {
	text := rand.Text()
	return text + "-" + h.mark(text, owner)
}

func (h *runs) mark(text, owner string) string {
	return strconv.FormatUint(maphash.Comparable(h.seed, [2]string{text, owner}), 36)
}

// open begins a run. What was said at once goes before what a form shows by itself. Errors: errTooManyRuns,
// errTooManyRunsInAll, errBadPayload.
func (h *runs) open(owner string, cmd *command, in map[string][]string) (*run, error) {
	if sizeOf(in) > maxRunBytes {
		return nil, errBadPayload.saying("the form is not complete, and too big to be kept")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	user := bare(owner)
	if h.users[user] >= h.perUser || len(h.byID) >= h.total {
		h.expire()
	}
	switch {
	case h.users[user] >= h.perUser:
		return nil, errTooManyRuns
	case len(h.byID) >= h.total:
		return nil, errTooManyRunsInAll
	}
	r := &run{id: h.id(owner), owner: owner, cmd: cmd, in: in, used: time.Now()}
	h.byID[r.id] = r
	h.users[user]++
	return r, nil
}

// find gives a requester's run of a command. Errors: errBadSessionID, errSessionExpired.
func (h *runs) find(id, owner string, cmd *command) (*run, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.byID[id]
	now := time.Now()
	switch {
	case r != nil && r.owner == owner && r.cmd == cmd:
		if now.Sub(r.used) < h.ttl {
			r.used = now
			return r, nil
		}
		h.remove(r)
		return nil, errSessionExpired
	case r == nil:
		if text, mark, ok := strings.Cut(id, "-"); ok && mark == h.mark(text, owner) {
			return nil, errSessionExpired
		}
	}
	return nil, errBadSessionID
}

// close ends a run; one that has never been open, too.
func (h *runs) close(r *run) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.remove(r)
}

// drop ends the runs of exactly this JID: the client is gone.
func (h *runs) drop(owner string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.users[bare(owner)] == 0 {
		return
	}
	for _, r := range h.byID {
		if r.owner == owner {
			h.remove(r)
		}
	}
}

// size is how many runs are open.
func (h *runs) size() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.byID)
}

// expire takes away what is out of date; mu is held.
func (h *runs) expire() {
	now := time.Now()
	for _, r := range h.byID {
		if now.Sub(r.used) >= h.ttl {
			h.remove(r)
		}
	}
}

// remove takes a run off; mu is held.
func (h *runs) remove(r *run) {
	if h.byID[r.id] != r {
		return
	}
	delete(h.byID, r.id)
	user := bare(r.owner)
	if h.users[user]--; h.users[user] == 0 {
		delete(h.users, user)
	}
}

// actions are what can be done at this stage, what execute stands for first (XEP-0050 §2.4.3). Cancelling is always
// possible.
func (r *run) actions() []action {
	var list []action
	last := r.stage == len(r.cmd.stages)-1
	if !last {
		list = append(list, actNext)
		later := r.cmd.stages[r.stage+1:]
		done := true
		for _, stage := range later {
			done = done && missing(stage, r.in) == ""
		}
		if done {
			list = append(list, actComplete)
		}
	} else {
		list = append(list, actComplete)
	}
	if r.stage > 0 {
		list = append(list, actPrev)
	}
	return list
}

// with gives what is known when in has been submitted at the present stage: a field that was left out is empty. nil is
// no form, which leaves everything as it is.
func (r *run) with(in map[string][]string) map[string][]string {
	merged := maps.Clone(r.in)
	if merged == nil {
		merged = make(map[string][]string)
	}
	if in != nil {
		for _, p := range r.cmd.stages[r.stage] {
			delete(merged, p.name)
		}
		maps.Copy(merged, in)
	}
	return merged
}

func sizeOf(in map[string][]string) (n int) {
	for name, values := range in {
		n += len(name)
		for _, v := range values {
			n += 16 + len(v)
		}
	}
	return n
}
