package bayeux

import (
	"math"
	"strconv"
	"time"

	"github.com/tidwall/gjson"
)

// CometD's timesync extension. A client puts its clock's time, tc, into ext.timesync of a handshake or connect, and gets it back
// with the server's time ts at which it came, and how long the reply waited, p: from these and the time of arrival it
// knows the distance of the clocks and of the network. All are milliseconds. a is how far the client's own estimate, of
// lag l and offset o, was out.

// timesync is what a request for the time is answered from.
type timesync struct {
	tc string // as written: a JSON number
	ts int64
	a  int64 // the accuracy
	at int64 // when it came, on the handler's clock
}

// timeAsked is the request in m, or nil. What is no number is no request.
func (h *Handler) timeAsked(m *message) *timesync {
	if h.opts.NoTimesync || !m.ext.IsObject() {
		return nil
	}
	ask := member(m.ext, "timesync")
	if !ask.IsObject() {
		return nil
	}
	var tc, l, o gjson.Result
	ask.ForEach(func(key, v gjson.Result) bool {
		switch key.Str {
		case "tc":
			tc = v
		case "l":
			l = v
		case "o":
			o = v
		}
		return true
	})
	if tc.Type != gjson.Number || len(tc.Raw) > maxClock {
		return nil
	}
	t := &timesync{tc: keep(tc.Raw), ts: time.Now().UnixMilli(), at: h.now()}
	t.a = clamp(tc.Num + o.Num + l.Num - float64(t.ts))
	if l.Num != 0 && -closeEnough <= t.a && t.a <= closeEnough {
		return nil
	}
	return t
}

// closeEnough is how far a client's estimate may be out without being told.
const closeEnough = 25

// maxClock is the longest number that is repeated to a client.
const maxClock = 24

// clamp makes a whole number of milliseconds of what a stranger's numbers came to: at most a hundred years.
func clamp(v float64) int64 {
	const century = 100 * 366 * 24 * 3600 * 1000
	if math.IsNaN(v) {
		return 0
	}
	return int64(min(max(v, -century), century))
}

// addTime answers the request, if there was one.
func (r *reply) addTime(h *Handler, t *timesync) {
	if t == nil {
		return
	}
	b := append([]byte(`"timesync":{"tc":`), t.tc...)
	b = strconv.AppendInt(append(b, `,"ts":`...), t.ts, 10)
	b = strconv.AppendInt(append(b, `,"p":`...), (h.now()-t.at)/int64(time.Millisecond), 10)
	b = strconv.AppendInt(append(b, `,"a":`...), t.a, 10)
	r.addExt(string(append(b, '}')))
}
