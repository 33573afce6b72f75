//go:build interop

package interop

import (
	"strings"
	"testing"
)

// The matrix: every publisher to every subscriber, the same 200 JSON texts,
// once and in order.

const matrixMessages = 200

// publisher is a row of the matrix.
type publisher struct {
	name  string
	needs []peer

	// js is set if the client is given JavaScript values, and so sends what
	// such values can express.
	js bool

	publish func(t *testing.T, w *waft, channel string, texts []string)
}

var publishers = []publisher{
	{"fanoutpub", []peer{nodePeer}, true, func(t *testing.T, w *waft, channel string, texts []string) {
		fanoutClient(t, w, "fanoutpub", realmKey).publish(t, bare(channel), texts...)
	}},
	{"fanoutio-grip", []peer{nodePeer}, true, func(t *testing.T, w *waft, channel string, texts []string) {
		fanoutClient(t, w, "grip", realmKey).publish(t, bare(channel), texts...)
	}},
	{"curl", []peer{curlPeer}, false, func(t *testing.T, w *waft, channel string, texts []string) {
		curl(t, w, bare(channel), texts...)
	}},
	{"slixmpp-Prosody", []peer{slixmppPeer, prosodyPeer}, false, func(t *testing.T, _ *waft, channel string, texts []string) {
		slixmpp(t, running(t, prosody), "alice").publish(t, channel, texts...)
	}},
	{"slixmpp-ejabberd", []peer{slixmppPeer, ejabberdPeer}, false, func(t *testing.T, _ *waft, channel string, texts []string) {
		slixmpp(t, running(t, ejabberd), "alice").publish(t, channel, texts...)
	}},
	{"Faye-JS", []peer{nodePeer}, true, func(t *testing.T, w *waft, channel string, texts []string) {
		fayeJS(t, w, webSocket).publish(t, channel, texts...)
	}},
	{"CometD-JS", []peer{nodePeer}, true, func(t *testing.T, w *waft, channel string, texts []string) {
		cometdJS(t, w, webSocket).publish(t, channel, texts...)
	}},
	{"ws", []peer{nodePeer, wsPeer}, false, func(t *testing.T, w *waft, channel string, texts []string) {
		plainSocket(t, "ws", w.url, nil).publish(t, channel, texts...)
	}},
}

// channel is the row's own.
func (p publisher) channel() string { return "/open/matrix/" + p.name }

// bare is the channel's name as Fanout's customers write it.
func bare(channel string) string { return strings.TrimPrefix(channel, "/") }

// subscriber is a column.
type subscriber struct {
	name      string
	needs     []peer
	transport string // that it must use, where it has a choice
	subscribe func(t *testing.T, w *waft, channels []string) *driver
}

var subscribers = []subscriber{
	{"Faye-JS-WebSocket", []peer{nodePeer}, webSocket, func(t *testing.T, w *waft, channels []string) *driver {
		return fayeJS(t, w, webSocket).subscribe(t, channels...)
	}},
	{"Faye-JS-long-polling", []peer{nodePeer}, longPolling, func(t *testing.T, w *waft, channels []string) *driver {
		return fayeJS(t, w, longPolling).subscribe(t, channels...)
	}},
	{"CometD-JS-WebSocket", []peer{nodePeer}, webSocket, func(t *testing.T, w *waft, channels []string) *driver {
		return cometdJS(t, w, webSocket).subscribe(t, channels...)
	}},
	{"CometD-JS-long-polling", []peer{nodePeer}, longPolling, func(t *testing.T, w *waft, channels []string) *driver {
		return cometdJS(t, w, longPolling).subscribe(t, channels...)
	}},
	{"Faye-Ruby", []peer{rubyFaye}, webSocket, func(t *testing.T, w *waft, channels []string) *driver {
		return fayeRuby(t, w).subscribe(t, channels...)
	}},
	{"slixmpp-Prosody", []peer{slixmppPeer, prosodyPeer}, "", func(t *testing.T, _ *waft, channels []string) *driver {
		return slixmpp(t, running(t, prosody), "bob").subscribe(t, channels...)
	}},
	{"slixmpp-ejabberd", []peer{slixmppPeer, ejabberdPeer}, "", func(t *testing.T, _ *waft, channels []string) *driver {
		return slixmpp(t, running(t, ejabberd), "bob").subscribe(t, channels...)
	}},
	{"ws", []peer{nodePeer, wsPeer}, "", func(t *testing.T, w *waft, channels []string) *driver {
		return plainSocket(t, "ws", w.url, nil).subscribe(t, channels...)
	}},
	{"waft-subscribe", nil, "", func(t *testing.T, w *waft, channels []string) *driver {
		return waftSubscribe(t, w, channels...)
	}},
}

func TestMatrix(t *testing.T) {
	w := startWaft(t, xmppServers(t)...)

	var channels []string
	for _, p := range publishers {
		channels = append(channels, p.channel())
	}
	open := make(map[string]*driver)
	for _, s := range subscribers {
		if missing(s.needs...) == nil {
			open[s.name] = s.subscribe(t, w, channels)
		}
	}
	for _, s := range subscribers {
		if d := open[s.name]; d != nil {
			d.subscribed(t)
			if s.transport != "" {
				d.mustUse(t, s.transport)
			}
		}
	}

	for _, p := range publishers {
		t.Run(p.name, func(t *testing.T) {
			need(t, p.needs...)
			sent, want := p.texts()
			p.publish(t, w, p.channel(), sent)
			for _, s := range subscribers {
				t.Run(s.name, func(t *testing.T) {
					need(t, s.needs...)
					got, err := open[s.name].until(p.channel(), want[len(want)-1])
					compare(t, got, want)
					if err != nil {
						t.Error(err)
					}
				})
			}
		})
	}

	// A repetition may come after the last message that a cell waited for.
	for name, d := range open {
		for _, p := range publishers {
			if n := len(d.received(p.channel())); n > matrixMessages {
				t.Errorf("%s received %d messages of %s in the end", name, n, p.name)
			}
		}
	}
}

// texts are what the publisher is given to send, and what must arrive.
func (p publisher) texts() (sent, want []string) {
	for _, payload := range sequence(matrixMessages) {
		sent = append(sent, payload.text)
		if p.js {
			want = append(want, payload.expressed())
		} else {
			want = append(want, payload.exact())
		}
	}
	return sent, want
}

// compare reports the first place where got is not want.
func compare(t *testing.T, got, want []string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(want):
			t.Errorf("message %d is one too many: %s", i, got[i])
		case i >= len(got):
			t.Errorf("message %d of %d is missing: %s", i, len(want), want[i])
		case got[i] != want[i]:
			t.Errorf("message %d of %d:\n got %q\nwant %q", i, len(want), got[i], want[i])
		default:
			continue
		}
		return
	}
}
