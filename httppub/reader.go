package httppub

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"waft/broker"
)

// ReaderOptions says how a realm's reading door works. Broker is required; the zero value of everything else works.
type ReaderOptions struct {
	Broker        *broker.Broker
	Authenticator broker.Authenticator // nil: the realm knows no tokens, and every one is refused

	Origins []string // web pages of other origins that may read: "https://app.example"; "*": all

	MaxPage      int           // most entries of an answer; 0 means 1,000. Who names no limit gets 100
	MaxPageBytes int           // of an answer's messages, but for the last; 0 means 1 MiB
	PageAge      time.Duration // how long caches may keep a page that nothing is added to; 0 means 1 minute, negative: not at all
	MaxWait      time.Duration // how long a request is held, however long it wants to wait; 0 means 55 seconds
	MaxHeld      int           // requests held at a time; 0 means 10,000
	AddressHeld  int           // of them from one address; 0 means no limit

	// ClientAddress is whose request it is, where that is not the other end of the connection. nil: it is.
	ClientAddress func(*http.Request) netip.Addr

	// Logger is told of requests that were refused (debug) or failed (error). nil means slog.Default().
	Logger *slog.Logger
}

// Reader is the http.Handler of a realm's channels, messages, sessions and usage. See the package documentation.
type Reader struct {
	// static
	opts    ReaderOptions
	origins origins
	closing context.Context // ends with Shutdown
	close   context.CancelFunc
	within  time.Duration // in which a client has to take an answer

	held     held
	counters counters
}

// NewReader makes the handler. It belongs behind a router that leaves paths alone, see Reads. The error is of kind Invalid.
func NewReader(o ReaderOptions) (*Reader, error) {
	if o.Broker == nil {
		return nil, broker.Errorf(broker.Invalid, "an HTTP reader needs a broker")
	}
	if o.MaxPage < 0 || o.MaxPageBytes < 0 || o.MaxWait < 0 || o.MaxHeld < 0 || o.AddressHeld < 0 {
		return nil, broker.Errorf(broker.Invalid, "the limits of an HTTP reader must not be negative")
	}
	o.MaxPage = cmp.Or(o.MaxPage, 1_000)
	o.MaxPageBytes = cmp.Or(o.MaxPageBytes, 1<<20)
	o.PageAge = cmp.Or(o.PageAge, time.Minute)
	o.MaxWait = cmp.Or(o.MaxWait, 55*time.Second)
	o.MaxHeld = cmp.Or(o.MaxHeld, 10_000)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	h := &Reader{opts: o, within: time.Minute}
	var err error
	if h.origins, err = parseOrigins(o.Origins); err != nil {
		return nil, err
	}
	h.closing, h.close = context.WithCancel(context.Background())
	return h, nil
}

// Shutdown answers the requests that are held, and holds no more. The rest is up to http.Server's.
func (h *Reader) Shutdown() { h.close() }

// Reads tells whether the request is for a resource of a realm that a Reader serves, right or wrong, and of which realm.
func Reads(r *http.Request) (realm string, ok bool) {
	realm, _, ok = cutResource(r.URL.EscapedPath())
	return realm, ok
}

// call is one request on its way.
type call struct {
	*http.Request
	w    http.ResponseWriter
	who  broker.Principal
	to   resource
	args query
}

// ServeHTTP answers one request.
func (h *Reader) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.origins.admit(w, r)
	c := &call{Request: r, w: w}
	err := h.serve(c)
	if err == nil {
		return
	}
	a := refuse(nil, err)
	switch a.status {
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", c.to.kind.methods())
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "5")
	}
	h.counters.refuse(err)
	h.log(r, a, err)
	a.write(w, r)
}

func (h *Reader) serve(c *call) (err error) {
	if c.to, err = parseResource(c.URL.EscapedPath()); err != nil {
		return err
	}
	serve := h.method(c)
	switch {
	case c.Method == http.MethodOptions:
		h.origins.preflight(c)
		return nil
	case serve == nil:
		return &wireError{http.StatusMethodNotAllowed, "method_not_allowed", "this address answers to " + c.to.kind.methods()}
	case c.ContentLength != 0:
		return refuseBody(c)
	}
	if c.who, err = authenticate(c.Request, h.opts.Authenticator); err != nil {
		return err
	}
	if c.args, err = parseQuery(c.URL.RawQuery, c.to.kind.parameters()); err != nil {
		return err
	}
	return serve(c)
}

// method finds what serves the request; nil: its method is not for this resource.
func (h *Reader) method(c *call) func(*call) error {
	switch c.Method {
	case http.MethodGet, http.MethodHead:
		switch c.to.kind {
		case channelList:
			return h.listChannels
		case oneChannel:
			return h.showChannel
		case messageList:
			return h.readMessages
		case sessionList:
			return h.listSessions
		case usage:
			return h.showUsage
		case oneMessage, oneSession:
		}
	case http.MethodDelete:
		switch c.to.kind {
		case oneMessage:
			return h.deleteMessage
		case oneSession:
			return h.endSession
		case channelList, oneChannel, messageList, sessionList, usage:
		}
	}
	return nil
}

// refuseBody answers a request that brings a body where none is wanted. The connection ends with it, and soon: net/http
// would wait for the rest of the body first.
func refuseBody(c *call) error {
	_ = http.NewResponseController(c.w).SetReadDeadline(time.Now().Add(time.Second))
	c.w.Header().Set("Connection", "close")
	return broker.Errorf(broker.Invalid, "a %s of this address takes no body", c.Method)
}

func (h *Reader) log(r *http.Request, a answer, err error) {
	level := slog.LevelDebug
	if a.status == http.StatusInternalServerError && r.Context().Err() == nil {
		level = slog.LevelError
	}
	h.opts.Logger.LogAttrs(r.Context(), level, "http read refused",
		slog.String("path", r.URL.EscapedPath()), slog.Int("status", a.status), slog.Any("error", err))
}
