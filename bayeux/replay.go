package bayeux

import (
	"math"
	"strconv"

	"github.com/tidwall/gjson"

	"waft/broker"
)

// The replay extension, in the form that Salesforce's clients use. A subscribe says in ext.replay where its channels begin:
//
//	{"/chat/a": -1}                    with what comes next
//	{"/chat/a": -2}                    with all that is kept
//	{"/chat/a": "3f9k2-17"}            behind the event that had this position (replayed.go)
//	{"/chat/a": 75153932305}           behind the event that had this data.event.replayId (replayid.go)
//	{"/chat/*": -2, "/chat/a": "…"}    of a wildcard: all that is kept, and of one of its channels what follows
//
// Members about other channels than those of the message mean nothing: Salesforce's own clients send all that they know with
// every subscribe. A subscription that the session has stays as it is, for Faye repeats its subscribes.

// jsonReplay is the member of a handshake reply's ext that says that events have positions.
const jsonReplay = `"replay":true`

// wantsReplay tells whether a handshake asks for positions: ext.replay is there, and neither false nor null.
func (m *message) wantsReplay() bool {
	if !m.ext.IsObject() {
		return false
	}
	v := member(m.ext, "replay")
	return v.Exists() && v.Type != gjson.False && v.Type != gjson.Null
}

// starts is ext.replay of a subscribe.
type starts struct {
	channels map[broker.Channel]broker.Start // the zero Start is the next message
	patterns map[broker.Pattern]int          // wildcards: as Start.Last
}

// starts reads ext.replay; nil: there is none. What cannot be a channel or a beginning is a fault, wherever it stands: it is
// better not to begin than to begin in the wrong place.
func (m *message) starts() (*starts, fault) {
	if !m.wantsReplay() {
		return nil, fault{}
	}
	v := member(m.ext, "replay")
	if !v.IsObject() {
		return nil, fault{400, "ext.replay", "Not an object of channels"}
	}
	all := &starts{channels: map[broker.Channel]broker.Start{}, patterns: map[broker.Pattern]int{}}
	var f fault
	v.ForEach(func(key, v gjson.Result) bool {
		p, err := broker.ParsePattern(key.Str)
		if err != nil {
			f = invalidChannel(key.Str)
			return false
		}
		if p.Reserved() {
			return true // an extension has taken down ext.replay of a reply
		}
		st, ok := start(v)
		c, isChannel := p.Channel()
		switch {
		case !ok:
			f = fault{400, key.Str, "Replay begins with -1 or -2 or a position"}
		case isChannel:
			all.channels[c] = st
		case st.Number != 0 || !st.Since.IsZero():
			f = fault{400, key.Str, "Replay of a wildcard begins with -1 or -2"}
		default:
			all.patterns[p] = st.Last
		}
		return f.ok()
	})
	if !f.ok() {
		return nil, f
	}
	return all, fault{}
}

// start reads where one channel begins. Numbers may come as text: pages keep them in localStorage.
func start(v gjson.Result) (st broker.Start, ok bool) {
	const most = 1<<53 - 1
	var n int64
	switch v.Type {
	case gjson.Number:
		if v.Num != math.Trunc(v.Num) || math.Abs(v.Num) > most {
			return st, false
		}
		n = int64(v.Num)
	case gjson.String:
		var err error
		if n, err = strconv.ParseInt(v.Str, 10, 64); err != nil {
			st.Since, err = broker.ParsePosition(v.Str)
			return st, err == nil && !st.Since.IsZero()
		}
	default:
		return st, false
	}
	switch {
	case n == -1:
	case n == -2:
		st.Last = -1
	case n > 0 && n <= most:
		st.Number = n
	default:
		return st, false
	}
	return st, true
}

// subscriptions are what a subscribe to patterns asks for; from may be nil. With mark, those that begin with the next message
// tell what they begin behind.
func (from *starts) subscriptions(patterns []broker.Pattern, mark bool) []broker.Subscription {
	all := make([]broker.Subscription, len(patterns))
	for i, p := range patterns {
		all[i].Pattern = p
	}
	if from == nil {
		return all
	}
	type split struct {
		base  string
		depth broker.Depth
	}
	wild := map[split]int{}
	for i, p := range patterns {
		o := &all[i].SubscribeOptions
		o.IfNew = true
		c, isChannel := p.Channel()
		if !isChannel {
			base, depth := p.Split()
			wild[split{base, depth}] = i
			o.Last = from.patterns[p]
		} else if st, asked := from.channels[c]; asked {
			o.Each = map[broker.Channel]broker.Start{c: st}
			o.Mark = mark && st == broker.Start{}
		}
	}
	if len(wild) == 0 {
		return all
	}
	for c, st := range from.channels {
		for base, depth := range c.Matching() {
			i, found := wild[split{base, depth}]
			if !found {
				continue
			}
			o := &all[i].SubscribeOptions
			if o.Each == nil {
				o.Each = map[broker.Channel]broker.Start{}
			}
			o.Each[c] = st
		}
	}
	return all
}

// fault words what kept subscriptions from being made. about is the channel or pattern at fault.
func (from *starts) fault(err error, about broker.Pattern) fault {
	if from == nil {
		return faultOf(err, string(about))
	}
	switch kind, st := broker.KindOf(err), from.channels[broker.Channel(about)]; {
	case kind == broker.HistoryLost && st.Number != 0:
		return invalidReplayID(st.Number)
	case kind == broker.Invalid:
		return fault{400, string(about), "Not all of it has a history to replay"}
	case kind == broker.TooLarge:
		return fault{413, string(about), "More to replay than can wait for a session"}
	default:
		return faultOf(err, string(about))
	}
}

// invalidReplayID is the one error outside the grammar that Faye parses: whoever sends numbers was made for Salesforce, and its
// clients find out by these very words, braces included, that they have to begin with -1 or -2. Faye hands them on as they are.
func invalidReplayID(n int64) fault {
	return fault{400, "", "The replayId {" + strconv.FormatInt(n, 10) + "} you provided was invalid.  " +
		"Please provide a valid ID, -2 to replay all events, or -1 to replay only new events."}
}

// addStarts tells in ext.replay of the reply behind which positions the new subscriptions began, where that is known: whoever
// is cut off before the first event resumes there.
func (r *reply) addStarts(made []broker.Subscription, done []broker.Subscribed) {
	var b []byte
	for i, d := range done {
		if d.From.IsZero() {
			continue
		}
		if b == nil {
			b = append(b, `"replay":{`...)
		} else {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, made[i].Pattern...) // its grammar leaves nothing to escape
		b = append(b, `":"`...)
		b = append(b, d.From.String()...)
		b = append(b, '"')
	}
	if b != nil {
		r.addExt(string(append(b, '}')))
	}
}
