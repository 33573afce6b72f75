//go:build interop

package interop

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"waft/interop/loss"
)

var (
	lossTime = flag.Duration("loss", 0, "how long TestLoss does harm; 0: a few seconds, a little of each kind")
	lossSeed = flag.Uint64("loss-seed", 0, "what TestLoss does when; 0: the time")
	lossJSON = flag.String("loss-json", "", "file for TestLoss's verdict")
)

// While waft is killed, stopped, paused, without room on its disk or waiting for it, its connections are cut or go silent, and XMPP servers die, publishers over
// REST, plain WebSockets, Bayeux and XMPP count, and readers on every protocol resume where they were. No acknowledged message is lost, none changes places, none
// was acknowledged sooner than it can have been stored, and what comes twice is what docs/guarantees.md says may, with the same id. `make loss` does it for ten minutes.
func TestLoss(t *testing.T) {
	t.Parallel()
	servers := lossServers(t)
	seed := *lossSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-loss-seed=%d", seed)
	began := time.Now()
	dir := t.TempDir()
	full := mountSmall(t, dir)
	r := newLossRun(t, seed, dir, nil, servers...)
	r.full = full
	publishers := slices.Concat(httpPublishers, webSocketPublishers, bayeuxPublishers)
	readers := slices.Concat(httpLossReaders, webSocketLossReaders, bayeuxLossReaders)
	for _, s := range servers {
		publishers = append(publishers, xmppPublishers(s)...)
		readers = append(readers, xmppLossReaders(s)...)
	}
	r.start(publishers, readers)
	n := startNemesis(r, rand.New(rand.NewPCG(seed, 2)))
	n.harm(*lossTime)
	v := r.finish()
	t.Logf("%v, of these %v of harm: %s\n\n%s", time.Since(began).Round(time.Second), n.took.Round(time.Second), n.tally(), v.Table())
	if err := v.Err(); err != nil {
		t.Errorf("%v\n\nharm done:\n%s", err, strings.Join(n.log, "\n"))
	}
	for _, p := range v.Published {
		if p.Acknowledged == 0 {
			t.Errorf("%s: nothing was acknowledged", p.Protocol)
		}
	}
	if *lossJSON != "" {
		text, err := json.MarshalIndent(v, "", "\t")
		if err == nil {
			err = os.WriteFile(*lossJSON, text, 0o644)
		}
		if err != nil {
			t.Error(err)
		}
	}
}

// lossServers are a Prosody and, in a long run, an ejabberd, which takes seconds to start again: in a brief one
// TestCrash_of_the_server_loses_nothing has to do.
func lossServers(t *testing.T) (servers []*xmppServer) {
	need(t, prosodyPeer)
	starts := []func(string) (*xmppServer, error){startProsodyAs}
	names := []string{"Prosody"}
	if *lossTime > 0 {
		need(t, ejabberdPeer)
		starts, names = append(starts, startEjabberdAs), append(names, "ejabberd")
	}
	for i, start := range starts {
		s, err := start(names[i] + " of the loss checker")
		if err != nil {
			t.Fatal(err)
		}
		s.name = names[i]
		servers = append(servers, s)
	}
	return servers
}

var lossChannels = []string{"/loss/a", "/loss/b", "/loss/c"}

// lossConfig keeps everything, and has waft and its clients notice soon that a connection is dead.
const (
	lossBayeux = `timeout = "1s"
  ping = "1s"
  pong_wait = "500ms"
  receipt_delay = "100ms"
  max_messages = 1000000
  max_bytes = 1000000000

  [realm.events]
  keep_alive = "1s"

  [realm.websocket]
  keep_alive = "1s"
  pong_wait = "500ms"
`
	lossRules = `
  [[realm.rule]]
  match = "/loss/**"
  publish = "anyone"
  subscribe = "anyone"
  history = { size = 10000000 }

[disk]
` + lossMinFree + `
retry = "200ms"
`
	lossMinFree = "min_free = 8000000"
)

// lossRun is a waft with its publishers and readers.
type lossRun struct {
	t      *testing.T
	w      *waft
	data   string // its directory
	full   bool   // which is a file system of its own, small enough to be filled
	ledger *loss.Ledger
	notes  notes

	addr                string      // of waft, or what is in front of it
	publishing, reading *faultProxy // the ways of publishers and readers

	ctx        context.Context
	running    sync.WaitGroup
	publishers sync.WaitGroup
	over       atomic.Bool // publishers come to an end
	readers    map[string]*loss.Reader
}

// newLossRun starts a waft with the data directory, with a link to each server. What is in front of it, if anything is, gives the address
// that publishers and readers have.
func newLossRun(t *testing.T, seed uint64, data string, inFront func(addr string) string, servers ...*xmppServer) *lossRun {
	r := &lossRun{t: t, data: data, ledger: loss.NewLedger(), ctx: t.Context(), readers: map[string]*loss.Reader{}}
	r.w = newWaft(t, lossBayeux, servers...)
	r.w.configure(t, lossRules)
	r.w.args = []string{"--data", r.data}
	r.w.start(t)
	addr := strings.TrimPrefix(r.w.url, "http://")
	if inFront != nil {
		addr = inFront(addr)
	}
	r.addr = addr
	r.publishing, r.reading = startFaultProxy(t, addr, seed), startFaultProxy(t, addr, seed+1)
	return r
}

// lossPublisher publishes until the run is over.
type lossPublisher struct {
	name, protocol string
	publish        func(*lossSource)
}

// lossReader reads channels; follow is called again and again, and returns when its connection is lost. What it has to know
// from one time to the next it keeps in the reading's place.
type lossReader struct {
	name     string
	terms    loss.Terms
	channels []string // nil: all
	follow   func(context.Context, *lossReading) error
}

// lossReading is a reader at work.
type lossReading struct {
	*loss.Reader
	*lossRun
	channels []string
	place    map[string]string // by channel, or for all under ""
	client   *http.Client
	began    func()     // what is published from now on will come
	kept     *rawClient // of Bayeux: the session
	tries    int        // with its connect; of XMPP: queries
}

// start has all readers begin, and then the publishers.
func (r *lossRun) start(publishers []lossPublisher, readers []lossReader) {
	r.t.Cleanup(func() {
		r.running.Wait()
		r.notes.log(r.t)
	})
	var begun sync.WaitGroup
	for _, kind := range readers {
		channels := kind.channels
		if channels == nil {
			channels = lossChannels
		}
		begun.Add(1)
		reading := &lossReading{
			Reader: r.ledger.Reader(kind.name, kind.name, kind.terms, channels...), lossRun: r, channels: channels,
			place: map[string]string{}, client: impatientClient(r.reading.addr), began: sync.OnceFunc(begun.Done),
		}
		r.readers[kind.name] = reading.Reader
		r.running.Go(func() { reading.run(kind) })
	}
	if err := awaitAll("readers", &begun); err != nil {
		r.t.Fatal(err)
	}
	for _, p := range publishers {
		r.ledger.Publisher(p.name, p.protocol)
		r.publishers.Go(func() { p.publish(&lossSource{lossRun: r, name: p.name}) })
	}
}

// awaitAll waits for a group, for longer than a publisher tries to get an answer.
func awaitAll(what string, group *sync.WaitGroup) error {
	all := make(chan struct{})
	go func() {
		group.Wait()
		close(all)
	}()
	select {
	case <-all:
		return nil
	case <-time.After(2 * patience):
		return fmt.Errorf("waiting for all %s: not after %v", what, 2*patience)
	}
}

func (l *lossReading) run(kind lossReader) {
	for l.ctx.Err() == nil && !l.Ended() {
		err := kind.follow(l.ctx, l)
		if err == nil || l.ctx.Err() != nil || l.Ended() {
			continue
		}
		l.notes.add(kind.name, err)
		l.Break()
		time.Sleep(50 * time.Millisecond) // of a client that does not storm
	}
}

// took notes a message by its text.
func (l *lossReading) took(channel, identity string, text []byte) {
	var p lossPayload
	if err := json.Unmarshal(text, &p); err != nil {
		l.Told(fmt.Sprintf("%s has a message %q: %v", channel, text, err))
		return
	}
	l.Take(loss.Key{Channel: channel, Publisher: p.Publisher, N: p.N}, identity)
}

// finish ends the publishers, has every channel end with a message that everybody waits for, and judges.
func (r *lossRun) finish() loss.Verdict {
	r.over.Store(true)
	if err := awaitAll("publishers", &r.publishers); err != nil {
		r.t.Error(err)
	}
	end := &lossSource{lossRun: r, name: "end"}
	r.ledger.Publisher("end", "REST")
	for i, channel := range lossChannels {
		end.n = i
		k := end.next(channel)
		r.ledger.Last(k)
		if err := await("the end of "+channel, func() error { return end.post(http.DefaultClient, "http://"+r.addr, k) }); err != nil {
			r.t.Error(err)
		}
		r.ledger.Acknowledge(k)
	}
	err := await("every reader", func() error {
		var late []string
		for name, reader := range r.readers {
			if !reader.Ended() {
				late = append(late, name)
			}
		}
		if len(late) > 0 {
			return fmt.Errorf("the last messages have not come to %s", strings.Join(late, ", "))
		}
		return nil
	})
	if err != nil {
		r.t.Log(err)
	}
	return r.ledger.Judge()
}

// notes counts what went wrong, for people: it explains a verdict, and is none.
type notes struct {
	mu    sync.Mutex
	count map[string]int
}

// ownNames are of one client or one place, and keep what is the same from being counted together.
var ownNames = regexp.MustCompile(`[A-Z0-9]{32}|https?://[^"]*`)

func (n *notes) add(who string, err error) {
	text := err.Error()
	if op, ok := errors.AsType[*net.OpError](err); ok {
		text = op.Op + ": " + op.Err.Error() // without ports
	}
	text = ownNames.ReplaceAllString(text, "…")
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.count == nil {
		n.count = map[string]int{}
	}
	if len(n.count) < 200 {
		n.count[who+": "+text]++
	}
}

func (n *notes) log(t *testing.T) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, text := range slices.Sorted(maps.Keys(n.count)) {
		t.Logf("%d × %s", n.count[text], text)
	}
}
