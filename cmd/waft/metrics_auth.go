package main

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"waft/auth"
)

var (
	jwksKeys    = gauge("waft_jwks_keys", "Keys of a fetched JWK set that can be used now.", "realm", "set")
	jwksAge     = gauge("waft_jwks_age_seconds", "Seconds since the JWK set in use was fetched.", "realm", "set")
	jwksFetches = counter("waft_jwks_fetches_total", "Fetches of a JWK set, by result.", "realm", "set", "result")
)

func collectAuth(to chan<- prometheus.Metric, realm string, sets []auth.SetStats) {
	for _, s := range sets {
		send(to, jwksKeys, s.Keys, realm, s.Name)
		if !s.At.IsZero() {
			send(to, jwksAge, int64(time.Since(s.At)/time.Second), realm, s.Name)
		}
		send(to, jwksFetches, s.Fetched, realm, s.Name, "good")
		send(to, jwksFetches, s.Failed, realm, s.Name, "failed")
	}
}
