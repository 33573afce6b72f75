package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"waft/broker"
	"waft/httppub"
)

var (
	httpPages     = counter("waft_http_pages_total", "Answers with messages of a channel's history, or with their absence.", "realm")
	httpMessages  = counter("waft_http_messages_total", "Messages in them.", "realm")
	httpUnchanged = counter("waft_http_unchanged_total", "Of them those that were not sent because the client had them: 304.", "realm")
	httpPolls     = counter("waft_http_polls_total", "Requests that were held until there was something newer.", "realm")
	httpEmpty     = counter("waft_http_polls_empty_total", "Of them those that ended with nothing new.", "realm")
	httpRefused   = counter("waft_http_refused_total", "Requests for channels, messages, sessions and usage that were refused, by kind of error.", "realm", "kind")
	httpHeld      = gauge("waft_http_held", "Requests held now.", "realm")

	httpBadTokens = counter("waft_http_bad_tokens_total", "Tokens found bad of those that came with a request to publish, to read or for events.", "realm")
	httpUnread    = counter("waft_http_tokens_damped_total", "Such tokens refused unread, for their address had sent too many bad ones.", "realm")
	httpDamped    = gauge("waft_http_bad_token_addresses", "Addresses that have sent bad tokens lately.", "realm")
)

func collectDamper(to chan<- prometheus.Metric, realm string, s broker.DamperStats) {
	send(to, httpBadTokens, s.Bad, realm)
	send(to, httpUnread, s.Unread, realm)
	send(to, httpDamped, s.Addresses, realm)
}

func collectReader(to chan<- prometheus.Metric, realm string, s httppub.ReaderStats) {
	send(to, httpPages, s.Pages, realm)
	send(to, httpMessages, s.Messages, realm)
	send(to, httpUnchanged, s.Unchanged, realm)
	send(to, httpPolls, s.Polls, realm)
	send(to, httpEmpty, s.Empty, realm)
	for kind, n := range s.Refused {
		send(to, httpRefused, n, realm, kind.String())
	}
	send(to, httpHeld, s.Held, realm)
}
