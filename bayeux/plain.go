package bayeux

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
