package component

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"mellium.im/xmpp/jid"
)

// Options configure a [Link]. Domain, Server and Secret are required; zero anywhere else means the default.
type Options struct {
	Domain string // the component's own domain: "waft.example.org"
	Server string // host:port of the server's component port; XEP-0114 has no TLS, so loopback or a private network
	Secret string // shared with the server; shown in no log and no error

	// Host is the address that pings go to. Default: Domain without its first label, or Domain itself when it has only
	// one. Set it when that is not a host of this very server, or a ping would have to travel.
	Host string

	// Limits on one inbound stanza. Beyond any of them it is refused (Stanza.Refused) and the link goes on. MaxStanza
	// bounds what is kept of the wire; the tree made from it can take about fifteen times as much.
	MaxStanza     int // bytes; default 1 MiB
	MaxDepth      int // levels of elements, the stanza itself being the first; default 64
	MaxElements   int // default 10,000
	MaxAttributes int // of one element; default 128
	MaxAttribute  int // bytes of one attribute's name and value, as written; default 64 KiB

	// Limits on what we send. Prosody drops the whole link for one stanza above 512 KiB.
	MaxOutStanza int // bytes; default 480 KiB
	MaxOutbound  int // bytes waiting for the writer; default 8 MiB

	// What SendKept sends is kept until the server has answered a ping behind it; no more than so many stanzas, and
	// MaxOutbound bytes, are. Default 1,000. NoFence: nothing is kept, and no pings are sent for it.
	FenceWindow int
	NoFence     bool

	DialTimeout      time.Duration // default 10 s
	HandshakeTimeout time.Duration // from connected to acknowledged; default 10 s
	WriteTimeout     time.Duration // for one write of at most 64 KiB; default 20 s
	RequestTimeout   time.Duration // the longest a Request waits, whatever its context says; default 30 s
	CloseTimeout     time.Duration // to write what is queued and see the server's closing tag; default 5 s

	// When nothing came for PingInterval, the server is pinged (XEP-0199); when nothing comes for PingTimeout after the
	// ping has left, the link is dropped. Anything the server sends proves life. Defaults 30 s and 20 s.
	PingInterval, PingTimeout time.Duration

	// A lost link is tried again after a random time between ReconnectMin and a bound that doubles up to ReconnectMax.
	// Defaults 0.5 s and 30 s. Failures that a person must mend, and conflict, use SlowMin and SlowMax: 30 s and 60 s.
	ReconnectMin, ReconnectMax time.Duration
	SlowMin, SlowMax           time.Duration

	// Handler gets every inbound iq get or set, message and presence, one after another, on the read goroutine. It must
	// not block and must not call Request: nothing is read meanwhile. A panic in it is logged and the link goes on.
	Handler func(*Stanza)

	// Up is called when a handshake has been acknowledged, before the first stanza of the new link; Send works from
	// here on. Down is called once for each Up, when that link is gone and nothing of it is left. Neither may block.
	Up   func()
	Down func(error)

	// Writable is called after Send returned ErrFull, once queue and window are half empty again. It must not block: one of
	// the link's own goroutines calls it. A link that goes down instead is told by Down and Up.
	Writable func()

	// Dial replaces the TCP dialer (which sets keepalive), for tests and tunnels.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	Logger *slog.Logger // default slog.Default()
}

// withDefaults returns o completed and checked.
func (o Options) withDefaults() (Options, error) {
	d, err := jid.Parse(o.Domain)
	if err != nil || d.Localpart() != "" || d.Resourcepart() != "" {
		return o, fmt.Errorf("component: domain %q is not the domain of a JID", o.Domain)
	}
	o.Domain = d.String()
	if o.Secret == "" {
		return o, errors.New("component: no secret for " + o.Domain)
	}
	if _, _, err := net.SplitHostPort(o.Server); err != nil {
		return o, fmt.Errorf("component: server %q is not host:port: %w", o.Server, err)
	}
	if o.Host == "" {
		o.Host = o.Domain
		if _, parent, ok := strings.Cut(o.Domain, "."); ok {
			o.Host = parent
		}
	}
	if _, err := jid.Parse(o.Host); err != nil {
		return o, fmt.Errorf("component: host %q is not a JID: %w", o.Host, err)
	}
	for _, f := range []struct {
		name string
		n    *int
		def  int
	}{
		{"MaxStanza", &o.MaxStanza, 1 << 20},
		{"MaxDepth", &o.MaxDepth, 64},
		{"MaxElements", &o.MaxElements, 10_000},
		{"MaxAttributes", &o.MaxAttributes, 128},
		{"MaxAttribute", &o.MaxAttribute, 64 << 10},
		{"MaxOutStanza", &o.MaxOutStanza, 480 << 10},
		{"MaxOutbound", &o.MaxOutbound, 8 << 20},
		{"FenceWindow", &o.FenceWindow, 1_000},
	} {
		if err := setDefault(f.name, f.n, f.def); err != nil {
			return o, err
		}
	}
	for _, f := range []struct {
		name string
		d    *time.Duration
		def  time.Duration
	}{
		{"DialTimeout", &o.DialTimeout, 10 * time.Second},
		{"HandshakeTimeout", &o.HandshakeTimeout, 10 * time.Second},
		{"WriteTimeout", &o.WriteTimeout, 20 * time.Second},
		{"RequestTimeout", &o.RequestTimeout, 30 * time.Second},
		{"CloseTimeout", &o.CloseTimeout, 5 * time.Second},
		{"PingInterval", &o.PingInterval, 30 * time.Second},
		{"PingTimeout", &o.PingTimeout, 20 * time.Second},
		{"ReconnectMin", &o.ReconnectMin, 500 * time.Millisecond},
		{"ReconnectMax", &o.ReconnectMax, max(30*time.Second, o.ReconnectMin)},
		{"SlowMin", &o.SlowMin, 30 * time.Second},
		{"SlowMax", &o.SlowMax, max(60*time.Second, o.SlowMin)},
	} {
		if err := setDefault(f.name, f.d, f.def); err != nil {
			return o, err
		}
	}
	if o.ReconnectMin > o.ReconnectMax || o.SlowMin > o.SlowMax {
		return o, errors.New("component: a reconnect minimum is above its maximum")
	}
	if o.Dial == nil {
		o.Dial = dialer.DialContext
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	o.Logger = o.Logger.With("xmpp_domain", o.Domain)
	return o, nil
}

// dialer leaves it to the kernel to find a host that vanished while we had nothing to say.
var dialer = net.Dialer{KeepAliveConfig: net.KeepAliveConfig{
	Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3,
}}

func setDefault[T int | time.Duration](name string, v *T, def T) error {
	if *v < 0 {
		return fmt.Errorf("component: %s is negative", name)
	}
	if *v == 0 {
		*v = def
	}
	return nil
}

func (o *Options) limits() limits {
	return limits{stanza: o.MaxStanza, depth: o.MaxDepth, elements: o.MaxElements, attrs: o.MaxAttributes, attr: o.MaxAttribute}
}
