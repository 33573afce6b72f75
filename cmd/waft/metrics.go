package main

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// newMetrics makes the registry of one server. A registry of one's own, and not the package's, so that a process can
// have several servers.
func newMetrics(s *server) (*prometheus.Registry, error) {
	r := prometheus.NewRegistry()
	build := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "waft_build_info", Help: "Always 1; the version is in the label.",
		ConstLabels: prometheus.Labels{"version": versionText()},
	}, func() float64 { return 1 })
	for _, c := range []prometheus.Collector{
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), build, &collector{s},
	} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// collector asks the parts of a server for snapshots of their counts when Prometheus comes. Nothing is counted twice,
// and nothing is counted for Prometheus alone.
type collector struct{ server *server }

// Describe sends what there may be.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, f := range families {
		to <- f.desc
	}
}

// Collect sends every metric.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	collectOutbox(to, c.server.outbox.Stats())
	if c.server.disk != nil {
		collectDisk(to, c.server.disk.Stats())
	}
	if c.server.certificates != nil {
		collectTLS(to, c.server.certificates)
	}
	send(to, proxyRefused, c.server.proxyStats.refused.Load())
	for _, r := range c.server.realms {
		collectBroker(to, r.id, r.broker.Stats())
		collectAuth(to, r.id, r.access.verifier.Load().Stats())
		collectIntake(to, r.id, r.intake.Stats())
		collectReader(to, r.id, r.reader.Stats())
		collectDamper(to, r.id, r.damper.Stats())
		collectPresence(to, r.id, r.presence.Stats())
		collectBayeux(to, r.id, r.bayeux.Stats())
		collectEvents(to, r.id, r.events.Stats())
		collectWebSocket(to, r.id, r.sockets.Stats())
		for _, l := range r.links {
			collectXMPP(to, r.id, l.domain, l.service.Stats())
		}
	}
}

// family is a metric, from which samples are made.
type family struct {
	name   string
	labels []string
	desc   *prometheus.Desc
	kind   prometheus.ValueType
}

// families are all that the collector has.
var families []family

func counter(name, help string, labels ...string) family {
	return newFamily(prometheus.CounterValue, name, help, labels)
}

func gauge(name, help string, labels ...string) family {
	return newFamily(prometheus.GaugeValue, name, help, labels)
}

func newFamily(kind prometheus.ValueType, name, help string, labels []string) family {
	f := family{name, labels, prometheus.NewDesc(name, help, labels, nil), kind}
	families = append(families, f)
	return f
}

// send sends one sample of the family.
func send[T int | int64 | uint64](to chan<- prometheus.Metric, f family, v T, labels ...string) {
	to <- prometheus.MustNewConstMetric(f.desc, f.kind, float64(v), labels...)
}
