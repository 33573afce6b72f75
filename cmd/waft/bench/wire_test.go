package bench

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// What is fed in pieces must come out as what is fed at once. Both parsers meet bytes of servers that may be anything.

func FuzzFrames(f *testing.F) {
	unmasked := func(first byte, payload string) []byte { return append([]byte{first, byte(len(payload))}, payload...) }
	f.Add(append(unmasked(0x81, "hello"), unmasked(0x89, "ping")...), 3)
	f.Add(append(unmasked(0x01, "two "), unmasked(0x80, "parts")...), 5)
	f.Add(append([]byte{0x82, 126, 0, 200}, bytes.Repeat([]byte("x"), 200)...), 100)
	f.Add([]byte{0x82, 127, 0, 0, 0, 0, 255, 255, 255, 255}, 4)
	f.Add(appendFrame(nil, opText, []byte("masked")), 1)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		inPieces(t, b, cut, func(said *strings.Builder) func([]byte) error {
			var s frames
			return func(part []byte) error {
				return s.feed(part, func(m []byte) error {
					fmt.Fprintf(said, "%q;", m)
					return nil
				}, func(op byte, m []byte) error {
					fmt.Fprintf(said, "%d %q;", op, m)
					return nil
				})
			}
		})
	})
}

// inPieces fails the test if a parser says something else of b when it comes in two pieces.
func inPieces(t *testing.T, b []byte, cut int, parser func(said *strings.Builder) func([]byte) error) {
	run := func(parts ...[]byte) string {
		var said strings.Builder
		feed := parser(&said)
		for _, p := range parts {
			if err := feed(bytes.Clone(p)); err != nil {
				return said.String() + err.Error()
			}
		}
		return said.String()
	}
	cut = min(max(cut, 0), len(b))
	if whole, parts := run(b), run(b[:cut], b[cut:]); whole != parts {
		t.Fatalf("in one: %s\nin two: %s", whole, parts)
	}
}

func FuzzResponses(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: 7\r\n\r\nhelloHTTP/1.1 204 No Content\r\n\r\n"), 40)
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n2\r\nde\r\n0\r\nT: 1\r\n\r\n"), 52)
	f.Add([]byte("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"), 10)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		inPieces(t, b, cut, func(said *strings.Builder) func([]byte) error {
			var r responses
			return func(part []byte) error {
				return r.feed(part, func(h head, body []byte) error {
					fmt.Fprintf(said, "%+v %q;", h, body)
					return nil
				})
			}
		})
	})
}

func TestResponses_give_heads_and_bodies(t *testing.T) {
	var r responses
	text := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\netag: \"7\"\r\nLast-Modified: now\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n" +
		"HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n"
	var got []string
	for _, c := range []byte(text) {
		err := r.feed([]byte{c}, func(h head, body []byte) error {
			got = append(got, fmt.Sprintf("%d %s %s %v %s", h.status, h.etag, h.modified, h.closes, body))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if want := `200 "7" now false abcde|304   true `; strings.Join(got, "|") != want {
		t.Errorf("got %s, want %s", strings.Join(got, "|"), want)
	}
}

func TestEventStream_finds_stamps_across_chunks_and_lines(t *testing.T) {
	one, two := stamp{run: 1, n: 1}, stamp{run: 1, n: 2}
	text := "id: 1\ndata: " + string(one.appendPayload(nil, 90)) + "\n\n: hi\n\ndata: " + string(two.appendPayload(nil, 90)) + "\n\n"
	for size := 1; size < len(text); size += 7 {
		var coded strings.Builder
		for rest := text; rest != ""; {
			n := min(size, len(rest))
			fmt.Fprintf(&coded, "%x\r\n%s\r\n", n, rest[:n])
			rest = rest[n:]
		}
		for step := 1; step < 40; step += 11 {
			s := &eventStream{chunked: true}
			var got []uint64
			for rest := []byte(coded.String()); len(rest) > 0; {
				n := min(step, len(rest))
				if err := s.feed(rest[:n], nil, func(m stamp) { got = append(got, m.n) }); err != nil {
					t.Fatal(err)
				}
				rest = rest[n:]
			}
			if len(got) != 2 || got[0] != 1 || got[1] != 2 {
				t.Fatalf("chunks of %d, read by %d: got %v", size, step, got)
			}
		}
	}
}
