package httppub

import (
	"cmp"
	"log/slog"
	"net/http"
	"net/netip"

	"waft/broker"
)

// Options says how the door works. Realm is required; the zero value of everything else works.
type Options struct {
	// Realm finds a realm by its id, as it stands in the address. It is called once per request, by many goroutines.
	Realm func(id string) (Realm, bool)

	MaxBody  int64 // bytes of a request's body; 0 means 1,000,000
	MaxItems int   // items of one request; 0 means no limit but the body's

	// ClientAddress is whose request it is, where that is not the other end of the connection. nil: it is.
	ClientAddress func(*http.Request) netip.Addr

	// Logger is told of requests that were refused (debug) or failed (error). No credential is ever logged.
	// nil means slog.Default().
	Logger *slog.Logger
}

// Realm is what the door needs of one realm.
type Realm struct {
	Broker *broker.Broker

	// Authenticator turns a bearer token into a principal. nil: the realm knows no tokens, and every one is refused.
	Authenticator broker.Authenticator

	// Damper bounds how many bad tokens of an address are looked at. nil: all are.
	Damper *broker.Damper

	// Stanza prepares the XMPP message that an item of a channel carries (format xmpp-stanza), and says whether it may: then
	// send is called once the item has been published. nil: the realm sends none, and refuses such items.
	Stanza func(c broker.Channel, text string) (send func() bool, err error)
}

// New makes the handler. It belongs at the root of a listener, or behind a router that leaves paths alone:
// http.ServeMux redirects "//publish/". The error is of kind Invalid.
func New(o Options) (http.Handler, error) {
	if o.Realm == nil {
		return nil, broker.Errorf(broker.Invalid, "an HTTP publish handler needs a way to look up realms")
	}
	if o.MaxBody < 0 || o.MaxItems < 0 {
		return nil, broker.Errorf(broker.Invalid, "the limits of an HTTP publish handler must not be negative")
	}
	o.MaxBody = cmp.Or(o.MaxBody, 1_000_000)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return &handler{o}, nil
}

// Serves tells whether the request is for an address of this package, right or wrong, so that a program can choose
// between handlers without a router that redirects.
func Serves(r *http.Request) bool {
	_, _, ok := cutPath(r.URL.EscapedPath())
	return ok
}

type handler struct{ opts Options }

// ServeHTTP takes one request through the steps of the package documentation; the first that fails answers.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a, err := h.serve(w, r)
	if err != nil {
		a = refuse(a.Receipts, err)
		h.log(r, a, err)
	}
	a.write(w, r)
}

func (h *handler) serve(w http.ResponseWriter, r *http.Request) (answer, error) {
	to, err := parsePath(r.URL.EscapedPath())
	if err != nil {
		return answer{}, err
	}
	if r.Method != http.MethodPost {
		return answer{}, errMethod
	}
	realm, ok := h.opts.Realm(to.realm)
	if !ok {
		return answer{}, broker.Errorf(broker.NotFound, "there is no realm %s", broker.Quote(to.realm))
	}
	who, err := authenticate(r, realm.Damper.From(clientAddress(r, h.opts.ClientAddress), realm.Authenticator))
	if err != nil {
		return answer{}, err
	}
	body, err := h.readBody(w, r)
	if err != nil {
		return answer{}, err
	}
	batch, err := parseItems(body, to.channel, h.opts.MaxItems)
	if err != nil {
		return answer{}, err
	}
	send, err := realm.stanzas(r.Context(), who, batch)
	if err != nil {
		return answer{}, err
	}
	return publish(r.Context(), realm.Broker, who, batch, send)
}

func (h *handler) log(r *http.Request, a answer, err error) {
	level := slog.LevelDebug
	if a.status >= http.StatusInternalServerError && r.Context().Err() == nil { // one who hung up failed by himself
		level = slog.LevelError
	}
	h.opts.Logger.LogAttrs(r.Context(), level, "http publish refused",
		slog.String("path", r.URL.EscapedPath()), slog.Int("status", a.status), slog.Any("error", err))
}
