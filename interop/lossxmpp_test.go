//go:build interop

package interop

import (
	"context"
	"encoding/xml"
	"strconv"
	"time"

	"waft/interop/loss"
)

// Readers of the loss checker over XMPP. Whoever listens may miss what was under way when waft died or he was away, and reads the archive for
// it; what the server had not answered for comes again on the next link.
func xmppLossReaders(s *xmppServer) []lossReader {
	return []lossReader{
		{name: "XMPP archive" + through(s), follow: func(ctx context.Context, l *lossReading) error { return l.readKept(ctx, s, l.readArchive) }},
		{name: "XMPP items" + through(s), follow: func(ctx context.Context, l *lossReading) error { return l.readKept(ctx, s, l.readItems) }},
		{name: xmppEvents(s), terms: loss.Terms{Again: true, MayMiss: true}, follow: func(ctx context.Context, l *lossReading) error { return l.listen(ctx, s) }},
	}
}

func xmppEvents(s *xmppServer) string { return "XMPP events" + through(s) }

func through(s *xmppServer) string { return ", " + s.name }

// item follows the tokens of a stanza to the messages in it.
type itemTokens struct {
	node, id string
	inJSON   bool
}

// take gives a message when its text has come.
func (i *itemTokens) take(token xml.Token) (text string, ok bool) {
	switch e := token.(type) {
	case xml.StartElement:
		switch e.Name.Local {
		case "items":
			i.node = attr(e, "node")
		case "item":
			i.id = attr(e, "id")
		}
		i.inJSON = e.Name.Local == "json"
	case xml.CharData:
		if i.inJSON {
			return string(e), true
		}
	case xml.EndElement:
		i.inJSON = false
	}
	return "", false
}

// listen has bob subscribe, and notes the events until his stream ends.
func (l *lossReading) listen(ctx context.Context, s *xmppServer) error {
	bob, err := s.login("bob")
	if err != nil {
		return err
	}
	defer bob.conn.Close()
	defer context.AfterFunc(ctx, func() { bob.conn.Close() })()
	away := l.place[""] != ""
	if !away { // once: waft keeps the subscription
		for _, channel := range l.channels {
			if err := bob.subscribe(s, channel); err != nil {
				return err
			}
		}
		l.place[""] = "subscribed"
	}
	l.began()
	var in itemTokens
	for !l.Ended() {
		bob.conn.SetDeadline(time.Now().Add(2 * patience))
		token, err := bob.in.RawToken()
		if err != nil {
			return err
		}
		if text, ok := in.take(token); ok {
			if away { // and not since the login: the server may not have known of it yet
				l.Gap()
				away = false
			}
			l.took(in.node, in.id, []byte(text))
		}
	}
	return nil
}

// readKept reads page after page of all channels, and goes on where it was.
func (l *lossReading) readKept(ctx context.Context, s *xmppServer, page func(u *rawUser, s *xmppServer, channel, query, rest string) error) error {
	u, err := s.login("mallory")
	if err != nil {
		return err
	}
	defer u.conn.Close()
	defer context.AfterFunc(ctx, func() { u.conn.Close() })()
	for l.ctx.Err() == nil && !l.Ended() {
		for _, channel := range l.channels {
			after := ""
			if at := l.place[channel]; at != "" {
				after = "<after>" + at + "</after>"
			}
			l.tries++
			u.conn.SetDeadline(time.Now().Add(clientPatience))
			err := page(u, s, channel, strconv.Itoa(l.tries), "<set xmlns='http://jabber.org/protocol/rsm'><max>200</max>"+after+"</set>")
			if err != nil {
				return err
			}
		}
		l.began()
		time.Sleep(200 * time.Millisecond)
	}
	return nil
}

// readArchive reads one page behind the place. (XEP-0313, XEP-0059)
func (l *lossReading) readArchive(u *rawUser, s *xmppServer, channel, query, rest string) error {
	err := u.send(`<iq type='set' to='` + s.service() + `' id='` + query + `'><query xmlns='urn:xmpp:mam:2' queryid='` + query +
		`' node='` + channel + `'>` + rest + `</query></iq>`)
	if err != nil {
		return err
	}
	var in itemTokens
	answered, reason, last := false, "", ""
	for {
		token, err := u.in.RawToken()
		if err != nil {
			return err
		}
		if text, ok := in.take(token); ok && last != "" {
			l.took(in.node, in.id, []byte(text))
			l.place[channel] = last // it has come, whatever becomes of the rest of the page
		}
		switch e := token.(type) {
		case xml.StartElement:
			switch e.Name.Local {
			case "result":
				// A server hands what comes too late for one client of a user to the next.
				if last = ""; attr(e, "queryid") == query {
					last = attr(e, "id")
				}
			case "iq":
				answered = attr(e, "id") == query
			case "item-not-found":
				l.Told("the archive of " + channel + " does not have " + l.place[channel])
				reason = e.Name.Local
			case "error":
				reason = e.Name.Local
			}
		case xml.EndElement:
			switch {
			case e.Name.Local != "iq" || !answered:
			case reason != "":
				return errRefused
			default:
				return nil
			}
		}
	}
}

// readItems reads one page behind the place. (XEP-0060 §6.5.4, XEP-0059)
func (l *lossReading) readItems(u *rawUser, s *xmppServer, channel, query, rest string) error {
	err := u.send(`<iq type='get' to='` + s.service() + `' id='` + query + `'><pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='` +
		channel + `'/>` + rest + `</pubsub></iq>`)
	if err != nil {
		return err
	}
	for iq := (xml.StartElement{}); attr(iq, "id") != query; {
		if iq, err = u.next("iq"); err != nil {
			return err
		}
		if attr(iq, "id") == query && attr(iq, "type") != "result" {
			return errRefused
		}
	}
	var in itemTokens
	var page []func()
	inLast := false
	for {
		token, err := u.in.RawToken()
		if err != nil {
			return err
		}
		if text, ok := in.take(token); ok {
			id := in.id
			page = append(page, func() { l.took(channel, id, []byte(text)) })
		}
		switch e := token.(type) {
		case xml.StartElement:
			inLast = e.Name.Local == "last"
		case xml.CharData:
			if inLast {
				last := string(e)
				page = append(page, func() { l.place[channel] = last })
			}
		case xml.EndElement:
			if inLast = false; e.Name.Local == "iq" { // the whole page has come
				for _, do := range page {
					do()
				}
				return nil
			}
		}
	}
}
