package main

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"waft/xmpp"
	"waft/xmpp/component"
)

var (
	xmppRequests      = counter("waft_xmpp_requests_total", "Requests answered, refused ones included.", "realm", "domain")
	xmppRefused       = counter("waft_xmpp_refused_total", "Requests answered with an error, by its condition.", "realm", "domain", "reason")
	xmppTurnedAway    = counter("waft_xmpp_turned_away_total", "Stanzas that no worker had room for, or whose sender is too fast.", "realm", "domain")
	xmppTooFast       = counter("waft_xmpp_too_fast_total", "Stanzas of senders beyond their rate.", "realm", "domain")
	xmppRepliesLost   = counter("waft_xmpp_replies_lost_total", "Answers that the link could not take.", "realm", "domain")
	xmppPublished     = counter("waft_xmpp_published_total", "Items published by users.", "realm", "domain")
	xmppCommands      = counter("waft_xmpp_commands_total", "Commands of the API by stanza.", "realm", "domain", "outcome")
	xmppOpenCommands  = gauge("waft_xmpp_open_commands", "Commands that somebody has begun now.", "realm", "domain")
	xmppChats         = counter("waft_xmpp_chats_total", "Chats of admins, answered and passed over.", "realm", "domain", "outcome")
	xmppCarried       = counter("waft_xmpp_carried_stanzas_total", "XMPP messages that published items carried.", "realm", "domain", "outcome")
	xmppEvents        = counter("waft_xmpp_events_total", "Event notifications queued on the link, one for each recipient.", "realm", "domain")
	xmppNaked         = counter("waft_xmpp_events_without_payload_total", "Messages announced without their payload, which is too big for a stanza.", "realm", "domain")
	xmppSkipped       = counter("waft_xmpp_messages_skipped_total", "Messages without a form for XMPP.", "realm", "domain")
	xmppGaveWay       = counter("waft_xmpp_messages_dropped_total", "Messages that gave way while the link was down or slow.", "realm", "domain")
	xmppBounces       = counter("waft_xmpp_bounces_total", "Event notifications that came back.", "realm", "domain")
	xmppStrayBounces  = counter("waft_xmpp_stray_bounces_total", "Message errors that answer no event notification.", "realm", "domain")
	xmppEnded         = counter("waft_xmpp_subscriptions_ended_total", "Subscriptions ended by bounces and farewells.", "realm", "domain")
	xmppUnnoted       = counter("waft_xmpp_presences_not_noted_total", "Presences of users that were not noted, for there were too many.", "realm", "domain")
	xmppUnsaid        = counter("waft_xmpp_announcements_dropped_total", "Announcements that did not fit, one for each recipient.", "realm", "domain")
	xmppAnnouncing    = gauge("waft_xmpp_pending_announcements", "Recipients of announcements that wait for the link now.", "realm", "domain")
	xmppNodes         = gauge("waft_xmpp_nodes", "Nodes that somebody has made his own.", "realm", "domain")
	xmppSubscriptions = gauge("waft_xmpp_subscriptions", "Subscriptions of users now.", "realm", "domain")
	xmppPetitions     = gauge("waft_xmpp_pending_subscriptions", "Subscriptions that wait for an owner's word now.", "realm", "domain")
	xmppSubscribers   = gauge("waft_xmpp_subscribers", "Bare JIDs that have one now.", "realm", "domain")
	xmppPresences     = gauge("waft_xmpp_presences", "Clients of users known to be online now.", "realm", "domain")
	xmppPatterns      = gauge("waft_xmpp_patterns", "Channels and patterns that are subscribed to now.", "realm", "domain")
	xmppPending       = gauge("waft_xmpp_pending_messages", "Messages that wait for the link now.", "realm", "domain")

	xmppUp       = gauge("waft_xmpp_link_up", "1 while the link to the XMPP server stands, else 0.", "realm", "domain")
	xmppConnects = counter("waft_xmpp_connects_total", "Times that the link came up.", "realm", "domain")
	xmppFailures = counter("waft_xmpp_connect_failures_total", "Attempts that ended before the server had accepted the link.", "realm", "domain")
	xmppStanzas  = counter("waft_xmpp_stanzas_total", "Stanzas read and written.", "realm", "domain", "direction")
	xmppBytes    = counter("waft_xmpp_bytes_total", "Bytes read and written.", "realm", "domain", "direction")
	xmppQueued   = gauge("waft_xmpp_queued_bytes", "Bytes that wait for the server now.", "realm", "domain")
	xmppKept     = gauge("waft_xmpp_unproven_stanzas", "Events that would be written again now.", "realm", "domain")
	xmppResent   = counter("waft_xmpp_stanzas_resent_total", "Events written again after a link was lost.", "realm", "domain")
	xmppUnfenced = counter("waft_xmpp_pings_unanswered_total", "Times that the server did not answer the pings behind events.", "realm", "domain")
	xmppWaiting  = gauge("waft_xmpp_pending_requests", "Requests to the server without an answer now.", "realm", "domain")
	xmppDropped  = counter("waft_xmpp_stanzas_dropped_total", "Stanzas refused or lost, by reason.", "realm", "domain", "reason")
)

func collectXMPP(to chan<- prometheus.Metric, realm, domain string, s xmpp.Stats) {
	collectLink(to, realm, domain, s.Link)
	send(to, xmppRequests, s.Requests, realm, domain)
	for condition, n := range s.Refused {
		send(to, xmppRefused, n, realm, domain, snake(condition))
	}
	send(to, xmppTurnedAway, s.TurnedAway, realm, domain)
	send(to, xmppTooFast, s.TooFast, realm, domain)
	send(to, xmppRepliesLost, s.RepliesLost, realm, domain)
	send(to, xmppPublished, s.Published, realm, domain)
	send(to, xmppCommands, s.Commands, realm, domain, "done")
	send(to, xmppCommands, s.CommandsFailed, realm, domain, "failed")
	send(to, xmppOpenCommands, s.OpenCommands, realm, domain)
	send(to, xmppChats, s.Chats, realm, domain, "answered")
	send(to, xmppChats, s.ChatsIgnored, realm, domain, "ignored")
	send(to, xmppCarried, s.Stanzas, realm, domain, "sent")
	send(to, xmppCarried, s.StanzasLost, realm, domain, "lost")
	send(to, xmppEvents, s.Events, realm, domain)
	send(to, xmppNaked, s.Naked, realm, domain)
	send(to, xmppSkipped, s.Skipped, realm, domain)
	send(to, xmppGaveWay, s.Dropped, realm, domain)
	send(to, xmppBounces, s.Bounces, realm, domain)
	send(to, xmppStrayBounces, s.StrayBounces, realm, domain)
	send(to, xmppEnded, s.Ended, realm, domain)
	send(to, xmppUnnoted, s.Unnoted, realm, domain)
	send(to, xmppUnsaid, s.Unsaid, realm, domain)
	send(to, xmppAnnouncing, s.Announcing, realm, domain)
	send(to, xmppNodes, s.Nodes, realm, domain)
	send(to, xmppSubscriptions, s.Subscriptions, realm, domain)
	send(to, xmppPetitions, s.Pending, realm, domain)
	send(to, xmppSubscribers, s.Subscribers, realm, domain)
	send(to, xmppPresences, s.Presences, realm, domain)
	send(to, xmppPatterns, s.Patterns, realm, domain)
	send(to, xmppPending, s.Waiting, realm, domain)
}

func collectLink(to chan<- prometheus.Metric, realm, domain string, s component.Stats) {
	up := 0
	if s.Up {
		up = 1
	}
	send(to, xmppUp, up, realm, domain)
	send(to, xmppConnects, s.Connects, realm, domain)
	send(to, xmppFailures, s.Failures, realm, domain)
	send(to, xmppStanzas, s.StanzasIn, realm, domain, "in")
	send(to, xmppStanzas, s.StanzasOut, realm, domain, "out")
	send(to, xmppBytes, s.BytesIn, realm, domain, "in")
	send(to, xmppBytes, s.BytesOut, realm, domain, "out")
	send(to, xmppQueued, s.Queued, realm, domain)
	send(to, xmppKept, s.Kept, realm, domain)
	send(to, xmppResent, s.Resent, realm, domain)
	send(to, xmppUnfenced, s.Unfenced, realm, domain)
	send(to, xmppWaiting, s.Waiting, realm, domain)
	for reason, n := range s.Dropped {
		send(to, xmppDropped, n, realm, domain, snake(reason.String()))
	}
}

// snake writes a word of XMPP ("item-not-found") as labels are written.
func snake(word string) string { return strings.ReplaceAll(word, "-", "_") }
