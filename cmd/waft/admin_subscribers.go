package main

import (
	"encoding/json"
	"net/http"

	"waft/broker"
)

// subscribersPage answers GET /realms/{realm}/subscribers?pattern=/chat/42: how many are subscribed, in this process.
type subscribersPage struct {
	realms []*realm
}

// subscribersReply is its answer.
type subscribersReply struct {
	Realm       string         `json:"realm"`
	Pattern     broker.Pattern `json:"pattern"`
	Subscribers int            `json:"subscribers"`         // sessions subscribed to exactly this pattern
	Readers     int            `json:"readers"`             // the same, with each user behind an XMPP link for one
	Receivers   *int           `json:"receivers,omitempty"` // sessions that a message to it would be queued for; of a channel
}

// ServeHTTP implements http.Handler. Errors are 400 for what is no pattern and 404 for what is no realm, as plain text.
func (s *subscribersPage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t := s.realm(r.PathValue("realm"))
	if t == nil {
		plain(w, http.StatusNotFound, "there is no such realm\n")
		return
	}
	p, err := broker.ParsePatternName(r.URL.Query().Get("pattern"))
	if err != nil {
		w.Header().Set("Cache-Control", "no-store")
		http.Error(w, "pattern: "+broker.TextOf(err), http.StatusBadRequest)
		return
	}
	reply := subscribersReply{Realm: t.id, Pattern: p, Subscribers: t.broker.Subscribers(p)}
	for range t.broker.Readers(p) {
		reply.Readers++
	}
	if c, ok := p.Channel(); ok {
		reply.Receivers = new(t.broker.Receivers(c))
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(reply) // a client that has gone misses it
}

func (s *subscribersPage) realm(id string) *realm {
	for _, t := range s.realms {
		if t.id == id {
			return t
		}
	}
	return nil
}
