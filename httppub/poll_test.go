package httppub

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"waft/broker"
)

// ask sends a request that may be held; its answer comes when the bubble rests.
func (l *library) ask(path string, change ...func(*http.Request)) <-chan *httptest.ResponseRecorder {
	answered := make(chan *httptest.ResponseRecorder, 1)
	go func() { answered <- l.get(path, change...) }()
	synctest.Wait()
	return answered
}

// inBubble runs a test with its own clock, which ends only when every goroutine has.
func inBubble(t *testing.T, test func(t *testing.T, l *library), change ...func(*ReaderOptions)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, openLibrary(t, change...)) })
}

func wantHeld(t *testing.T, l *library, n int) {
	t.Helper()
	synctest.Wait()
	if held, sessions := l.Stats().Held, len(l.broker.Sessions()); held != n || sessions != n {
		t.Errorf("%d requests are held, with %d sessions, and should be %d", held, sessions, n)
	}
}

func TestPoll_what_is_there_is_answered_at_once(t *testing.T) {
	inBubble(t, func(t *testing.T, l *library) {
		at := l.fill(t, "/news", 3)
		began := time.Now()
		p := readPage(t, l.get(news+"?wait=30&since="+at[1].String()))
		if p.ids() != "2 3" || p.Position != at[3].String() || time.Since(began) != 0 {
			t.Errorf("%+v after %v", p, time.Since(began))
		}
		if l.Stats().Polls != 0 {
			t.Error("it was held")
		}
	})
}

func TestPoll_is_held_until_there_is_something(t *testing.T) {
	inBubble(t, func(t *testing.T, l *library) {
		at := l.fill(t, "/news", 3)
		answered := l.ask(news + "?wait=30&since=" + at[3].String())
		wantHeld(t, l, 1)
		time.Sleep(10 * time.Second)
		began := time.Now()
		next := l.publish(t, "/news", "4", "4")
		p := readPage(t, <-answered)
		if p.ids() != "4" || p.Position != next.String() || time.Since(began) != 0 {
			t.Errorf("%+v after %v", p, time.Since(began))
		}
		wantHeld(t, l, 0)
		if lost := l.broker.Stats().Lost[broker.LostClosed]; lost != 0 {
			t.Errorf("%d are said to be lost", lost)
		}
	})
}

func TestPoll_ends_with_an_empty_list_and_where_to_go_on(t *testing.T) {
	inBubble(t, func(t *testing.T, l *library) {
		at := l.fill(t, "/news", 3)
		for wait, want := range map[int]time.Duration{30: 30 * time.Second, 55: 55 * time.Second, 999: 55 * time.Second} {
			began := time.Now()
			p := readPage(t, l.get(fmt.Sprint(news, "?wait=", wait, "&since=", at[3])))
			if p.ids() != "" || p.Position != at[3].String() || time.Since(began) != want {
				t.Errorf("wait=%d: %+v after %v", wait, p, time.Since(began))
			}
		}
		if s := l.Stats(); s.Polls != 3 || s.Empty != 3 || s.Messages != 0 {
			t.Errorf("counted %+v", s)
		}
		wantHeld(t, l, 0)
	})
}

// between is an engine that has something happen after a history was read and before the reader knows it.
type between struct {
	*broker.MemoryEngine
	reads int
	after func(read int)
}

func (e *between) History(ctx context.Context, c broker.Channel, r broker.Range) (broker.Page, error) {
	page, err := e.MemoryEngine.History(ctx, c, r)
	e.reads++
	e.after(e.reads)
	return page, err
}

func TestPoll_what_is_published_between_reading_and_waiting_wakes_it(t *testing.T) {
	for at := 1; at <= 2; at++ { // the history is read before it is held, and when it is
		synctest.Test(t, func(t *testing.T) {
			e := &between{MemoryEngine: broker.NewMemoryEngine(broker.MemoryOptions{}), after: func(int) {}}
			b, err := broker.New(broker.Options{
				Authorizer: shelves{}, Engine: e,
				Retention: func(broker.Channel) broker.Retention { return broker.Retention{Size: 10} },
			})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = b.Shutdown(context.Background()) }()
			h, err := NewReader(ReaderOptions{Broker: b})
			if err != nil {
				t.Fatal(err)
			}
			l := &library{h, b, document.Handler(t, h)}
			since := l.publish(t, "/news", "1", "1")
			e.after = func(read int) {
				if read == at {
					l.publish(t, "/news", "2", "2")
				}
			}
			began := time.Now()
			if p := readPage(t, l.get(news+"?wait=30&since="+since.String())); p.ids() != "2" || time.Since(began) != 0 {
				t.Errorf("published behind read %d: %+v after %v", at, p, time.Since(began))
			}
		})
	}
}

func TestPoll_from_before_the_first_message(t *testing.T) {
	inBubble(t, func(t *testing.T, l *library) {
		p := readPage(t, l.get(news+"?wait=5"))
		answered := l.ask(news + "?wait=5&since=" + p.Position)
		l.publish(t, "/news", "1", "1")
		if p = readPage(t, <-answered); p.ids() != "1" {
			t.Errorf("%+v", p)
		}
		l.publish(t, "/news", "2", "2")
		if p = readPage(t, l.get(news+"?wait=5&since="+p.Position)); p.ids() != "2" {
			t.Errorf("%+v", p)
		}
	})
}

func TestPoll_a_removed_item_is_no_answer(t *testing.T) {
	inBubble(t, func(t *testing.T, l *library) {
		at := l.fill(t, "/news", 3)
		answered := l.ask(news + "?wait=30&since=" + at[3].String())
		if w := l.do(http.MethodDelete, news+"/2", token("publish")); w.Code != 204 {
			t.Fatal(w.Code)
		}
		wantHeld(t, l, 1)
		l.publish(t, "/news", "4", "4")
		if p := readPage(t, <-answered); p.ids() != "4" {
			t.Errorf("%+v", p)
		}
	})
}

func TestPoll_limits(t *testing.T) {
	from := func(address string) func(*http.Request) {
		return func(r *http.Request) { r.RemoteAddr = address + ":1" }
	}
	inBubble(t, func(t *testing.T, l *library) {
		path := news + "?wait=30"
		l.ask(path, from("192.0.2.1"))
		l.ask(path, from("192.0.2.1"))
		w := l.get(path, from("192.0.2.1"))
		expectAnswer(t, w, 429, "your address has 2 waiting requests")
		if w.Header().Get("Retry-After") != "5" {
			t.Errorf("the head is %v", w.Header())
		}
		expectAnswer(t, l.get(news, from("192.0.2.1")), 200, "messages")
		l.ask(path, from("[2001:db8::1]"))
		l.ask(path, from("[2001:db8::2]"))
		expectAnswer(t, l.get(path, from("[2001:db8::3]")), 429, "your address") // a network of IPv6 is one address
		l.ask(path, from("192.0.2.2"))
		expectAnswer(t, l.get(path, from("192.0.2.3")), 429, "the server holds 5 waiting requests")
		wantHeld(t, l, 5)
		time.Sleep(30 * time.Second)
		wantHeld(t, l, 0)
		if len(l.held.byAddress) != 0 {
			t.Errorf("remembered are %v", l.held.byAddress)
		}
	}, func(o *ReaderOptions) { o.Limits.MaxHeld, o.Limits.AddressHeld = 5, 2 })
	inBubble(t, func(t *testing.T, l *library) {
		l.ask(news+"?wait=30", from("192.0.2.1"))
		expectAnswer(t, l.get(news+"?wait=30", from("192.0.2.2")), 429, "your address")
	}, func(o *ReaderOptions) {
		o.Limits.AddressHeld = 1
		o.ClientAddress = func(*http.Request) netip.Addr { return netip.MustParseAddr("198.51.100.1") }
	})
}

func TestPoll_too_many_sessions(t *testing.T) {
	inBubble(t, func(t *testing.T, l *library) {
		if err := l.broker.SetLimits(broker.Limits{MaxSessions: 1}); err != nil {
			t.Fatal(err)
		}
		l.ask(news + "?wait=30")
		expectAnswer(t, l.get(news+"?wait=30"), 429, "which is the most it may have")
		time.Sleep(time.Minute)
		wantHeld(t, l, 0)
	})
}

func TestPoll_shutdown_answers_those_who_wait(t *testing.T) {
	for name, stop := range map[string]func(l *library){
		"the reader's": func(l *library) { l.Shutdown() },
		"the broker's": func(l *library) { _ = l.broker.Shutdown(context.Background()) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, l *library) {
				at := l.fill(t, "/news", 3)
				answered := l.ask(news + "?wait=30&since=" + at[3].String())
				began := time.Now()
				stop(l)
				if p := readPage(t, <-answered); p.ids() != "" || p.Position != at[3].String() || time.Since(began) != 0 {
					t.Errorf("%+v after %v", p, time.Since(began))
				}
				wantHeld(t, l, 0)
			})
		})
	}
	inBubble(t, func(t *testing.T, l *library) {
		l.Shutdown()
		began := time.Now()
		if p := readPage(t, l.get(news+"?wait=30")); p.ids() != "" || time.Since(began) != 0 {
			t.Errorf("afterwards: %+v after %v", p, time.Since(began))
		}
	})
}

func TestPoll_ends_with_its_client_its_credential_and_its_session(t *testing.T) {
	inBubble(t, func(t *testing.T, l *library) {
		ctx, cancel := context.WithCancel(t.Context())
		answered := l.ask(news+"?wait=30", func(r *http.Request) { *r = *r.WithContext(ctx) })
		wantHeld(t, l, 1)
		cancel()
		if w := <-answered; w.Body.Len() > 0 {
			t.Errorf("one who has gone was answered %s", w.Body)
		}
		wantHeld(t, l, 0)

		answered = l.ask("channels/secret:a/messages?wait=300", token("read+subscribe+fading"))
		wantHeld(t, l, 1)
		began := time.Now()
		expectAnswer(t, <-answered, 401, "expired")
		if passed := time.Since(began); passed < time.Minute-time.Second || passed > time.Minute+time.Second {
			t.Errorf("the credential ended the poll after %v", passed)
		}

		answered = l.ask(news + "?wait=30")
		if w := l.do(http.MethodDelete, "sessions/"+l.broker.Sessions()[0].Label(), token("manage")); w.Code != 204 {
			t.Errorf("ending it: %d", w.Code)
		}
		w := <-answered
		expectAnswer(t, w, 503, "ended by somebody who manages")
		if w.Header().Get("Retry-After") == "" {
			t.Errorf("the head is %v", w.Header())
		}
		wantHeld(t, l, 0)
	}, func(o *ReaderOptions) { o.Limits.MaxWait = 5 * time.Minute })
}

func TestPoll_a_position_lost_between_two_requests_is_told(t *testing.T) {
	inBubble(t, func(t *testing.T, l *library) {
		at := l.fill(t, "/news", 1)
		l.fill(t, "/news", 10)
		answered := l.ask(news + "?wait=30&since=" + at[1].String())
		expectAnswer(t, <-answered, 200, "messages")
		l.fill(t, "/news", 1)
		expectAnswer(t, l.get(news+"?wait=30&since="+at[1].String()), 410, "no longer keeps everything")
	})
}

// Twenty readers poll over real connections, leave in the middle, come back, and sometimes ask again from further back: each sees every
// message once, in order.
func TestPoll_nothing_is_missed_or_repeated_however_clients_come_back(t *testing.T) {
	const messages, readers = 400, 20
	b, err := broker.New(broker.Options{Authorizer: shelves{}, Retention: func(broker.Channel) broker.Retention { return broker.Retention{Size: messages} }})
	if err != nil {
		t.Fatal(err)
	}
	h, err := NewReader(ReaderOptions{Broker: b})
	if err != nil {
		t.Fatal(err)
	}
	l := &library{h, b, document.Handler(t, h)}
	server := httptest.NewServer(l)
	first := l.publish(t, "/news", "0", "0")

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var running sync.WaitGroup
	for n := range readers {
		running.Go(func() {
			random := rand.New(rand.NewPCG(uint64(n), 1))
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: n%2 == 0}}
			defer client.CloseIdleConnections()
			position, next := first.String(), 1
			for next <= messages {
				limit := 1 + random.IntN(5)
				hangUp := time.Duration(random.IntN(4_000)) * time.Microsecond
				p, err := pollOnce(ctx, client, fmt.Sprintf("%s/realm/r/%s?wait=20&limit=%d&since=%s", server.URL, news, limit, position), hangUp)
				if ctx.Err() != nil {
					t.Errorf("reader %d has seen %d messages when the time is over", n, next)
					return
				}
				if err != nil {
					continue // hung up: the position is what it was
				}
				for _, m := range p.Messages {
					if m.ID != fmt.Sprint(next) {
						t.Errorf("reader %d got %s instead of %d", n, m.ID, next)
						return
					}
					next++
				}
				position = p.Position
			}
		})
	}
	running.Go(func() {
		random := rand.New(rand.NewPCG(9, 9))
		for i := 1; i <= messages; i++ {
			l.publish(t, "/news", fmt.Sprint(i), "1")
			if random.IntN(3) == 0 {
				time.Sleep(time.Duration(random.IntN(3_000)) * time.Microsecond)
			}
		}
	})
	running.Wait()
	h.Shutdown()
	server.Close()
	if held := h.Stats().Held; held != 0 {
		t.Errorf("%d are held afterwards", held)
	}
	if lost := b.Stats().Lost; lost[broker.LostClosed]+lost[broker.LostOldest]+lost[broker.LostSlow] != 0 {
		t.Errorf("said to be lost: %v", lost)
	}
	if err := b.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	goleak.VerifyNone(t, goleak.IgnoreCurrent())
}

// pollOnce asks once; 0 is patient, more hangs up after that time, if there is no answer yet, two times of three.
func pollOnce(ctx context.Context, client *http.Client, url string, hangUp time.Duration) (p pageReply, err error) {
	if hangUp%3 != 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, hangUp)
		defer cancel()
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return p, err
	}
	response, err := client.Do(r)
	if err != nil {
		return p, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return p, err
	}
	if response.StatusCode != http.StatusOK {
		return p, fmt.Errorf("%d %s", response.StatusCode, text)
	}
	return p, decode(strings.NewReader(string(text)), &p)
}

func BenchmarkPoll_answered_from_the_history(b *testing.B) {
	l := openLibrary(b)
	at := l.fill(b, "/news", 9)
	path := news + "?wait=30&since=" + at[8].String()
	b.ReportAllocs()
	for b.Loop() {
		if w := l.get(path); w.Code != 200 {
			b.Fatal(w.Code)
		}
	}
}
