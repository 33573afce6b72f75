package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"waft/broker/presence"
)

var (
	presenceMessages  = counter("waft_presence_messages_total", "Messages about who joined and left.", "realm")
	presenceFailed    = counter("waft_presence_failed_total", "Such messages that could not be published, and were told later.", "realm")
	presenceUntracked = counter("waft_presence_untracked_total", "Times somebody came to a channel that was not told of, for max_channels.", "realm")
	presenceUnnamed   = counter("waft_presence_unnamed_total", "Times a subject was counted as anonymous, for max_members.", "realm")
	presenceChannels  = gauge("waft_presence_channels", "Channels whose presence is told now.", "realm")
	presenceMembers   = gauge("waft_presence_members", "Subjects remembered now, of all channels.", "realm")
)

func collectPresence(to chan<- prometheus.Metric, realm string, s presence.Stats) {
	send(to, presenceMessages, s.Published, realm)
	send(to, presenceFailed, s.Failed, realm)
	send(to, presenceUntracked, s.Untracked, realm)
	send(to, presenceUnnamed, s.Unnamed, realm)
	send(to, presenceChannels, s.Channels, realm)
	send(to, presenceMembers, s.Members, realm)
}
