package xmpp

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"

	"waft/broker"
	"waft/xmpp/component"
)

// chats sends a chat of somebody; more stands after the body.
func (p *server) chats(from, body, more string) {
	p.t.Helper()
	p.send("<message type='chat' id='m1' from='" + from + "' to='waft.localhost'><body>" + body + "</body>" + more + "</message>")
}

var chatIDs = regexp.MustCompile(` id='[A-Z2-7]{26}'`)

// hears checks what a chat is answered; more stands after the body.
func (p *server) hears(from, body, want, more string) {
	p.t.Helper()
	p.chats(from, body, "")
	got := chatIDs.ReplaceAllString(p.after("<message type='headline'"), " id='NEW'")
	if strings.Contains(want, "position: P") {
		got = regexp.MustCompile(`position: [0-9a-z]+-`).ReplaceAllString(got, "position: P")
	}
	want = "<message type='chat' from='waft.localhost' to='" + from + "' id='NEW'><body>" + want + "</body>" + more + "</message>"
	if got != want {
		p.t.Errorf("%s\nis answered\n%s\nwant\n%s", body, got, want)
	}
}

const nobodyReads = "this is a publish-subscribe service; nobody reads messages here"

// refuses checks that a chat is answered with an error.
func (p *server) refuses(from, body, shape, text string) {
	p.t.Helper()
	p.chats(from, body, "")
	p.want("<message type='error' id='m1' from='waft.localhost' to='" + from + "'>" + errorElement(shape, text) + "</message>")
}

func TestChat_has_the_verbs_of_the_commands(t *testing.T) {
	dialogue(t, func(o *setup) {
		managed(o)
		o.service.Mint = func(_ broker.Principal, r TokenRequest) (string, error) { return fmt.Sprintf("%+v", r), nil }
	}, func(w *world) {
		w.subscribed(carol, "/chat", "carol@localhost")
		w.hears(alice, `publish --id 7 /chat {"a": "x  y"}`, "id: 7\nposition: P1\npublished to /chat as 7", "")
		w.gets(eventText("carol@localhost", "E", "/chat", item("7", `{"a":"x  y"}`)))
		w.hears(alice, "History /chat 10", w.position("/chat", 1)+"  "+stamp(w)+`  7  alice@localhost  {"a":"x  y"}`+"\n1 of the 1 messages that /chat keeps", "")
		w.hears(alice, "channels", "/chat  1  "+w.position("/chat", 1)+"  1\n1 channels", "")
		w.hears(alice, "remove /chat --notify=0 7", "removed 7 from /chat", "")
		w.hears(alice, "sessions", "xmpp-1  xmpp  "+stamp(w)+"  1  0  0\n1 sessions, 0 more after them", "")
		w.hears(alice, "close xmpp-1", "no: session xmpp-1 is a part of the server and cannot be ended", "")
		w.hears(alice, "token bob 2h --publish /a --publish /b/* --manage", "token: {Subject:bob Lifetime:2h0m0s Publish:[/a /b/*] Subscribe:[] Read:[] Manage:true}\ngood for 2h0m0s",
			"<no-store xmlns='urn:xmpp:hints'/>")
		w.hears(alice, "publish /chat {", "no: the JSON is wrong at byte 1: unexpected end of JSON input", "")
		w.hears(alice, "publish /chat", "no: data is missing: publish CHANNEL DATA [--id ID]", "")
		w.hears(alice, "close a b", "no: that is more than the command takes: close SESSION", "")
		w.hears(alice, "close --x", "no: there is no --\"x\": close SESSION", "")
		w.hears(alice, "publish --id", "no: --id needs a value", "")
		w.hears(alice, "remove --notify=x /chat 7", "no: --notify is 0 or 1", "")
		w.hears(alice, "reload", "no: there is no such command; say help", "")
		w.hears(alice, "help remove", "remove CHANNEL ID [--notify[=0]]: Remove a message from a channel's history\n  channel: Channel\n  id: Id of the message\n  notify: Tell subscribers (1)", "")
		w.chats(alice, "help", "<thread>t1</thread>")
		if got := w.stanza(); !strings.Contains(got, "<body>publish CHANNEL DATA [--id ID]\nhistory ") || !strings.HasSuffix(got, "</body><thread>t1</thread></message>") {
			t.Error(got)
		}
		w.creates(carol, "/n", "access_model=whitelist")
		w.subscribed(carol, "/n", "carol@localhost")
		w.hears(alice, "owner /n alice@localhost --instead", "/n belongs to alice@localhost", "") // and what follows is done
		w.gets(told("carol@localhost", "<subscription node='/n' jid='carol@localhost' subscription='none'/>"))
	})
}

// position is the text of a channel's place.
func (w *world) position(c broker.Channel, offset uint64) string {
	page, err := w.broker.History(w.t.Context(), principal("alice@localhost"), c, broker.Range{})
	if err != nil {
		w.t.Fatal(err)
	}
	return broker.Position{Epoch: page.Last.Epoch, Offset: offset}.String()
}

func stamp(*world) string { return time.Now().UTC().Format("2006-01-02T15:04:05.000Z") }

// Nobody but an admin learns that there is somebody to talk to.
func TestChat_is_for_admins(t *testing.T) {
	dialogue(t, managed, func(w *world) {
		for _, body := range []string{"help", "publish /chat 1", "stats", "admin-add bob@localhost", ""} {
			w.refuses(bob, body, "cancel: service-unavailable", nobodyReads)
		}
		w.send("<message type='chat' id='m1' from='" + alice + "' to='waft.localhost/x'><body>stats</body></message>")
		w.send("<message type='normal' id='m1' from='" + alice + "' to='waft.localhost'><body>stats</body></message>")
		for _, to := range []string{"waft.localhost/x", "waft.localhost"} {
			w.want("<message type='error' id='m1' from='" + to + "' to='" + alice + "'>" + errorElement("cancel: service-unavailable", nobodyReads) + "</message>")
		}
	})
}

func TestChat_never_runs_in_circles(t *testing.T) {
	dialogue(t, func(o *setup) { managed(o); o.service.ChatRate = 5 }, func(w *world) {
		for _, more := range []string{
			"<delay xmlns='urn:xmpp:delay' stamp='2000-01-01T00:00:00Z'/>", "<x xmlns='jabber:x:delay'/>",
			"<sent xmlns='urn:xmpp:carbons:2'/>", "<received xmlns='urn:xmpp:carbons:2'/>", "<forwarded xmlns='urn:xmpp:forward:0'/>",
			"<result xmlns='urn:xmpp:mam:2'/>", "<event xmlns='http://jabber.org/protocol/pubsub#event'/>", "<x xmlns='http://jabber.org/protocol/muc#user'/>",
		} {
			w.chats(alice, "stats", more)
			w.silent()
		}
		w.send("<message type='chat' from='" + alice + "' to='waft.localhost'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>")
		w.silent()

		// A program that says everything back.
		w.hears(alice, "close x", "no: there is no session \"x\"", "")
		w.chats(alice, "no: there is no session \"x\"", "")
		w.silent()
		// One that answers that it is away.
		w.hears(alice, "I am away", "no: there is no such command; say help", "")
		w.chats(alice, "I am away", "")
		w.silent()
		// One that asks all the time.
		for i := range 2 {
			w.hears(alice, fmt.Sprint("close ", i), fmt.Sprintf("no: there is no session \"%d\"", i), "")
		}
		w.chats(alice, "close 9", "")
		w.silent()
		time.Sleep(time.Minute)
		w.hears(alice, "close 9", "no: there is no session \"9\"", "")
		if st := w.svc.Stats(); st.Chats != 5 || st.ChatsIgnored != 12 {
			t.Errorf("%d chats, %d ignored", st.Chats, st.ChatsIgnored)
		}
	})
}

func TestChat_answers_are_bounded(t *testing.T) {
	dialogue(t, managed, func(w *world) {
		for range 3 {
			w.publish("/chat", `"`+strings.Repeat("é", 4<<10)+`"`)
		}
		w.chats(alice, "history /chat", "")
		if got := w.stanza(); len(got) > maxChat+200 || !strings.HasSuffix(got, " … (cut: ask for less)</body></message>") {
			t.Errorf("%d bytes: …%s", len(got), got[len(got)-80:])
		}
	})
}

// tokens knows two tokens: one that manages for an hour and one that does not.
type tokens struct{}

func (tokens) Authenticate(_ context.Context, token string) (broker.Principal, error) {
	who := broker.Principal{Subject: "t", Issuer: "default", Expires: time.Now().Add(time.Hour), Grants: []broker.Grant{{Action: broker.ActPublish, Pattern: "/a/**"}}}
	switch {
	case strings.HasPrefix(token, "manages."):
		who.Grants = append(who.Grants, broker.Grant{Action: broker.ActManage, Pattern: "/**"})
	case token != "publishes.x":
		return broker.Principal{}, broker.Errorf(broker.Unauthenticated, "the token expired")
	}
	return who, nil
}

// byGrants lets everybody do what his grants say and nothing else.
func byGrants(o *setup) {
	o.broker.Authorizer = authorizing(func(who broker.Principal, act broker.Action, p broker.Pattern) bool { return who.Holds(act, p) })
	o.service.Authenticator = tokens{}
	o.service.Principal = func(jid string) broker.Principal {
		return broker.Principal{Subject: jid, Issuer: "xmpp", Grants: []broker.Grant{{Action: broker.ActPublish, Pattern: "/own"}}}
	}
}

type authorizing func(who broker.Principal, act broker.Action, p broker.Pattern) bool

func (f authorizing) Authorize(_ context.Context, who broker.Principal, act broker.Action, p broker.Pattern) error {
	if f(who, act, p) {
		return nil
	}
	return broker.Errorf(broker.Forbidden, "%s may not %s %s", who.Subject, act, p)
}

// Checklist 103.
func TestAdminAdd_by_token(t *testing.T) {
	var log bytes.Buffer
	dialogue(t, func(o *setup) {
		byGrants(o)
		o.service.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}, func(w *world) {
		w.refuses(bob, "admin-add --token wrong bob@localhost", "auth: forbidden", "the token expired")
		w.refuses(bob, "admin-add --token publishes.x", "cancel: forbidden", "the token does not manage the realm")
		w.refuses(bob, "admin-add --token= carol@localhost", "cancel: forbidden", "the command is not for you")
		w.refuses(bob, "admin-add --token manages.1 waft.localhost", "modify: bad-request", `"waft.localhost" is not the JID of a user`)
		w.executes(bob, executing("admin-add", "", ""), refusedCommand(bob, "cancel: forbidden", "the command is not for you"))
		w.executes(bob, executing("admin-add", "", filling("jid=bob@localhost")), refusedCommand(bob, "cancel: forbidden", "the command is not for you"))
		w.executes(bob, executing("admin-add", "", filling("token=wrong")), refusedCommand(bob, "cancel: forbidden", "the token expired"))
		w.refuses(bob, "help", "cancel: service-unavailable", nobodyReads)

		w.hears(bob, "admin-add --token manages.1", "bob@localhost is an admin", "")
		w.refuses(carol, "admin-add --token manages.1", "cancel: forbidden", "the token has been used for this before")
		w.refuses(carol, "admin-add --token manages.2", "cancel: forbidden", "the token has been used for this before") // another text of the signature
		// He has what the token had, and what he had.
		w.hears(bob, "publish --id 1 /a/b 1", "id: 1\nposition: P1\npublished to /a/b as 1", "")
		w.hears(bob, "publish --id 1 /own 1", "id: 1\nposition: P1\npublished to /own as 1", "")
		w.hears(bob, "publish /c 1", "no: bob@localhost may not publish /c", "")

		w.restart()
		w.executes(carol, executing("admin-add", "", filling("token=manages.once.x")), noted(carol, "admin-add", "info", "carol@localhost is an admin"))
		w.executes(bob, executing("admins", "", ""), executed(bob, "admins", "completed", table("admins", []string{"jid", "added", "by"},
			[]string{"bob@localhost", "T", "bob@localhost with a token"}, []string{"carol@localhost", "T", "carol@localhost with a token"})+
			"<note type='info'>2 admins, beside those of the configuration</note>"))
		w.hears(bob, "admin-add dave@localhost/x", "dave@localhost is an admin", "")
		w.hears(bob, "admin-remove carol@localhost", "carol@localhost is not an admin any more, unless the configuration says so", "")
		w.hears(bob, "admin-remove carol@localhost", "no: nobody has made this JID an admin by stanza", "")
		w.refuses(carol, "stats", "cancel: service-unavailable", nobodyReads)
		w.restart()
		w.refuses(carol, "stats", "cancel: service-unavailable", nobodyReads)
		w.hears("dave@localhost/y", "close x", "no: there is no session \"x\"", "")

		time.Sleep(3 * time.Hour) // what has expired need not be remembered
		w.hears(bob, "admin-add --token manages.later.x carol@localhost", "carol@localhost is an admin", "")
		kept := 0
		_ = w.opts.Store.Scan(t.Context(), "xmpp/"+service+"/admin-token/", func(r broker.Record) bool {
			if kept++; strings.Contains(string(r.Value)+r.Key, "manages") {
				t.Errorf("the store knows the token: %v", r)
			}
			return true
		})
		if kept != 1 {
			t.Errorf("%d tokens are remembered", kept)
		}
	})
	if strings.Contains(log.String(), "manages.") || !strings.Contains(log.String(), "made an admin") {
		t.Errorf("the log: %s", &log)
	}
}

func TestAdmins_are_bounded(t *testing.T) {
	dialogue(t, func(o *setup) { managed(o); o.service.MaxAdmins = 1 }, func(w *world) {
		w.hears(alice, "admin-add bob@localhost", "bob@localhost is an admin", "")
		w.hears(alice, "admin-add bob@localhost/x", "bob@localhost is an admin", "")
		w.hears(alice, "admin-add carol@localhost", "no: there are as many admins as there can be", "")
	})
}

// FuzzChat says whatever the fuzzer makes up, as an admin: there is at most one answer, well-formed, and the link lives.
func FuzzChat(f *testing.F) {
	for _, body := range []string{
		"help", "help publish", `publish /a {"a":1}`, "publish --id=7 /a 1", "history /a 1 --after x", "remove /a --notify=0 7", "channels --max=2 /a/*", "stats", "sessions",
		"close xmpp-1", "token x 1h --manage", "admin-add --token x y", "nodes", "owner /a b@c --instead=1", "", "--", "\u2028 \xff", "PUBLISH\t/a\n1",
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		p := fuzzed(t)
		p.patience = 5 * time.Second
		p.send("<message type='chat' from='" + bob + "' to='waft.localhost'><body>" + string(component.AppendText(nil, body)) + "</body></message>" +
			iq(bob, "get", "<ping xmlns='urn:xmpp:ping'/>"))
		for answers := 0; ; answers++ {
			s := p.stanza()
			if s == result(bob, "") {
				return
			}
			if answers > 0 {
				t.Errorf("another answer: %s", s)
			}
		}
	})
}
