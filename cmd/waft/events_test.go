package main

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
)

// openEvents opens an event stream and reads up to its first event.
func openEvents(t *testing.T, url string) *bufio.Reader {
	t.Helper()
	response, err := client(t).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	r := bufio.NewReader(response.Body)
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(r)
		t.Fatalf("%s: %s %s", url, response.Status, text)
	}
	until(t, r, `{"resumed":`)
	return r
}

// until reads up to the line of data that has the text.
func until(t *testing.T, r *bufio.Reader, text string) {
	t.Helper()
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("waiting for %s: %v", text, err)
		}
		if strings.HasPrefix(line, "data: ") && strings.Contains(line, text) {
			return
		}
	}
}

func TestServe_event_streams_are_of_one_realm_and_end_with_a_word_when_it_stops(t *testing.T) {
	key := "[[realm.key]]\nsecret = '" + goodKey + "'\n"
	config := writeConfig(t, "[[realm]]\nid = 'a'\n"+key+"[[realm]]\nid = 'b'\n"+key)
	r := serve(t, nil, "--config", config)
	a := openEvents(t, r.url()+"/realm/a/events?channel=x&channel=y/**&envelope=0")
	b := openEvents(t, r.url()+"/realm/b/events?channel=x&envelope=0")
	for _, realm := range []string{"b", "a"} {
		code, _, stderr := run(t, nil, "publish", "--config", config, "--server", r.url(), "--realm", realm, "/x", `"in `+realm+`"`)
		if code != exitOK {
			t.Fatal(stderr)
		}
	}
	until(t, a, `"in a"`)
	until(t, b, `"in b"`)
	_, page := r.get(t, "/metrics")
	for _, want := range []string{`waft_events_streams{realm="a"} 1`, `waft_events_opened_total{realm="b"} 1`, `waft_sessions{protocol="sse",realm="a"} 1`} {
		if !strings.Contains(page, want) {
			t.Errorf("the metrics do not have %s", want)
		}
	}
	done := make(chan int)
	go func() { done <- r.stop() }()
	until(t, a, `"reason":"shutdown"`)
	until(t, b, `"reason":"shutdown"`)
	if code := <-done; code != exitOK {
		t.Errorf("exit code %d", code)
	}
}
