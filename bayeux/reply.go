package bayeux

import "time"

// reply is one reply, in the fields that Faye's server gives (a superset of CometD's). Strings are JSON text but for
// clientID, which needs no escaping. Never data: that is how CometD clients tell an event from a reply.
type reply struct {
	id           string // as the client wrote it, or "": then the reply has none. A connect reply without it stalls every client
	clientID     string
	channel      string
	successful   bool
	subscription string
	fault        fault
	advice       string
	types        string // of a handshake reply: the connection types; it also tells the version
	ext          string // members of ext, without the braces: addExt
}

// addExt adds a member, as JSON with its name, to the reply's ext.
func (r *reply) addExt(member string) {
	if r.ext != "" {
		r.ext += ","
	}
	r.ext += member
}

// JSON texts of channels.
const (
	jsonHandshake   = `"/meta/handshake"`
	jsonConnect     = `"/meta/connect"`
	jsonDisconnect  = `"/meta/disconnect"`
	jsonSubscribe   = `"/meta/subscribe"`
	jsonUnsubscribe = `"/meta/unsubscribe"`
)

func (r *reply) appendTo(b []byte) []byte {
	b = append(b, '{')
	if r.id != "" {
		b = append(b, `"id":`...)
		b = append(b, r.id...)
		b = append(b, ',')
	}
	if r.clientID != "" {
		b = append(b, `"clientId":"`...)
		b = append(b, r.clientID...)
		b = append(b, `",`...)
	}
	if r.channel != "" {
		b = append(b, `"channel":`...)
		b = append(b, r.channel...)
		b = append(b, ',')
	}
	if r.successful {
		b = append(b, `"successful":true`...)
	} else {
		b = append(b, `"successful":false`...)
	}
	if r.types != "" {
		b = append(b, `,"version":"1.0","minimumVersion":"1.0","supportedConnectionTypes":`...)
		b = append(b, r.types...)
	}
	if r.subscription != "" {
		b = append(b, `,"subscription":`...)
		b = append(b, r.subscription...)
	}
	if !r.fault.ok() {
		b = append(b, `,"error":`...)
		b = r.fault.appendTo(b)
	}
	if r.advice != "" {
		b = append(b, `,"advice":`...)
		b = append(b, r.advice...)
	}
	if r.ext != "" {
		b = append(b, `,"ext":{`...)
		b = append(b, r.ext...)
		b = append(b, '}')
	}
	return append(b, '}')
}

// list is the inside of a JSON array that grows.
type list struct {
	buf     []byte
	stamped bool // replies get a timestamp
}

func (l *list) add(r *reply) {
	l.sep()
	l.buf = r.appendTo(l.buf)
	if l.stamped {
		l.buf = append(appendTimestamp(l.buf[:len(l.buf)-len("}")], time.Now()), '}')
	}
}

func (l *list) addRaw(element []byte) {
	l.sep()
	l.buf = append(l.buf, element...)
}

func (l *list) sep() {
	if len(l.buf) > 0 {
		l.buf = append(l.buf, ',')
	}
}
