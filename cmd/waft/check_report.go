package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// checkReport is what a check has found, and the shape of its JSON.
type checkReport struct {
	OK      bool           `json:"ok"`
	At      time.Time      `json:"at"` // when it began
	Seconds float64        `json:"seconds"`
	Servers []serverReport `json:"servers"`
}

// serverReport is what it has found of one server.
type serverReport struct {
	URL      string    `json:"url"`
	Realm    string    `json:"realm"`
	OK       bool      `json:"ok"`
	Seconds  float64   `json:"seconds"`
	Findings []finding `json:"findings"`
}

// finding is one thing that was tried.
type finding struct {
	Check    string  `json:"check"`           // "publish", "delivery", "refusal" or "link"
	Protocol string  `json:"protocol"`        // "http", "xmpp" of a link, or a name of --protocol
	Token    string  `json:"token,omitempty"` // of a refusal: a name of --skip
	OK       bool    `json:"ok"`
	Seconds  float64 `json:"seconds,omitempty"` // the slowest publish request; from the beginning of one to the message's arrival
	Detail   string  `json:"detail"`            // for people
}

// complete sums up.
func (r *checkReport) complete(took time.Duration) {
	r.OK, r.Seconds = true, took.Seconds()
	for i := range r.Servers {
		s := &r.Servers[i]
		s.OK = true
		for _, f := range s.Findings {
			s.OK = s.OK && f.OK
		}
		r.OK = r.OK && s.OK
	}
}

// summary counts what went wrong.
func (r *checkReport) summary() string {
	tried, wrong := 0, 0
	for _, s := range r.Servers {
		for _, f := range s.Findings {
			tried++
			if !f.OK {
				wrong++
			}
		}
	}
	return fmt.Sprintf("%d of %d", wrong, tried)
}

func (r *checkReport) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(r)
}

// writeText writes a line for everything that was tried.
func (r *checkReport) writeText(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, s := range r.Servers {
		fmt.Fprintf(table, "%s, realm %s:\n", s.URL, s.Realm)
		for _, f := range s.Findings {
			verdict, took, token := "FAILED", "", ""
			if f.OK {
				verdict = "ok"
			}
			if f.Seconds > 0 {
				took = fmt.Sprintf("; the slowest took %v", time.Duration(f.Seconds*float64(time.Second)).Round(10*time.Microsecond))
			}
			if f.Token != "" {
				token = ", token " + f.Token
			}
			fmt.Fprintf(table, "  %s\t%s\t%s%s\t%s%s\n", verdict, f.Check, f.Protocol, token, f.Detail, took)
		}
	}
	return table.Flush()
}

// checkMetrics are what --metrics-file has, by name, with their help.
var checkMetrics = []struct{ name, help string }{
	{"waft_check_ok", "1 if all that the last check tried went well, else 0."},
	{"waft_check_timestamp_seconds", "When the last check began, in seconds since 1970."},
	{"waft_check_seconds", "How long it took."},
	{"waft_check_finding_ok", "1 if this went well, else 0."},
	{"waft_check_finding_seconds", "The slowest publish request, and the slowest message from the beginning of its request to its arrival."},
}

// writeMetrics replaces the file in one step: who reads it gets all of the old one or all of the new one.
func (r *checkReport) writeMetrics(path string) error {
	server, one := []string{"server", "realm"}, []string{"server", "realm", "check", "protocol", "token"}
	registry := prometheus.NewRegistry()
	var vectors []*prometheus.GaugeVec
	for i, m := range checkMetrics {
		labels := server
		if i >= 3 {
			labels = one
		}
		v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: m.name, Help: m.help}, labels)
		if err := registry.Register(v); err != nil {
			return err
		}
		vectors = append(vectors, v)
	}
	for _, s := range r.Servers {
		vectors[0].WithLabelValues(s.URL, s.Realm).Set(oneIf(s.OK))
		vectors[1].WithLabelValues(s.URL, s.Realm).Set(float64(r.At.UnixMilli()) / 1000)
		vectors[2].WithLabelValues(s.URL, s.Realm).Set(s.Seconds)
		for _, f := range s.Findings {
			vectors[3].WithLabelValues(s.URL, s.Realm, f.Check, f.Protocol, f.Token).Set(oneIf(f.OK))
			if f.Seconds > 0 {
				vectors[4].WithLabelValues(s.URL, s.Realm, f.Check, f.Protocol, f.Token).Set(f.Seconds)
			}
		}
	}
	return prometheus.WriteToTextfile(path, registry)
}

func oneIf(ok bool) float64 {
	if ok {
		return 1
	}
	return 0
}
