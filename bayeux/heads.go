package bayeux

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
	"sync"
)

// heads remembers what net/http made of the heads of requests. Those of polls hardly differ from one to the next, nor between clients of
// a kind, and to parse one costs more than to look it up. What is found was made of the very same bytes, so it cannot mean anything
// else. Heads that carry a secret are not kept, nor are long ones; there would be one for each client, anyway. Those are known
// again by their marks (alike.go).
type heads struct {
	mu    sync.RWMutex
	known map[string]*knownHead // by head, the empty line included
}

type knownHead struct {
	*http.Request
	mark mark // of a request with that head; zero: none may be taken for it
}

const (
	maxHeads = 512
	maxHead  = 1 << 10
)

var (
	endOfHead = []byte("\r\n\r\n")
	newLines  = []byte("\n\n") // they end one too, as endOfHead without its first letter does, and that is the server's to read
)

// find gives the request whose head is head, which is not to be changed; nil if it is not known.
func (t *heads) find(head []byte) *knownHead {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.known[string(head)]
}

// parse has net/http parse the request in raw; nil if it finds a fault, or does not take head for all of the head.
func (t *heads) parse(raw []byte, head int) *knownHead {
	r := bufio.NewReader(bytes.NewReader(raw[:head]))
	q, err := http.ReadRequest(r)
	if err != nil || r.Buffered() > 0 || !sound(q) {
		return nil
	}
	q.Body = http.NoBody
	k := &knownHead{Request: q}
	if q.Method == http.MethodGet || q.Header["Authorization"] != nil { // the messages of the former are in its head, and the other is looked at each time
		return k
	}
	k.mark = markOf(raw[:head], int(q.ContentLength))
	if head > maxHead || q.Header["Cookie"] != nil {
		return k
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.known == nil || len(t.known) >= maxHeads { // all anew: those in use are soon back
		t.known = map[string]*knownHead{}
	}
	t.known[string(raw[:head])] = k
	return k
}

// sound tells whether net/http's server will find no fault in q either, which looks more closely than ReadRequest: at the names of fields, where
// that lets a space pass, and at the field Host, which there may not be if the target names a host. It has a meaning of its own for "*", too.
func sound(q *http.Request) bool {
	if !strings.HasPrefix(q.RequestURI, "/") || q.Host == "" || strings.ContainsFunc(q.Host, unlikeHost) {
		return false
	}
	for name := range q.Header {
		if strings.Contains(name, " ") {
			return false
		}
	}
	return true
}

// unlikeHost tells of the characters that are in no usual host. A server takes some more.
func unlikeHost(c rune) bool {
	return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("-._~:[]", c)
}

// wholeBody is the body of a request that has come whole.
type wholeBody struct {
	strings.Reader
	text string
}

func newWholeBody(text string) *wholeBody {
	b := &wholeBody{text: text}
	b.Reset(text)
	return b
}

// Close implements io.Closer.
func (b *wholeBody) Close() error {
	b.Reset("")
	return nil
}

// take gives the text, if nothing of it has been read, and reads it.
func (b *wholeBody) take() (string, bool) {
	if b.Len() != len(b.text) {
		return "", false
	}
	b.Reset("")
	return b.text, true
}
