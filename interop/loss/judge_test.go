package loss_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"waft/interop/loss"
)

const channel = "/loss"

// run is a short history of an honest broker: some publishers whose messages overlap, and what was stored, in order.
type run struct {
	*loss.Ledger
	stored []loss.Key
	acked  map[loss.Key]bool
}

// drawRun publishes: each step begins or ends one publish. Where a publish is stored between the two is chance, as is whether it is
// stored, or acknowledged, at all.
func drawRun(t *rapid.T) *run {
	r := &run{Ledger: loss.NewLedger(), acked: map[loss.Key]bool{}}
	type flight struct {
		key    loss.Key
		stored bool
	}
	var flying []*flight
	counts := [3]int{}
	store := func(f *flight) {
		if !f.stored {
			f.stored = true
			r.stored = append(r.stored, f.key)
		}
	}
	for range rapid.IntRange(6, 60).Draw(t, "steps") {
		switch rapid.IntRange(0, 3).Draw(t, "step") {
		case 0, 1:
			p := rapid.IntRange(0, 2).Draw(t, "publisher")
			counts[p]++
			f := &flight{key: loss.Key{Channel: channel, Publisher: fmt.Sprint("p", p), N: counts[p]}}
			r.Send(f.key)
			flying = append(flying, f)
		case 2:
			if len(flying) > 0 {
				store(rapid.SampledFrom(flying).Draw(t, "stored"))
			}
		case 3:
			if len(flying) > 0 {
				i := rapid.IntRange(0, len(flying)-1).Draw(t, "answered")
				f := flying[i]
				flying = slices.Delete(flying, i, i+1)
				if rapid.IntRange(0, 4).Draw(t, "outcome") > 0 {
					store(f)
					r.Acknowledge(f.key)
					r.acked[f.key] = true
				}
			}
		}
	}
	end := loss.Key{Channel: channel, Publisher: "end", N: 1}
	r.Last(end)
	r.Send(end)
	r.stored = append(r.stored, end)
	r.Acknowledge(end)
	r.acked[end] = true
	return r
}

// read hands the messages to a new reader.
func (r *run) read(terms loss.Terms, keys ...loss.Key) *loss.Reader {
	reader := r.Reader("reader", "test", terms, channel)
	for _, k := range keys {
		reader.Take(k, k.String())
	}
	return reader
}

func (r *run) last() loss.Row {
	rows := r.Judge().Readers
	return rows[len(rows)-1]
}

func TestJudge_finds_nothing_in_an_honest_run(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRun(t)
		r.read(loss.Terms{}, r.stored...)
		// A reader that goes back after each break, as a session that sends again what was not received.
		again := r.Reader("again", "test", loss.Terms{Again: true}, channel)
		for i := 0; i < len(r.stored); i++ {
			again.Take(r.stored[i], "")
			if i < len(r.stored)-1 && rapid.IntRange(0, 5).Draw(t, "break") == 0 {
				again.Break()
				i -= rapid.IntRange(0, i+1).Draw(t, "back")
			}
		}
		// And one that is handed a part, and interrupted wherever something is missing.
		away := r.Reader("away", "test", loss.Terms{MayMiss: true}, channel)
		var part []loss.Key
		for _, k := range r.stored {
			if !rapid.Bool().Draw(t, "missed") {
				part = append(part, k)
				away.Take(k, "")
			} else if rapid.Bool().Draw(t, "away") {
				away.Gap()
			} else {
				away.Break()
			}
		}
		if err := r.Judge().Err(); err != nil {
			t.Fatal(err)
		}
		if row := r.last(); row.Missed != len(r.stored)-len(part) || row.Delivered != len(part) {
			t.Fatalf("missed %d, delivered %d", row.Missed, row.Delivered)
		}
	})
}

func TestJudge_counts_what_was_acknowledged_and_is_not_there(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRun(t)
		lost := 0
		rest := slices.DeleteFunc(slices.Clone(r.stored), func(k loss.Key) bool {
			gone := r.acked[k] && rapid.Bool().Draw(t, "lost")
			if gone {
				lost++
			}
			return gone
		})
		r.read(loss.Terms{}, rest...)
		if row := r.last(); row.Lost != lost || row.OK() != (lost == 0) || row.Reordered+row.Excess > 0 {
			t.Fatalf("%d were lost: %+v", lost, row)
		}
	})
}

func TestJudge_takes_what_another_reader_has_for_happened(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRun(t)
		i := rapid.IntRange(0, len(r.stored)-1).Draw(t, "hidden")
		r.read(loss.Terms{}, r.stored...)
		r.read(loss.Terms{}, slices.Delete(slices.Clone(r.stored), i, i+1)...)
		if row := r.last(); row.Lost != 1 || row.OK() {
			t.Fatalf("%v was hidden: %+v", r.stored[i], row)
		}
	})
}

func TestJudge_counts_repeats_and_allows_one_for_each_break(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRun(t)
		breaks, again := rapid.IntRange(0, 3).Draw(t, "breaks"), rapid.IntRange(1, 4).Draw(t, "again")
		allowed := rapid.Bool().Draw(t, "allowed")
		i := rapid.IntRange(0, len(r.stored)-1).Draw(t, "which")
		reader := r.Reader("reader", "test", loss.Terms{Again: allowed}, channel)
		for range breaks {
			reader.Break()
		}
		for j, k := range r.stored {
			if j == i && j < len(r.stored)-1 { // behind the last one nothing counts
				for range again {
					reader.Take(k, "")
				}
			}
			reader.Take(k, "")
		}
		if i == len(r.stored)-1 {
			again = 0
		}
		excess := again
		if allowed {
			excess = max(0, again-breaks)
		}
		if row := r.last(); row.Repeated != again || row.Excess != excess || row.OK() != (excess == 0) {
			t.Fatalf("%d repeats, %d in excess: %+v", again, excess, row)
		}
	})
}

func TestJudge_allows_nothing_for_a_break_before_the_message_was_sent(t *testing.T) {
	l := loss.NewLedger()
	r := l.Reader("reader", "test", loss.Terms{Again: true}, channel)
	r.Break()
	k := loss.Key{Channel: channel, Publisher: "p", N: 1}
	l.Send(k)
	r.Take(k, "")
	r.Take(k, "")
	if row := l.Judge().Readers[0]; row.Excess != 1 {
		t.Errorf("%+v", row)
	}
}

func TestJudge_never_allows_a_repeat_with_another_identity(t *testing.T) {
	r := drawn(t)
	reader := r.Reader("reader", "test", loss.Terms{Again: true}, channel)
	reader.Break()
	reader.Take(r.stored[0], "one")
	reader.Break()
	reader.Take(r.stored[0], "another")
	if row := r.last(); row.Excess != 1 {
		t.Errorf("%+v", row)
	}
}

// drawn is one example of a run that has more than its end.
func drawn(t *testing.T) *run {
	t.Helper()
	for seed := range 100 {
		if r := rapid.Custom(drawRun).Example(seed); len(r.stored) > 2 {
			return r
		}
	}
	t.Fatal("no run with three messages")
	return nil
}

func TestJudge_finds_two_that_changed_places(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRun(t)
		if len(r.stored) < 3 {
			t.Skip("too short")
		}
		i := rapid.IntRange(0, len(r.stored)-3).Draw(t, "which")
		wrong := slices.Clone(r.stored)
		wrong[i], wrong[i+1] = wrong[i+1], wrong[i]
		r.read(loss.Terms{}, r.stored...)
		r.read(loss.Terms{}, wrong...)
		if row := r.last(); row.Reordered == 0 || row.Lost+row.Excess > 0 {
			t.Fatalf("%v and %v: %+v", wrong[i], wrong[i+1], row)
		}
	})
}

// If all readers are handed the wrong order, they agree; then what was acknowledged before the other was sent tells.
func TestJudge_finds_an_order_that_everybody_has_and_that_cannot_be(t *testing.T) {
	l := loss.NewLedger()
	a, b := loss.Key{Channel: channel, Publisher: "p", N: 1}, loss.Key{Channel: channel, Publisher: "q", N: 1}
	for _, k := range []loss.Key{a, b} {
		l.Send(k)
		l.Acknowledge(k)
	}
	for range 2 {
		r := l.Reader("reader", "test", loss.Terms{}, channel)
		r.Take(b, "")
		r.Take(a, "")
	}
	for _, row := range l.Judge().Readers {
		if row.Reordered != 1 {
			t.Errorf("%+v", row)
		}
	}
}

func TestJudge_finds_two_orders_beside_a_reader_that_has_nothing(t *testing.T) {
	l := loss.NewLedger()
	a, b := loss.Key{Channel: channel, Publisher: "p", N: 1}, loss.Key{Channel: channel, Publisher: "q", N: 1}
	l.Send(a)
	l.Send(b) // at the same time
	l.Reader("nothing", "test", loss.Terms{MayMiss: true}, channel)
	for _, order := range [][]loss.Key{{a, b}, {b, a}} {
		r := l.Reader("reader", "test", loss.Terms{}, channel)
		for _, k := range order {
			r.Take(k, "")
		}
	}
	if row := l.Judge().Readers[2]; row.Reordered != 1 {
		t.Errorf("%+v", row)
	}
}

func TestJudge_accepts_a_late_publish_that_nobody_had_acknowledged(t *testing.T) {
	l := loss.NewLedger()
	a, b := loss.Key{Channel: channel, Publisher: "p", N: 1}, loss.Key{Channel: channel, Publisher: "p", N: 2}
	l.Send(a) // no answer: the publisher goes on
	l.Send(b)
	l.Acknowledge(b)
	r := l.Reader("reader", "test", loss.Terms{}, channel)
	r.Take(b, "")
	r.Take(a, "")
	if err := l.Judge().Err(); err != nil {
		t.Error(err)
	}
}

// Who may miss what was under way when something broke may not miss what was not.
func TestJudge_counts_what_is_missed_while_nothing_is_broken(t *testing.T) {
	key := func(n int) loss.Key { return loss.Key{Channel: channel, Publisher: "p", N: n} }
	for _, c := range []struct {
		broken       string
		by           func(*loss.Reader)
		missed, lost int
	}{
		{"never", nil, 0, 1},
		{"before it was sent", (*loss.Reader).Break, 0, 1},
		{"when it was under way", (*loss.Reader).Break, 1, 0},
		{"when it was under way", (*loss.Reader).Gap, 1, 0},
		{"after the next has come", (*loss.Reader).Break, 0, 1},
		{"after the next has come", (*loss.Reader).Gap, 0, 1},
	} {
		t.Run(c.broken, func(t *testing.T) {
			l := loss.NewLedger()
			whole := l.Reader("whole", "test", loss.Terms{}, channel)
			r := l.Reader("reader", "test", loss.Terms{Again: true, MayMiss: true}, channel)
			send := func(n int, to ...*loss.Reader) {
				l.Send(key(n))
				l.Acknowledge(key(n))
				for _, reader := range to {
					reader.Take(key(n), "")
				}
			}
			now := func(moment string) {
				if moment == c.broken {
					c.by(r)
				}
			}
			send(1, whole, r)
			now("before it was sent")
			send(2, whole)
			now("when it was under way")
			send(3, whole, r)
			now("after the next has come")
			if row := l.Judge().Readers[1]; row.Missed != c.missed || row.Lost != c.lost || row.OK() != (c.lost == 0) {
				t.Errorf("%+v", row)
			}
		})
	}
}

func TestJudge_tells_of_what_nobody_sent_and_of_lost_histories(t *testing.T) {
	r := drawn(t)
	reader := r.read(loss.Terms{}, r.stored...)
	reader.Take(loss.Key{Channel: channel, Publisher: "nobody", N: 1}, "")
	reader.Take(loss.Key{Channel: "/elsewhere", Publisher: "end", N: 1}, "")
	reader.Told("410 Gone")
	v := r.Judge()
	if row := v.Readers[0]; row.Strange != 2 || row.Told != 1 || row.OK() {
		t.Errorf("%+v", row)
	}
	if err := v.Err(); err == nil || !strings.Contains(err.Error(), "410 Gone") {
		t.Errorf("%v", err)
	}
}

func TestReader_has_ended_with_the_last_message_and_counts_nothing_behind_it(t *testing.T) {
	r := drawn(t)
	n := len(r.stored)
	reader := r.read(loss.Terms{}, r.stored[:n-1]...)
	if reader.Ended() {
		t.Error("ended before the last")
	}
	reader.Take(r.stored[n-1], "")
	reader.Take(r.stored[0], "")
	if !reader.Ended() || !reader.Ended(channel) {
		t.Error("not ended")
	}
	if row := r.last(); row.Repeated > 0 {
		t.Errorf("%+v", row)
	}
}

func TestVerdict_is_shown_as_a_table_and_as_JSON(t *testing.T) {
	l := loss.NewLedger()
	l.Publisher("p", "REST")
	k := loss.Key{Channel: channel, Publisher: "p", N: 1}
	l.Send(k)
	l.Acknowledge(k)
	l.Reader("SSE", "SSE", loss.Terms{}, channel)
	v := l.Judge()
	for _, line := range []string{"| REST | 1 | 1 | 0 | 0 |", "| SSE | 0 | 1 | 0 | 1 | 0 | 0 | 0 | 0 |"} {
		if !strings.Contains(v.Table(), line+"\n") {
			t.Errorf("no %q in\n%s", line, v.Table())
		}
	}
	text, err := json.Marshal(v)
	if err != nil || !strings.Contains(string(text), `"lost":1`) {
		t.Errorf("%s, %v", text, err)
	}
	if l.Acknowledged() != 1 {
		t.Errorf("%d acknowledged", l.Acknowledged())
	}
}
