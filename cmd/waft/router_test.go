package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// named is a handler that answers with its name and what it saw.
func named(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, name+" "+r.RequestURI) })
}

func TestRouter(t *testing.T) {
	route := &router{
		publish:  named("publish"),
		readers:  map[string]http.Handler{"default": named("default reads"), "a": named("a reads")},
		realms:   map[string]http.Handler{"default": named("default"), "a": named("a")},
		events:   map[string]http.Handler{"a": named("events of a")},
		sockets:  map[string]http.Handler{"a": named("sockets of a")},
		document: named("document"),
		hosts:    map[string]http.Handler{"a.example": named("a")},
	}
	for _, c := range []struct{ name, host, uri, want string }{
		{"the_document", "x", "/openapi.json", "document"},
		{"the_document_of_no_realm", "x", "/realm/a/openapi.json", ""},
		{"publish", "x", "/realm/a/publish/", "publish"},
		{"publish_without_a_slash", "x", "/realm/a/publish", "publish"},
		{"publish_with_a_slash_too_many", "x", "/realm/a//publish/", "publish"},
		{"publish_to_a_channel", "x", "/realm/a/publish/b%2Fc/", "publish"},
		{"publish_of_a_realm_that_is_not_there_is_for_its_handler", "x", "/realm/nowhere/publish/", "publish"},
		{"channels_of_a_realm", "x", "/realm/a/channels/b%2Fc/messages?limit=1", "a reads"},
		{"channels_of_a_realm_whatever_the_host", "a.example", "/realm/default/channels", "default reads"},
		{"sessions_of_a_realm", "x", "/realm/a/sessions/", "a reads"},
		{"usage_of_a_realm", "x", "/realm/a/usage", "a reads"},
		{"channels_of_a_realm_that_is_not_there", "x", "/realm/nowhere/channels/", ""},
		{"bayeux_is_the_default_realm", "x", "/bayeux", "default"},
		{"bayeux_with_a_slash", "x", "/bayeux/", "default"},
		{"bayeux_with_a_sub_path", "x", "/bayeux/handshake", "default"},
		{"bayeux_with_a_query", "x", "/bayeux?message=1", "default"},
		{"the_client_script", "x", "/bayeux.js", "default"},
		{"a_host_of_a_realm", "a.example", "/bayeux", "a"},
		{"a_host_with_a_port_in_other_case", "A.Example.:8080", "/bayeux", "a"},
		{"a_realm_by_its_path", "x", "/realm/a/bayeux", "a"},
		{"a_realm_by_its_path_with_a_slash_too_many", "x", "/realm/a//bayeux", "a"},
		{"a_realm_by_its_path_whatever_the_host", "a.example", "/realm/default/bayeux/connect", "default"},
		{"events_of_a_realm", "x", "/realm/a/events?channel=/x", "events of a"},
		{"events_with_slashes_too_many", "x", "/realm/a//events/", "events of a"},
		{"events_of_a_realm_that_is_not_there", "x", "/realm/nowhere/events", ""},
		{"a_word_that_begins_like_events", "x", "/realm/a/eventsource", ""},
		{"below_events", "x", "/realm/a/events/x", ""},
		{"sockets_of_a_realm", "x", "/realm/a/ws?window=1", "sockets of a"},
		{"sockets_of_a_realm_that_is_not_there", "x", "/realm/nowhere/ws", ""},
		{"below_sockets", "x", "/realm/a/ws/x", ""},
		{"a_realm_that_is_not_there", "x", "/realm/nowhere/bayeux", ""},
		{"a_word_that_begins_like_bayeux", "x", "/bayeuxx", ""},
		{"a_word_that_begins_like_publish", "x", "/realm/a/publisher/", ""},
		{"an_escaped_slash_is_no_slash", "x", "/realm%2Fa/bayeux", ""},
		{"nothing", "x", "/", ""},
		{"a_realm_alone", "x", "/realm/a", ""},
		{"a_path_that_a_router_would_clean", "x", "/x/../bayeux", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, c.uri, nil)
			r.Host = c.host
			w := httptest.NewRecorder()
			route.ServeHTTP(w, r)
			body := w.Body.String()
			if c.want == "" {
				if w.Code != http.StatusNotFound || strings.Count(body, "\n") != 1 {
					t.Errorf("%s: %d %q, want a 404 of one line", c.uri, w.Code, body)
				}
				return
			}
			if want := c.want + " " + c.uri; w.Code != http.StatusOK || body != want {
				t.Errorf("%s: %d %q, want %q", c.uri, w.Code, body, want)
			}
		})
	}
}
