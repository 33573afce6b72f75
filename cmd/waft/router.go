package main

import (
	"net"
	"net/http"
	"strings"

	"waft/broker"
	"waft/httppub"
)

// router finds the handler of an address on the public listener:
//
//	/realm/{realm}/publish…    the publish API of any realm
//	/realm/{realm}/channels…, sessions…, usage    what that realm keeps and who is there
//	/realm/{realm}/events      that realm's event streams
//	/realm/{realm}/ws          that realm's plain WebSockets
//	/openapi.json              what all of these are, but Bayeux
//	/realm/{realm}/bayeux…     that realm's Bayeux
//	/bayeux…                   Bayeux of the realm that lists the request's host, else of `default`
//
// It looks at the escaped path and never redirects, as http.ServeMux does for "//publish/": a publisher's POST may not
// survive that. Handlers get the request as it came.
type router struct {
	publish  http.Handler
	document http.Handler            // of OpenAPI
	readers  map[string]http.Handler // by the realm's id
	realms   map[string]http.Handler // Bayeux, by the realm's id
	events   map[string]http.Handler // by the realm's id
	sockets  map[string]http.Handler // by the realm's id
	hosts    map[string]http.Handler // Bayeux, by host name in lower case
}

// ServeHTTP hands the request on, or answers 404.
func (t *router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h := t.find(r); h != nil {
		h.ServeHTTP(w, r)
		return
	}
	httppub.Refuse(w, r, errNothing)
}

var errNothing = &broker.Error{
	Kind: broker.NotFound,
	Text: "there is nothing at this address; waft serves /bayeux, and for each realm that it has /realm/{realm}/publish/, …/channels/, …/events and …/ws: see " + httppub.DocumentPath,
}

func (t *router) find(r *http.Request) http.Handler {
	if httppub.Serves(r) {
		return t.publish
	}
	if realm, ok := httppub.Reads(r); ok {
		return t.readers[realm]
	}
	path := r.URL.EscapedPath()
	if strings.TrimSuffix(path, "/") == httppub.DocumentPath {
		return t.document
	}
	if isBayeux(path) {
		if h := t.hosts[hostName(r.Host)]; h != nil {
			return h
		}
		return t.realms[defaultRealm]
	}
	rest, ok := strings.CutPrefix(path, "/realm/")
	if !ok {
		return nil
	}
	id, rest, ok := strings.Cut(rest, "/")
	switch rest = strings.TrimPrefix(rest, "/"); {
	case !ok:
		return nil
	case rest == "events" || rest == "events/":
		return t.events[id]
	case rest == "ws" || rest == "ws/":
		return t.sockets[id]
	case isBayeux("/" + rest):
		return t.realms[id]
	default:
		return nil
	}
}

// isBayeux tells whether path is /bayeux or below it, where CometD clients go (/bayeux/handshake), or /bayeux.js, where
// pages look for Faye's.
func isBayeux(path string) bool {
	rest, ok := strings.CutPrefix(path, "/bayeux")
	return ok && (rest == "" || rest[0] == '/' || rest[0] == '.')
}

// hostName is the name in a Host header, without port and in lower case.
func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}
