//go:build interop

package interop

import (
	"encoding/xml"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// An XMPP server is killed in the middle of a burst and comes back; so does its user, a moment before the link. Every
// message that was published has come to him or can be retrieved, and what comes twice has the same id. The counts are in the
// log, and in docs/xmpp.md.
func TestCrash_of_the_server_loses_nothing(t *testing.T) {
	need(t, curlPeer)
	for _, server := range []struct {
		peer
		start func(name string) (*xmppServer, error)
		sure  bool // what it held when it died was not among what it had answered for
	}{{prosodyPeer, startProsodyAs, true}, {ejabberdPeer, startEjabberdAs, false}} {
		t.Run(server.name, func(t *testing.T) {
			need(t, server.peer)
			t.Parallel()
			s, err := server.start(server.name + " that dies")
			if err != nil {
				t.Fatal(err)
			}
			w := startWaft(t, s)
			w.proc.stop()
			w.configure(t, "\n  [[realm.rule]]\n  match = \"/crash/**\"\n  publish = \"anyone\"\n  subscribe = \"anyone\"\n  history = { size = 10000 }\n")
			w.start(t)
			b := &burst{w: w, s: s, channel: "/crash/burst", seen: map[string]int{}}
			bob := b.login(t)
			if err := bob.subscribe(s, b.channel); err != nil {
				t.Fatal(err)
			}
			reading := b.read(bob)
			publishing := b.publish(t, 3000)
			if err := await("events to be on their way", func() error { return b.has(500) }); err != nil {
				t.Fatal(err)
			}
			s.proc.kill()
			w.links[0].interrupt() // until bob is back: the server throws away what is for somebody who is not there
			reading.Wait()
			if err := s.restart(); err != nil {
				t.Fatal(err)
			}
			bob = b.login(t)
			reading = b.read(bob)
			w.links[0].resume()
			publishing.Wait()
			if err := await("the link to "+s.name, w.links[0].up); err != nil {
				t.Fatal(err)
			}
			curlBatch(t, w, b.channel, `"the last"`)
			if err := await("the last message", func() error { return b.hasText(`"the last"`) }); err != nil {
				t.Error(err)
			}
			bob.conn.Close()
			reading.Wait()
			b.count(t, server.sure)
		})
	}
}

// burst is messages that are published while a server dies.
type burst struct {
	w       *waft
	s       *xmppServer
	channel string

	mu   sync.Mutex
	sent []string       // texts
	seen map[string]int // how often each has come
	ids  map[string]string
	odd  []string // texts that came again with another id
}

func (b *burst) login(t *testing.T) *rawUser {
	t.Helper()
	var bob *rawUser
	err := await("bob's login", func() (err error) {
		bob, err = b.s.login("bob")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bob.conn.Close() })
	return bob
}

// subscribe subscribes the user's bare JID, and waits for the answer.
func (u *rawUser) subscribe(s *xmppServer, channel string) error {
	err := u.send(`<iq type='set' to='` + s.service() + `' id='sub'><pubsub xmlns='http://jabber.org/protocol/pubsub'><subscribe node='` +
		channel + `' jid='` + s.jid("bob") + `'/></pubsub></iq>`)
	if err != nil {
		return err
	}
	iq, err := u.next("iq")
	if err == nil && attr(iq, "type") != "result" {
		err = fmt.Errorf("subscribing was answered with %q", attr(iq, "type"))
	}
	return err
}

// read notes the events of a user until his stream ends.
func (b *burst) read(u *rawUser) *sync.WaitGroup {
	u.conn.SetDeadline(time.Now().Add(2 * patience))
	var reading sync.WaitGroup
	reading.Go(func() {
		id := ""
		for {
			token, err := u.in.RawToken()
			if err != nil {
				return
			}
			e, ok := token.(xml.StartElement)
			if !ok {
				continue
			}
			switch e.Name.Local {
			case "item":
				id = attr(e, "id")
			case "json":
				if text, err := u.in.RawToken(); err == nil {
					if chars, ok := text.(xml.CharData); ok {
						b.note(string(chars), id)
					}
				}
			}
		}
	})
	return &reading
}

func (b *burst) note(text, id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ids == nil {
		b.ids = map[string]string{}
	}
	if b.seen[text]++; b.seen[text] > 1 && b.ids[text] != id {
		b.odd = append(b.odd, text)
	}
	b.ids[text] = id
}

func (b *burst) has(n int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.seen) < n {
		return fmt.Errorf("%d events of %d", len(b.seen), n)
	}
	return nil
}

func (b *burst) hasText(text string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.seen[text] == 0 {
		return fmt.Errorf("%s has not come", text)
	}
	return nil
}

// publish publishes so many messages, in big batches, one after the other.
func (b *burst) publish(t *testing.T, n int) *sync.WaitGroup {
	var publishing sync.WaitGroup
	publishing.Go(func() {
		for len(b.sent) < n {
			batch := make([]string, 1000)
			for i := range batch {
				batch[i] = fmt.Sprint(len(b.sent) + i)
			}
			curlBatch(t, b.w, b.channel, batch...)
			b.sent = append(b.sent, batch...)
		}
	})
	return &publishing
}

// archived walks through the node's archive.
func (b *burst) archived(t *testing.T) map[string]bool {
	u, err := b.s.login("carol")
	if err != nil {
		t.Fatal(err)
	}
	defer u.conn.Close()
	u.conn.SetDeadline(time.Now().Add(patience))
	found := map[string]bool{}
	for after := ""; ; {
		if err := u.send(`<iq type='set' to='` + b.s.service() + `' id='a'><query xmlns='urn:xmpp:mam:2' node='` + b.channel +
			`'><set xmlns='http://jabber.org/protocol/rsm'><max>500</max>` + after + `</set></query></iq>`); err != nil {
			t.Fatal(err)
		}
		complete := false
		for in := ""; in != "iq"; {
			token, err := u.in.RawToken()
			if err != nil {
				t.Fatalf("the archive: %v", err)
			}
			switch e := token.(type) {
			case xml.StartElement:
				switch e.Name.Local {
				case "fin":
					complete = attr(e, "complete") == "true"
				case "error":
					t.Fatal("the archive answers with an error")
				}
				in = "start " + e.Name.Local
			case xml.CharData:
				switch in {
				case "start json":
					found[string(e)] = true
				case "start last":
					after = "<after>" + string(e) + "</after>"
				}
			case xml.EndElement:
				in = e.Name.Local
			}
		}
		if complete {
			return found
		}
	}
}

// count says what became of everything.
func (b *burst) count(t *testing.T, sure bool) {
	kept := b.archived(t)
	delivered, again, undelivered, lost := 0, 0, 0, []string(nil)
	for _, text := range append(b.sent, `"the last"`) {
		n := b.seen[text]
		again += max(n-1, 0)
		switch {
		case n > 0:
			delivered++
		case kept[text]:
			undelivered++
		default:
			lost = append(lost, text)
		}
	}
	t.Logf("\n| published | delivered | retrievable | of these not delivered | lost | came again, with the same id |\n| %d | %d | %d | %d | %d | %d |",
		len(b.sent)+1, delivered, len(kept), undelivered, len(lost), again)
	if len(lost) > 0 {
		t.Errorf("lost: %s", strings.Join(lost, " "))
	}
	if len(kept) != len(b.sent)+1 {
		t.Errorf("%d can be retrieved, of %d", len(kept), len(b.sent)+1)
	}
	if sure && undelivered > 0 {
		t.Errorf("%d never came, and no server had answered for them", undelivered)
	}
	if len(b.odd) > 0 {
		t.Errorf("came again with other ids: %v", b.odd)
	}
}
