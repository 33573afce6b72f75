package main

import (
	"cmp"
	"log/slog"
	"runtime"
	"time"

	"waft/broker"
)

// settings is the configuration of a waft process: the shape of the TOML file. docs/configuration.md explains every
// key for people; a test holds it to that.
//
// A key that is absent, zero or empty has its default, which complete fills in: what runs is what `waft config print`
// shows. Where "nothing" is a choice of its own (a key's publish = []), absent and empty differ, and it says so.
type settings struct {
	Listen        string          `toml:"listen"`          // of the protocols; default 127.0.0.1:8080
	AdminListen   string          `toml:"admin_listen"`    // of health, metrics and profiles; default 127.0.0.1:8081
	Proxies       []string        `toml:"trusted_proxies"` // addresses and ranges whose X-Forwarded-For or Forwarded is believed; default none
	ProxyProtocol bool            `toml:"proxy_protocol"`  // their connections begin with a PROXY header; default false
	LogFormat     string          `toml:"log_format"`      // "text" (default) or "json"
	LogLevel      string          `toml:"log_level"`       // "debug", "info" (default), "warn" or "error"
	Drain         duration        `toml:"drain"`           // how long a clean stop may take; default 10s
	Data          string          `toml:"data"`            // directory of what outlives the process; "" (default): nothing does
	Disk          diskSettings    `toml:"disk"`
	TLS           tlsSettings     `toml:"tls"`
	HTTP          httpSettings    `toml:"http"`
	Publish       publishSettings `toml:"publish"`
	Outbox        outboxSettings  `toml:"outbox"`
	Realms        []realmSettings `toml:"realm"` // default: one realm, "default", with the rules of nothing configured

	path string // of the file; "" when there was none
	dir  string // where secret_file begins
}

// httpSettings bounds what a connection to the public listener may take.
type httpSettings struct {
	ReadHeaderTimeout duration `toml:"read_header_timeout"` // to send a request's head; before the first one for a PROXY header, and for the TLS handshake; default 10s
	BodyTimeout       duration `toml:"body_timeout"`        // from there to the end of its body; default 30s
	IdleTimeout       duration `toml:"idle_timeout"`        // between two requests of a connection; default 2m
	MaxHeader         int      `toml:"max_header"`          // bytes of a request's head; default 32768
	MaxStreams        int      `toml:"max_streams"`         // requests of an HTTP/2 connection at a time; default 250
}

// publishSettings bounds a request of the HTTP publish API.
type publishSettings struct {
	MaxBody  int64 `toml:"max_body"`  // bytes, unpacked; of a bulk load, of each line; default 1000000
	MaxItems int   `toml:"max_items"` // items; 0 (default): no limit but the body's
	MaxBulk  int64 `toml:"max_bulk"`  // bytes of a bulk load; default 1 GiB
}

// outboxSettings bounds the writing to streaming connections.
type outboxSettings struct {
	Shards       int      `toml:"shards"`        // workers; default one for each core
	WriteTimeout duration `toml:"write_timeout"` // how long a socket may take nothing; default 10s
	MaxPending   int      `toml:"max_pending"`   // bytes of replies that may wait for a socket; default 262144
}

// realmSettings is one tenant.
type realmSettings struct {
	ID        string               `toml:"id"`
	Hosts     []string             `toml:"hosts"` // host names for which /bayeux is this realm
	Limits    limitSettings        `toml:"limits"`
	Memory    memorySettings       `toml:"memory"`
	Disk      realmDisk            `toml:"disk"`
	Tokens    tokenSettings        `toml:"tokens"`
	Keys      []keySettings        `toml:"key"`
	APIKeys   []apiKeySettings     `toml:"api_key"`
	Revoked   []revokedSettings    `toml:"revoked"`
	Rules     []ruleSettings       `toml:"rule"`
	Bayeux    bayeuxSettings       `toml:"bayeux"`
	Events    eventsSettings       `toml:"events"`
	WebSocket webSocketSettings    `toml:"websocket"`
	Presence  presenceSettings     `toml:"presence"`
	HTTP      realmHTTPSettings    `toml:"http"`
	Publish   realmPublishSettings `toml:"publish"`
	XMPP      []xmppSettings       `toml:"xmpp"`

	keyMade bool // its one key was made at the start
}

// limitSettings bounds a realm's broker.
type limitSettings struct {
	MaxMessage  int `toml:"max_message"`  // bytes of one message's texts; default 1000000
	MaxSessions int `toml:"max_sessions"` // of all protocols at a time; default 100000

	Publishes int `toml:"publishes_per_second"` // through all doors together; 0 (default): no limit

	MaxReplayChannels int `toml:"max_replay_channels"` // of one replay; default 1000
}

func (l *limitSettings) broker() broker.Limits {
	return broker.Limits{MaxMessage: l.MaxMessage, MaxSessions: l.MaxSessions, Publishes: broker.PerSecond(l.Publishes, 5), MaxReplayChannels: l.MaxReplayChannels}
}

// memorySettings bounds what a realm keeps in memory.
type memorySettings struct {
	MaxChannels int      `toml:"max_channels"` // with history or idempotency keys; beyond it the least recently used lose theirs; default 100000
	MaxBytes    int64    `toml:"max_bytes"`    // of kept messages; beyond it likewise; default 268435456
	Window      duration `toml:"window"`       // how long an idempotency key is remembered; default 2m
	MaxKeys     int      `toml:"max_keys"`     // idempotency keys remembered for each channel; default 10000
	Sweep       duration `toml:"sweep"`        // how often idle channels are looked at; default 15s
}

// The realm of a server that configures none.
const defaultRealm = "default"

// complete puts defaults where nothing was said.
func (s *settings) complete() {
	s.Listen = cmp.Or(s.Listen, "127.0.0.1:8080")
	s.AdminListen = cmp.Or(s.AdminListen, "127.0.0.1:8081")
	if s.Proxies == nil {
		s.Proxies = []string{}
	}
	s.LogFormat = cmp.Or(s.LogFormat, "text")
	s.LogLevel = cmp.Or(s.LogLevel, "info")
	fill(&s.Drain, duration{10 * time.Second})

	s.Disk.complete()
	fill(&s.HTTP.ReadHeaderTimeout, duration{10 * time.Second})
	fill(&s.HTTP.BodyTimeout, duration{30 * time.Second})
	// Clients keep a connection for up to a minute between polls; closing first would lose a request to the race.
	fill(&s.HTTP.IdleTimeout, duration{2 * time.Minute})
	fill(&s.HTTP.MaxHeader, 32<<10)
	fill(&s.HTTP.MaxStreams, 250)
	s.TLS.complete()

	fill(&s.Publish.MaxBody, 1_000_000)
	fill(&s.Publish.MaxBulk, 1<<30)

	fill(&s.Outbox.Shards, runtime.GOMAXPROCS(0))
	fill(&s.Outbox.WriteTimeout, duration{10 * time.Second})
	fill(&s.Outbox.MaxPending, 256<<10)

	if len(s.Realms) == 0 {
		s.Realms = []realmSettings{{ID: defaultRealm}}
	}
	for i := range s.Realms {
		s.Realms[i].complete()
	}
}

func (r *realmSettings) complete() {
	fill(&r.Limits.MaxMessage, 1_000_000)
	fill(&r.Limits.MaxSessions, 100_000)
	fill(&r.Limits.MaxReplayChannels, 1_000)
	fill(&r.Memory.MaxChannels, 100_000)
	fill(&r.Memory.MaxBytes, 256<<20)
	fill(&r.Memory.Window, duration{2 * time.Minute})
	fill(&r.Memory.MaxKeys, 10_000)
	fill(&r.Memory.Sweep, duration{15 * time.Second})
	r.Disk.complete()
	r.Tokens.complete()
	for i := range r.Keys {
		r.Keys[i].complete()
	}
	for i := range r.APIKeys {
		r.APIKeys[i].complete()
	}
	for i := range r.Rules {
		r.Rules[i].complete()
	}
	r.Bayeux.complete()
	r.Events.complete()
	r.WebSocket.complete()
	r.Presence.complete()
	r.HTTP.complete()
	r.Publish.complete()
	for i := range r.XMPP {
		r.XMPP[i].complete()
	}
}

// fill sets *v to def if it is zero.
func fill[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// logLevels are the words for log_level.
var logLevels = map[string]slog.Level{
	"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
}

// realm finds a realm by its id.
func (s *settings) realm(id string) (*realmSettings, bool) {
	for i := range s.Realms {
		if s.Realms[i].ID == id {
			return &s.Realms[i], true
		}
	}
	return nil, false
}
