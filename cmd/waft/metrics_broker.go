package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"waft/broker"
	"waft/broker/outbox"
)

var (
	messagesPublished  = counter("waft_messages_published_total", "Messages accepted, without the duplicates.", "realm")
	messagesDuplicate  = counter("waft_messages_duplicate_total", "Publishes answered with the receipt of an earlier one, for their idempotency key.", "realm")
	messagesRemoved    = counter("waft_messages_removed_total", "Items removed from histories.", "realm")
	publishesRejected  = counter("waft_publishes_rejected_total", "Publishes refused, by kind of error.", "realm", "kind")
	publishedBytes     = counter("waft_published_bytes_total", "Bytes of the texts of the messages accepted.", "realm")
	deliveredBytes     = counter("waft_delivered_bytes_total", "Bytes of the texts of the messages queued for sessions, once for each.", "realm")
	sessionSeconds     = counter("waft_session_seconds_total", "Seconds that sessions have lived, by protocol.", "realm", "protocol")
	deliveries         = counter("waft_deliveries_total", "Messages queued for sessions.", "realm")
	deliveriesLost     = counter("waft_deliveries_lost_total", "Queued messages that never reached their reader, by reason.", "realm", "reason")
	sessionsNow        = gauge("waft_sessions", "Sessions now, by protocol.", "realm", "protocol")
	sessionsOpened     = counter("waft_sessions_opened_total", "Sessions begun.", "realm")
	sessionsEnded      = counter("waft_sessions_ended_total", "Sessions ended, by kind of reason.", "realm", "kind")
	subscriptionsNow   = gauge("waft_subscriptions", "Subscriptions now.", "realm")
	historyChannels    = gauge("waft_history_channels", "Channels that the engine knows now.", "realm")
	historyMessages    = gauge("waft_history_messages", "Messages kept now.", "realm")
	historyBytes       = gauge("waft_history_bytes", "Bytes of the messages kept now.", "realm")
	historyEvicted     = counter("waft_history_evicted_total", "Channels whose history was dropped to stay within limits.", "realm")
	outboxWrites       = counter("waft_outbox_writes_total", "System calls that wrote to streaming connections.")
	outboxBytes        = counter("waft_outbox_written_bytes_total", "Bytes written to streaming connections.")
	outboxParks        = counter("waft_outbox_parks_total", "Times that a streaming connection took no more for the moment.")
	outboxParked       = gauge("waft_outbox_parked_connections", "Streaming connections that take no more now.")
	outboxDisconnected = counter("waft_outbox_disconnects_total", "Streaming connections closed because they could not be written to, by reason.", "reason")
)

func collectBroker(to chan<- prometheus.Metric, realm string, s broker.Stats) {
	send(to, messagesPublished, s.Published, realm)
	send(to, messagesDuplicate, s.Duplicates, realm)
	send(to, messagesRemoved, s.Removed, realm)
	send(to, deliveries, s.Delivered, realm)
	send(to, publishedBytes, s.PublishedBytes, realm)
	send(to, deliveredBytes, s.DeliveredBytes, realm)
	for protocol, lived := range s.SessionTime {
		send(to, sessionSeconds, int64(lived.Seconds()), realm, protocol)
	}
	for kind, n := range s.Rejected {
		send(to, publishesRejected, n, realm, kind.String())
	}
	for reason, n := range s.Lost {
		send(to, deliveriesLost, n, realm, reason.String())
	}
	for protocol, n := range s.Sessions {
		send(to, sessionsNow, n, realm, protocol)
	}
	send(to, sessionsOpened, s.Opened, realm)
	for kind, n := range s.Ended {
		send(to, sessionsEnded, n, realm, kind.String())
	}
	send(to, subscriptionsNow, s.Subscriptions, realm)
	send(to, historyChannels, s.Engine.Channels, realm)
	send(to, historyMessages, s.Engine.Messages, realm)
	send(to, historyBytes, s.Engine.Bytes, realm)
	send(to, historyEvicted, s.Engine.Evicted, realm)
}

func collectOutbox(to chan<- prometheus.Metric, s outbox.Stats) {
	send(to, outboxWrites, s.Writes)
	send(to, outboxBytes, s.Bytes)
	send(to, outboxParks, s.Parks)
	send(to, outboxParked, s.Parked)
	send(to, outboxDisconnected, s.Timeouts, "write_failed")
	send(to, outboxDisconnected, s.Overflows, "pending_full")
}
