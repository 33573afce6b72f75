//go:build interop

package interop

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Every Bayeux client does, over every transport it has, what a client does in its life; and nothing of it is left.
func TestLife(t *testing.T) {
	w := startWaft(t)
	t.Run("of", func(t *testing.T) {
		for _, c := range present(t, w) {
			t.Run(c.name(), func(t *testing.T) {
				t.Parallel()
				c.lives(t, w)
			})
		}
	})
	for _, left := range []string{"waft_sessions", "waft_bayeux_sockets", "waft_bayeux_polls"} {
		if err := await("the end of "+left, func() error { return w.metric(left, 0) }); err != nil {
			t.Error(err)
		}
	}
}

func (c bayeuxClient) lives(t *testing.T, w *waft) {
	base := "/open/life/" + c.name()
	one, two, wild, fence := base+"/one", base+"/two", base+"/wild/x", base+"/fence"
	d := c.start(t, w.url).subscribe(t, one, two, base+"/wild/*", fence)
	d.subscribed(t)
	d.mustUse(t, c.transport)

	// Its own messages, beside those of a stranger who gives his the ids that the client is about to use, and says that
	// they were successful: no publish may be taken for done by that.
	var own, foreign []string
	for i := range 40 {
		own = append(own, fmt.Sprintf(`{"own":%d}`, i))
	}
	strange := make(chan error, 1)
	go func() { strange <- collide(w, two, &foreign) }()
	d.publish(t, one, own...)
	if err := <-strange; err != nil {
		t.Fatal(err)
	}
	d.mustHave(t, one, own)
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
	d.mustHave(t, fence, []string{`"late"`, `"later"`})

	d.command(t, map[string]any{"op": "disconnect"})
	d.waitFor(t, "disconnected", 1)
	curl(t, w, bare(fence), `"too late"`)
	d.mustHave(t, one, append(own, `"b1"`, `"b3"`))
	d.mustHave(t, wild, []string{`"b2"`, `"b4"`})
	d.mustHave(t, two, foreign)
	d.mustHave(t, fence, []string{`"late"`, `"later"`})
	if wire, delivered := d.events(); wire != delivered {
		t.Errorf("%d events came over the wire, and %d were delivered", wire, delivered)
	}
	if n := d.count("handshake"); n != 1 {
		t.Errorf("%d handshakes", n)
	}
	c.mustAcknowledge(t, d)
}

// collide publishes numbers as other people's messages, with all the ids that a client gives to its first few hundred: CometD counts in tens,
// Faye in thirty-sixes. What was published is added to texts.
func collide(w *waft, channel string, texts *[]string) error {
	const rounds, ids = 3, 100 // less than may wait for a session
	for range rounds {
		var batch []string
		for id := range ids {
			for _, base := range []int{10, 36} {
				text := strconv.Itoa(len(*texts))
				*texts = append(*texts, text)
				batch = append(batch, fmt.Sprintf(`{"channel":%q,"data":%s,"id":%q,"successful":true}`, channel, text, strconv.FormatInt(int64(id), base)))
			}
		}
		if err := post(w.url+"/bayeux", []byte("["+strings.Join(batch, ",")+"]")); err != nil {
			return err
		}
	}
	return nil
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
