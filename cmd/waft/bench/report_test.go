package bench

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

// Whoever keeps results compares them with later ones: a member may be added here, and none may change or go.
func TestReport_keeps_its_shape(t *testing.T) {
	l := &Latency{}
	b, err := json.Marshal(Report{
		Connect: &ConnectReport{Latency: l}, Publish: &PublishReport{Answers: l, Late: l}, Deliver: &DeliverReport{Latency: l, Last: l},
		Server: &ServerReport{}, Client: &ClientReport{},
	})
	if err != nil {
		t.Fatal(err)
	}
	latency := `{"count":0,"min":0,"mean":0,"p50":0,"p90":0,"p99":0,"p99_9":0,"max":0}`
	want := `{"scenario":"","transport":"","url":"","publish_over":"","subscribers":0,"channels":0,"publishers":0,"window":0,"rate":0,"size":0,"processes":0,` +
		`"connect":{"connected":0,"failed":0,"error":"","seconds":0,"per_second":0,"latency":` + latency + `},` +
		`"publish":{"messages":0,"seconds":0,"per_second":0,"refused":0,"error":"","answers":` + latency + `,"late":` + latency + `,"given_up":0},` +
		`"deliver":{"deliveries":0,"per_second":0,"lost":0,"repeated":0,"out_of_order":0,"strays":0,"disconnected":0,"error":"","latency":` + latency +
		`,"last":` + latency + `},` +
		`"server":{"processes":0,"cpu_seconds":0,"load":0,"cpu_us_per_delivery":0,"cpu_us_per_publish":0,"cpu_us_per_connection":0,` +
		`"memory_before":0,"memory_connected":0,"memory_per_connection":0,"memory_end":0},` +
		`"client":{"cpu_seconds":0,"load":0,"busiest":0,"cpu_us_per_delivery":0}}`
	if string(b) != want {
		t.Errorf("got\n%s\nwant\n%s", b, want)
	}
}

func TestLatencies_of_several_processes_are_those_of_all_deliveries(t *testing.T) {
	one, two, all := newLatencies(), newLatencies(), newLatencies()
	for i := range 1000 {
		d := time.Duration(i*i) * time.Microsecond
		all.record(d)
		if i%10 == 0 {
			one.record(d)
		} else {
			two.record(d)
		}
	}
	b, err := json.Marshal(tally{Latency: two})
	if err != nil {
		t.Fatal(err)
	}
	var sent tally
	if err := json.Unmarshal(b, &sent); err != nil {
		t.Fatal(err)
	}
	one.add(sent.Latency)
	if !reflect.DeepEqual(one.summary(), all.summary()) {
		t.Errorf("merged %v, together %v", one.summary(), all.summary())
	}
	if s := newLatencies().summary(); s != nil || s.String() != "nothing" {
		t.Errorf("of nothing: %v", s)
	}
}

func TestLatencies_count_what_is_out_of_range_as_the_nearest(t *testing.T) {
	l := newLatencies()
	l.record(-time.Second) // a clock that was set
	l.record(48 * time.Hour)
	if s := l.summary(); s.Count != 2 || s.Min != 1 || s.Max < 3_600_000_000 {
		t.Errorf("%+v", s)
	}
}

func TestUsage_is_read_from_the_line_of_any_process(t *testing.T) {
	line := "42 (a (b) c) S 7 1 1 0 -1 4194560 1 2 3 4 150 50 20 30 20 0 8 0 100 1000000 25 18446744073709551615 1 1"
	s, err := parseStat([]byte(line))
	if err != nil || s.parent != 7 || s.cpu != 2500*time.Millisecond || s.resident%25 != 0 || s.resident == 0 {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := parseStat([]byte("42 (a")); err == nil {
		t.Error("half a line is read")
	}
}

func TestOptions_many_connections_come_from_many_addresses(t *testing.T) {
	for _, c := range []struct {
		addr        string
		connections int
		want        string
	}{
		{"127.0.0.1:80", 20_000, ""},
		{"127.0.0.1:80", 20_001, "127.0.0.1 127.0.0.2"},
		{"127.0.0.1:80", 100_000, "127.0.0.1 127.0.0.2 127.0.0.3 127.0.0.4 127.0.0.5"},
		{"192.0.2.1:80", 100_000, ""},
		{"[::1]:80", 100_000, ""},
	} {
		if got := strings.Join(locals(c.addr, c.connections), " "); got != c.want {
			t.Errorf("%d to %s: %s, want %s", c.connections, c.addr, got, c.want)
		}
	}
}

func TestTarget_bodies_are_filled_in(t *testing.T) {
	data := []byte(`{"m":"a"}`)
	for body, want := range map[string]string{
		`{"c":"{channel}","d":{data}}`: `{"c":"/x/1","d":{"m":"a"}}`,
		`{"s":"data: {string}\n\n"}`:   `{"s":"data: {\"m\":\"a\"}\n\n"}`,
		`topic={channel}&data={form}`:  `topic=/x/1&data=%7B%22m%22%3A%22a%22%7D`,
	} {
		if got := string(Target{Body: body}.appendBody(nil, "/x/1", data)); got != want {
			t.Errorf("%s: %s, want %s", body, got, want)
		}
	}
	p := locate("http://h/a{channel}?b={channel}&c=%2F")
	if p.addr != "h:80" || p.of("/x") != "/a/x?b=/x&c=%2F" {
		t.Errorf("%+v: %s", p, p.of("/x"))
	}
}

func TestPreset_knows_what_each_kind_speaks(t *testing.T) {
	for _, kind := range Kinds() {
		spoken := 0
		for _, transport := range Transports {
			target, err := Preset(kind, "http://127.0.0.1:1", "default", transport)
			if err != nil {
				continue
			}
			spoken++
			target.Component = Component{Listen: freePort(), Domain: fakeDomain, Secret: "hush"} // no preset has it
			target.complete()
			if err := target.check(); err != nil {
				t.Errorf("%s over %s: %v", kind, transport, err)
			}
		}
		if spoken == 0 {
			t.Errorf("%s speaks nothing", kind)
		}
	}
	if _, err := Preset("mercure", "http://x", "r", WebSocket); err == nil || !strings.Contains(err.Error(), "but sse") {
		t.Errorf("%v", err)
	}
	if _, err := Preset("hare", "http://x", "r", WebSocket); err == nil || !strings.Contains(err.Error(), "bayeux, mercure, nchan, waft") {
		t.Errorf("%v", err)
	}
}
