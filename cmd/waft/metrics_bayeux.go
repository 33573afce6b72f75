package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"waft/bayeux"
)

var (
	bayeuxRequests   = counter("waft_bayeux_requests_total", "Request bodies and WebSocket frames read.", "realm")
	bayeuxMessages   = counter("waft_bayeux_messages_total", "Bayeux messages in them.", "realm")
	bayeuxHandshakes = counter("waft_bayeux_handshakes_total", "Handshakes that made a session.", "realm")
	bayeuxConnects   = counter("waft_bayeux_connects_total", "Connects answered for a living session.", "realm")
	bayeuxPublished  = counter("waft_bayeux_published_total", "Messages published by clients.", "realm")
	bayeuxDuplicates = counter("waft_bayeux_duplicates_total", "Client publishes that had been accepted before.", "realm")
	bayeuxSuperseded = counter("waft_bayeux_superseded_total", "Connects that gave way to a newer one, and sockets that gave way to a newer connection.", "realm")
	bayeuxReturned   = counter("waft_bayeux_returned_total", "Events queued again because their client had not shown that it has them.", "realm")
	bayeuxAssumed    = counter("waft_bayeux_assumed_total", "Events taken for received that nobody had confirmed, by reason.", "realm", "reason")
	bayeuxLapsed     = counter("waft_bayeux_lapsed_total", "Sessions sent back to the handshake because what granted them something had ended.", "realm")
	bayeuxRefused    = counter("waft_bayeux_refused_total", "Requests, messages and sockets refused or broken off, by reason.", "realm", "reason")
	bayeuxCompressed = counter("waft_bayeux_compressed_total", "Events compressed: once each, however many sockets got them.", "realm")
	bayeuxDeflateIn  = counter("waft_bayeux_compress_input_bytes_total", "Bytes of events that were compressed.", "realm")
	bayeuxDeflateOut = counter("waft_bayeux_compress_output_bytes_total", "Bytes that became of them.", "realm")
	bayeuxSockets    = gauge("waft_bayeux_sockets", "WebSockets open now.", "realm")
	bayeuxStreams    = gauge("waft_bayeux_streams", "EventSource streams open now.", "realm")
	bayeuxPolls      = gauge("waft_bayeux_polls", "Long polls held or being answered now.", "realm")
)

func collectBayeux(to chan<- prometheus.Metric, realm string, s bayeux.Stats) {
	send(to, bayeuxRequests, s.Requests, realm)
	send(to, bayeuxMessages, s.Messages, realm)
	send(to, bayeuxHandshakes, s.Handshakes, realm)
	send(to, bayeuxConnects, s.Connects, realm)
	send(to, bayeuxPublished, s.Published, realm)
	send(to, bayeuxDuplicates, s.Duplicates, realm)
	send(to, bayeuxSuperseded, s.Superseded, realm)
	send(to, bayeuxReturned, s.Returned, realm)
	send(to, bayeuxCompressed, s.Compressed, realm)
	send(to, bayeuxDeflateIn, s.CompressedInput, realm)
	send(to, bayeuxDeflateOut, s.CompressedOutput, realm)
	send(to, bayeuxLapsed, s.Lapsed, realm)
	for reason, n := range s.Assumed {
		send(to, bayeuxAssumed, n, realm, reason.String())
	}
	for reason, n := range s.Refused {
		send(to, bayeuxRefused, n, realm, reason.String())
	}
	send(to, bayeuxSockets, s.Sockets, realm)
	send(to, bayeuxStreams, s.Streams, realm)
	send(to, bayeuxPolls, s.Polls, realm)
}
