package ws

import (
	"cmp"
	"context"
	"errors"
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
	"waft/httppub"
	"waft/httppub/place"
)

// Options says how the sockets of one realm work. Broker is required; the zero value of everything else works.
type Options struct {
	Broker *broker.Broker

	// Authenticator turns a bearer token into a principal. nil: the realm knows no tokens, and every one is refused.
	Authenticator broker.Authenticator

	// Damper bounds how many bad tokens of an address are looked at. nil: all are.
	Damper *broker.Damper

	Outbox *outbox.Outbox // writes; nil: one of the handler's own
	Lot    *park.Lot      // where sockets rest while nothing comes; nil: one of the handler's own

	// Generation tells the lives of a server apart whose histories do not outlive the process: any number, another each time. 0: they do.
	Generation uint32

	Origins []string // web pages that may connect, beside those of the same host: "https://app.example"; "*": all

	MaxFrame         int // bytes of a frame from a client; 0 means 64 KiB
	MaxSubscriptions int // of a socket; 0 means 100
	MaxMessages      int // that may wait for a socket; 0 means 1,000
	MaxBytes         int // of them; 0 means 1 MiB
	MaxWindow        int // messages that a client may leave unacknowledged, at most; 0 means 1,000

	KeepAlive    time.Duration // pace of pings to a client that is silent, and of places; 0 means 25 seconds
	PongWait     time.Duration // how long a client may take to answer; 0 means 10 seconds
	AuthTimeout  time.Duration // in which a client without a credential has to show one, or do something; 0 means 10 seconds
	MaxTokenLife time.Duration // that a token in an address may still have; 0 means 5 minutes
	ResumeWindow time.Duration // how old a place may be with which a wildcard is resumed; 0 means 10 minutes. See sse.Options

	Limits Limits // what SetLimits can change

	// ClientAddress says from where a request comes. nil: from the other end of its connection.
	ClientAddress func(*http.Request) netip.Addr

	// Logger is told of requests that were refused (debug) or failed (error). No query and no credential is ever logged. nil means slog.Default().
	Logger *slog.Logger
}

// Handler serves one realm's plain WebSockets. See the package documentation.
type Handler struct {
	// static
	opts      Options
	broker    *broker.Broker
	outbox    *outbox.Outbox
	ownOutbox bool
	lot       *park.Lot
	origins   httppub.Origins
	places    place.Options
	upgrader  websocket.Upgrader
	began     time.Time
	life      context.Context // ends with the handler
	endLife   context.CancelFunc
	closed    sync.Once

	limits   atomic.Pointer[limits]
	guests   httppub.Guests // sockets, and requests that may become one
	counters counters

	mu      sync.Mutex // guards the rest
	sockets map[*socket]struct{}
}

// Subprotocol is the one that is spoken. (RFC 6455 §1.9)
const Subprotocol = "waft.v1"

const writeWithin = 10 * time.Second

// New makes the handler. The error is of kind Invalid.
func New(o Options) (*Handler, error) {
	if o.Broker == nil {
		return nil, broker.Errorf(broker.Invalid, "a handler of WebSockets needs a Broker")
	}
	if min(o.MaxFrame, o.MaxSubscriptions, o.MaxMessages, o.MaxBytes, o.MaxWindow) < 0 ||
		min(o.KeepAlive, o.PongWait, o.AuthTimeout, o.MaxTokenLife, o.ResumeWindow) < 0 {
		return nil, broker.Errorf(broker.Invalid, "the limits of WebSockets must not be negative")
	}
	o.MaxFrame = cmp.Or(o.MaxFrame, 64<<10)
	o.MaxSubscriptions = cmp.Or(o.MaxSubscriptions, 100)
	o.MaxWindow = cmp.Or(o.MaxWindow, 1000)
	o.KeepAlive = cmp.Or(o.KeepAlive, 25*time.Second)
	o.PongWait = cmp.Or(o.PongWait, 10*time.Second)
	o.AuthTimeout = cmp.Or(o.AuthTimeout, 10*time.Second)
	o.MaxTokenLife = cmp.Or(o.MaxTokenLife, 5*time.Minute)
	o.ResumeWindow = cmp.Or(o.ResumeWindow, 10*time.Minute)
	o.Logger = cmp.Or(o.Logger, slog.Default())
	if o.ClientAddress == nil {
		o.ClientAddress = httppub.PeerAddress
	}
	h := &Handler{opts: o, broker: o.Broker, outbox: o.Outbox, sockets: map[*socket]struct{}{}, began: time.Now()}
	h.places = place.Options{Broker: o.Broker, Generation: o.Generation, Window: o.ResumeWindow}
	h.upgrader = websocket.Upgrader{
		WriteBufferPool:  new(sync.Pool), // gorilla writes nothing but control frames, and needs no buffer for those
		HandshakeTimeout: writeWithin,
		Subprotocols:     []string{Subprotocol},
		CheckOrigin:      func(*http.Request) bool { return true }, // serve has checked it
		Error:            func(http.ResponseWriter, *http.Request, int, error) {},
	}
	var err error
	if h.origins, err = httppub.ParseOrigins(o.Origins); err != nil {
		return nil, err
	}
	if err := h.SetLimits(o.Limits); err != nil {
		return nil, err
	}
	if h.outbox == nil {
		h.outbox, h.ownOutbox = outbox.New(outbox.Options{}), true
	}
	if h.lot = o.Lot; h.lot == nil {
		h.lot = park.New(0)
	}
	h.life, h.endLife = context.WithCancel(context.Background())
	return h, nil
}

// now is the handler's clock: nanoseconds since it was made, from 1.
func (h *Handler) now() int64 { return int64(time.Since(h.began)) + 1 }

// ServeHTTP makes a request a socket, or says why not. It returns when the socket has begun.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := h.serve(w, r); err != nil && !errors.Is(err, errLost) {
		h.refuse(w, r, err)
	}
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request) error {
	if origin := r.Header.Get("Origin"); origin != "" && !h.origins.Allow(origin, r.Host) {
		return httppub.ErrOrigin
	}
	a, err := h.parseAsk(r)
	if err != nil {
		return err
	}
	from, l := h.opts.ClientAddress(r), h.limits.Load()
	who, err := httppub.AuthenticateAddress(r, h.opts.Damper.From(from, h.opts.Authenticator), a.token, h.opts.MaxTokenLife)
	if err != nil {
		return err
	}
	if err := h.guests.Enter(from, l.sockets, l.addressSockets); err != nil {
		return err
	}
	if err = h.open(w, r, who, a, from); err != nil {
		h.guests.Leave(from)
	}
	return err
}

var (
	errMethod    = httppub.ErrMethod("a WebSocket is asked for with GET")
	errUpgrade   = &broker.Error{Kind: broker.Invalid, Text: "this is not a WebSocket request as RFC 6455 wants it"}
	errSpeak     = &broker.Error{Kind: broker.Invalid, Text: "the only subprotocol of this address is " + Subprotocol}
	errLost      = &broker.Error{Kind: broker.Closed, Text: "the connection was lost in the handshake"} // there is nobody to answer
	errQueryLong = &broker.Error{Kind: broker.TooLarge, Text: "the query is too long"}
)

// refuse answers a request that does not become a socket.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, err error) {
	h.counters.refused.Add(err)
	level := slog.LevelDebug
	if broker.KindOf(err) == broker.Internal && r.Context().Err() == nil {
		level = slog.LevelError
	}
	h.opts.Logger.LogAttrs(r.Context(), level, "WebSocket refused", slog.String("path", r.URL.EscapedPath()), slog.Any("error", err))
	if errors.Is(err, errMethod) {
		w.Header().Set("Allow", http.MethodGet)
	}
	if errors.Is(err, errUpgrade) {
		w.Header().Set("Sec-WebSocket-Version", "13") // RFC 6455 §4.4
	}
	httppub.RefuseGuest(w, r, err)
}
