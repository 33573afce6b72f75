package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"waft/httppub/sse"
)

var (
	eventsOpened   = counter("waft_events_opened_total", "Event streams begun.", "realm")
	eventsResumed  = counter("waft_events_resumed_total", "Event streams begun with the id of an event.", "realm")
	eventsReset    = counter("waft_events_reset_total", "Times that an event stream was told of channels whose history was lost.", "realm")
	eventsReplayed = counter("waft_events_replayed_total", "Messages written from history because they were more than a stream may queue.", "realm")
	eventsRefused  = counter("waft_events_refused_total", "Requests for an event stream that were refused, by reason.", "realm", "reason")
	eventsEnded    = counter("waft_events_ended_total", "Event streams ended, by reason.", "realm", "reason")
	eventsStreams  = gauge("waft_events_streams", "Event streams open now.", "realm")
)

func collectEvents(to chan<- prometheus.Metric, realm string, s sse.Stats) {
	send(to, eventsOpened, s.Opened, realm)
	send(to, eventsResumed, s.Resumed, realm)
	send(to, eventsReset, s.Reset, realm)
	send(to, eventsReplayed, s.Replayed, realm)
	for reason, n := range s.Refused {
		send(to, eventsRefused, n, realm, reason.String())
	}
	for reason, n := range s.Ended {
		send(to, eventsEnded, n, realm, reason.String())
	}
	send(to, eventsStreams, s.Streams, realm)
}
