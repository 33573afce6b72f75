package main

import (
	"cmp"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
)

// proxies are the addresses of the reverse proxies in front of waft, whose word about the client is believed. What a stranger
// writes into the same headers is not: it stands to the left of what the nearest proxy added.
type proxies []netip.Prefix

// parseProxies reads addresses ("10.0.0.1") and ranges ("10.0.0.0/8").
func parseProxies(list []string) (proxies, error) {
	var trusted proxies
	for _, s := range list {
		p, err := netip.ParsePrefix(s)
		if a, bad := netip.ParseAddr(s); err != nil && bad == nil && a.Zone() == "" {
			p, err = netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
		}
		switch {
		case err != nil:
			return nil, fmt.Errorf("%q is neither an address nor a range of them, such as 10.0.0.0/8", s)
		case p.Addr().Is4In6():
			return nil, fmt.Errorf("%q is a range of IPv4 written as IPv6; write it as IPv4", s)
		case p.Bits() == 0:
			return nil, fmt.Errorf("%q is every address there is: then each client could say who it is", s)
		}
		trusted = append(trusted, p.Masked())
	}
	return trusted, nil
}

func (t proxies) has(a netip.Addr) bool {
	for _, p := range t {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// client is the address that a request came from: the other end of the connection, or, if that is a trusted proxy, whom
// it names, and so on through a chain of trusted proxies. The walk ends at the first address that is not one of them, and
// before an entry that is no address ("unknown"). A proxy adds to one of the headers and passes the other on; so if both
// are there and differ, neither is believed.
func (t proxies) client(r *http.Request) netip.Addr {
	client, _ := t.origin(r)
	return client
}

// origin is the client, and the host that it asked the outermost trusted proxy for; "" if that is not known.
func (t proxies) origin(r *http.Request) (client netip.Addr, host string) {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	peer := bare(at.Addr())
	if err != nil || !t.has(peer) {
		return peer, ""
	}
	old, standard := r.Header["X-Forwarded-For"], r.Header["Forwarded"]
	switch {
	case len(standard) == 0:
		return t.walk(peer, forwardedFor(old, r.Header["X-Forwarded-Host"]))
	case len(old) == 0:
		return t.walk(peer, forwarded(standard))
	}
	a, host := t.walk(peer, forwardedFor(old, r.Header["X-Forwarded-Host"]))
	b, other := t.walk(peer, forwarded(standard))
	switch {
	case a != b:
		return peer, ""
	case host == "" || other == "" || strings.EqualFold(host, other):
		return a, cmp.Or(host, other)
	default:
		return a, ""
	}
}

// named gives a request its host back where a trusted proxy asked in the client's place for another: realms are found by it, and pages of the
// same host.
func (t proxies) named(next http.Handler) http.Handler {
	if len(t) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, host := t.origin(r); host != "" && host != r.Host {
			r = r.WithContext(r.Context()) // a copy
			r.Host = host
		}
		next.ServeHTTP(w, r)
	})
}

// hop is what a proxy says of whom it was asked by, and for what.
type hop struct{ client, host string }

// maxHops is how many entries of the headers are looked at, from the right.
const maxHops = 32

func (t proxies) walk(from netip.Addr, hops []hop) (client netip.Addr, host string) {
	for i := len(hops) - 1; i >= max(0, len(hops)-maxHops) && t.has(from); i-- {
		a, ok := parseHop(hops[i].client)
		if !ok {
			break
		}
		from, host = a, hops[i].host
	}
	if !isHost(host) {
		host = ""
	}
	return from, host
}

// isHost tells whether s could be what a Host header says.
func isHost(s string) bool {
	return strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz0123456789.-_:[]") == ""
}

// parseHop reads an address with or without a port; IPv6 with a port is in brackets, and may be without.
func parseHop(s string) (netip.Addr, bool) {
	if a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")); err == nil {
		return bare(a), true
	}
	at, err := netip.ParseAddrPort(s)
	return bare(at.Addr()), err == nil
}

func bare(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// forwardedFor lists the entries of X-Forwarded-For. X-Forwarded-Host has as many, if all proxies add to it, or one, if one of them sets it; else it
// cannot be told whose is which.
func forwardedFor(lines, hosts []string) (hops []hop) {
	clients, names := entries(lines), entries(hosts)
	for i, client := range clients {
		h := hop{client: client}
		switch len(names) {
		case 1:
			h.host = names[0]
		case len(clients):
			h.host = names[i]
		}
		hops = append(hops, h)
	}
	return hops
}

// entries are those of a field whose lines are one list.
func entries(lines []string) (list []string) {
	for _, line := range lines {
		for entry := range strings.SplitSeq(line, ",") {
			list = append(list, strings.TrimSpace(entry))
		}
	}
	return list
}

// forwarded lists what the elements of Forwarded name by "for" and "host"; "" is one that names nobody. From the first fault in a line on nothing of
// it can be told apart, so it counts as one nobody. (RFC 7239 §4)
func forwarded(lines []string) (hops []hop) {
	for _, line := range lines {
		for rest := line; ; {
			h, tail, ok := element(rest)
			hops = append(hops, h)
			if !ok || tail == "" {
				break
			}
			rest = tail[1:]
		}
	}
	return hops
}

// element reads one element, up to the comma that begins tail: pairs of a name and a token or a quoted text, joined by semicolons.
func element(s string) (h hop, tail string, ok bool) {
	for {
		i := strings.IndexAny(s, "=;,")
		if i < 0 {
			if strings.TrimSpace(s) != "" {
				return hop{}, "", false
			}
			return h, "", true
		}
		name := strings.TrimSpace(s[:i])
		if s[i] == '=' {
			value, rest, ok := pairValue(s[i+1:])
			if !ok || !h.set(name, value) {
				return hop{}, "", false
			}
			s = rest
		} else if name != "" {
			return hop{}, "", false
		} else {
			s = s[i:]
		}
		switch {
		case s == "" || s[0] == ',':
			return h, s, true
		case s[0] != ';':
			return hop{}, "", false
		}
		s = s[1:]
	}
}

// set takes a pair of an element. It is false if there was one of the name: RFC 7239 §4. By whom a proxy was asked, and over which
// scheme, is of no use here.
func (h *hop) set(name, value string) bool {
	var to *string
	switch strings.ToLower(name) {
	case "for":
		to = &h.client
	case "host":
		to = &h.host
	default:
		return true
	}
	if *to != "" {
		return false
	}
	*to = value
	return true
}

// pairValue reads a value and leaves what follows it: nothing, or something that begins with a semicolon or a comma.
func pairValue(s string) (value, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		i := strings.IndexAny(s, ";,")
		if i < 0 {
			i = len(s)
		}
		value = strings.TrimSpace(s[:i])
		return value, s[i:], !strings.ContainsAny(value, "\" \t=")
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			rest = strings.TrimLeft(s[i+1:], " \t")
			return b.String(), rest, true
		case '\\':
			if i++; i == len(s) {
				return "", "", false
			}
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}
