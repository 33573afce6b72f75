package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"waft/httppub"
)

var (
	publishRefused    = counter("waft_http_publish_refused_total", "Publish requests over HTTP that were refused, by kind of error.", "realm", "kind")
	publishLimited    = counter("waft_http_publish_limited_total", "Times that somebody was above a rate of publishing over HTTP, by whose it is: key, channel or address.", "realm", "by")
	publishHeldNow    = gauge("waft_http_publish_held", "Items that wait for the ones that they follow now.", "realm")
	publishHeld       = counter("waft_http_publish_held_total", "Items that had to wait for the ones that they follow.", "realm")
	publishReleased   = counter("waft_http_publish_released_total", "Of them those that no longer do, by reason.", "realm", "reason")
	publishLost       = counter("waft_http_publish_lost_total", "Of them those that could not be published when their turn came.", "realm")
	publishRepeated   = counter("waft_http_publish_repeated_total", "Publish requests whose Idempotency-Key had come before, with the same body.", "realm")
	publishKeysReused = counter("waft_http_publish_keys_reused_total", "Publish requests refused because their Idempotency-Key had come before with another body.", "realm")
	bulkNow           = gauge("waft_http_bulk_loads", "Bulk loads under way now.", "realm")
	bulkLines         = counter("waft_http_bulk_lines_total", "Lines of bulk loads, by what became of them: published (also later, or before) or refused.", "realm", "result")
	bulkCut           = counter("waft_http_bulk_cut_total", "Bulk loads that ended before their end.", "realm")
)

func collectIntake(to chan<- prometheus.Metric, realm string, s httppub.IntakeStats) {
	for kind, n := range s.Refused {
		send(to, publishRefused, n, realm, kind.String())
	}
	for by, n := range s.Limited {
		send(to, publishLimited, n, realm, by)
	}
	send(to, publishHeldNow, s.HeldNow, realm)
	send(to, publishHeld, s.Held, realm)
	for reason, n := range s.Released {
		send(to, publishReleased, n, realm, reason)
	}
	send(to, publishLost, s.Lost, realm)
	send(to, publishRepeated, s.Repeats, realm)
	send(to, publishKeysReused, s.KeysReused, realm)
	send(to, bulkNow, s.StreamsNow, realm)
	send(to, bulkLines, s.Lines, realm, "published")
	send(to, bulkLines, s.RefusedLines, realm, "refused")
	send(to, bulkCut, s.CutStreams, realm)
}
