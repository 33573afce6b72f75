package broker

import "net/netip"

// Network is what counts as one address where clients are held to limits: an IPv6 customer has a network of 64 bits (RFC 6177).
// It is not valid for no address at all.
func Network(a netip.Addr) netip.Prefix {
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // fails for none
	return p
}
