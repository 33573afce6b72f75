package main

import (
	"log/slog"
	"time"

	"waft/broker"
	"waft/httppub"
)

// realmHTTPSettings is what a realm answers to plain HTTP requests for its channels, messages, sessions and usage.
type realmHTTPSettings struct {
	Origins []string `toml:"origins"` // web pages of other origins that may read: "https://app.example"; "*": all

	MaxPage      int      `toml:"max_page"`             // entries of an answer; default 1000
	MaxPageBytes int      `toml:"max_page_bytes"`       // of its messages; default 1048576
	PageAge      duration `toml:"page_age"`             // how long caches may keep a page that nothing is added to; default 1m
	MaxWait      duration `toml:"max_wait"`             // how long a request is held at most; default 55s
	MaxHeld      int      `toml:"max_held"`             // requests held at a time; default 10000
	AddressHeld  int      `toml:"max_held_per_address"` // of them from one address; default 1000

	BadTokens int `toml:"bad_tokens_per_address"` // to publish, read, hear events, and of plain WebSockets; until one in five seconds is looked at; default 20
}

func (h *realmHTTPSettings) complete() {
	if h.Origins == nil {
		h.Origins = []string{}
	}
	fill(&h.MaxPage, 1000)
	fill(&h.MaxPageBytes, 1<<20)
	fill(&h.PageAge, duration{time.Minute})
	fill(&h.MaxWait, duration{55 * time.Second})
	fill(&h.MaxHeld, 10_000)
	fill(&h.AddressHeld, 1000)
	fill(&h.BadTokens, 20)
}

// reader makes the realm's handler.
func (h *realmHTTPSettings) reader(b *broker.Broker, tokens broker.Authenticator, damper *broker.Damper, trusted proxies, logger *slog.Logger) (*httppub.Reader, error) {
	return httppub.NewReader(httppub.ReaderOptions{
		Broker: b, Authenticator: tokens, Damper: damper, Origins: h.Origins, Limits: h.limits(),
		ClientAddress: trusted.client, Logger: logger,
	})
}

func (h *realmHTTPSettings) limits() httppub.ReaderLimits {
	return httppub.ReaderLimits{
		MaxPage: h.MaxPage, MaxPageBytes: h.MaxPageBytes, PageAge: h.PageAge.Duration,
		MaxWait: h.MaxWait.Duration, MaxHeld: h.MaxHeld, AddressHeld: h.AddressHeld,
	}
}

// rememberedTokens is how many good tokens are known again where bad ones are damped: some hundred kilobytes.
const rememberedTokens = 10_000

// damper bounds the bad tokens that the realm's HTTP doors look at, all of them together.
func (h *realmHTTPSettings) damper() (*broker.Damper, error) {
	return broker.NewDamper(h.BadTokens, rememberedTokens)
}
