package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// listen opens a listener for what, the word that errors and the user call it by.
func listen(ctx context.Context, what, address string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	switch {
	case err == nil:
		return l, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s = %q: another program is listening there (another waft?); stop it, or choose another port", what, address)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("%s = %q: this user may not listen on that port; choose one above 1023", what, address)
	default:
		return nil, fmt.Errorf("%s = %q: %w", what, address, err)
	}
}

// checkAddress tells what is wrong with host:port.
func checkAddress(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q is not an address; write host:port, such as 127.0.0.1:8080", address)
	}
	if _, err := net.LookupPort("tcp", port); err != nil { //nolint:noctx // numbers and /etc/services, no network
		return fmt.Errorf("%q is not a port", port)
	}
	return nil
}

// isLoopback tells whether only this machine can reach what listens on address.
func isLoopback(ctx context.Context, address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().IsLoopback()
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	for _, ip := range ips {
		if !ip.Unmap().IsLoopback() {
			return false
		}
	}
	return err == nil && len(ips) > 0
}
