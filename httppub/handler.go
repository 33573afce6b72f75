package httppub

import (
	"cmp"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"waft/broker"
)

// Options says how the door works. Realm is required; the zero value of everything else works.
type Options struct {
	// Realm finds a realm by its id, as it stands in the address. It is called once per request, by many goroutines.
	Realm func(id string) (Realm, bool)

	MaxBody  int64 // bytes of a request's body, unpacked, and of a line of a bulk load; 0 means 1,000,000
	MaxItems int   // items of one request; 0 means no limit but the body's

	MaxStream   int64         // bytes of a bulk load, unpacked; 0 means 1 GiB
	LineTimeout time.Duration // in which a line of a bulk load has to come, and its answer has to be taken; 0 means 30 seconds

	// ClientAddress is whose request it is, where that is not the other end of the connection. nil: it is.
	ClientAddress func(*http.Request) netip.Addr

	// Logger is told of requests that were refused (debug) or failed (error). No credential is ever logged.
	// nil means slog.Default().
	Logger *slog.Logger
}

// Realm is what the door needs of one realm.
type Realm struct {
	Broker *broker.Broker

	// Intake is what the realm's publishers have in common. nil: there are no rates, and no item waits for another.
	Intake *Intake

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
	if o.MaxBody < 0 || o.MaxItems < 0 || o.MaxStream < 0 || o.LineTimeout < 0 {
		return nil, broker.Errorf(broker.Invalid, "the limits of an HTTP publish handler must not be negative")
	}
	o.MaxBody = cmp.Or(o.MaxBody, 1_000_000)
	o.MaxStream = cmp.Or(o.MaxStream, 1<<30)
	o.LineTimeout = cmp.Or(o.LineTimeout, 30*time.Second)
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
	a, intake, err := h.serve(w, r)
	if err != nil {
		a = refuse(a.Receipts, err)
		intake.refused(err)
		h.log(r, a, err)
	}
	if !a.written {
		a.write(w, r)
	}
}

func (h *handler) serve(w http.ResponseWriter, r *http.Request) (a answer, intake *Intake, err error) {
	to, err := parsePath(r.URL.EscapedPath())
	if err != nil {
		return a, nil, err
	}
	if r.Method != http.MethodPost {
		return a, nil, errMethod
	}
	realm, ok := h.opts.Realm(to.realm)
	if !ok {
		return a, nil, broker.Errorf(broker.NotFound, "there is no realm %s", broker.Quote(to.realm))
	}
	a, err = h.take(w, r, to, realm)
	return a, realm.Intake, err
}

// take publishes the request's body to the realm.
func (h *handler) take(w http.ResponseWriter, r *http.Request, to target, realm Realm) (answer, error) {
	at := clientAddress(r, h.opts.ClientAddress)
	from := broker.Network(at)
	if err := realm.Intake.early(from); err != nil {
		return answer{}, err
	}
	manner, err := parseManner(r)
	if err != nil {
		return answer{}, err
	}
	who, err := authenticate(r, realm.Damper.From(at, realm.Authenticator))
	if err != nil {
		return answer{}, err
	}
	p := publication{realm: realm, who: who, from: from, stays: manner.stays}
	if manner.bulk {
		return answer{written: true}, h.bulk(w, r, to, manner, p)
	}
	body, err := h.readBody(w, r)
	if err != nil {
		return answer{}, err
	}
	if p.batch, err = parseItems(body, to.channel, h.opts.MaxItems); err != nil {
		return answer{}, err
	}
	var request keyed
	if manner.key != "" {
		request = newKeyed(who, manner.key, r.URL.EscapedPath(), body)
		request.mark(p.items)
	}
	accepted, send, err := p.accept(r.Context())
	if err != nil {
		return answer{}, err
	}
	if manner.key != "" {
		if err := realm.Intake.once(request); err != nil {
			return answer{}, err
		}
	}
	return p.commit(r.Context(), accepted, send)
}

func (h *handler) log(r *http.Request, a answer, err error) {
	level := slog.LevelDebug
	if a.status >= http.StatusInternalServerError && r.Context().Err() == nil { // one who hung up failed by himself
		level = slog.LevelError
	}
	h.opts.Logger.LogAttrs(r.Context(), level, "http publish refused",
		slog.String("path", r.URL.EscapedPath()), slog.Int("status", a.status), slog.Any("error", err))
}
