package main

import (
	"bufio"
	"crypto/sha1" // XEP-0114 §3 wants it
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

// componentServer is the part of an XMPP server that a component meets (XEP-0114 §3). It takes one link.
type componentServer struct {
	address string
	up      chan net.Conn // the link, once it is accepted
	refused chan struct{} // something was answered with an error; one is remembered
	closed  chan string   // all that came over it afterwards, once it has ended
}

func newComponentServer(t *testing.T, secret string) *componentServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &componentServer{l.Addr().String(), make(chan net.Conn, 1), make(chan struct{}, 1), make(chan string, 1)}
	ended := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-ended })
	go func() {
		defer close(ended)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		r := bufio.NewReader(conn)
		until := func(end string) (text string) {
			for !strings.HasSuffix(text, end) {
				b, err := r.ReadByte()
				if err != nil {
					break
				}
				text += string(b)
			}
			return text
		}
		until("to='waft.localhost'")
		until(">")
		fmt.Fprint(conn, "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' id='s1' from='waft.localhost'>")
		sum := sha1.Sum([]byte("s1" + secret))
		if proof := until("</handshake>"); !strings.Contains(proof, hex.EncodeToString(sum[:])) {
			t.Errorf("the handshake was %s", proof)
			return
		}
		fmt.Fprint(conn, "<handshake/>")
		s.up <- conn
		var rest string
		for !strings.HasSuffix(rest, "</stream:stream>") {
			tag := until(">")
			if rest += tag; !strings.HasSuffix(tag, ">") {
				break
			}
			if strings.HasSuffix(tag, "</error>") {
				select {
				case s.refused <- struct{}{}:
				default:
				}
			}
		}
		fmt.Fprint(conn, "</stream:stream>")
		more, _ := io.ReadAll(r)
		s.closed <- rest + string(more)
	}()
	return s
}

func TestRealm_its_xmpp_link_comes_up_publishes_for_its_users_and_says_goodbye(t *testing.T) {
	xmpp := newComponentServer(t, "c0mp0nent")
	text := strings.Replace(withLink, "127.0.0.1:1", xmpp.address, 1) + "[[realm.xmpp.user]]\nmatch = 'alice@localhost'\npublish = ['/chat/*']\n"
	r := serve(t, nil, "--config", writeConfig(t, text))
	s := subscribe(t, nil, "--server", r.url(), "--count", "1", "/chat/*")
	link := <-xmpp.up
	for _, from := range []string{"mallory@localhost/x", "alice@localhost/x"} {
		fmt.Fprintf(link, "<iq type='set' id='1' from='%s' to='waft.localhost'><pubsub xmlns='http://jabber.org/protocol/pubsub'>"+
			"<publish node='/chat/x'><item><json xmlns='urn:xmpp:json:0'>{\"from\":\"%s\"}</json></item></publish></pubsub></iq>", from, from)
	}
	<-xmpp.refused
	if code := <-s.done; code != exitOK {
		t.Fatal(s.err.String())
	}
	if got, want := s.out.String(), `{"channel":"/chat/x","data":{"from":"alice@localhost/x"}}`+"\n"; got != want {
		t.Errorf("a subscriber got %s, want %s", got, want)
	}
	if _, page := r.get(t, "/metrics"); !strings.Contains(page, `waft_xmpp_link_up{domain="waft.localhost",realm="default"} 1`) ||
		!strings.Contains(page, `waft_xmpp_refused_total{domain="waft.localhost",realm="default",reason="forbidden"} 1`) {
		t.Errorf("the metrics do not tell:\n%s", page)
	}
	if code := r.stop(); code != exitOK {
		t.Errorf("exit code %d: %s", code, r.err.String())
	}
	if said := <-xmpp.closed; !strings.HasSuffix(said, "</stream:stream>") {
		t.Errorf("the link ended with %s", said)
	}
	if log := r.err.String(); strings.Contains(log, "c0mp0nent") {
		t.Errorf("the secret is in the log:\n%s", log)
	}
}

func TestRealm_without_a_link_runs_nothing_of_xmpp(t *testing.T) {
	r := serve(t, map[string]string{envRealmKey: goodKey})
	if n := len(r.realms[0].broker.Sessions()); n != 0 || len(r.realms[0].links) != 0 {
		t.Errorf("%d sessions, %d links", n, len(r.realms[0].links))
	}
}
