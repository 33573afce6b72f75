package bench

import (
	"bytes"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func mustRun(t *testing.T, o Options) *Report {
	t.Helper()
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRun_an_honest_server_is_found_honest(t *testing.T) {
	t.Parallel()
	f := newFake(t, false)
	o := f.quick()
	o.Warmup, o.Patience, o.Processes, o.Publishers, o.Channels = 10*time.Millisecond, time.Minute, 2, 2, 1
	r := mustRun(t, o)
	if r.Trouble() != "" || r.Publish.Messages != 40 || r.Deliver.Deliveries != 3*r.Publish.Messages || r.Publish.GivenUp != 0 {
		t.Errorf("%s: publish %+v deliver %+v", r.Trouble(), r.Publish, r.Deliver)
	}
	if got := r.Deliver.Latency.Count; got != int64(r.Deliver.Deliveries) {
		t.Errorf("%d latencies of %d deliveries", got, r.Deliver.Deliveries)
	}
}

// Each of these servers does something wrong to one of three subscribers, and counts it.
func TestRun_what_a_server_does_wrong_is_counted_exactly(t *testing.T) {
	t.Parallel()
	type wrongs struct{ lost, repeated, late, strays uint64 }
	for name, wrong := range map[string]func(did *wrongs) func(s, n int, m []byte) [][]byte{
		"drops": func(did *wrongs) func(int, int, []byte) [][]byte {
			return func(s, n int, m []byte) [][]byte {
				if s == 0 && n%10 == 2 {
					did.lost++
					return nil
				}
				return [][]byte{m}
			}
		},
		"repeats": func(did *wrongs) func(int, int, []byte) [][]byte {
			return func(s, n int, m []byte) [][]byte {
				if s == 1 && n%5 == 3 {
					did.repeated++
					return [][]byte{m, m}
				}
				return [][]byte{m}
			}
		},
		"reorders": func(did *wrongs) func(int, int, []byte) [][]byte {
			var held []byte
			return func(s, n int, m []byte) [][]byte {
				switch {
				case s == 2 && held != nil:
					both := [][]byte{m, held}
					held = nil
					did.late++
					did.lost--
					return both
				case s == 2 && n%4 == 0:
					held = slices.Clone(m)
					did.lost++ // unless another comes
					return nil
				}
				return [][]byte{m}
			}
		},
		"leaks": func(did *wrongs) func(int, int, []byte) [][]byte {
			return func(s, _ int, m []byte) [][]byte {
				if s != 0 {
					return [][]byte{m}
				}
				did.strays += 2
				other := stamp{run: 7}.appendPayload(nil, 80)
				channel := bytes.Replace(slices.Clone(m), []byte(".000000."), []byte(".000001."), 1)
				return [][]byte{other, m, channel}
			}
		},
	} {
		judge := func(t *testing.T, f *fake, o Options) {
			t.Parallel()
			var did wrongs
			f.mangle = wrong(&did)
			r := mustRun(t, o)
			d := r.Deliver
			if got := (wrongs{d.Lost, d.Repeated, d.OutOfOrder, d.Strays}); got != did || did == (wrongs{}) {
				t.Errorf("counted %+v, the server did %+v", got, did)
			}
			if d.Deliveries+d.Lost != 3*r.Publish.Messages {
				t.Errorf("%d delivered and %d lost of %d messages", d.Deliveries, d.Lost, r.Publish.Messages)
			}
			if (r.Trouble() == "") != (name == "leaks") {
				t.Errorf("trouble: %q", r.Trouble())
			}
		}
		t.Run(name, func(t *testing.T) {
			f := newFake(t, false)
			judge(t, f, f.quick())
		})
		t.Run(name+" in frames of waft's", func(t *testing.T) {
			f := newFake(t, false)
			judge(t, f, f.plain())
		})
		t.Run(name+" over XMPP", func(t *testing.T) {
			f := newFakeComponent(t)
			f.run(t)
			judge(t, f.fake, f.options())
		})
		t.Run(name+", published over XMPP", func(t *testing.T) {
			f := newFakeComponent(t)
			f.run(t)
			judge(t, f.fake, f.published(Raw))
		})
	}
}

func TestRun_a_subscriber_that_is_cut_off_is_counted_and_stops_nobody(t *testing.T) {
	t.Parallel()
	f := newFake(t, false)
	f.mangle = func(s, n int, m []byte) [][]byte {
		if s == 1 && n == 5 {
			return [][]byte{nil}
		}
		return [][]byte{m}
	}
	r := mustRun(t, f.quick())
	if r.Deliver.Last.Count < 20 { // 5 were before, and 4 were on their way
		t.Errorf("%d messages were complete; the one who is gone should not be waited for", r.Deliver.Last.Count)
	}
	if d := r.Deliver; d.Disconnected != 1 || d.Error == "" || d.Lost != r.Publish.Messages-5 || d.Deliveries+d.Lost != 3*r.Publish.Messages {
		t.Errorf("%+v of %d", r.Deliver, r.Publish.Messages)
	}
	if !strings.Contains(r.Trouble(), "disconnected") {
		t.Errorf("trouble: %q", r.Trouble())
	}
}

// Whose subscription ends in the warm-up gets nothing of what is measured, and the report says why.
func TestRun_says_who_was_cut_off_and_why_even_before_it_measures(t *testing.T) {
	t.Parallel()
	for _, warmup := range []time.Duration{-1, 10 * time.Millisecond} {
		f := newFake(t, false)
		f.mangle = func(s, n int, m []byte) [][]byte {
			if s == 1 && n == 0 {
				return [][]byte{[]byte(`{"type":"unsubscribed","channels":["/c"],"code":"forbidden","message":"the rules have changed"}`)}
			}
			return [][]byte{m}
		}
		o := f.plain()
		o.Warmup = warmup
		r := mustRun(t, o)
		if want := "1 subscribers were disconnected: the server ended the subscription: forbidden: the rules have changed"; r.Trouble() != want {
			t.Errorf("trouble: %q, want %q", r.Trouble(), want)
		}
		if d := r.Deliver; d.Lost < r.Publish.Messages || d.Deliveries+d.Lost != 3*r.Publish.Messages {
			t.Errorf("%+v of %d", d, r.Publish.Messages)
		}
	}
}

func TestRun_what_goes_wrong_in_the_warm_up_does_not_count(t *testing.T) {
	t.Parallel()
	f := newFake(t, false)
	f.mangle = func(s, n int, m []byte) [][]byte {
		if s == 0 && n == 0 {
			return nil
		}
		return [][]byte{m}
	}
	o := f.quick()
	o.Warmup = 10 * time.Millisecond
	if r := mustRun(t, o); r.Trouble() != "" || r.Deliver.Deliveries != 3*r.Publish.Messages {
		t.Errorf("%s: %+v", r.Trouble(), r.Deliver)
	}
}

func TestRun_refused_messages_are_no_losses(t *testing.T) {
	t.Parallel()
	f := newFake(t, false)
	f.status = func(n int) int {
		if n%3 == 1 {
			return http.StatusTooManyRequests
		}
		return http.StatusOK
	}
	r := mustRun(t, f.quick())
	if p := r.Publish; p.Refused != (p.Messages+1)/3 || r.Deliver.Lost != 0 || !strings.Contains(p.Error, "429 Too Many Requests: not now") {
		t.Errorf("%+v, %d lost", p, r.Deliver.Lost)
	}
}

func TestRun_a_server_that_ends_connections_gets_each_message_once(t *testing.T) {
	t.Parallel()
	f := newFake(t, false)
	f.Config.SetKeepAlivesEnabled(false) // every response is the last
	r := mustRun(t, f.quick())
	if r.Trouble() != "" || r.Publish.Messages != 40 || r.Deliver.Deliveries != 3*r.Publish.Messages {
		t.Errorf("%s: %+v %+v", r.Trouble(), r.Publish, r.Deliver)
	}
}

func TestRun_ends_with_the_servers_words_if_nothing_works(t *testing.T) {
	t.Parallel()
	f := newFake(t, false)
	f.status = func(int) int { return http.StatusForbidden }
	o := f.quick()
	o.Warmup = time.Millisecond
	if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "403 Forbidden: not now") {
		t.Errorf("publishing: %v", err)
	}
	o.Target.Subscribe = f.URL + "/elsewhere"
	if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "3 of 3 subscribers could not connect") {
		t.Errorf("subscribing: %v", err)
	}
	f.answer = `{"type":"error","ref":1,"code":"forbidden","message":"no rule lets you"}`
	if _, err := Run(t.Context(), f.plain()); err == nil || !strings.Contains(err.Error(), "the server refused: forbidden: no rule lets you") {
		t.Errorf("subscribing with a frame: %v", err)
	}
	f.Close()
	if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("connecting: %v", err)
	}
}

func TestRun_publish_storm_and_idle_need_no_message_or_no_subscriber(t *testing.T) {
	t.Parallel()
	f := newFake(t, false)
	for _, scenario := range []string{Publish, Storm, Idle} {
		o := f.quick()
		o.Scenario, o.PID = scenario, os.Getpid()
		o.Window, o.Duration = 0, 50*time.Millisecond
		if scenario == Publish {
			o.Subscribers = 0
		}
		r := mustRun(t, o)
		if r.Trouble() != "" || r.Deliver != nil || (r.Publish != nil) != (scenario == Publish) || (r.Connect != nil) == (scenario == Publish) || r.Server == nil {
			t.Errorf("%s: %s, %+v", scenario, r.Trouble(), r)
		}
		var table strings.Builder
		if err := r.Table(&table); err != nil || !strings.Contains(table.String(), scenario) {
			t.Errorf("%v in\n%s", err, table.String())
		}
	}
}

func TestRun_an_open_loop_over_tls_where_each_connection_has_a_goroutine(t *testing.T) {
	f := newFake(t, true)
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSL_CERT_FILE", file) // read once in a process; nothing else here speaks TLS
	o := f.quick()
	o.Window, o.Rate, o.Channels, o.Messages = 0, 200, 3, 20
	r := mustRun(t, o)
	if r.Trouble() != "" || r.Publish.Messages != 20 || r.Deliver.Deliveries != 20 {
		t.Errorf("%s: %+v %+v", r.Trouble(), r.Publish, r.Deliver)
	}
}

func TestRun_says_what_makes_no_sense(t *testing.T) {
	t.Parallel()
	f := &fake{Server: newFake(t, false).Server}
	for want, change := range map[string]func(o *Options){
		"no scenario":       func(o *Options) { o.Scenario = "fanout" },
		"no transport":      func(o *Options) { o.Target.Transport = "pigeon" },
		"none of {data}":    func(o *Options) { o.Target.Body = "x" },
		"not a URL":         func(o *Options) { o.Target.Publish = "ftp://x" },
		"subscribers":       func(o *Options) { o.Subscribers = -1 },
		"publishers":        func(o *Options) { o.Publishers = 5000 },
		"bytes":             func(o *Options) { o.Size = 5 },
		"exclude":           func(o *Options) { o.Rate = 5 },
		"the rate":          func(o *Options) { o.Window, o.Rate = 0, -1 },
		"the window":        func(o *Options) { o.Window = -1 },
		"prefix":            func(o *Options) { o.Prefix = "x" },
		"no IP address":     func(o *Options) { o.Locals = []string{"here"} },
		"negative":          func(o *Options) { o.Duration = -1 },
		"not said":          func(o *Options) { o.Spawn = nil },
		"no such process":   func(o *Options) { o.PID = 1 << 30 },
		"has no subscriber": func(o *Options) { o.Scenario = Publish },

		"is not an address": func(o *Options) { o.Target.Transport = XMPP },
		"no IP address of":  func(o *Options) { o.Target.Transport, o.Target.Component.Listen = XMPP, "here:1" },
		"not the domains": func(o *Options) {
			o.Target.Transport, o.Target.Component = XMPP, Component{Listen: "127.0.0.1:1", Domain: "a b"}
		},
		"the secret that": func(o *Options) {
			o.Target.Transport, o.Target.Component = XMPP, Component{Listen: "127.0.0.1:1", Domain: "a"}
		},
		"share one link": func(o *Options) {
			o.Target.Transport, o.Target.Component, o.Processes = XMPP, Component{Listen: "127.0.0.1:1", Domain: "a", Secret: "s"}, 2
		},
		"XMPP server's place:": func(o *Options) {
			o.Target.Transport, o.Target.Component = XMPP, Component{Listen: "192.0.2.1:1", Domain: "a", Secret: "s"}
		},
	} {
		o := f.quick()
		change(&o)
		if _, err := Run(t.Context(), o); err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), "no such file or directory", "no such process"), want) {
			t.Errorf("%q is not said, but %v", want, err)
		}
	}
}

func TestRun_ends_when_the_server_goes_away(t *testing.T) {
	t.Parallel()
	f := newFake(t, false)
	f.mangle = func(_, n int, m []byte) [][]byte {
		if n == 3 {
			go f.CloseClientConnections()
		}
		return [][]byte{m}
	}
	if _, err := Run(t.Context(), f.quick()); err == nil || !strings.Contains(err.Error(), "a publisher's connection to "+f.URL) {
		t.Errorf("%v", err)
	}
}
