package main

import (
	"net"
	"net/http"
	"strings"
)

// redirect sends who comes by plain HTTP to the same address over TLS: browsers, by GET and HEAD. Whoever posts is told instead. A program that
// follows silently would send its token in the clear again and again, and nobody would notice.
type redirect struct{ port string } // of the public listener

// plainHandler is for the redirect listener: an authority looks there for pages of its own. public is the address of the listener that it sends to.
func (c *certificates) plainHandler(public net.Addr) http.Handler {
	_, port, _ := net.SplitHostPort(public.String()) // a listener's has one
	if c.acme == nil {
		return redirect{port}
	}
	return c.acme.manager.HTTPHandler(redirect{port}) // from now on it offers http-01
}

// ServeHTTP answers 308, 400 or 403.
func (t redirect) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Connection", "close")
	host := redirectHost(r.Host)
	switch {
	case host == "":
		plain(w, http.StatusBadRequest, "The request names no host.\n")
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		plain(w, http.StatusForbidden, "This server is used over TLS only: write https://. What you have just sent was not encrypted, nor was your token if there was one.\n")
	default:
		w.Header().Set("Location", "https://"+t.at(host)+target(r))
		plain(w, http.StatusPermanentRedirect, "Use https.\n")
	}
}

func (t redirect) at(host string) string {
	if t.port == "443" {
		return host
	}
	return host + ":" + t.port
}

// target is the path and query, as they came.
func target(r *http.Request) string {
	if path := r.URL.RequestURI(); strings.HasPrefix(path, "/") {
		return path
	}
	return "/"
}

// redirectHost is the host without its port, fit to stand in an address; "" if it is not.
func redirectHost(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	if strings.Trim(strings.ToLower(host), "abcdefghijklmnopqrstuvwxyz0123456789.-_:") != "" {
		return ""
	}
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}
