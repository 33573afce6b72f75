package wsframe

import (
	"bytes"
	"strings"
	"testing"
)

func TestAppend_has_the_shortest_header_and_HeaderLen_finds_its_end(t *testing.T) {
	for n, header := range map[int]string{
		0: "\x81\x00", 1: "\x81\x01", 125: "\x81\x7d", 126: "\x81\x7e\x00\x7e", 65535: "\x81\x7e\xff\xff",
		65536: "\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00",
	} {
		payload := strings.Repeat("x", n)
		frame := Append([]byte("before"), Text, payload)[len("before"):]
		if got := string(frame[:HeaderLen(frame)]); got != header || string(frame[len(got):]) != payload {
			t.Errorf("%d bytes: header %x, want %x", n, got, header)
		}
	}
}

func TestClosing_has_the_code_and_the_reason(t *testing.T) {
	if got, want := Closing(1003, "texts"), []byte("\x88\x07\x03\xebtexts"); !bytes.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
}
