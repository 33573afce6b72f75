package httppub

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"waft/broker"
)

// ReaderOptions says how a realm's reading door works. Broker is required; the zero value of everything else works.
type ReaderOptions struct {
	Broker        *broker.Broker
	Authenticator broker.Authenticator // nil: the realm knows no tokens, and every one is refused

	Origins []string // web pages of other origins that may read: "https://app.example"; "*": all

	Limits ReaderLimits // SetLimits can change them

	// Damper bounds how many bad tokens of an address are looked at. nil: all are.
	Damper *broker.Damper

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

	limits   atomic.Pointer[ReaderLimits]
	held     held
	counters counters
}

// NewReader makes the handler. It belongs behind a router that leaves paths alone, see Reads. The error is of kind Invalid.
func NewReader(o ReaderOptions) (*Reader, error) {
	if o.Broker == nil {
		return nil, broker.Errorf(broker.Invalid, "an HTTP reader needs a broker")
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	h := &Reader{opts: o, within: time.Minute, held: held{what: "waiting requests", instead: "; try again later, or ask without wait"}}
	if err := h.SetLimits(o.Limits); err != nil {
		return nil, err
	}
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
		h.origins.preflight(c.w, c.to.kind.methods())
		return nil
	case serve == nil:
		return &wireError{http.StatusMethodNotAllowed, "method_not_allowed", "this address answers to " + c.to.kind.methods()}
	case c.ContentLength != 0:
		return refuseBody(c)
	}
	if c.who, err = authenticate(c.Request, h.opts.Damper.From(clientAddress(c.Request, h.opts.ClientAddress), h.opts.Authenticator)); err != nil {
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
