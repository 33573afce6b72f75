package bayeux

import (
	"strings"
	"sync/atomic"
)

// Nearly all that long-polling clients send is one connect of the same few members. It is read here in one pass, where checking and
// taking apart what could be anything goes over it five times.

// plainConnect reads a text that is one connect and nothing else, alone or in an array: an object of strings, without escapes, beyond
// ASCII or members other than those that every client writes. It is false for all other texts, which may be connects as well; and what it reads
// parseJSON reads alike.
func plainConnect(text string) (m message, ok bool) {
	p := plainText{text: text}
	m.timeout = -1
	array := p.skip('[')
	if !p.skip('{') {
		return m, false
	}
	for again := true; again; again = p.skip(',') {
		name, _ := p.word()
		if !p.skip(':') {
			return m, false
		}
		value, raw := p.word()
		if raw == "" {
			return m, false
		}
		switch name {
		case "channel":
			if value != "/meta/connect" { // most others begin with it, and cost no more than that
				return m, false
			}
			m.channel, m.channelJSON = value, raw
		case "clientId":
			m.clientID = value
		case "connectionType":
			m.connType = value
		case "id":
			m.id = raw
		default:
			return m, false
		}
	}
	ok = p.skip('}') && (!array || p.skip(']')) && p.text == "" && m.channel == "/meta/connect"
	return m, ok
}

// plainText is what is left to read.
type plainText struct{ text string }

// skip takes c, if it is next, and the spaces around it.
func (p *plainText) skip(c byte) bool {
	p.spaces()
	if p.text == "" || p.text[0] != c {
		return false
	}
	p.text = p.text[1:]
	p.spaces()
	return true
}

func (p *plainText) spaces() {
	for p.text != "" && p.text[0] == ' ' {
		p.text = p.text[1:]
	}
}

// word takes a string, if a plain one is next, and gives it without its quotes and with them.
func (p *plainText) word() (value, raw string) {
	text := p.text
	if text == "" || text[0] != '"' {
		return "", ""
	}
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			value, raw, p.text = text[1:i], text[:i+1], text[i+1:]
			return value, raw
		case c < ' ' || c >= 0x7f || c == '\\':
			return "", ""
		}
	}
	return "", ""
}

// connectForm is what the plain connects of a kind of clients have in common: all but clientId and id.
type connectForm struct {
	start, middle, end string
	client             int     // bytes of the clientId
	idFirst            bool    // it comes behind the id
	like               message // without them
}

// formOf is the form of text, of which plainConnect made m; nil: it has none, for it is not clear where those two stand.
func formOf(text string, m *message) *connectForm {
	if m.id == "" || m.clientID == "" || strings.Count(text, m.id) != 1 || strings.Count(text, m.clientID) != 1 {
		return nil
	}
	f := &connectForm{client: len(m.clientID), like: *m}
	f.like.clientID, f.like.id = "", ""
	client, id := strings.Index(text, m.clientID), strings.Index(text, m.id)
	if f.idFirst = id < client; f.idFirst {
		f.start, f.middle, f.end = text[:id], text[id+len(m.id):client], text[client+len(m.clientID):]
	} else {
		f.start, f.middle, f.end = text[:client], text[client+len(m.clientID):id], text[id+len(m.id):]
	}
	return f
}

// read makes m of text if that is of the form. The clientId is most likely that of session, which need not be looked at, nor copied.
func (f *connectForm) read(text []byte, session string, m *message) bool {
	one, other := f.client, len(text)-len(f.start)-f.client-len(f.middle)-len(f.end)
	if other < len(`""`) {
		return false
	}
	if f.idFirst {
		one, other = other, one
	}
	start, rest := text[:len(f.start)], text[len(f.start):]
	client, rest := rest[:one], rest[one:]
	middle, rest := rest[:len(f.middle)], rest[len(f.middle):]
	id, end := rest[:other], rest[other:]
	if f.idFirst {
		client, id = id, client
	}
	if string(start) != f.start || string(middle) != f.middle || string(end) != f.end {
		return false
	}
	if last := len(id) - 1; id[0] != '"' || id[last] != '"' || !plain(id[1:last]) {
		return false
	}
	if string(client) != session {
		if !plain(client) {
			return false
		}
		session = string(client)
	}
	*m = f.like
	m.clientID, m.id = session, string(id)
	return true
}

// plain tells whether a string in JSON may be of b, and be b.
func plain(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// forms are those of the connects that came lately: clients of a kind have one, and there are few kinds.
type forms struct {
	known [8]atomic.Pointer[connectForm]
	last  atomic.Uint32
}

// read is connectForm.read with whichever fits.
func (t *forms) read(text []byte, session string, m *message) bool {
	for i := range t.known {
		if f := t.known[i].Load(); f != nil && f.read(text, session, m) {
			return true
		}
	}
	return false
}

// add takes f, which may be nil, in place of the one that has been there for longest.
func (t *forms) add(f *connectForm) {
	if f != nil {
		t.known[t.last.Add(1)%uint32(len(t.known))].Store(f)
	}
}
