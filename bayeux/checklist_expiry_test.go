package bayeux

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidwall/gjson"

	"waft/broker"
	"waft/broker/brokertest"
)

// shortLived runs f with an authenticator for tokens like "alice+20": alice's, to subscribe anywhere, and with 20 s to live
// from the beginning; "alice-20" may publish only. Channels below /token need a token.
func shortLived(t *testing.T, f func(t *testing.T, s *server), set ...func(*Options, *broker.Options)) {
	var began time.Time
	bubble(t, func(t *testing.T, s *server) {
		began = time.Now()
		f(t, s)
	}, append([]func(*Options, *broker.Options){func(o *Options, _ *broker.Options) {
		o.Timeout, o.MaxInterval = 5*time.Minute, 5*time.Minute
		o.Authenticator = authenticatorFunc(func(token string) (broker.Principal, error) {
			i := strings.IndexAny(token, "+-")
			if i < 0 {
				return broker.Principal{}, broker.Errorf(broker.Unauthenticated, "not a token")
			}
			seconds, _ := strconv.Atoi(token[i+1:])
			who := broker.Principal{
				Subject: token[:i], Issuer: "test", Grants: []broker.Grant{{Action: broker.ActPublish, Pattern: "/**"}},
				Expires: began.Add(time.Duration(seconds) * time.Second),
			}
			if token[i] == '+' {
				who.Grants = append(who.Grants, broker.Grant{Action: broker.ActSubscribe, Pattern: "/**"})
			}
			if who.ExpiredAt(time.Now()) {
				return broker.Principal{}, broker.ErrCredentialExpired
			}
			return who, nil
		})
	}}, set...)...)
}

func withToken(token, message string) string {
	return strings.Replace(message, "{", `{"ext":{"token":"`+token+`"},`, 1)
}

// endpoints make a session by a handshake message and a subscribe message (or none), connect it, and give what comes next: an
// event, or the reply to the connect that was held. A poll's is the first message of its answer; it is sent again after an event.
var endpoints = map[string]func(s *server, handshake, subscribe string) (id string, next func() gjson.Result){
	"socket": func(s *server, handshake, subscribe string) (string, func() gjson.Result) {
		c := s.socket()
		id := c.ask(handshake).Get("clientId").Str
		c.ask(connectNow(id, `"c0"`))
		if subscribe != "" {
			ok(s.t, c.ask(strings.Replace(subscribe, "CID", id, 1)))
		}
		c.send(connect(id, `"c1"`))
		return id, c.next
	},
	"poll": func(s *server, handshake, subscribe string) (string, func() gjson.Result) {
		id := s.post(handshake)[0].Get("clientId").Str
		s.post(connectNow(id, `"c0"`))
		if subscribe != "" {
			ok(s.t, s.post(strings.Replace(subscribe, "CID", id, 1))[0])
		}
		answer := s.poll(connect(id, `"c1"`))
		return id, func() gjson.Result {
			m := (<-answer)[0]
			if !m.Get("successful").Exists() {
				answer = s.poll(connect(id, `"c2"`))
			}
			return m
		}
	},
}

// lapses checks that a connect is answered by the end of what a credential granted.
func lapses(t *testing.T, m gjson.Result, id string) {
	t.Helper()
	equal(t, "error", m.Get("error").Str, "401:"+id+":Credential expired")
	equal(t, "clientId", m.Get("clientId").Exists(), false)
	equal(t, "reconnect", m.Get("advice.reconnect").Str, "handshake")
}

var expiryRows = []row{
	{93, "a_session_ends_with_its_credential", func(t *testing.T) {
		for name, endpoint := range endpoints {
			t.Run(name, func(t *testing.T) {
				shortLived(t, func(t *testing.T, s *server) {
					id, next := endpoint(s, withToken("alice+20", handshakeMessage), subscribe("CID", `"s"`, `"/open"`))
					synctest.Wait()
					time.Sleep(19 * time.Second)
					s.event("/open", "1")
					equal(t, "event", next().Get("data").Raw, "1")
					synctest.Wait()
					equal(t, "sessions before", s.h.Stats().Sessions, 1)
					time.Sleep(time.Second + 100*time.Millisecond)
					equal(t, "sessions after", s.h.Stats().Sessions, 0)
					m := next()
					lapses(t, m, id)
					if n := m.Get("advice.interval").Int(); n > 1000 {
						t.Errorf("an interval of %d ms", n)
					}
					// With the old token it is too early; with a new one, on the same connection, all is well.
					m = s.post(withToken("alice+20", handshakeMessage))[0]
					fails(t, m, "403::Credential expired")
					equal(t, "reconnect", m.Get("advice.reconnect").Str, "handshake")
					if n := m.Get("advice.interval").Int(); n < 2000 {
						t.Errorf("an interval of %d ms", n)
					}
					st := s.h.Stats()
					equal(t, "lapsed", st.Lapsed, 1)
					equal(t, "expired", st.Refused[RefusedExpired], 1)
					equal(t, "bad", st.Refused[RefusedCredential], 0)
				})
			})
		}
	}},
	{93, "a_socket_stays_for_the_new_handshake", func(t *testing.T) {
		shortLived(t, func(t *testing.T, s *server) {
			c := s.socket()
			c.ask(withToken("alice+20", handshakeMessage))
			time.Sleep(25 * time.Second)
			id := c.ask(withToken("alice+60", handshakeMessage)).Get("clientId").Str
			time.Sleep(20 * time.Second)
			ok(t, c.ask(publish(id, `"1"`, "/a", "1")))
			time.Sleep(60 * time.Second)
			equal(t, "sockets without a handshake", s.h.Stats().Sockets, 0)
		})
	}},
	{93, "a_session_ends_with_the_credential_of_a_subscription", func(t *testing.T) {
		for name, endpoint := range endpoints {
			t.Run(name, func(t *testing.T) {
				shortLived(t, func(t *testing.T, s *server) {
					id, next := endpoint(s, handshakeMessage, withToken("alice+20", subscribe("CID", `"s"`, `"/token/a"`)))
					time.Sleep(19 * time.Second)
					ok(t, s.post(withToken("bob+60", publish("", `"p"`, "/token/a", "1")))[0])
					equal(t, "event", next().Get("data").Raw, "1")
					time.Sleep(1100 * time.Millisecond)
					ok(t, s.post(withToken("bob+60", publish("", `"p"`, "/token/a", "2")))[0])
					lapses(t, next(), id)
					equal(t, "subscriptions", s.b.Stats().Subscriptions, 0)
				})
			})
		}
	}},
	{93, "a_subscription_that_needs_no_credential_outlives_it", func(t *testing.T) {
		shortLived(t, func(t *testing.T, s *server) {
			_, next := endpoints["socket"](s, handshakeMessage, withToken("alice+20", subscribe("CID", `"s"`, `"/open"`)))
			time.Sleep(time.Minute)
			s.event("/open", "1")
			equal(t, "event", next().Get("data").Raw, "1")
		})
	}},
	{93, "a_credential_that_lives_for_two_seconds", func(t *testing.T) {
		shortLived(t, func(t *testing.T, s *server) {
			id, next := endpoints["poll"](s, withToken("alice+2", handshakeMessage), "")
			time.Sleep(2100 * time.Millisecond)
			m := next()
			lapses(t, m, id)
			if n := m.Get("advice.interval").Int(); n < 1000 {
				t.Errorf("an interval of %d ms: the next one may be like it", n)
			}
		})
	}},
	{93, "a_newer_credential_of_the_same_holder_renews_the_session_and_what_it_subscribed_to", func(t *testing.T) {
		for _, c := range []struct {
			name, token string
			renewed     bool
		}{
			{"longer", "alice+60", true},
			{"of somebody else", "bob+60", false},
			{"with less rights", "alice-60", false},
			{"shorter", "alice+10", false},
			{"bad", "x", false},
		} {
			for kind, message := range map[string]string{
				"connect": connectNow("CID", `"r"`), "publish": publish("CID", `"r"`, "/a", "1"),
				"subscribe": subscribe("CID", `"r"`, `"/token/b"`), "header": connectNow("CID", `"r"`),
			} {
				t.Run(c.name+" on "+kind, func(t *testing.T) {
					shortLived(t, func(t *testing.T, s *server) {
						id := s.post(withToken("alice+20", handshakeMessage))[0].Get("clientId").Str
						ok(t, s.post(subscribe(id, `"s"`, `"/token/a"`)).with(t, `"s"`))
						message := strings.Replace(message, "CID", id, 1)
						r := request{body: withToken(c.token, message)}
						if kind == "header" {
							r = request{body: message, header: map[string]string{"Authorization": "Bearer " + c.token}}
						}
						m := s.send(r).with(t, `"r"`)
						if c.token != "x" || strings.Contains(message, "/meta/connect") {
							ok(t, m) // a connect needs no credential, so a bad one does it no harm
						}
						if c.name == "of somebody else" && kind == "subscribe" {
							ok(t, s.post(msg("/meta/unsubscribe", id, `"u"`, `"subscription":"/token/b"`)).with(t, `"u"`))
						}
						time.Sleep(30 * time.Second)
						session, _ := s.b.Session(id)
						equal(t, "it lives", session != nil, c.renewed)
						if session != nil {
							equal(t, "/token/a lives", slices.Contains(session.Subscriptions(), "/token/a"), true)
							ok(t, s.post(publish(id, `"p"`, "/a", "2")).with(t, `"p"`))
						}
						time.Sleep(30*time.Second + 100*time.Millisecond)
						equal(t, "sessions in the end", s.h.Stats().Sessions, 0)
					})
				})
			}
		}
	}},
	{93, "a_socket_whose_own_token_has_expired_publishes_with_the_newer_one", func(t *testing.T) {
		shortLived(t, func(t *testing.T, s *server) {
			c, _, err := s.upgrade("", map[string][]string{"Authorization": {"Bearer alice+20"}})
			if err != nil {
				t.Fatal(err)
			}
			id := c.handshake()
			ok(t, c.ask(withToken("alice+60", publish(id, `"1"`, "/token/a", "1"))))
			time.Sleep(30 * time.Second)
			ok(t, c.ask(publish(id, `"2"`, "/token/a", "2")))
			other := c.ask(withToken("bob+60", handshakeMessage)).Get("clientId").Str
			fails(t, c.ask(publish(other, `"3"`, "/token/a", "3")), "403:/token/a:Credential expired")
		}, func(_ *Options, b *broker.Options) { b.Authorizer = anyone{} })
	}},
	{93, "a_connect_that_comes_after_the_end_is_told_why", func(t *testing.T) {
		for name, ext := range map[string]string{"events at once": "", "acknowledged": `"ack":true,`} {
			handshake := func(token string) string {
				return strings.Replace(withToken(token, handshakeMessage), `"token"`, ext+`"token"`, 1)
			}
			t.Run(name, func(t *testing.T) {
				shortLived(t, func(t *testing.T, s *server) {
					c := s.socket()
					id := c.ask(handshake("alice+20")).Get("clientId").Str
					ok(t, c.ask(connectNow(id, `"1"`)))
					time.Sleep(20*time.Second + 100*time.Millisecond)
					for range 2 {
						lapses(t, c.ask(connect(id, `"2"`)), id)
					}
					fails(t, c.ask(publish(id, `"3"`, "/a", "1")), "401:"+id+":Unknown client")
					fails(t, c.ask(connect("nosuch", `"4"`)), "401:nosuch:Unknown client")
					// The one after it is the socket's own.
					next := c.ask(handshake("alice+60")).Get("clientId").Str
					fails(t, c.ask(connect(id, `"5"`)), "401:"+id+":Unknown client")
					ok(t, c.ask(connectNow(next, `"6"`)))
				})
			})
		}
	}},
	{93, "a_connect_that_comes_with_the_end_is_answered_once", func(t *testing.T) {
		for name, handshake := range map[string]string{"events at once": handshakeMessage, "acknowledged": ackHandshake} {
			t.Run(name, func(t *testing.T) {
				bubble(t, func(t *testing.T, s *server) {
					for range 200 {
						c := s.socket()
						id := c.ask(handshake).Get("clientId").Str
						ok(t, c.ask(connectNow(id, `"1"`)))
						session := s.h.session(id)
						c.send(connect(id, `"2"`))
						session.queue.Close(errRevoked)
						fails(t, c.next(), "401:"+id+":Rights have changed")
						c.send(connect(id, `"3"`))
						equal(t, "id", c.next().Get("id").Raw, `"3"`)
						c.ws.Close()
					}
				})
			})
		}
	}},
	{93, "rules_that_change_their_mind_send_to_the_handshake", func(t *testing.T) {
		var closed bool
		bubble(t, func(t *testing.T, s *server) {
			id, next := endpoints["socket"](s, handshakeMessage, subscribe("CID", `"s"`, `"/a"`))
			synctest.Wait()
			closed = true
			equal(t, "ended", s.b.Recheck(t.Context()), 1)
			m := next()
			equal(t, "error", m.Get("error").Str, "401:"+id+":Rights have changed")
			equal(t, "reconnect", m.Get("advice.reconnect").Str, "handshake")
		}, func(_ *Options, b *broker.Options) {
			b.Authorizer = brokertest.AuthorizerFunc(func(context.Context, broker.Principal, broker.Action, broker.Pattern) error {
				if closed {
					return broker.Errorf(broker.Forbidden, "no longer")
				}
				return nil
			})
		})
	}},
}
