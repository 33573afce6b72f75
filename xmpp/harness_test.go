package xmpp

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"waft/broker"
	"waft/broker/brokertest"
	"waft/xmpp/component"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	service = "waft.localhost"
	root    = "root@localhost"
	alice   = "alice@localhost/phone"
	bob     = "bob@localhost/desk"
	carol   = "carol@localhost/café"
)

// world is a service between a broker and a scripted XMPP server, in a bubble of its own time.
type world struct {
	t      testing.TB
	broker *broker.Broker
	svc    *Service
	opts   Options
	conns  chan net.Conn
	*server
	cancel context.CancelFunc
	done   chan error
}

// setup is what a test may change before the service starts.
type setup struct {
	broker  broker.Options
	service Options
}

// rules is the authorizer of the tests: anybody may do anything, but nobody anything below /secret, subscribe or read
// below /inbox, or publish below /news. Only root manages.
var rules = brokertest.AuthorizerFunc(func(_ context.Context, who broker.Principal, act broker.Action, p broker.Pattern) error {
	closed := func(q broker.Pattern) bool { return p.Overlaps(q) || p == q }
	switch {
	case act == broker.ActManage && who.Subject != root:
		return broker.Errorf(broker.Forbidden, "%s may not manage %s", who.Subject, p)
	case who.Subject == "alice@localhost":
	case closed("/secret/**"),
		closed("/inbox/**") && act != broker.ActPublish,
		closed("/news/**") && act == broker.ActPublish:
		return broker.Errorf(broker.Forbidden, "%s may not %s %s", who.Subject, act, p)
	}
	return nil
})

func principal(jid string) broker.Principal { return broker.Principal{Subject: jid, Issuer: "xmpp"} }

// dialogue runs a script with a service whose link is up.
func dialogue(t *testing.T, change func(*setup), script func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, change)
		defer w.stop()
		w.accept()
		synctest.Wait() // what the service does when the link comes up is done
		script(w)
	})
}

func newWorld(t testing.TB, change func(*setup)) *world {
	w := &world{t: t, conns: make(chan net.Conn), done: make(chan error, 1)}
	o := setup{broker: broker.Options{Authorizer: rules}, service: Options{
		Principal: principal, Store: broker.NewMemoryStore(), Workers: 2, Version: "1.2", Logger: slog.New(slog.DiscardHandler),
		Link: component.Options{
			Domain: service, Server: "xmpp.test:5347", Secret: "s3cret", PingInterval: 1000 * time.Hour, NoFence: true,
			Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
				ours, theirs := net.Pipe()
				select {
				case w.conns <- theirs:
					return ours, nil
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			},
		},
	}}
	if change != nil {
		change(&o)
	}
	w.broker = brokertest.New(t, o.broker)
	o.service.Broker = w.broker
	w.opts = o.service
	w.start()
	return w
}

func (w *world) start() {
	w.t.Helper()
	svc, err := New(w.opts)
	if err != nil {
		w.t.Fatal(err)
	}
	w.svc = svc
	ctx, cancel := context.WithCancel(w.t.Context())
	w.cancel = cancel
	go func() { w.done <- svc.Run(ctx) }()
}

// restart ends the service and starts another with the same options: what it knows then, it has from its store.
func (w *world) restart() {
	w.t.Helper()
	w.stop()
	w.start()
	w.accept()
	synctest.Wait()
}

// accept plays the server's part of the handshake on the next connection.
func (w *world) accept() {
	w.t.Helper()
	w.server = serve(w.t, <-w.conns)
}

func (w *world) stop() {
	w.t.Helper()
	w.cancel()
	if err := <-w.done; err != nil {
		w.t.Errorf("Run returned %v", err)
	}
	if w.server != nil {
		_ = w.conn.Close()
	}
}

// server is the XMPP server's end of one connection. It reads all the time unless it is stuck.
type server struct {
	t    testing.TB
	conn net.Conn
	more chan struct{}

	patience time.Duration // with a service that owes something

	mu    sync.Mutex
	got   []byte
	deaf  bool          // what is read is thrown away
	sink  *sink         // or given to this
	stuck chan struct{} // not nil: nothing is read until it is closed
}

// serve makes the handshake as a server does.
func serve(t testing.TB, conn net.Conn) *server {
	t.Helper()
	p := &server{t: t, conn: conn, patience: time.Minute, more: make(chan struct{}, 1)}
	go p.read()
	p.until("to='waft.localhost'>")
	p.send("<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' " +
		"xmlns:stream='http://etherx.jabber.org/streams' from='waft.localhost' id='i1'>")
	p.until("</handshake>")
	p.send("<handshake/>")
	return p
}

func (p *server) read() {
	b := make([]byte, 64<<10)
	for {
		p.mu.Lock()
		stuck := p.stuck
		p.mu.Unlock()
		if stuck != nil {
			<-stuck
		}
		n, err := p.conn.Read(b)
		p.mu.Lock()
		sink := p.sink
		if !p.deaf {
			p.got = append(p.got, b[:n]...)
		}
		p.mu.Unlock()
		if sink != nil {
			sink.take(b[:n], p.conn)
		}
		select {
		case p.more <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

// stick makes the server stop reading, after what it is reading now, until free is called.
func (p *server) stick() (free func()) {
	stuck := make(chan struct{})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stuck = stuck
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.stuck = nil
		close(stuck)
	}
}

// until waits for mark and takes everything up to its end.
func (p *server) until(mark string) string {
	p.t.Helper()
	patience := time.After(p.patience)
	for {
		p.mu.Lock()
		i := bytes.Index(p.got, []byte(mark))
		if i >= 0 {
			i += len(mark)
			taken := string(p.got[:i])
			p.got = p.got[i:]
			p.mu.Unlock()
			return taken
		}
		have := string(p.got)
		p.mu.Unlock()
		select {
		case <-p.more:
		case <-patience:
			p.t.Fatalf("the service wrote %q, want %q", have, mark)
		}
	}
}

func (p *server) send(text string) {
	p.t.Helper()
	if _, err := io.WriteString(p.conn, text); err != nil {
		p.t.Fatalf("the link does not read: %v", err)
	}
}

// stanza waits for the next stanza, whatever it is, and checks that a server would take it.
func (p *server) stanza() string {
	p.t.Helper()
	p.until("<")
	kind := strings.TrimRight(p.until(" "), " ")
	var text string
	switch {
	case kind == "presence":
		text = "<presence " + p.until("/>")
	default:
		text = "<" + kind + " " + p.until("</"+kind+">")
	}
	// To a server '☃' is a name like any other.
	if err := component.Check(service, []byte(strings.ReplaceAll(text, "☃", "snowman"))); err != nil {
		p.t.Errorf("%v: %s", err, text)
	}
	return text
}

// silent checks that the service, now that nothing moves any more, has written nothing.
func (p *server) silent() {
	p.t.Helper()
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.got) > 0 {
		p.t.Errorf("the service wrote %q, want silence", p.got)
		p.got = nil
	}
}

// want checks the next stanza.
func (p *server) want(text string) {
	p.t.Helper()
	if got := p.stanza(); got != text {
		p.t.Errorf("the service wrote\n%s\nwant\n%s", got, text)
	}
}

// ask sends an iq of the user and gives the answer.
func (p *server) ask(from, typ, payload string) string {
	p.t.Helper()
	p.send(iq(from, typ, payload))
	return p.stanza()
}

// answers checks what a user's iq is answered.
func (p *server) answers(from, typ, payload, want string) {
	p.t.Helper()
	if got := p.ask(from, typ, payload); got != want {
		p.t.Errorf("%s\nis answered\n%s\nwant\n%s", payload, got, want)
	}
}

func iq(from, typ, payload string) string {
	return fmt.Sprintf("<iq type='%s' id='q1' from='%s' to='waft.localhost'>%s</iq>", typ, from, payload)
}

func result(to, payload string) string {
	return fmt.Sprintf("<iq type='result' id='q1' from='waft.localhost' to='%s'>%s</iq>", to, payload)
}

// refused is an error of the shape "type: condition + condition of XEP-0060", which may be left out.
func refused(to, shape, text string) string {
	return fmt.Sprintf("<iq type='error' id='q1' from='waft.localhost' to='%s'>%s</iq>", to, errorElement(shape, text))
}

func errorElement(shape, text string) string {
	typ, rest, _ := strings.Cut(shape, ": ")
	condition, app, _ := strings.Cut(rest, " + ")
	if app != "" {
		name, feature, _ := strings.Cut(app, " ")
		app = "<" + name + " xmlns='http://jabber.org/protocol/pubsub#errors'"
		if feature != "" {
			app += " feature='" + feature + "'"
		}
		app += "/>"
	}
	return "<error type='" + typ + "'><" + condition + " xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>" +
		"<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>" + text + "</text>" + app + "</error>"
}

func pubsubOf(verb string) string {
	return "<pubsub xmlns='http://jabber.org/protocol/pubsub'>" + verb + "</pubsub>"
}

func publishing(node string, items ...string) string {
	return pubsubOf("<publish node='" + node + "'>" + strings.Join(items, "") + "</publish>")
}

// item is an item with JSON that has been escaped for XML; id "" is none.
func item(id, json string) string {
	if id != "" {
		id = " id='" + id + "'"
	}
	return "<item" + id + "><json xmlns='urn:xmpp:json:0'>" + json + "</json></item>"
}

func ownerOf(verb string) string {
	return "<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'>" + verb + "</pubsub>"
}

const nodeConfig = "http://jabber.org/protocol/pubsub#node_config"

// submitting is a form of fields "name=value", the name without pubsub#. "name=" is an empty value, "name" has none.
func submitting(what string, fields ...string) string {
	b := "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>" + what + "</value></field>"
	for _, f := range fields {
		name, value, has := strings.Cut(f, "=")
		b += "<field var='pubsub#" + name + "'>"
		if has {
			b += "<value>" + value + "</value>"
		}
		b += "</field>"
	}
	return b + "</x>"
}

func creating(node string, fields ...string) string {
	b := "<create node='" + node + "'/>"
	if len(fields) > 0 {
		b += "<configure>" + submitting(nodeConfig, fields...) + "</configure>"
	}
	return pubsubOf(b)
}

func configuring(node string, fields ...string) string {
	return ownerOf("<configure node='" + node + "'>" + submitting(nodeConfig, fields...) + "</configure>")
}

// creates makes a node.
func (p *server) creates(from, node string, fields ...string) {
	p.t.Helper()
	p.answers(from, "set", creating(node, fields...), result(from, ""))
}

func (p *server) configures(from, node string, fields ...string) {
	p.t.Helper()
	p.answers(from, "set", configuring(node, fields...), result(from, ""))
}

// settings checks some fields, "name=value", of a node's configuration.
func (p *server) settings(from, node string, fields ...string) {
	p.t.Helper()
	got := p.ask(from, "get", ownerOf("<configure node='"+node+"'/>"))
	for _, f := range fields {
		name, value, _ := strings.Cut(f, "=")
		_, rest, _ := strings.Cut(got, "<field var='pubsub#"+name+"'")
		_, rest, _ = strings.Cut(rest, ">")
		if !strings.HasPrefix(rest, "<value>"+value+"</value>") {
			p.t.Errorf("%s is not %s in %s", name, value, got)
		}
	}
}

func affiliating(node string, entries ...string) string {
	b := "<affiliations node='" + node + "'>"
	for _, e := range entries {
		jid, a, _ := strings.Cut(e, " ")
		b += "<affiliation jid='" + jid + "' affiliation='" + a + "'/>"
	}
	return ownerOf(b + "</affiliations>")
}

// affiliates sets entries "jid affiliation".
func (p *server) affiliates(from, node string, entries ...string) {
	p.t.Helper()
	p.answers(from, "set", affiliating(node, entries...), result(from, ""))
}

// told is an event of the node itself.
func told(to, inside string) string {
	return "<message type='headline' from='waft.localhost' to='" + to + "' id='E'><event xmlns='http://jabber.org/protocol/pubsub#event'>" + inside + "</event></message>"
}

func (p *server) subscribed(from, node, jid string) {
	p.t.Helper()
	p.answers(from, "set", pubsubOf("<subscribe node='"+node+"' jid='"+jid+"'/>"),
		result(from, pubsubOf("<subscription node='"+node+"' jid='"+jid+"' subscription='subscribed'/>")))
}

// event checks the next stanza to be an event for somebody and gives its id.
func (p *server) event(to string) string {
	p.t.Helper()
	got := p.stanza()
	rest, ok := strings.CutPrefix(got, "<message type='headline' from='waft.localhost' to='"+to+"' id='")
	if !ok {
		p.t.Errorf("the service wrote\n%s\nwant an event for %s", got, to)
	}
	id, _, _ := strings.Cut(rest, "'")
	return id
}

func eventText(to, id, node, items string) string {
	return "<message type='headline' from='waft.localhost' to='" + to + "' id='" + id + "'>" +
		"<event xmlns='http://jabber.org/protocol/pubsub#event'><items node='" + node + "'>" + items + "</items></event></message>"
}

var (
	eventIDs  = regexp.MustCompile(` id='[0-9a-z]+-[0-9a-z]+'><(event|body)`)
	assigned  = regexp.MustCompile(`id='[A-Z2-7]{26}'`)
	anyEvent  = "E"
	assignedI = "NEW"
)

// gets checks the next stanzas, whose order nobody promises. In want the id of an event is E, that of an item that
// had none NEW.
func (p *server) gets(want ...string) {
	p.t.Helper()
	var got []string
	for range want {
		text := eventIDs.ReplaceAllString(p.stanza(), " id='"+anyEvent+"'><$1")
		got = append(got, assigned.ReplaceAllString(text, "id='"+assignedI+"'"))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		p.t.Errorf("the service wrote\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// published is the result of a publish.
func published(to, node string, ids ...string) string {
	var items string
	for _, id := range ids {
		items += "<item id='" + id + "'/>"
	}
	return result(to, pubsubOf("<publish node='"+node+"'>"+items+"</publish>"))
}

// publish publishes as somebody who came through another door.
func (w *world) publish(channel, json string) {
	w.t.Helper()
	m := &broker.Message{Channel: broker.Channel(channel), Data: []byte(json)}
	if _, err := w.broker.Publish(w.t.Context(), principal("alice@localhost"), m, broker.PublishOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

// aliceManages is rules, but alice manages.
var aliceManages = brokertest.AuthorizerFunc(func(ctx context.Context, who broker.Principal, act broker.Action, p broker.Pattern) error {
	if act == broker.ActManage && who.Subject == "alice@localhost" {
		return nil
	}
	return rules(ctx, who, act, p)
})

// authorizerFunc allows everything but what is closed.
func authorizerFunc(closed func(broker.Pattern) bool) broker.Authorizer {
	return brokertest.AuthorizerFunc(func(_ context.Context, who broker.Principal, act broker.Action, p broker.Pattern) error {
		if closed(p) {
			return broker.Errorf(broker.Forbidden, "%s may not %s %s", who.Subject, act, p)
		}
		return nil
	})
}
