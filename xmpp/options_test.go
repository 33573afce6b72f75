package xmpp

import (
	"strings"
	"testing"

	"waft/broker"
	"waft/broker/brokertest"
	"waft/xmpp/component"
)

func TestNew_says_what_is_wrong(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	link := component.Options{Domain: service, Server: "localhost:1", Secret: "s3cret"}
	for want, o := range map[string]Options{
		"no broker":              {Link: link},
		"MaxPayload is negative": {Broker: b, Link: link, MaxPayload: -1},
		"no secret":              {Broker: b, Link: component.Options{Domain: service, Server: "localhost:1"}},
	} {
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want something about %q", err, want)
		}
	}
	if n := len(b.Sessions()); n != 0 {
		t.Errorf("%d sessions were left open", n)
	}
	s, err := New(Options{Broker: b, Link: link})
	if err != nil {
		t.Fatal(err)
	}
	if s.JID() != service || s.opts.MaxPayload != 128<<10 || s.opts.Link.MaxOutStanza != 480<<10 {
		t.Errorf("defaults: %+v", s.opts)
	}
}
