//go:build interop

package interop

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// nemesis does harm to a lossRun, one thing after the other, in an order and at moments of chance.
type nemesis struct {
	*lossRun
	rand *rand.Rand

	brief bool          // a run of a few seconds
	slows bool          // it may have hold of waft's system calls
	done  []string      // names
	log   []string      // when each began and ended, for who looks for what it did
	took  time.Duration // all of it
}

// harms are what it does. Each mends what it did, and returns when waft is ready again.
func (n *nemesis) harms() []harm {
	all := []harm{
		{"kill -9", n.kill},
		{"connections cut, swallowed or half-open", n.wound},
		{"SIGSTOP for up to 3 s", n.pause},
		{"disk full", n.fill},
		{"disk slow: each fsync takes 50 to 500 ms", n.slow},
		{"XMPP link cut", func() { n.link().cut() }},
		{"kill -9 while the disk is slow", n.killSlow},
		{"kill -9 while connections are cut", func() { n.wounded(n.kill) }},
		{"kill -9 during the start", n.killTwice},
		{"XMPP link away for up to 2 s", n.interrupt},
		{"XMPP link silent for up to 2 s", n.hold},
		{"stop and start", n.stop},
		{"SIGSTOP for 5 s, longer than clients wait", func() { n.stopped(5 * time.Second) }},
	}
	for _, l := range n.w.links {
		all = append(all,
			harm{"kill -9 of " + l.name, func() { n.restartServer(l, (*process).kill) }},
			harm{"stop and start of " + l.name, func() { n.restartServer(l, (*process).stop) }})
	}
	for i, h := range all {
		if h.name == "disk full" && !n.full {
			all[i] = harm{"disk full, by a restart with a min_free that no disk has", n.refuse}
		}
	}
	if !n.slows {
		all = slices.DeleteFunc(all, func(h harm) bool { return strings.Contains(h.name, "slow") })
	}
	return all
}

type harm struct {
	name string
	do   func()
}

// briefHarms are how many of harms a run of a few seconds has, each a part of its time.
const (
	briefHarms = 6
	briefPart  = 3
)

func startNemesis(r *lossRun, random *rand.Rand) *nemesis {
	n := &nemesis{lossRun: r, rand: random}
	for _, l := range n.w.links {
		n.watchLink(l)
	}
	err := maySlowDown(r.t)
	if n.slows = err == nil; err != nil {
		r.t.Logf("nothing slows the disk down: %v", err)
	}
	return n
}

// harm goes on for so long; at 0 it does a little of the first few.
func (n *nemesis) harm(d time.Duration) {
	began := time.Now()
	n.brief = d == 0
	enough := func(int) bool { return time.Since(began) >= d }
	if n.brief {
		enough = func(done int) bool { return done == briefHarms }
	}
	all := n.harms()
	for i := 0; !enough(i) && !n.t.Failed(); i++ {
		if !n.brief && i%len(all) == 0 {
			n.rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		}
		h := all[i%len(all)]
		n.sleep(200, 1200)
		from := time.Now()
		h.do()
		n.done = append(n.done, h.name)
		n.log = append(n.log, fmt.Sprintf("%s to %s %s", from.Format("15:04:05.000"), time.Now().Format("15:04:05.000"), h.name))
	}
	n.took = time.Since(began)
}

// tally counts what was done.
func (n *nemesis) tally() string {
	count := map[string]int{}
	for _, name := range n.done {
		count[name]++
	}
	var parts []string
	for _, h := range n.harms() {
		if count[h.name] > 0 {
			parts = append(parts, fmt.Sprintf("%d × %s", count[h.name], h.name))
		}
	}
	return strings.Join(parts, ", ")
}

// sleep is for so many milliseconds, and up to so many more.
func (n *nemesis) sleep(least, more int) { time.Sleep(n.some(least, more)) }

func (n *nemesis) some(least, more int) time.Duration {
	d := time.Duration(least+n.rand.IntN(more)) * time.Millisecond
	if n.brief {
		d /= briefPart
	}
	return d
}

func (n *nemesis) kill() {
	n.w.proc.kill()
	n.sleep(0, 300)
	n.w.start(n.t)
}

func (n *nemesis) stop() {
	n.w.proc.stop()
	n.w.start(n.t)
}

// killTwice kills waft once more while it starts, wherever it is.
func (n *nemesis) killTwice() {
	n.w.proc.kill()
	n.w.run(n.t)
	n.sleep(0, 400)
	n.kill()
}

func (n *nemesis) wound() { n.wounded(func() { n.sleep(500, 2500) }) }

// wounded has the connections of publishers and readers harmed meanwhile, each some moments after it was made.
func (n *nemesis) wounded(meanwhile func()) {
	n.publishing.wound.Store(true)
	n.reading.wound.Store(true)
	n.sleep(100, 500)
	meanwhile()
	n.publishing.wound.Store(false)
	n.reading.wound.Store(false)
}

func (n *nemesis) pause() { n.stopped(n.some(200, 2800)) }

func (n *nemesis) stopped(d time.Duration) {
	n.signal(syscall.SIGSTOP)
	time.Sleep(d)
	n.signal(syscall.SIGCONT)
}

func (n *nemesis) signal(s syscall.Signal) {
	if err := n.w.proc.cmd.Process.Signal(s); err != nil {
		n.t.Error(err)
	}
}

// fill leaves no room at all on the disk for a while: less than min_free, and then writes fail.
func (n *nemesis) fill() {
	ballast := filepath.Join(n.data, "ballast")
	fillDisk(n.t, ballast)
	n.sleep(300, 1500)
	if err := os.Remove(ballast); err != nil {
		n.t.Error(err)
	}
	if err := await("room on the disk", func() error { return n.w.alive(get(n.w.admin + "/readyz")) }); err != nil {
		n.t.Error(err)
	}
}

// refuse is fill where no small disk can be mounted.
func (n *nemesis) refuse() {
	n.w.proc.stop()
	n.w.reconfigure(n.t, lossMinFree, lossMinFree+"000000000")
	n.w.run(n.t)
	if err := await("waft, which has no room", func() error { return n.w.alive(get(n.w.admin + "/healthz")) }); err != nil {
		n.t.Error(err)
	}
	n.sleep(300, 1500)
	n.w.proc.stop()
	n.w.reconfigure(n.t, lossMinFree+"000000000", lossMinFree)
	n.w.start(n.t)
}

// slow has waft wait long for its disk.
func (n *nemesis) slow() { n.slowed(n.some(50, 450), func() { n.sleep(1000, 2000) }) }

// killSlow kills waft while publishes wait.
func (n *nemesis) killSlow() {
	n.slowed(n.some(50, 450), func() { n.sleep(0, 1000) }, n.w.proc.kill)
	n.sleep(0, 300)
	n.w.start(n.t)
}

// slowed has every fsync of waft take so much longer meanwhile, until at least one publish has waited for one, and tells the ledger how long. What
// comes last is done while it still does.
func (n *nemesis) slowed(delay time.Duration, meanwhile func(), last ...func()) {
	d, err := slowDown(n.t, n.w.proc, delay)
	if err != nil {
		n.t.Fatal(err)
	}
	slow := n.ledger.Slow(delay * 9 / 10) // to be above all rounding
	meanwhile()
	err = await("an answer that took long", func() error {
		switch {
		case d.count() == 0:
			return errors.New("nothing has been forced to the disk")
		case slow.Answered() == 0:
			return errors.New("nobody has an answer")
		}
		return nil
	})
	slow.End()
	for _, do := range last {
		do()
	}
	d.end()
	if err != nil {
		n.t.Errorf("the disk was not slow: %v", err)
	}
}

// link is that to one of the servers.
func (n *nemesis) link() *link { return n.w.links[n.rand.IntN(len(n.w.links))] }

func (n *nemesis) restartServer(l *link, end func(*process)) {
	before := l.connections()
	end(l.proc)
	if err := l.restart(); err != nil {
		n.t.Fatal(err)
	}
	err := await("a new link to "+l.name, func() error {
		if l.connections() == before {
			return errors.New("waft still has the old one")
		}
		return nil
	})
	if err != nil {
		n.t.Fatal(err)
	}
	n.linkUp(l)
}

// interrupt keeps a link away, and lets what waits for it grow.
func (n *nemesis) interrupt() {
	l := n.link()
	l.interrupt()
	n.sleep(500, 1500)
	l.resume()
	n.linkUp(l)
}

// hold keeps back what waft sends, and breaks nothing.
func (n *nemesis) hold() {
	l := n.link()
	_, release := l.hold(func([]byte) bool { return true })
	n.sleep(500, 1500)
	release()
	n.linkUp(l)
}

func (n *nemesis) linkUp(l *link) {
	if err := await("the link to "+l.name, func() error { return n.w.alive(l.up()) }); err != nil {
		n.t.Fatal(err)
	}
}

// watchLink has every new connection of waft to the server count as a break for who listens to events: what was sent before it may come
// once more.
func (n *nemesis) watchLink(link *link) {
	reader := n.readers[xmppEvents(link.xmppServer)]
	if reader == nil {
		return
	}
	link.onAccept(reader.Break)
}

// smallDisk is the size of the file system that can be filled.
const smallDisk = "size=256m"

// mountSmall makes the directory a file system of its own, in memory, if it may.
func mountSmall(t *testing.T, dir string) bool {
	if err := syscall.Mount("waft-loss", dir, "tmpfs", 0, smallDisk); err != nil {
		t.Logf("mounting: %v", err)
		return false
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return true
}

// fillDisk writes until nothing more goes.
func fillDisk(t *testing.T, file string) {
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for piece := make([]byte, 1<<20); len(piece) > 0; {
		if _, err := f.Write(piece); err != nil {
			piece = piece[:len(piece)/2]
		}
	}
}
