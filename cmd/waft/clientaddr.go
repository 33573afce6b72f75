package main

import (
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
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	peer := bare(at.Addr())
	if err != nil || !t.has(peer) {
		return peer
	}
	old, standard := r.Header["X-Forwarded-For"], r.Header["Forwarded"]
	switch {
	case len(standard) == 0:
		return t.walk(peer, forwardedFor(old))
	case len(old) == 0:
		return t.walk(peer, forwarded(standard))
	}
	a, b := t.walk(peer, forwardedFor(old)), t.walk(peer, forwarded(standard))
	if a != b {
		return peer
	}
	return a
}

// maxHops is how many entries of the headers are looked at, from the right.
const maxHops = 32

func (t proxies) walk(from netip.Addr, hops []string) netip.Addr {
	for i := len(hops) - 1; i >= max(0, len(hops)-maxHops) && t.has(from); i-- {
		a, ok := parseHop(hops[i])
		if !ok {
			break
		}
		from = a
	}
	return from
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

// forwardedFor lists the entries of X-Forwarded-For, whose lines are one list.
func forwardedFor(lines []string) (hops []string) {
	for _, line := range lines {
		for hop := range strings.SplitSeq(line, ",") {
			hops = append(hops, strings.TrimSpace(hop))
		}
	}
	return hops
}

// forwarded lists what the elements of Forwarded name by "for"; "" is one that names nobody. From the first fault in a line on nothing of
// it can be told apart, so it counts as one nobody. (RFC 7239 §4)
func forwarded(lines []string) (hops []string) {
	for _, line := range lines {
		for rest := line; ; {
			hop, tail, ok := element(rest)
			hops = append(hops, hop)
			if !ok || tail == "" {
				break
			}
			rest = tail[1:]
		}
	}
	return hops
}

// element reads one element, up to the comma that begins tail: pairs of a name and a token or a quoted text, joined by semicolons.
func element(s string) (hop, tail string, ok bool) {
	for {
		i := strings.IndexAny(s, "=;,")
		if i < 0 {
			if strings.TrimSpace(s) != "" {
				return "", "", false
			}
			return hop, "", true
		}
		name := strings.TrimSpace(s[:i])
		if s[i] == '=' {
			value, rest, ok := pairValue(s[i+1:])
			if !ok {
				return "", "", false
			}
			if strings.EqualFold(name, "for") {
				if hop != "" {
					return "", "", false // RFC 7239 §4: each name once
				}
				hop = value
			}
			s = rest
		} else if name != "" {
			return "", "", false
		} else {
			s = s[i:]
		}
		switch {
		case s == "" || s[0] == ',':
			return hop, s, true
		case s[0] != ';':
			return "", "", false
		}
		s = s[1:]
	}
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
