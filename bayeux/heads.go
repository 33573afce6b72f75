package bayeux

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
)

// heads remembers what net/http made of the heads of requests. Those of polls hardly differ from one to the next, nor between clients of
// a kind, and to parse one costs more than to look it up. What is found was made of the very same bytes, so it cannot mean anything
// else. Heads that carry a secret are not kept, nor are long ones; there would be one for each client, anyway.
type heads struct {
	mu    sync.RWMutex
	known map[string]*knownHead // by head, the empty line included
	last  uint64                // number that was given

	newest [maxHeads]atomic.Pointer[knownHead] // by number
}

type knownHead struct {
	*http.Request
	number uint64 // of this head and no other; 0: it is not kept
	text   string // all of the head, if it is kept

	form atomic.Pointer[connectForm] // of the last plain connect behind it
}

const (
	maxHeads = 512
	maxHead  = 1 << 10
)

var endOfHead = []byte("\r\n\r\n")

// find gives the request whose head is head, which is not to be changed; nil if it is not known.
func (t *heads) find(head []byte) *knownHead {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.known[string(head)]
}

// numbered gives the head that has that number, if it is among the last; nil: it may be found.
func (t *heads) numbered(n uint64) *knownHead {
	if k := t.newest[n%maxHeads].Load(); k != nil && k.number == n {
		return k
	}
	return nil
}

// parse has net/http parse the request in raw; nil if it finds a fault, or does not take head for all of the head.
func (t *heads) parse(raw []byte, head int) *knownHead {
	r := bufio.NewReader(bytes.NewReader(raw[:head]))
	q, err := http.ReadRequest(r)
	if err != nil || r.Buffered() > 0 || !sound(q) {
		return nil
	}
	q.Body = http.NoBody
	if head > maxHead || q.Method == http.MethodGet || q.Header["Authorization"] != nil || q.Header["Cookie"] != nil {
		return &knownHead{Request: q}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.known == nil || len(t.known) >= maxHeads { // all anew: those in use are soon back
		t.known = map[string]*knownHead{}
	}
	t.last++
	k := &knownHead{Request: q, number: t.last, text: string(raw[:head])}
	t.known[k.text] = k
	t.newest[k.number%maxHeads].Store(k)
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
