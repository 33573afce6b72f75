package bayeux

import (
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/tidwall/gjson"

	"waft/broker"
	"waft/broker/outbox"
	"waft/broker/outbox/wsframe"
)

func compressing(o *Options, _ *broker.Options) { o.Compression = true }

func offering(d *websocket.Dialer, c *websocket.Conn) { d.EnableCompression = true }

// frameOnWire is a frame as the server sent it.
type frameOnWire struct {
	first   byte
	payload []byte
}

func (f frameOnWire) packed() bool { return f.first&rsv1 != 0 }

// text is what a client makes of the frame, with nothing kept from earlier ones.
func (f frameOnWire) text(t testing.TB) string {
	t.Helper()
	if !f.packed() {
		return string(f.payload)
	}
	r := flate.NewReader(io.MultiReader(bytes.NewReader(f.payload), strings.NewReader(noTail+"\x01\x00\x00\xff\xff")))
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("inflating % x: %v", f.payload, err)
	}
	return string(b)
}

// splitFrames reads server frames, and fails where a length is not written in the shortest way.
func splitFrames(t testing.TB, b []byte) (frames []frameOnWire) {
	t.Helper()
	for len(b) > 0 {
		head, n := wsframe.HeaderLen(b), int(b[1])
		switch n {
		case 126:
			if n = int(binary.BigEndian.Uint16(b[2:])); n < 126 {
				t.Fatalf("a header of 4 bytes for %d", n)
			}
		case 127:
			if n = int(binary.BigEndian.Uint64(b[2:])); n < 1<<16 {
				t.Fatalf("a header of 10 bytes for %d", n)
			}
		}
		frames = append(frames, frameOnWire{b[0], b[head : head+n]})
		b = b[head+n:]
	}
	return frames
}

// noise is what does not get smaller.
func noise(n int) string {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(1, uint64(n)))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return string(b)
}

// letters is JSON text that gets little smaller.
func letters(n int) string {
	return `"` + base64.RawStdEncoding.EncodeToString([]byte(noise(n*3/4))) + `"`
}

func prose(n int) string {
	const text = `{"user":"alice","text":"the quick brown fox jumps over the lazy dog","when":1785000000},`
	return "[" + strings.Repeat(text, n/len(text)+1)[:n/len(text)*len(text)] + `"` + strings.Repeat("x", n%len(text)) + `"]`
}

func deliveriesOf(data ...string) (ds []broker.Delivery) {
	for i, d := range data {
		m := &broker.Message{Channel: broker.Channel(fmt.Sprintf("/c/%d", i)), Data: []byte(d)}
		if d == "" {
			m.Data = nil // has no form here
		}
		ds = append(ds, broker.Delivery{Message: m})
	}
	return ds
}

func newPackedForm(from int) *packedForm {
	return &packedForm{plain: &eventForm{}, from: from, stats: &counters{}}
}

func TestPackedForm_means_what_the_plain_form_means(t *testing.T) {
	small, packable, unpackable := `{"n":1}`, prose(2000), noise(2000)
	for name, data := range map[string][]string{
		"small":                {small},
		"packed":               {packable},
		"not packable":         {unpackable},
		"skipped":              {""},
		"small ones":           {small, small, small},
		"packed ones":          {packable, prose(700), packable},
		"mixed":                {small, packable, small, small, unpackable, prose(600), small},
		"packed first":         {packable, small},
		"packed last":          {small, packable},
		"with skipped ones":    {"", packable, "", small, ""},
		"only one in a frame":  {"", packable, ""},
		"all alike":            {strings.Repeat("1", 600), strings.Repeat("1", 600)},
		"more than a frame":    {prose(40_000), small, prose(30_000), noise(30_000), noise(29_000), packable},
		"larger than a frame":  {noise(70_000), small, prose(70_000), small},
		"just beyond a stored": {noise(59_900), prose(512), small},
		"unicode":              {strings.Repeat(`"héllo 😀 \u2028 "`, 1), prose(600), `"` + strings.Repeat("😀", 300) + `"`},
	} {
		t.Run(name, func(t *testing.T) {
			f := newPackedForm(512)
			ds := deliveriesOf(data...)
			plain := splitFrames(t, f.plain.join(nil, ds))
			joined := f.join([]byte{}, ds)
			packed := splitFrames(t, joined)
			if len(packed) != len(plain) {
				t.Fatalf("%d frames, plain %d", len(packed), len(plain))
			}
			for i := range plain {
				if got, want := packed[i].text(t), plain[i].text(t); got != want {
					t.Errorf("frame %d: got %.200s\nwant %.200s", i, got, want)
				}
				if len(packed[i].payload) > len(plain[i].payload) {
					t.Errorf("frame %d has grown from %d to %d bytes", i, len(plain[i].payload), len(packed[i].payload))
				}
			}
			if len(ds) == 1 {
				if frame, _ := ds[0].Message.Encoded(f); !bytes.Equal(frame, joined) {
					t.Errorf("alone % x, joined % x", frame, joined)
				}
			}
		})
	}
}

func TestPackedForm_threshold(t *testing.T) {
	f := newPackedForm(512)
	envelope := len(`{"channel":"/c/0","data":}`)
	for _, c := range []struct {
		size int
		want bool
	}{{511, false}, {512, true}} {
		data := strings.Repeat("7", c.size-envelope)
		frame, err := deliveriesOf(data)[0].Message.Encoded(f)
		if err != nil || isPacked(frame) != c.want {
			t.Errorf("an event of %d bytes: packed %v, %v", c.size, isPacked(frame), err)
		}
	}
}

// What cannot be compressed goes as the plain frame itself: no second copy is kept.
func TestPackedForm_shares_the_plain_frame(t *testing.T) {
	f := newPackedForm(512)
	for _, data := range []string{`1`, noise(3000)} {
		m := deliveriesOf(data)[0].Message
		frame, _ := m.Encoded(f)
		plain, _ := m.Encoded(f.plain)
		if &frame[0] != &plain[0] {
			t.Errorf("%.20s…: a frame of its own", data)
		}
	}
}

func FuzzPackedForm(f *testing.F) {
	f.Add(uint64(1), 3, 600)
	f.Add(uint64(2), 100, 900)
	f.Fuzz(func(t *testing.T, seed uint64, n, size int) {
		n, size = 1+max(n, -n)%60, 1+max(size, -size)%5000
		if n < 0 || size < 0 {
			return
		}
		r := rand.New(rand.NewPCG(seed, 0))
		var data []string
		for range n {
			switch k := r.IntN(size); r.IntN(4) {
			case 0:
				data = append(data, noise(k))
			case 1:
				data = append(data, "")
			default:
				data = append(data, prose(k))
			}
		}
		form := newPackedForm(1 + r.IntN(700))
		ds := deliveriesOf(data...)
		var got, want []string
		for _, frame := range splitFrames(t, form.join(nil, ds)) {
			got = append(got, frame.text(t))
		}
		for _, frame := range splitFrames(t, form.plain.join(nil, ds)) {
			want = append(want, frame.text(t))
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %.300q\nwant %.300q", got, want)
		}
	})
}

func TestCompression_offers(t *testing.T) {
	for offer, want := range map[string]bool{
		"permessage-deflate":                                                         true,
		"permessage-deflate; client_max_window_bits":                                 true, // Chromium, CometD for Node
		"permessage-deflate;client_max_window_bits=15":                               true,
		`permessage-deflate; client_max_window_bits="8"`:                             true,
		"permessage-deflate; server_no_context_takeover":                             true,
		"permessage-deflate; server_no_context_takeover; client_no_context_takeover": true,
		"permessage-deflate; server_max_window_bits=10, permessage-deflate":          true, // the second will do
		"x-webkit-deflate-frame, permessage-deflate":                                 true,
		`other; a="b, permessage-deflate"`:                                           false,
		"permessage-deflate; server_max_window_bits=10":                              false, // cannot be met
		"permessage-deflate; server_max_window_bits=15":                              false, // could be, and not said
		"permessage-deflate; client_max_window_bits=7":                               false,
		"permessage-deflate; client_max_window_bits=16":                              false,
		"permessage-deflate; client_max_window_bits=08":                              false,
		"permessage-deflate; client_max_window_bits=":                                false,
		"permessage-deflate; client_no_context_takeover=1":                           false,
		"permessage-deflate; client_no_context_takeover; client_no_context_takeover": false,
		"permessage-deflate; mystery":                                                false,
		"permessage-deflate;":                                                        false,
		"permessage-deflate-2":                                                       false,
		"":                                                                           false,
	} {
		if got := offersDeflate([]string{offer}); got != want {
			t.Errorf("%s: %v", offer, got)
		}
	}
	if !offersDeflate([]string{"a", "permessage-deflate"}) {
		t.Error("an offer in a second header line is not seen")
	}
}

func FuzzOffersDeflate(f *testing.F) {
	f.Add(`permessage-deflate; client_max_window_bits="15", a; b="\"c,d"`)
	f.Fuzz(func(t *testing.T, line string) {
		// Whatever else there is, a good offer behind it counts, unless a quote was left open.
		got := offersDeflate([]string{line, deflate})
		if !got {
			t.Errorf("%q hides the next header line", line)
		}
		offersDeflate([]string{line})
	})
}

const deflateAnswer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

func TestCompression_is_negotiated_only_when_switched_on_and_offered(t *testing.T) {
	for _, c := range []struct {
		name, offer string
		on, want    bool
	}{
		{"off", "permessage-deflate; client_max_window_bits", false, false},
		{"not offered", "", true, false},
		{"offered", "permessage-deflate; client_max_window_bits", true, true},
		{"an offer that cannot be met", "permessage-deflate; server_max_window_bits=9", true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t, func(o *Options, _ *broker.Options) { o.Compression = c.on })
			nc, r, answer := s.offer(c.offer)
			want := ""
			if c.want {
				want = deflateAnswer
			}
			equal(t, "extensions", answer, want)
			writeAll(t, nc, maskedFrame("["+handshakeMessage+"]"))
			id := gjson.Get(readServerFrame(t, r), "0.clientId").Str
			writeAll(t, nc, maskedFrame("["+subscribe(id, `"1"`, `"/a"`)+","+connectNow(id, `"2"`)+"]"))
			readServerFrame(t, r)
			s.event("/a", prose(3000))
			head, err := r.Peek(1)
			if err != nil || head[0]&rsv1 != 0 != c.want {
				t.Errorf("the event begins with % x, %v", head, err)
			}
		})
	}
}

func TestCompression_in_both_directions(t *testing.T) {
	s := newServer(t, compressing)
	ws, _, err := s.upgrade("", nil, offering)
	if err != nil {
		t.Fatal(err)
	}
	id := ws.connected(`"/a"`)
	for _, data := range []string{`1`, prose(5000), letters(5000), prose(60_000)} {
		ws.send("[" + publish(id, `"p"`, "/a", data) + "]")
		equal(t, "own event", ws.next().Get("data").Raw, data)
		ok(t, ws.next())
	}
	if st := s.h.Stats(); st.Compressed != 3 || st.CompressedOutput >= st.CompressedInput {
		t.Errorf("stats %+v", st)
	}
}

// One compression for each message, whatever the number of sockets and the company in which it is sent.
func TestCompression_happens_once_per_message(t *testing.T) {
	s := newServer(t, compressing)
	var all []*wsClient
	for i := range 12 {
		ws, _, err := s.upgrade("", nil, offering)
		if err != nil {
			t.Fatal(err)
		}
		ws.connected(`"/a"`, fmt.Sprintf(`"/own/%d"`, i)) // so that no two have the same waiting
		all = append(all, ws)
	}
	plain := s.socket()
	plain.connected(`"/a"`)
	all = append(all, plain)
	const messages = 40
	for i := range messages {
		s.event(fmt.Sprintf("/own/%d", i%12), `"own"`)
		s.event("/a", prose(1000+i))
	}
	for _, ws := range all {
		for i := range messages {
			m := ws.next()
			for m.Get("channel").Str != "/a" {
				m = ws.next()
			}
			equal(t, "data", m.Get("data").Raw, prose(1000+i))
		}
	}
	equal(t, "compressions", s.h.Stats().Compressed, messages)
}

func TestCompression_bomb_is_not_inflated(t *testing.T) {
	// A megabyte for each kilobyte: 20 MB in 20 KB, which is within the limit of the wire.
	bomb := squeeze(t, strings.Repeat(" ", 20<<20)) // before there is a connection to wait for it
	if len(bomb) > 64<<10 || 20<<20/len(bomb) < 990 {
		t.Fatalf("the bomb has %d bytes", len(bomb))
	}
	s := newServer(t, compressing)
	nc, r := s.compressedConn()
	before := heap()
	writeAll(t, nc, maskedBytes(wsframe.Text|rsv1, bomb))
	equal(t, "close code", readClose(t, r), websocket.CloseMessageTooBig)
	if n := heap() - before; n > 8<<20 {
		t.Errorf("%d bytes were allocated for it", n)
	}
	equal(t, "refusals", s.h.Stats().Refused[RefusedTooLarge], 1)
}

func TestCompression_limit_is_that_of_the_text(t *testing.T) {
	const limit = 4096
	smaller := func(o *Options, _ *broker.Options) { o.MaxBody = limit }
	for _, c := range []struct {
		name string
		size int
		want int // close code
	}{
		{"as long as allowed", limit, 0},
		{"one byte more", limit + 1, websocket.CloseMessageTooBig},
	} {
		body := "[" + strings.Repeat(" ", c.size-2) + "]"
		for how, frame := range map[string][]byte{
			"plain":  maskedBytes(wsframe.Text, []byte(body)),
			"packed": maskedBytes(wsframe.Text|rsv1, squeeze(t, body)),
			"stored": maskedBytes(wsframe.Text|rsv1, squeeze(t, body, flate.NoCompression)), // longer than the text
		} {
			t.Run(c.name+"/"+how, func(t *testing.T) {
				s := newServer(t, compressing, smaller)
				nc, r := s.compressedConn()
				writeAll(t, nc, frame)
				if c.want != 0 {
					equal(t, "close code", readClose(t, r), c.want)
					return
				}
				writeAll(t, nc, maskedFrame("["+handshakeMessage+"]"))
				for text := ""; !gjson.Get(text, "0.clientId").Exists(); {
					text = readServerFrame(t, r)
				}
			})
		}
	}
}

func TestCompression_garbage_is_refused(t *testing.T) {
	whole := squeeze(t, "["+publish("x", `"1"`, "/a", letters(300))+"]")
	for name, payload := range map[string][]byte{
		"no deflate": []byte("\xff\xff\xff\xff\xff"),
		"cut off":    whole[:len(whole)/2],
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, compressing)
			nc, r := s.compressedConn()
			writeAll(t, nc, maskedBytes(wsframe.Text|rsv1, payload))
			equal(t, "close code", readClose(t, r), websocket.CloseInvalidFramePayloadData)
			equal(t, "refusals", s.h.Stats().Refused[RefusedMalformed], 1)
			// The peer's answer ends it; nobody has to wait for a timer.
			writeAll(t, nc, maskedBytes(wsframe.Close, []byte{0x03, 0xef}))
			if _, err := r.ReadByte(); err != io.EOF {
				t.Errorf("after the close: %v", err)
			}
		})
	}
}

func TestCompression_that_was_not_negotiated_breaks_the_protocol(t *testing.T) {
	s := newServer(t, compressing)
	nc, r := s.rawUpgrade()
	writeAll(t, nc, maskedBytes(wsframe.Text|rsv1, squeeze(t, "[]")))
	equal(t, "close code", readClose(t, r), websocket.CloseProtocolError)
}

// compressedConn is rawUpgrade with compression.
func (s *server) compressedConn() (net.Conn, *bufio.Reader) {
	s.t.Helper()
	nc, r, answer := s.offer(deflate)
	equal(s.t, "extensions", answer, deflateAnswer)
	return nc, r
}

// offer upgrades a connection, and gives the answer to the offer of extensions.
func (s *server) offer(extensions string) (net.Conn, *bufio.Reader, string) {
	s.t.Helper()
	nc, r := s.rawConn()
	_ = nc.SetReadDeadline(time.Now().Add(10 * time.Second)) // when it goes wrong
	header := ""
	if extensions != "" {
		header = "Sec-WebSocket-Extensions: " + extensions + "\r\n"
	}
	fmt.Fprintf(nc, "GET /bayeux HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n%s\r\n", header)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	res.Body.Close()
	equal(s.t, "status", res.StatusCode, http.StatusSwitchingProtocols)
	return nc, r, res.Header.Get("Sec-WebSocket-Extensions")
}

// maskedBytes is a client's frame.
func maskedBytes(op byte, payload []byte) []byte {
	b := wsframe.AppendHeader(nil, op, len(payload))
	b[1] |= 0x80
	return append(append(b, 0, 0, 0, 0), payload...)
}

// squeeze compresses as a client does.
func squeeze(t testing.TB, text string, level ...int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, append(level, flate.BestCompression)[0])
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(w, text)
	_ = w.Flush()
	return bytes.TrimSuffix(b.Bytes(), []byte(noTail))
}

// readClose gives the code of the close frame that must come next.
func readClose(t testing.TB, r *bufio.Reader) int {
	t.Helper()
	for {
		head, err := r.Peek(4)
		if err != nil {
			t.Fatal(err)
		}
		if head[0] == 0x80|wsframe.Close {
			_, _ = r.Discard(2 + int(head[1]))
			return int(binary.BigEndian.Uint16(head[2:]))
		}
		readServerFrame(t, r)
	}
}

// heap is how many bytes have been allocated so far.
func heap() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

func BenchmarkPack(b *testing.B) {
	for _, size := range []int{256, 512, 1024, 4096} {
		data := sample(size)
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			b.ReportAllocs()
			f := newPackedForm(1)
			n := 0
			for b.Loop() {
				m := &broker.Message{Channel: "/chat/room-42", Data: []byte(data)}
				frame, _ := m.Encoded(f)
				n = len(frame)
			}
			b.ReportMetric(float64(n)/float64(size), "ratio")
		})
	}
}

// sample is JSON of about n bytes as applications send it.
func sample(n int) string {
	r := rand.New(rand.NewPCG(7, 7))
	words := strings.Fields("order status shipped pending customer invoice total amount city street updated created price item quantity the a of with and")
	var b strings.Builder
	b.WriteString(`{"type":"update","items":[`)
	for i := 0; b.Len() < n-60; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":%d,"name":"%s %s","price":%d.%02d}`, r.IntN(1e6), words[r.IntN(len(words))], words[r.IntN(len(words))], r.IntN(500), r.IntN(100))
	}
	b.WriteString(`]}`)
	return b.String()
}

func BenchmarkPackedFanout(b *testing.B) {
	for _, on := range []bool{false, true} {
		b.Run(fmt.Sprintf("compressed=%v", on), func(b *testing.B) {
			const sockets = 200
			f := newPackedForm(512)
			var form interface {
				frames(*outbox.Scratch, []broker.Delivery) []byte
			} = f.plain.(*eventForm)
			if on {
				form = f
			}
			data := []byte(sample(1024))
			var sc outbox.Scratch
			b.ReportAllocs()
			bytes := 0
			for b.Loop() {
				ds := []broker.Delivery{{Message: &broker.Message{Channel: "/chat/room-42", Data: data}}}
				for range sockets {
					bytes += len(form.frames(&sc, ds))
				}
			}
			b.ReportMetric(float64(bytes)/float64(b.N)/sockets, "bytes/socket")
		})
	}
}
