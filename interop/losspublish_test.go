//go:build interop

package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"time"

	"waft/interop/loss"
)

// Publishers of the loss checker. Each publishes one thing after the other, on all channels in turn.

// lossPayload is what is published.
type lossPayload struct {
	Publisher string `json:"p"`
	N         int    `json:"n"`
	Pad       string `json:"pad,omitempty"`
}

// lossSource is one publisher at work.
type lossSource struct {
	*lossRun
	name string
	n    int
}

// next is the next message, of the channel.
func (s *lossSource) next(channel string) loss.Key {
	s.n++
	k := loss.Key{Channel: channel, Publisher: s.name, N: s.n}
	s.ledger.Send(k)
	return k
}

// each calls publish for one message after the other, until the run is over: in a long one more slowly, so that all of it has room on
// the small disk.
func (s *lossSource) each(publish func(channel string)) {
	pace := max(1, lossTime.Minutes()/10)
	for i := 0; !s.over.Load(); i++ {
		publish(lossChannels[i%len(lossChannels)])
		time.Sleep(time.Duration(pace * float64(2+rand.IntN(16)) * float64(time.Millisecond)))
	}
}

func lossID(k loss.Key) string { return fmt.Sprintf("%s-%d", k.Publisher, k.N) }

// lossText has any length up to some hundred bytes, so that cuts are anywhere.
func lossText(k loss.Key) string {
	text, err := json.Marshal(lossPayload{k.Publisher, k.N, strings.Repeat("~", k.N*37%300)})
	if err != nil {
		panic(err)
	}
	return string(text)
}

// clientPatience is how long a client takes silence for life: more than keep-alives are apart.
const clientPatience = 4 * time.Second

// givesUp is how long a publisher tries to get an answer; well within what waft remembers ids for.
const givesUp = 45 * time.Second

// impatientClient takes every request to the address, and a connection that has been silent for dead.
func impatientClient(addr string) *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		conn, err := (&net.Dialer{Timeout: clientPatience}).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return impatientConn{conn}, nil
	}}}
}

type impatientConn struct{ net.Conn }

func (c impatientConn) Read(p []byte) (int, error) {
	c.SetReadDeadline(time.Now().Add(clientPatience))
	return c.Conn.Read(p)
}

func (c impatientConn) Write(p []byte) (int, error) {
	c.SetWriteDeadline(time.Now().Add(clientPatience))
	return c.Conn.Write(p)
}

// httpPublishers publish again with the same item ids until they have an answer: it must not make a second message.
var httpPublishers = []lossPublisher{
	{"rest", "REST", func(s *lossSource) { s.rest(1) }},
	{"rest-2", "REST", func(s *lossSource) { s.rest(1) }},
	{"rest-batch", "REST", func(s *lossSource) { s.rest(4) }},
}

func (s *lossSource) rest(batch int) {
	client := impatientClient(s.publishing.addr)
	defer client.CloseIdleConnections()
	s.each(func(channel string) {
		var keys []loss.Key
		for range batch {
			keys = append(keys, s.next(channel))
		}
		for began := time.Now(); time.Since(began) < givesUp; time.Sleep(100 * time.Millisecond) {
			err := s.post(client, s.w.url, keys...)
			if err == nil {
				for _, k := range keys {
					s.ledger.Acknowledge(k)
				}
				return
			}
			s.notes.add(s.name, err)
		}
	})
}

// post publishes, once.
func (s *lossSource) post(client *http.Client, url string, keys ...loss.Key) error {
	var items []string
	for _, k := range keys {
		items = append(items, fmt.Sprintf(`{"channel":%q,"id":%q,"json-object":%s}`, bare(k.Channel), lossID(k), lossText(k)))
	}
	body := `{"items":[` + strings.Join(items, ",") + `]}`
	req, err := http.NewRequest(http.MethodPost, url+"/realm/default/publish/", bytes.NewReader([]byte(body)))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token())
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

// bayeuxPublishers send a message again with the same message id, as long as they have the session: it must not make a second
// message. If the session is gone, nobody knows.
var bayeuxPublishers = []lossPublisher{
	{"bayeux-ws", "Bayeux", func(s *lossSource) { s.bayeux(websocketType) }},
	{"bayeux-poll", "Bayeux", func(s *lossSource) { s.bayeux(pollingType) }},
}

func (s *lossSource) bayeux(transport string) {
	b := &bayeuxSource{lossSource: s, transport: transport}
	defer b.hangUp()
	s.each(func(channel string) {
		k := s.next(channel)
		text := fmt.Sprintf(`[{"channel":%q,"id":"p%d","clientId":"%%s","data":%s}]`, channel, k.N, lossText(k))
		for began, client := time.Now(), ""; time.Since(began) < givesUp; time.Sleep(100 * time.Millisecond) {
			err := b.ready()
			if err == nil && client != "" && client != b.c.id {
				return // of the session that took it, or not, nobody knows anything
			}
			if err == nil {
				client = b.c.id
				err = b.send(fmt.Sprintf("p%d", k.N), fmt.Sprintf(text, client))
			}
			if err == nil {
				s.ledger.Acknowledge(k)
				return
			}
			s.notes.add(s.name, err)
		}
	})
}

// bayeuxSource is a publisher's session.
type bayeuxSource struct {
	*lossSource
	transport string
	c         *rawClient
}

// ready makes a connection if there is none, and a session if there is none.
func (b *bayeuxSource) ready() (err error) {
	if b.c == nil {
		b.c = &rawClient{transport: b.transport}
	}
	if b.c.nc == nil {
		if err := b.c.redial(b.publishing.addr); err != nil {
			return err
		}
	}
	if b.c.id == "" {
		reply, err := b.c.ask("/meta/handshake", `"version":"1.0","supportedConnectionTypes":["`+b.transport+`"]`)
		if err == nil && b.transport == websocketType { // a poll would hold the connection
			_, err = b.c.send("/meta/connect", `"clientId":"`+reply.ClientID+`",`+b.c.connectFields())
		}
		if err != nil {
			b.hangUp()
			return err
		}
		b.c.id = reply.ClientID
	}
	return nil
}

func (b *bayeuxSource) hangUp() {
	if b.c != nil && b.c.nc != nil {
		b.c.nc.Close()
		b.c.nc = nil
	}
}

// send publishes and waits for the answer. What is answered with a refusal is an error, and the end of the session if it is unknown.
func (b *bayeuxSource) send(id, text string) error {
	b.c.nc.SetDeadline(time.Now().Add(clientPatience))
	if err := b.c.write(text); err != nil {
		b.hangUp()
		return err
	}
	for {
		replies, err := b.c.receive()
		if err != nil {
			b.hangUp()
			return err
		}
		for _, r := range replies {
			switch {
			case r.ID == id:
				if err := r.failure(); err != nil && !strings.HasPrefix(r.Error, "5") {
					b.c.id = "" // 401, 402: unknown client
					return err
				}
				return r.failure()
			case r.Channel == "/meta/connect" && r.failure() == nil:
				if _, err := b.c.send("/meta/connect", b.c.connectFields()); err != nil {
					b.hangUp()
					return err
				}
			}
		}
	}
}

// redial gives a session another connection.
func (c *rawClient) redial(addr string) error {
	nc, err := rawDial(addr)
	if err != nil {
		return err
	}
	again := newRaw(nc, c.transport)
	c.nc, c.in = again.nc, again.in
	c.nc.SetDeadline(time.Now().Add(clientPatience))
	if c.transport == websocketType {
		if err = c.upgrade(); err != nil {
			c.nc.Close()
			c.nc = nil
		}
	}
	return err
}

// xmppPublishers publish everything once, and take for acknowledged what has a result.
func xmppPublishers(server *xmppServer) []lossPublisher {
	return []lossPublisher{{"xmpp-" + server.name, "XMPP" + through(server), func(s *lossSource) {
		var alice *rawUser
		defer func() {
			if alice != nil {
				alice.conn.Close()
			}
		}()
		s.each(func(channel string) {
			k := s.next(channel)
			var err error
			if alice == nil {
				alice, err = server.login("alice")
			}
			if err == nil {
				err = alice.publishItem(server, k)
			}
			if err == nil {
				s.ledger.Acknowledge(k)
				return
			}
			s.notes.add(s.name, err)
			if !errors.Is(err, errRefused) && alice != nil {
				alice.conn.Close()
				alice = nil
			}
			time.Sleep(100 * time.Millisecond)
		})
	}}}
}

var errRefused = errors.New("the answer is an error")

// publishItem publishes an item and waits for the result.
func (u *rawUser) publishItem(s *xmppServer, k loss.Key) error {
	u.conn.SetDeadline(time.Now().Add(clientPatience))
	err := u.send(`<iq type='set' to='` + s.service() + `' id='` + lossID(k) + `'><pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='` +
		k.Channel + `'><item id='` + lossID(k) + `'><json xmlns='urn:xmpp:json:0'>` + lossText(k) + `</json></item></publish></pubsub></iq>`)
	if err != nil {
		return err
	}
	for {
		iq, err := u.next("iq")
		if err != nil {
			return err
		}
		switch {
		case attr(iq, "id") != lossID(k):
		case attr(iq, "type") != "result":
			return errRefused
		default:
			return nil
		}
	}
}
