package main

import (
	"log/slog"
	"time"

	"waft/broker"
	"waft/broker/outbox"
	"waft/httppub/ws"
)

// webSocketSettings is a realm's plain WebSockets. Which web pages may connect is up to http.origins.
type webSocketSettings struct {
	MaxFrame         int `toml:"max_frame"`         // bytes of a frame from a client; default 65536
	MaxSubscriptions int `toml:"max_subscriptions"` // of one socket; default 100
	MaxMessages      int `toml:"max_messages"`      // that may wait for a socket; default 1000
	MaxBytes         int `toml:"max_bytes"`         // bytes of them; default 1048576
	MaxWindow        int `toml:"max_window"`        // messages that a client may leave unacknowledged, at most; default 1000

	MaxSockets     int `toml:"max_sockets"`             // at a time; 0 (default): no limit but limits.max_sessions
	AddressSockets int `toml:"max_sockets_per_address"` // of one client address; 0 (default): no limit
	SocketFrames   int `toml:"frames_per_socket"`       // a second, in the long run; default 1000

	KeepAlive    duration `toml:"keep_alive"`         // pace of pings to a client that is silent, and of places; default 25s
	PongWait     duration `toml:"pong_wait"`          // how long a client may take to answer; default 10s
	AuthTimeout  duration `toml:"auth_timeout"`       // in which a client without a credential has to show one, or do something; default 10s
	MaxTokenLife duration `toml:"max_token_lifetime"` // that a token in an address may still have; default 5m
	ResumeWindow duration `toml:"resume_window"`      // how old a place may be with which a wildcard is resumed; default 10m
}

func (w *webSocketSettings) complete() {
	fill(&w.MaxFrame, 64<<10)
	fill(&w.MaxSubscriptions, 100)
	fill(&w.MaxMessages, 1000)
	fill(&w.MaxBytes, 1<<20)
	fill(&w.MaxWindow, 1000)
	fill(&w.SocketFrames, 1000)
	fill(&w.KeepAlive, duration{25 * time.Second})
	fill(&w.PongWait, duration{10 * time.Second})
	fill(&w.AuthTimeout, duration{10 * time.Second})
	fill(&w.MaxTokenLife, duration{5 * time.Minute})
	fill(&w.ResumeWindow, duration{10 * time.Minute})
}

// options are those of the realm's handler.
func (w *webSocketSettings) options(to *broker.Broker, tokens broker.Authenticator, x *outbox.Outbox, logger *slog.Logger) ws.Options {
	return ws.Options{
		Broker: to, Authenticator: tokens, Outbox: x, Logger: logger,
		MaxFrame: w.MaxFrame, MaxSubscriptions: w.MaxSubscriptions, MaxMessages: w.MaxMessages, MaxBytes: w.MaxBytes, MaxWindow: w.MaxWindow,
		KeepAlive: w.KeepAlive.Duration, PongWait: w.PongWait.Duration, AuthTimeout: w.AuthTimeout.Duration,
		MaxTokenLife: w.MaxTokenLife.Duration, ResumeWindow: w.ResumeWindow.Duration, Limits: w.limits(),
	}
}

func (w *webSocketSettings) limits() ws.Limits {
	return ws.Limits{Sockets: w.MaxSockets, AddressSockets: w.AddressSockets, SocketFrames: w.SocketFrames}
}
