//go:build interop

package interop

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

// mostHandshakes is how often a Bayeux client may need to shake hands to find
// its way back to a waft that listens again: once when it learns that its session is gone, and once more if
// that came too early. How often it tries while nobody listens is its own affair, and grows with the time that takes.
const mostHandshakes = 2

func TestRestart_clients_and_links_come_back(t *testing.T) {
	need(t, nodePeer, rubyFaye, slixmppPeer, curlPeer)
	for _, end := range []struct {
		how string
		end func(*process)
	}{
		{"killed", (*process).kill},
		{"stopped", (*process).stop},
	} {
		t.Run(end.how, func(t *testing.T) {
			w := startWaft(t, xmppServers(t)...)
			a := newAudience(t, w)
			stopRun := a.run(t)
			a.hears(t, "before")

			handshakes := make(map[*driver]int)
			for _, d := range a.bayeux {
				handshakes[d] = d.count("handshake")
			}
			end.end(w.proc)
			w.start(t)
			a.returns(t, handshakes)
			a.hears(t, "after")
			stopRun()
			for _, d := range a.bayeux {
				mustIncrease(t, d.proc.name, d.received(runChannel), true) // a connection has ended
			}
			for _, d := range a.xmpp {
				mustIncrease(t, d.proc.name, d.received(runChannel), false)
			}

			for _, l := range w.links {
				if n := l.connections(); n < 2 {
					t.Errorf("the link to %s never came back: %d connections", l.name, n)
				}
			}
		})
	}
}

// audience are subscribers of every kind that has to survive a restart.
type audience struct {
	w            *waft
	bayeux, xmpp []*driver
}

const (
	runChannel  = "/open/restart/run"      // where messages never cease
	markChannel = "/open/restart/mark"     // where the few are that everybody waits for
	wildChannel = "/open/restart/wild/one" // where some are for Bayeux clients, who subscribe to a pattern
)

var (
	audienceChannels = []string{runChannel, markChannel}
	bayeuxChannels   = append(slices.Clone(audienceChannels), "/open/restart/wild/*")
)

func newAudience(t *testing.T, w *waft) *audience {
	t.Helper()
	a := &audience{w: w}
	for _, c := range fleet {
		a.bayeux = append(a.bayeux, c.start(t, w.url))
	}
	for _, l := range w.links {
		a.xmpp = append(a.xmpp, slixmpp(t, l.xmppServer, "alice"))
	}
	for _, d := range a.bayeux {
		d.subscribe(t, bayeuxChannels...)
	}
	for _, d := range a.xmpp {
		d.subscribe(t, audienceChannels...)
	}
	for _, d := range a.all() {
		d.subscribed(t)
	}
	return a
}

func (a *audience) all() []*driver { return slices.Concat(a.bayeux, a.xmpp) }

// hears publishes a message and waits until everybody has it.
func (a *audience) hears(t *testing.T, what string) {
	t.Helper()
	text := fmt.Sprintf(`{"when":%q}`, what)
	curl(t, a.w, bare(markChannel), text)
	for _, d := range a.all() {
		if _, err := d.until(markChannel, text); err != nil {
			t.Error(err)
		}
	}
	curl(t, a.w, bare(wildChannel), text)
	for _, d := range a.bayeux {
		if _, err := d.until(wildChannel, text); err != nil {
			t.Error(err)
		}
	}
}

// run publishes numbers one after the other, whether there is a waft or not,
// until it is stopped.
func (a *audience) run(t *testing.T) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		pace := time.NewTicker(5 * time.Millisecond)
		defer pace.Stop()
		for n := 0; ctx.Err() == nil; n++ {
			item := fmt.Sprintf(`{"items":[{"channel":%q,"json-object":%d}]}`, runChannel, n)
			_ = post(a.w.url+"/realm/default/publish/", []byte(item))
			<-pace.C
		}
	})
	return func() {
		cancel()
		running.Wait()
	}
}

// mustIncrease fails the test if a number came after a greater one or, unless repeats are what the client has to expect, twice.
// Numbers may be missing: nobody keeps them for a client that is away.
func mustIncrease(t *testing.T, who string, numbers []string, repeats bool) {
	t.Helper()
	last, seen := -1, map[int]bool{}
	for _, text := range numbers {
		n, err := strconv.Atoi(text)
		if err != nil || n <= last && !(repeats && seen[n]) {
			t.Errorf("%s received %s after %d", who, text, last)
			return
		}
		last, seen[n] = max(last, n), true
	}
	if last < 0 {
		t.Errorf("%s received nothing of the run", who)
	}
}

// returns waits until everybody is subscribed again, now that waft listens. before is how often each
// Bayeux client had shaken hands when waft went away.
func (a *audience) returns(t *testing.T, before map[*driver]int) {
	t.Helper()
	tried := map[*driver]int{}
	for _, d := range a.bayeux {
		tried[d] = d.count("handshake")
	}
	for _, d := range a.bayeux {
		err := d.wait("its subscriptions after a new handshake", func() bool {
			return d.seen["handshake"] > before[d] && len(d.channels) == len(bayeuxChannels)
		})
		if err != nil {
			t.Fatal(err)
		}
		if n := d.count("handshake") - tried[d]; n > mostHandshakes {
			t.Errorf("%s needed %d handshakes", d.proc.name, n)
		}
	}
	// Subscriptions by XMPP are kept in memory: the user has to ask again.
	for _, d := range a.xmpp {
		err := await(d.proc.name, func() error {
			ready := d.count("ready")
			d.subscribe(t, audienceChannels...)
			if failure := d.waitFor(t, "ready", ready+1); failure != nil {
				return errors.New(failure.Error)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
