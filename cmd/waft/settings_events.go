package main

import (
	"log/slog"
	"time"

	"waft/broker"
	"waft/broker/outbox"
	"waft/httppub/sse"
)

// eventsSettings is a realm's Server-Sent Events. Which web pages may listen is up to http.origins.
type eventsSettings struct {
	MaxChannels int `toml:"max_channels"` // channels and wildcards of one stream; default 32, at most 100
	MaxMessages int `toml:"max_messages"` // that may wait for a stream; default 1000
	MaxBytes    int `toml:"max_bytes"`    // bytes of them; default 1048576

	MaxStreams     int `toml:"max_streams"`             // at a time; 0 (default): no limit but limits.max_sessions
	AddressStreams int `toml:"max_streams_per_address"` // of one client address; 0 (default): no limit

	KeepAlive    duration `toml:"keep_alive"`         // pace of comments; default 25s
	Retry        duration `toml:"retry"`              // what clients are told to wait before they come back, give or take a third; default 3s
	MaxTokenLife duration `toml:"max_token_lifetime"` // that a token in an address may still have; default 5m
	ResumeWindow duration `toml:"resume_window"`      // how long after a stream its wildcards can be resumed; default 10m
}

func (e *eventsSettings) complete() {
	fill(&e.MaxChannels, 32)
	fill(&e.MaxMessages, 1000)
	fill(&e.MaxBytes, 1<<20)
	fill(&e.KeepAlive, duration{25 * time.Second})
	fill(&e.Retry, duration{3 * time.Second})
	fill(&e.MaxTokenLife, duration{5 * time.Minute})
	fill(&e.ResumeWindow, duration{10 * time.Minute})
}

// options are those of the realm's handler.
func (e *eventsSettings) options(to *broker.Broker, tokens broker.Authenticator, x *outbox.Outbox, logger *slog.Logger) sse.Options {
	return sse.Options{
		Broker: to, Authenticator: tokens, Outbox: x, Logger: logger,
		MaxChannels: e.MaxChannels, MaxMessages: e.MaxMessages, MaxBytes: e.MaxBytes, Limits: e.limits(),
		KeepAlive: e.KeepAlive.Duration, Retry: e.Retry.Duration,
		MaxTokenLife: e.MaxTokenLife.Duration, ResumeWindow: e.ResumeWindow.Duration,
	}
}

func (e *eventsSettings) limits() sse.Limits {
	return sse.Limits{Streams: e.MaxStreams, AddressStreams: e.AddressStreams}
}
