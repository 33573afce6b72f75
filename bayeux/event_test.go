package bayeux

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/tidwall/gjson"

	"waft/broker"
	"waft/broker/outbox"
	"waft/broker/outbox/wsframe"
)

func TestEventForm_skips_what_has_no_form(t *testing.T) {
	f := &eventForm{}
	for name, m := range map[string]*broker.Message{
		"only formats": {Channel: "/a", Formats: map[string]json.RawMessage{"http-stream": json.RawMessage("1")}},
		"retraction":   {Channel: "/a", ID: "x", Retracted: true},
	} {
		if _, err := m.Encoded(f); err != broker.ErrSkip {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Frames of every header length, read by another implementation.
func TestEventForm_frames_are_frames(t *testing.T) {
	s := newServer(t)
	c := s.socket()
	c.connected(`"/a"`)
	for _, n := range []int{0, 95, 96, 97, 98, 99, 100, 101, 65_500, 65_505, 65_506, 65_507, 65_510, 70_000} {
		data := `"` + strings.Repeat("x", n) + `"`
		s.event("/a", data)
		if got := c.next().Get("data").Raw; got != data {
			t.Errorf("%d bytes: got %d", n, len(got))
		}
	}
}

func TestEventForm_joins_within_a_limit(t *testing.T) {
	f := &eventForm{}
	var ds []broker.Delivery
	var want []string
	for i, size := range []int{1, 10, 40_000, 30_000, 100_000, 5, 0, 7} {
		m := &broker.Message{Channel: "/a", Data: json.RawMessage(strconv.Quote(strconv.Itoa(i) + strings.Repeat("x", size)))}
		if size == 0 {
			m = &broker.Message{Channel: "/a", Retracted: true}
		} else {
			want = append(want, string(m.Data))
		}
		ds = append(ds, broker.Delivery{Message: m})
	}
	rest := f.frames(new(outbox.Scratch), ds)
	var got []string
	for frames := 0; len(rest) > 0; frames++ {
		h := wsframe.HeaderLen(rest)
		n := int(rest[1])
		switch h {
		case 4:
			n = int(rest[2])<<8 | int(rest[3])
		case 10:
			n = int(rest[7])<<16 | int(rest[8])<<8 | int(rest[9])
		}
		payload := rest[h : h+n]
		events := messages(gjson.ParseBytes(payload).Array()).events()
		if !json.Valid(payload) || len(events) > 1 && n > maxJoined+wsframe.MaxHeader {
			t.Errorf("frame %d of %d bytes with %d events", frames, n, len(events))
		}
		got = append(got, events...)
		rest = rest[h+n:]
	}
	equal(t, "events", fmt.Sprint(got), fmt.Sprint(want))

	skipped := []broker.Delivery{ds[6], ds[6]}
	equal(t, "bytes for nothing", len(f.frames(new(outbox.Scratch), skipped)), 0)
}

func TestEventForm_is_made_once(t *testing.T) {
	f := &eventForm{}
	m := &broker.Message{Channel: "/a", Data: json.RawMessage("1")}
	one := f.frames(nil, []broker.Delivery{{Message: m}})
	two, err := m.Encoded(f)
	if err != nil || &one[0] != &two[0] {
		t.Error("two sockets do not share the frame")
	}
	equal(t, "event", string(event(one)), `{"channel":"/a","data":1}`)
}

func TestAllowedExt(t *testing.T) {
	for ext, want := range map[string]string{
		``: ``, `{}`: ``, `null`: ``, `7`: ``, `["binary"]`: ``, `{"token":"x"}`: ``,
		`{"token":"x","binary":{"a":[1.0]}}`: `{"binary":{"a":[1.0]}}`, `{"b\u0069nary":1}`: `{"b\u0069nary":1}`,
		`{"more":1,"x":{"binary":2}}`: `{"more":1}`, `{"binary":1,"more":2}`: `{"binary":1,"more":2}`,
	} {
		equal(t, ext, allowedExt(ext, []string{"binary", "more"}), want)
	}
}

func TestCloseFrame(t *testing.T) {
	want := append([]byte{0x88, 7}, websocket.FormatCloseMessage(1003, "texts")...)
	if got := wsframe.Closing(1003, "texts"); !bytes.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
}

func BenchmarkEncoded(b *testing.B) {
	f := &eventForm{ext: []string{"binary"}}
	data := json.RawMessage(`{"user":"alice","text":"` + strings.Repeat("x", 100) + `"}`)
	b.Run("first", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			m := &broker.Message{Channel: "/chat/demo", Data: data}
			if _, err := m.Encoded(f); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("shared", func(b *testing.B) {
		b.ReportAllocs()
		m := &broker.Message{Channel: "/chat/demo", Data: data}
		for b.Loop() {
			if _, err := m.Encoded(f); err != nil {
				b.Fatal(err)
			}
		}
	})
}
