package bayeux

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"waft/broker"
	"waft/broker/outbox"
	"waft/broker/outbox/park"
)

// Options says how the door is run. Broker is required; the zero value of everything else works.
type Options struct {
	Broker *broker.Broker

	// Authenticator verifies bearer tokens. nil: everybody is anonymous, and whoever shows a token is refused.
	Authenticator broker.Authenticator

	Outbox *outbox.Outbox // writes to the sockets; nil: one of the handler's own
	Lot    *park.Lot      // where the connections of held polls, streams and WebSockets wait; nil: one of the handler's own
	Logger *slog.Logger   // nil: nothing is logged

	// ClientAddress says whose request it is, where a proxy stands between, by its head and where it came from alone; an invalid address
	// is nobody's. nil: the other end of the connection.
	ClientAddress func(*http.Request) netip.Addr

	// Limits of addresses and sessions; SetLimits can change them.
	Limits Limits

	// Origins lists the web pages that may use this door from a browser ("https://app.example"; "*": all), beside those
	// of the same host and clients that send no Origin.
	Origins []string

	AllowHeaders []string // further header fields that those pages may send, beside those of the known clients
	NoJSONP      bool     // callback-polling is refused; Faye's client cannot do without it across origins
	ClientScript string   // the file served to pages that load the client from here; "": none

	Timeout     time.Duration // how long a connect is held; 0 means 30 seconds
	Interval    time.Duration // what clients are told to wait between connects
	MaxInterval time.Duration // how long beyond Interval a session lives without a sign of life; 0 means 60 seconds

	// MaxInactivity ends a session whose client has sent nothing but connects for so long; 0 means never.
	MaxInactivity time.Duration

	MaxBody          int             // bytes of one request, query or frame; 0 means 64 KiB
	MaxBatch         int             // messages in one request or frame; 0 means 1,000
	MaxMessages      int             // deliveries that may wait for a session; 0: the broker's default
	MaxBytes         int             // bytes of them; 0: the broker's default
	MaxSubscriptions int             // of one session; 0: the broker's default
	Overflow         broker.Overflow // what happens to a session for which more is waiting

	Compression  bool // permessage-deflate is negotiated with WebSocket clients that offer it
	CompressFrom int  // bytes of the smallest event that is then compressed; 0 means 512

	// AllowedExt names the members of a published message's ext that subscribers are given; nil means "binary".
	// "replay" is never passed on: there it is the event's own position.
	AllowedExt []string

	// ReplayID tells on which channels the data of events is an object whose event.replayId is the event's position as a number,
	// for Salesforce's clients. Channels without history have none. nil: nowhere.
	ReplayID func(broker.Channel) bool

	// HoldInHandler leaves held polls in their handlers, as those over TLS and HTTP/2 always are. That costs some 30 KB each, and is for
	// servers with something in front of the handler that changes responses, or counts connections by http.Server.ConnState: the
	// usual way takes the connection of a held poll over (http.Hijacker), or of any other request when it is answered, and has the server serve on. What is in front
	// should not wait for long before a connect: it is called by a worker that many connections share.
	HoldInHandler bool

	// PureFront says that whatever the server has in front of the handler looks at nothing but a request's head and where it came from, sets no
	// header field of a response, and leaves nothing behind: it writes no log and counts nothing. Then it is not asked about a poll whose
	// head is that of the poll before it on its connection, byte for byte; and such a poll costs half. A handler that is the server's own has nothing in
	// front.
	PureFront bool

	// What a client was sent is kept until it has shown that it has it. MaxUnconfirmed is how many messages of a session, 0 means
	// 1,000, negative means none: then what was under way when a connection dies is lost, and there is no acknowledge
	// extension. Beyond, the oldest is taken for received.
	MaxUnconfirmed      int
	MaxUnconfirmedBytes int           // bytes of them, which the last may exceed; 0 means 1 MiB
	ReceiptDelay        time.Duration // how long after an event on a socket its arrival is asked for; 0 means 1 second

	NoAck      bool // CometD's acknowledge extension is not offered
	NoTimesync bool // nobody is told the server's time by CometD's timesync extension
	Timestamp  bool // replies have the time, and events that of their publication, in the member timestamp

	Ping          time.Duration // silence after which a socket is pinged, and the pace of a stream's comments; 0 means 25 seconds
	PongWait      time.Duration // how long it then has to answer; 0 means 10 seconds
	HandshakeIdle time.Duration // how long a socket may stay open without a session and without a message; 0 means 30 seconds
	DedupWindow   time.Duration // how long a published message's id is remembered; 0 means 1 minute
}

// Handler is the Bayeux door of one realm: an http.Handler for its mount path and everything below. It needs a server
// without WriteTimeout; it sets deadlines itself.
type Handler struct {
	// static after New
	opts      Options
	broker    *broker.Broker
	wheel     *broker.Wheel
	outbox    *outbox.Outbox
	ownOutbox bool
	lot       *park.Lot
	log       logger
	began     time.Time
	form      *eventForm
	packed    *packedForm // of form
	placed    *eventForm  // with positions, for sessions with replay

	placedPacked *packedForm // of placed

	origins  originList
	advice   adviceTexts
	allowed  string  // the header fields that pages may send
	script   *script // nil: none
	damper   *broker.Damper
	upgrader websocket.Upgrader
	life     context.Context // of what outlives a request: sockets
	endLife  context.CancelFunc

	limits    atomic.Pointer[limits]
	addresses addresses
	forms     forms
	tenants   tenants
	date      atomic.Pointer[date] // that was sent last
	heads     heads
	kinds     kinds
	returnees returnees
	window    window
	storm     storm
	counters  counters
	polls     atomic.Int64 // being held or answered
	draining  atomic.Bool
	closed    sync.Once

	mu        sync.RWMutex // guards the rest
	sessions  map[string]*session
	sockets   map[*socket]struct{}
	streams   map[*stream]struct{}
	held      map[*heldPoll]struct{}     // those that gave up their requests, and the connections of such
	handbacks map[*http.Server]*handback // where those go back to
	idle      chan struct{}              // closed when polls, sockets and streams fall to nothing, if Shutdown waits
}

// New makes the door. Errors are of kind Invalid.
func New(o Options) (*Handler, error) {
	if o.Broker == nil {
		return nil, broker.Errorf(broker.Invalid, "a Bayeux handler needs a Broker")
	}
	for _, d := range []time.Duration{o.Timeout, o.Interval, o.MaxInterval, o.Ping, o.PongWait, o.HandshakeIdle, o.DedupWindow, o.ReceiptDelay, o.MaxInactivity} {
		if d < 0 {
			return nil, broker.Errorf(broker.Invalid, "a Bayeux handler's times must not be negative: %v", d)
		}
	}
	if min(o.MaxBody, o.MaxBatch, o.MaxMessages, o.MaxBytes, o.CompressFrom, o.MaxUnconfirmedBytes) < 0 {
		return nil, broker.Errorf(broker.Invalid, "a Bayeux handler's limits must not be negative")
	}
	origins, err := parseOrigins(o.Origins)
	if err != nil {
		return nil, err
	}
	allowed, err := allowedHeaders(o.AllowHeaders)
	if err != nil {
		return nil, err
	}
	script, err := readScript(o.ClientScript)
	if err != nil {
		return nil, err
	}
	o.Timeout = cmp.Or(o.Timeout, 30*time.Second)
	o.MaxInterval = cmp.Or(o.MaxInterval, time.Minute)
	o.MaxBody = cmp.Or(o.MaxBody, 64<<10)
	o.MaxBatch = cmp.Or(o.MaxBatch, 1000)
	o.CompressFrom = cmp.Or(o.CompressFrom, 512)
	o.MaxUnconfirmed = cmp.Or(o.MaxUnconfirmed, 1000)
	o.MaxUnconfirmedBytes = cmp.Or(o.MaxUnconfirmedBytes, 1<<20)
	o.ReceiptDelay = cmp.Or(o.ReceiptDelay, time.Second)
	o.Ping = cmp.Or(o.Ping, 25*time.Second)
	o.PongWait = cmp.Or(o.PongWait, 10*time.Second)
	o.HandshakeIdle = cmp.Or(o.HandshakeIdle, 30*time.Second)
	o.DedupWindow = cmp.Or(o.DedupWindow, time.Minute)
	if o.AllowedExt == nil {
		o.AllowedExt = []string{"binary"}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	h := &Handler{
		opts: o, broker: o.Broker, wheel: o.Broker.Wheel(), outbox: o.Outbox, log: logger{out: o.Logger}, began: time.Now(),
		form:     &eventForm{ext: withoutReplay(o.AllowedExt), stamped: o.Timestamp, keeps: o.Broker.Keeps, replayID: o.ReplayID},
		origins:  origins,
		allowed:  allowed,
		script:   script,
		advice:   newAdvice(o.Interval, o.Timeout),
		sessions: map[string]*session{},
		sockets:  map[*socket]struct{}{},
		streams:  map[*stream]struct{}{},
		held:     map[*heldPoll]struct{}{}, handbacks: map[*http.Server]*handback{},
	}
	if h.damper, err = broker.NewDamper(0, 0); err != nil {
		return nil, err
	}
	if err := h.SetLimits(o.Limits); err != nil {
		return nil, err
	}
	h.placed = h.form.withPositions()
	h.packed = &packedForm{plain: h.form, from: o.CompressFrom, stats: &h.counters}
	h.placedPacked = &packedForm{plain: h.placed, from: o.CompressFrom, stats: &h.counters}
	h.upgrader = newUpgrader(o.Compression)
	h.window.init(o.DedupWindow)
	h.life, h.endLife = context.WithCancel(context.Background())
	if h.outbox == nil {
		h.outbox, h.ownOutbox = outbox.New(outbox.Options{}), true
	}
	if h.lot = o.Lot; h.lot == nil {
		h.lot = park.New(0)
	}
	return h, nil
}

// ServeHTTP serves every path alike, without redirects: CometD clients post to /handshake, /connect and so on below the
// mount, and to the mount with a slash.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	reading := r.Method == http.MethodGet || r.Method == http.MethodHead
	if reading && isScript(r.URL.Path) {
		h.serveScript(w, r)
		return
	}
	from := h.clientAddress(r)
	if !h.admit(w, r) || !h.arrive(w, from) {
		return
	}
	defer h.depart(from)
	switch {
	case r.Method == http.MethodPost:
		h.servePost(w, r)
	case r.Method == http.MethodOptions:
		h.servePreflight(w, r)
	case r.Method == http.MethodGet && isUpgrade(r):
		h.serveSocket(w, r)
	case r.Method == http.MethodGet && isStream(r):
		h.serveStream(w, r)
	case r.Method == http.MethodGet && r.URL.RawQuery != "":
		h.serveCallback(w, r)
	case r.Method == http.MethodGet:
		h.counters.refuse(RefusedMalformed)
		refuse(w, http.StatusBadRequest, "Bayeux messages are posted, put in a query, or sent over a WebSocket")
	default:
		h.counters.refuse(RefusedMalformed)
		w.Header().Set("Allow", "GET, POST, OPTIONS")
		refuse(w, http.StatusMethodNotAllowed, "Bayeux messages are posted, put in a query, or sent over a WebSocket")
	}
}

func isUpgrade(r *http.Request) bool {
	return r.Header.Get("Upgrade") != ""
}

// refuse answers a request that is not Bayeux with one plain sentence.
func refuse(w http.ResponseWriter, status int, sentence string) {
	w.Header().Set("Cache-Control", "no-cache, no-store")
	http.Error(w, sentence, status)
}

// now is nanoseconds since the handler began.
func (h *Handler) now() int64 { return int64(time.Since(h.began)) }
