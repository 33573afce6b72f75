package httppub

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"waft/broker"
)

// ordered runs a test against a door of its own, on a clock of its own.
func ordered(t *testing.T, i IntakeOptions, f func(t *testing.T, d *door)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, openDoorWith(t, Options{}, broker.Options{}, i)) })
}

// item is one request with item n of /a, which follows another; 0 is none.
func (d *door) item(n, after int, change ...func(*http.Request)) *http.Response {
	prev := ""
	if after > 0 {
		prev = fmt.Sprintf(`"prev-id":"%d",`, after)
	}
	w := d.post("/realm/myrealm/publish/a/", fmt.Sprintf(`{"items":[{"id":"%d",%s"fpp":%[1]d}]}`, n, prev), change...)
	return w.Result()
}

func (d *door) is(t *testing.T, n, after, status int) {
	t.Helper()
	r := d.item(n, after)
	defer r.Body.Close()
	if r.StatusCode != status {
		t.Errorf("item %d after %d: %d, want %d", n, after, r.StatusCode, status)
	}
}

func released(d *door, why releasedFor) uint64 { return d.intake.Stats().Released[releasedNames[why]] }

// Pushpin: sent 1, 3, 4, 2, received 1, 2, 3, 4.
func TestOrder_an_item_waits_for_the_one_that_it_follows(t *testing.T) {
	ordered(t, IntakeOptions{}, func(t *testing.T, d *door) {
		d.is(t, 1, 0, 200)
		d.is(t, 3, 2, 202)
		d.is(t, 4, 3, 202)
		synctest.Wait()
		d.expect(t, "/a #1 1")
		if s := d.intake.Stats(); s.HeldNow != 2 || s.Held != 2 {
			t.Errorf("%d of %d are held", s.HeldNow, s.Held)
		}
		d.is(t, 2, 1, 200)
		synctest.Wait()
		d.expect(t, "/a #2 2", "/a #3 3", "/a #4 4")
		if s := d.intake.Stats(); s.HeldNow != 0 || s.Released["in_order"] != 2 || d.intake.order.bytes != 0 {
			t.Errorf("%+v", s)
		}
		d.is(t, 5, 4, 200)
		d.expect(t, "/a #5 5")
	})
}

func TestOrder_in_one_request(t *testing.T) {
	ordered(t, IntakeOptions{}, func(t *testing.T, d *door) {
		const items = `{"items":[{"id":"1","fpp":1},{"id":"3","prev-id":"2","fpp":3},{"id":"4","prev-id":"3","fpp":4},{"id":"2","prev-id":"1","fpp":2}]}`
		w := d.post("/realm/myrealm/publish/a/", items, wantsJSON)
		expectAnswer(t, w, 202, `"message":"Published, but for 2 of 4 items, which wait for those that they follow"`)
		expectAnswer(t, w, 202, `{"id":"3","channel":"/a","duplicate":false,"receivers":0,"held":true}`)
		synctest.Wait()
		d.expect(t, "/a #1 1", "/a #2 2", "/a #3 3", "/a #4 4")

		w = d.post("/realm/myrealm/publish/b/?wait=stored", items, wantsJSON)
		expectAnswer(t, w, 200, `"message":"Published","receipts":[`)
		for i, r := range replyOf(t, w.Body.Bytes()).Receipts {
			if want := []string{"1", "3", "4", "2"}[i]; !strings.HasSuffix(r.Position, "-"+want) {
				t.Errorf("item %d is at %s", i, r.Position)
			}
		}
		d.expect(t, "/b #1 1", "/b #2 2", "/b #3 3", "/b #4 4")
	})
}

func TestOrder_who_waits_is_answered_when_it_is_stored(t *testing.T) {
	ordered(t, IntakeOptions{}, func(t *testing.T, d *door) {
		d.is(t, 1, 0, 200)
		began := time.Now()
		var answered time.Duration
		var wg sync.WaitGroup
		wg.Go(func() {
			w := d.post("/realm/myrealm/publish/a/?wait=stored", `{"items":[{"id":"3","prev-id":"2","fpp":3}]}`, wantsJSON)
			answered = time.Since(began)
			if got := replyOf(t, w.Body.Bytes()).Receipts; w.Code != 200 || len(got) != 1 || !strings.HasSuffix(got[0].Position, "-3") {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
		time.Sleep(2 * time.Second)
		d.is(t, 2, 1, 200)
		wg.Wait()
		if answered != 2*time.Second {
			t.Errorf("after %v", answered)
		}
	})
}

func TestOrder_waits_five_seconds_and_no_longer(t *testing.T) {
	ordered(t, IntakeOptions{}, func(t *testing.T, d *door) {
		d.is(t, 1, 0, 200)
		d.is(t, 4, 3, 202)
		time.Sleep(2 * time.Second)
		d.is(t, 8, 7, 202)
		d.expect(t, "/a #1 1")
		time.Sleep(3*time.Second - time.Nanosecond)
		synctest.Wait()
		d.expect(t)
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		d.expect(t, "/a #4 4")
		if released(d, overdue) != 1 {
			t.Errorf("%+v", d.intake.Stats())
		}
		d.is(t, 5, 4, 200) // it goes on from there
		d.expect(t, "/a #5 5")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		d.expect(t, "/a #8 8")
		if s := d.intake.Stats(); s.HeldNow != 0 || s.Released["timeout"] != 2 {
			t.Errorf("%+v", s)
		}
	})
}

// The 101st does not fit: all go, in the order in which they came, and whoever brought it waits for it.
func TestOrder_holds_a_hundred_of_a_channel(t *testing.T) {
	ordered(t, IntakeOptions{}, func(t *testing.T, d *door) {
		d.is(t, 1, 0, 200)
		want := []string{}
		for i := range 100 {
			n := 1000 - 2*i // none follows another
			d.is(t, n, n-1, 202)
			want = append(want, fmt.Sprintf("/a #%d %[1]d", n))
		}
		synctest.Wait()
		d.expect(t, "/a #1 1")
		d.is(t, 2000, 1999, 200)
		d.expect(t, append(want, "/a #2000 2000")...)
		if s := d.intake.Stats(); s.HeldNow != 0 || s.Released["full"] != 101 {
			t.Errorf("%+v", s)
		}
	})
}

func TestOrder_holds_so_many_of_all_channels(t *testing.T) {
	for name, o := range map[string]IntakeOptions{"items": {MaxHeld: 3}, "bytes": {MaxHeldBytes: 3 * (256 + len("/a")*2 + len("2x"))}} {
		t.Run(name, func(t *testing.T) {
			ordered(t, o, func(t *testing.T, d *door) {
				publish := func(c string, status int) {
					t.Helper()
					expectAnswer(t, d.post("/realm/myrealm/publish/"+c, `{"items":[{"id":"1","fpp":1}]}`), 200, "Published")
					w := d.post("/realm/myrealm/publish/"+c, `{"items":[{"id":"2","prev-id":"x","fpp":2}]}`)
					expectAnswer(t, w, status, "Published")
				}
				publish("a", 202)
				publish("b", 202)
				publish("c", 202)
				publish("d", 200)
				synctest.Wait()
				d.expect(t, "/a #1 1", "/b #1 1", "/c #1 1", "/d #1 1", "/d #2 2")
			})
		})
	}
}

func TestOrder_of_a_channel_nobody_knows_begins_anywhere(t *testing.T) {
	ordered(t, IntakeOptions{}, func(t *testing.T, d *door) {
		d.is(t, 7, 6, 200)
		d.is(t, 9, 8, 202)
		d.is(t, 8, 7, 200)
		synctest.Wait()
		d.expect(t, "/a #7 7", "/a #8 8", "/a #9 9")
		time.Sleep(2*rememberOrder + time.Second)
		expectAnswer(t, d.post("/realm/myrealm/publish/b/", `{"items":[{"id":"1","fpp":1}]}`), 200, "")
		expectAnswer(t, d.post("/realm/myrealm/publish/c/", `{"items":[{"id":"1","fpp":1}]}`), 200, "")
		time.Sleep(rememberOrder)
		expectAnswer(t, d.post("/realm/myrealm/publish/d/", `{"items":[{"id":"1","fpp":1}]}`), 200, "")
		if _, ok := d.intake.order.young["/a"]; ok || len(d.intake.order.young)+len(d.intake.order.old) > 3 {
			t.Error("what has been silent for long is still known")
		}
		d.received()
		d.is(t, 20, 19, 200)
		d.expect(t, "/a #20 20")
	})
}

// Python's client repeats a request that failed after it was done.
func TestOrder_a_repeated_item_does_not_wait(t *testing.T) {
	ordered(t, IntakeOptions{}, func(t *testing.T, d *door) {
		for n := 1; n <= 5; n++ {
			d.is(t, n, n-1, 200)
		}
		d.is(t, 3, 2, 200)
		d.is(t, 5, 4, 200)
		d.is(t, 6, 5, 200)
		if len(d.received()) != 6 {
			t.Error("it was published twice")
		}
		d.is(t, 9, 8, 202)
		d.is(t, 9, 8, 202)
		d.is(t, 8, 6, 200)
		synctest.Wait()
		d.expect(t, "/a #8 8", "/a #9 9")
	})
}

// Nor if the item that it follows never came, or has been forgotten since.
func TestOrder_a_repeated_item_does_not_wait_for_what_never_came(t *testing.T) {
	ordered(t, IntakeOptions{}, func(t *testing.T, d *door) {
		d.is(t, 1, 0, 200)
		d.is(t, 3, 2, 202)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		d.is(t, 3, 2, 200)
		d.expect(t, "/a #1 1", "/a #3 3")
	})
}

// However many other channels are published to meanwhile.
func TestOrder_what_waits_is_not_forgotten(t *testing.T) {
	ordered(t, IntakeOptions{OrderedChannels: 10}, func(t *testing.T, d *door) {
		d.is(t, 1, 0, 200)
		d.is(t, 3, 2, 202)
		for i := range 100 {
			expectAnswer(t, d.post(fmt.Sprintf("/realm/myrealm/publish/other/%d", i), `{"items":[{"id":"1","fpp":1}]}`), 200, "")
			if n := len(d.intake.order.young) + len(d.intake.order.old); n > 11 {
				t.Fatalf("%d channels are known", n)
			}
		}
		d.received()
		d.is(t, 2, 1, 200)
		synctest.Wait()
		d.expect(t, "/a #2 2", "/a #3 3")
	})
}

func TestOrder_a_latecomer_does_not_wait(t *testing.T) {
	ordered(t, IntakeOptions{Hold: time.Second}, func(t *testing.T, d *door) {
		d.is(t, 1, 0, 200)
		d.is(t, 3, 2, 202)
		time.Sleep(time.Second)
		synctest.Wait()
		d.is(t, 2, 1, 200) // too late for its place
		d.is(t, 4, 3, 200)
		d.expect(t, "/a #1 1", "/a #3 3", "/a #2 2", "/a #4 4")
	})
}

func TestOrder_can_be_off(t *testing.T) {
	ordered(t, IntakeOptions{Hold: -1}, func(t *testing.T, d *door) {
		d.is(t, 1, 0, 200)
		d.is(t, 3, 2, 200)
		d.expect(t, "/a #1 1", "/a #3 3")
		if len(d.intake.order.young) != 0 {
			t.Error("ids are noted for nothing")
		}
	})
}

func TestOrder_shutdown_publishes_what_is_held(t *testing.T) {
	ordered(t, IntakeOptions{}, func(t *testing.T, d *door) {
		d.is(t, 1, 0, 200)
		d.is(t, 5, 4, 202)
		d.is(t, 3, 2, 202)
		if err := d.intake.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		d.expect(t, "/a #1 1", "/a #5 5", "/a #3 3")
		d.is(t, 9, 8, 200)
		d.expect(t, "/a #9 9")
		if released(d, atShutdown) != 2 {
			t.Errorf("%+v", d.intake.Stats())
		}
	})
}

func TestOrder_a_held_item_that_cannot_be_published_is_counted_and_logged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		d := openDoorWith(t, Options{}, broker.Options{
			Engine: &failing{Engine: broker.NewMemoryEngine(broker.MemoryOptions{}), left: 1, err: errors.New("disk on fire")},
		}, IntakeOptions{Logger: debugLogger(&log)})
		d.is(t, 1, 0, 200)
		d.is(t, 3, 2, 202)
		var waited int
		go func() {
			r := d.item(4, 9, func(r *http.Request) { r.URL.RawQuery = "wait=stored" })
			defer r.Body.Close()
			waited = r.StatusCode
		}()
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if waited != 500 || d.intake.Stats().Lost != 2 || d.intake.Stats().HeldNow != 0 || !strings.Contains(log.String(), "channel=/a") || !strings.Contains(log.String(), "disk on fire") {
			t.Errorf("the waiting one got %d, %+v\n%s", waited, d.intake.Stats(), &log)
		}
	})
}

// What is refused refuses the whole request, and nothing waits.
func TestOrder_a_bad_item_holds_nothing(t *testing.T) {
	ordered(t, IntakeOptions{}, func(t *testing.T, d *door) {
		d.is(t, 1, 0, 200)
		w := d.post("/realm/myrealm/publish/a/", `{"items":[{"id":"3","prev-id":"2","fpp":3},{"fpp":1,"channel":"meta/x"}]}`)
		expectAnswer(t, w, 400, "items[1]: ")
		w = d.post("/realm/myrealm/publish/a/", `{"items":[{"id":"3","prev-id":"`+strings.Repeat("x", 513)+`","fpp":3}]}`)
		expectAnswer(t, w, 413, `items[0]: "prev-id" has 513 bytes, more than the limit of 512`)
		if d.intake.Stats().Held != 0 {
			t.Error("something is held")
		}
	})
}

// The credential that was good when the item came is not asked about again.
func TestOrder_sends_the_stanza_when_the_item_is_published(t *testing.T) {
	ordered(t, IntakeOptions{}, func(t *testing.T, d *door) {
		sent := 0
		d.stanza = func(broker.Channel, string) (func() bool, error) { return func() bool { sent++; return true }, nil }
		d.is(t, 1, 0, 200)
		expectAnswer(t, d.post("/realm/myrealm/publish/a/", `{"items":[{"id":"3","prev-id":"2","xmpp-stanza":"<message/>"}]}`), 202, "")
		synctest.Wait()
		if sent != 0 {
			t.Error("it was sent before")
		}
		d.is(t, 2, 1, 200)
		synctest.Wait()
		if sent != 1 {
			t.Errorf("it was sent %d times", sent)
		}
	})
}

// However the items of one chain are shuffled over many publishers, each comes after the one that it follows.
func TestOrder_of_many_publishers_is_the_chain(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Run("shuffled", func(t *testing.T) {
		d := openDoorWith(t, Options{}, broker.Options{}, IntakeOptions{Hold: time.Hour, MaxChannelHeld: 1000})
		d.is(t, 1, 0, 200)
		numbers := rand.Perm(500)
		var wg sync.WaitGroup
		for part := range slices.Chunk(numbers, 63) {
			wg.Go(func() {
				for _, n := range part {
					d.item(n+2, n+1).Body.Close()
				}
			})
		}
		wg.Wait()
		for n := 0; n < 501; {
			got, err := d.reader.Receive(t.Context(), 1000)
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range got {
				if n++; x.Message.ID != fmt.Sprint(n) {
					t.Fatalf("%s came as number %d", x.Message.ID, n)
				}
			}
		}
		if s := d.intake.Stats(); s.Held != s.Released["in_order"] {
			t.Errorf("%+v", s)
		}
	})
}
