package bayeux

import (
	"net/http"
	"net/netip"
	"strings"
	"sync"
)

// kind is what many held polls have in common.
type kind struct {
	host     string         // the requests were for
	door     string         // and where they went to
	fields   string         // of the responses' heads, that came about with the requests: for CORS, or none
	local    netip.AddrPort // the connections' end here; invalid if they are not of TCP
	callback string
	last     bool // the clients want their connections closed
}

// header is the fields, before there is an answer.
func (k *kind) header() http.Header {
	header := http.Header{}
	for line := range strings.SplitSeq(k.fields, "\r\n") {
		if name, value, ok := strings.Cut(line, ": "); ok {
			header[name] = append(header[name], value)
		}
	}
	return header
}

// kinds has one of each.
type kinds struct {
	mu    sync.Mutex
	known map[kind]*kind
}

const maxKinds = 512

// find gives the one that is like k, whose strings may be parts of a request.
func (t *kinds) find(k kind) *kind {
	t.mu.Lock()
	defer t.mu.Unlock()
	if one := t.known[k]; one != nil {
		return one
	}
	one := &kind{keep(k.host), keep(k.door), k.fields, k.local, keep(k.callback), k.last}
	if one.callback != "" || len(one.host)+len(one.door)+len(one.fields) > maxHead { // of the former each request has another
		return one
	}
	if t.known == nil || len(t.known) >= maxKinds { // all anew: those in use are soon back
		t.known = map[kind]*kind{}
	}
	t.known[*one] = one
	return one
}
