package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"waft/httppub/ws"
)

var (
	webSocketOpened    = counter("waft_websocket_opened_total", "Plain WebSockets begun.", "realm")
	webSocketPublished = counter("waft_websocket_published_total", "Messages published over plain WebSockets.", "realm")
	webSocketResumed   = counter("waft_websocket_resumed_total", "Subscribes over plain WebSockets that went on from a place.", "realm")
	webSocketLost      = counter("waft_websocket_lost_total", "Times that a client of a plain WebSocket was told of channels whose history was lost.", "realm")
	webSocketReplayed  = counter("waft_websocket_replayed_total", "Messages sent from history because they were more than a plain WebSocket may queue.", "realm")
	webSocketRevoked   = counter("waft_websocket_revoked_total", "Subscriptions of plain WebSockets ended because the rules changed.", "realm")
	webSocketRefused   = counter("waft_websocket_refused_total", "Requests for a plain WebSocket that were refused, by reason.", "realm", "reason")
	webSocketFailed    = counter("waft_websocket_frames_failed_total", "Frames of clients answered with an error, by its code.", "realm", "code")
	webSocketEnded     = counter("waft_websocket_ended_total", "Plain WebSockets ended, by reason.", "realm", "reason")
	webSocketSockets   = gauge("waft_websocket_sockets", "Plain WebSockets open now.", "realm")
)

func collectWebSocket(to chan<- prometheus.Metric, realm string, s ws.Stats) {
	send(to, webSocketOpened, s.Opened, realm)
	send(to, webSocketPublished, s.Published, realm)
	send(to, webSocketResumed, s.Resumed, realm)
	send(to, webSocketLost, s.Lost, realm)
	send(to, webSocketReplayed, s.Replayed, realm)
	send(to, webSocketRevoked, s.Revoked, realm)
	for reason, n := range s.Refused {
		send(to, webSocketRefused, n, realm, reason.String())
	}
	for code, n := range s.Failed {
		send(to, webSocketFailed, n, realm, code.String())
	}
	for reason, n := range s.Ended {
		send(to, webSocketEnded, n, realm, reason.String())
	}
	send(to, webSocketSockets, s.Sockets, realm)
}
