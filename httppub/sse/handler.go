package sse

import (
	"cmp"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"waft/broker"
	"waft/broker/outbox"
	"waft/broker/outbox/park"
	"waft/httppub"
	"waft/httppub/place"
)

// Options says how the streams of one realm work. Broker is required; the zero value of everything else works.
type Options struct {
	Broker *broker.Broker

	// Authenticator turns a bearer token into a principal. nil: the realm knows no tokens, and every one is refused.
	Authenticator broker.Authenticator

	// Damper bounds how many bad tokens of an address are looked at. nil: all are.
	Damper *broker.Damper

	// Outbox writes. nil: one of the handler's own.
	Outbox *outbox.Outbox

	// Lot is where streams wait for their end. nil: one of the handler's own.
	Lot *park.Lot

	// Generation tells the lives of a server apart whose histories do not outlive the process: any number, another each time. 0: they do.
	Generation uint32

	Origins []string // web pages that may listen, beside those of the same host: "https://app.example"; "*": all

	MaxChannels  int           // channels and wildcards of a stream; 0 means 32, at most 100
	MaxMessages  int           // that may wait for a stream; 0 means 1,000
	MaxBytes     int           // of them; 0 means 1 MiB
	KeepAlive    time.Duration // pace of comments; 0 means 25 seconds
	Retry        time.Duration // what clients are told to wait before they come back, give or take a third; 0 means 3 seconds
	MaxTokenLife time.Duration // that a token in an address may still have; 0 means 5 minutes

	// ResumeWindow is how old an id may be with which a wildcard is resumed; 0 means 10 minutes. It should be less than the shortest age
	// of a history: what has grown too old is not seen to be missing in channels that have nothing left. Channels asked for by name do not need it.
	ResumeWindow time.Duration

	Limits Limits // what SetLimits can change

	// ClientAddress says from where a request comes. nil: from the other end of its connection.
	ClientAddress func(*http.Request) netip.Addr

	// Logger is told of requests that were refused (debug) or failed (error). No query and no credential is ever logged. nil means slog.Default().
	Logger *slog.Logger
}

// Handler serves one realm's event streams. See the package documentation.
type Handler struct {
	// static
	opts      Options
	broker    *broker.Broker
	outbox    *outbox.Outbox
	ownOutbox bool
	lot       *park.Lot
	origins   httppub.Origins
	places    place.Options
	memos     sync.Pool // of *place.Memo
	closed    sync.Once

	limits   atomic.Pointer[Limits]
	guests   httppub.Guests // streams, and requests that may become one
	counters counters

	mu      sync.Mutex // guards the rest
	streams map[*stream]struct{}
}

// New makes the handler. The error is of kind Invalid.
func New(o Options) (*Handler, error) {
	if o.Broker == nil {
		return nil, broker.Errorf(broker.Invalid, "a handler of event streams needs a Broker")
	}
	if min(o.MaxChannels, o.MaxMessages, o.MaxBytes) < 0 || min(o.KeepAlive, o.Retry, o.MaxTokenLife, o.ResumeWindow) < 0 {
		return nil, broker.Errorf(broker.Invalid, "the limits of event streams must not be negative")
	}
	if o.MaxChannels > place.MostChannels {
		return nil, broker.Errorf(broker.Invalid, "a stream of %d channels is more than its ids can carry; the limit is %d", o.MaxChannels, place.MostChannels)
	}
	o.MaxChannels = cmp.Or(o.MaxChannels, 32)
	o.KeepAlive = cmp.Or(o.KeepAlive, 25*time.Second)
	o.Retry = cmp.Or(o.Retry, 3*time.Second)
	o.MaxTokenLife = cmp.Or(o.MaxTokenLife, 5*time.Minute)
	o.ResumeWindow = cmp.Or(o.ResumeWindow, 10*time.Minute)
	o.Logger = cmp.Or(o.Logger, slog.Default())
	if o.ClientAddress == nil {
		o.ClientAddress = httppub.PeerAddress
	}
	h := &Handler{opts: o, broker: o.Broker, outbox: o.Outbox, streams: map[*stream]struct{}{}}
	h.places = place.Options{Broker: o.Broker, Generation: o.Generation, Window: o.ResumeWindow}
	var err error
	if h.origins, err = httppub.ParseOrigins(o.Origins); err != nil {
		return nil, err
	}
	if err := h.SetLimits(o.Limits); err != nil {
		return nil, err
	}
	h.memos.New = func() any { return &place.Memo{Before: idField} }
	if h.outbox == nil {
		h.outbox, h.ownOutbox = outbox.New(outbox.Options{}), true
	}
	if h.lot = o.Lot; h.lot == nil {
		h.lot = park.New(0)
	}
	return h, nil
}

var (
	errMethod = httppub.ErrMethod("events are listened to with GET")
	errQuery  = httppub.ErrTooLong("the query is too long; listen to fewer channels, or to a wildcard")
)

// ServeHTTP opens a stream, or says why not. It returns when the stream has begun, or ended if its connection cannot be taken over.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	err := error(httppub.ErrOrigin)
	if h.admit(w, r) {
		if r.Method == http.MethodOptions {
			preflight(w)
			return
		}
		err = h.serve(w, r)
	}
	if err != nil {
		h.refuse(w, r, err)
	}
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request) error {
	switch {
	case r.Method != http.MethodGet:
		return errMethod
	case len(r.URL.RawQuery) > maxQuery:
		return errQuery
	}
	a, err := h.parseAsk(r)
	if err != nil {
		return err
	}
	last, err := a.place()
	if err != nil {
		return err
	}
	from, l := h.opts.ClientAddress(r), h.limits.Load()
	who, err := httppub.AuthenticateAddress(r, h.opts.Damper.From(from, h.opts.Authenticator), a.token, h.opts.MaxTokenLife)
	if err != nil {
		return err
	}
	if err := h.guests.Enter(from, l.Streams, l.AddressStreams); err != nil {
		return err
	}
	o, err := h.open(r.Context(), who, a, last, from)
	if err != nil {
		h.guests.Leave(from)
		return err
	}
	o.respond(w, r)
	return nil
}

// refuse answers a request for which there is no stream.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, err error) {
	h.counters.refused.Add(err)
	level := slog.LevelDebug
	if broker.KindOf(err) == broker.Internal && r.Context().Err() == nil {
		level = slog.LevelError
	}
	h.opts.Logger.LogAttrs(r.Context(), level, "event stream refused", slog.String("path", r.URL.EscapedPath()), slog.Any("error", err))
	if errors.Is(err, errMethod) {
		w.Header().Set("Allow", allowed)
	}
	httppub.RefuseGuest(w, r, err)
}
