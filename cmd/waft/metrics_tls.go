package main

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	tlsExpiry  = gauge("waft_tls_certificate_expiry_timestamp_seconds", "When a certificate expires, as Unix time.", "certificate")
	tlsFailed  = counter("waft_tls_handshakes_failed_total", "Connections to the public listener that ended before their TLS handshake was over.")
	acmeFailed = counter("waft_acme_failures_total", "TLS handshakes for which no certificate could be had from the ACME authority.")

	proxyRefused = counter("waft_proxy_headers_refused_total", "Connections from trusted proxies that were closed because they did not begin with a good PROXY header in time.")
)

func collectTLS(to chan<- prometheus.Metric, c *certificates) {
	for _, f := range *c.files.Load() {
		send(to, tlsExpiry, f.pair.Leaf.NotAfter.Unix(), f.file)
	}
	send(to, tlsFailed, c.failed.Load())
	if c.acme != nil {
		send(to, acmeFailed, c.acme.failed.Load())
		c.acme.expiries(func(host string, at time.Time) { send(to, tlsExpiry, at.Unix(), "acme:"+host) })
	}
}
