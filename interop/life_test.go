//go:build interop

package interop

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Every Bayeux client does, over every transport it has, what a client does in its life; and nothing of it is left.
func TestLife(t *testing.T) {
	for _, c := range fleet {
		t.Run(c.name(), func(t *testing.T) {
			t.Parallel()
			w := startWaft(t)
			c.lives(t, w)
			for _, left := range []string{"waft_sessions", "waft_bayeux_sockets", "waft_bayeux_polls"} {
				if err := await("the end of "+left, func() error { return w.metric(left, 0) }); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func (c bayeuxClient) lives(t *testing.T, w *waft) {
	base := "/open/life/" + c.name()
	one, two, wild, fence := base+"/one", base+"/two", base+"/wild/x", base+"/fence"
	r := startRelay(t, strings.TrimPrefix(w.url, "http://"))
	d := c.start(t, "http://"+r.addr).subscribe(t, one, two, base+"/wild/*", fence)
	d.subscribed(t)
	d.mustUse(t, c.transport)

	var own []string
	for i := range 20 {
		own = append(own, fmt.Sprintf(`{"own":%d}`, i))
	}
	d.publish(t, one, own...)
	d.mustHave(t, one, own)
	var foreign, mine []string
	if !c.ack { // then events wait for a connect, which would be held back with the rest
		foreign, mine = c.collides(t, w, r, d, two, fence)
	}
	foreign = append(foreign, `"of curl"`)
	curl(t, w, bare(two), `"of curl"`)
	d.mustHave(t, two, foreign)

	// A batch arrives whole and in order, also where a pattern is subscribed to.
	d.batch(t, message{one, `"b1"`}, message{wild, `"b2"`}, message{one, `"b3"`}, message{wild, `"b4"`})
	d.mustHave(t, one, append(own, `"b1"`, `"b3"`))
	d.mustHave(t, wild, []string{`"b2"`, `"b4"`})

	failure := d.tryPublish(t, "/elsewhere", `"no"`)
	if failure == nil || failure.Status != http.StatusForbidden {
		t.Errorf("a publish that is not allowed: %+v", failure)
	}

	for i, gone := range []string{one, base + "/wild/*"} {
		d.command(t, map[string]any{"op": "unsubscribe", "channel": gone})
		d.waitFor(t, "unsubscribed", i+1)
	}
	for _, channel := range []string{one, wild, fence} {
		d.publish(t, channel, `"late"`)
		curl(t, w, bare(channel), `"later"`)
	}
	d.mustHave(t, fence, append(mine, `"late"`, `"later"`))

	d.command(t, map[string]any{"op": "disconnect"})
	d.waitFor(t, "disconnected", 1)
	curl(t, w, bare(fence), `"too late"`)
	d.mustHave(t, one, append(own, `"b1"`, `"b3"`))
	d.mustHave(t, wild, []string{`"b2"`, `"b4"`})
	d.mustHave(t, two, foreign)
	d.mustHave(t, fence, append(mine, `"late"`, `"later"`))
	if wire, delivered := d.events(); wire != delivered {
		t.Errorf("%d events came over the wire, and %d were delivered", wire, delivered)
	}
	if n := d.count("handshake"); n != 1 {
		t.Errorf("%d handshakes", n)
	}
	c.mustAcknowledge(t, d)
}

// collides has the client publish while what it sends is held back, and a stranger publish a message that has the same id and says that it was
// successful. The client hears that, and must not take its own for published. It gives what has come on the channel of each.
func (c bayeuxClient) collides(t *testing.T, w *waft, r *relay, d *driver, strange, own string) (foreign, mine []string) {
	t.Helper()
	const mark = `"held back"`
	// What a WebSocket's frames say is masked. Faye puts what it publishes into the request of its poll, if that is just being made: this goes
	// through, and the next is tried.
	holdable := func(piece []byte) bool {
		return c.transport == webSocket || bytes.Contains(piece, []byte(mark)) && !bytes.Contains(piece, []byte("/meta/connect"))
	}
	for len(foreign) < 3 {
		if c.transport == longPolling {
			if err := await("a held poll", func() error { return w.metric("waft_bayeux_polls", 1) }); err != nil {
				t.Fatal(err)
			}
		}
		caught, release := r.hold(holdable)
		published, held := d.count("published"), false
		d.command(t, map[string]any{"op": "publish", "channel": own, "text": mark})
		err := await("a publish", func() error {
			select {
			case <-caught:
				held = true
			default:
			}
			if !held && d.count("published") == published {
				return errors.New("none came by")
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		mine = append(mine, mark)
		if !held {
			release()
			d.mustHave(t, own, mine)
			continue
		}
		d.waitFor(t, "sent", published+1)
		d.mu.Lock()
		id := d.sent
		d.mu.Unlock()
		foreign = append(foreign, strconv.Itoa(len(foreign)))
		if err := post(w.url+"/bayeux", fmt.Appendf(nil, `{"channel":%q,"data":%d,"id":%q,"successful":true}`, strange, len(foreign)-1, id)); err != nil {
			t.Error(err)
		}
		d.mustHave(t, strange, foreign)
		if d.count("published") != published {
			t.Errorf("message %s was taken for published", id)
		}
		release()
		if failure := d.waitFor(t, "published", published+1); failure != nil {
			t.Fatalf("message %s: %s", id, failure.Error)
		}
		d.mustHave(t, own, mine)
	}
	return foreign, mine
}

// message is one to be published.
type message struct {
	Channel string `json:"channel"`
	Text    string `json:"text"`
}

// batch has the client publish messages together, and waits until each is acknowledged.
func (d *driver) batch(t *testing.T, messages ...message) {
	t.Helper()
	before := d.count("published")
	d.command(t, map[string]any{"op": "batch", "messages": messages})
	if failure := d.waitFor(t, "published", before+len(messages)); failure != nil {
		t.Fatalf("%s: not published: %s", d.proc.name, failure.Error)
	}
}

// mustHave fails the test unless exactly the texts have come on a channel, or come yet.
func (d *driver) mustHave(t *testing.T, channel string, want []string) {
	t.Helper()
	err := d.wait(fmt.Sprintf("%d messages on %s", len(want), channel), func() bool { return len(d.messages[channel]) >= len(want) })
	if got := d.received(channel); !slices.Equal(got, want) {
		compare(t, got, want)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// events are how many have come to the client, and how many it has delivered to the application.
func (d *driver) events() (wire, delivered int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, frame := range d.frames {
		for _, data := range frame {
			if data != nil {
				wire++
			}
		}
	}
	for _, texts := range d.messages {
		delivered += len(texts)
	}
	return wire, delivered
}
