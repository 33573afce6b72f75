package loss_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"waft/interop/loss"
)

// early judges one message, sent and acknowledged at these times after the disk has become slow, for a second.
func early(t *testing.T, sent, acknowledged time.Duration) loss.Published {
	t.Helper()
	var p loss.Published
	synctest.Test(t, func(t *testing.T) {
		l := loss.NewLedger()
		l.Publisher("p", "REST")
		k := loss.Key{Channel: channel, Publisher: "p", N: 1}
		var slow *loss.Slow
		time.AfterFunc(10*time.Second, func() {
			slow = l.Slow(100 * time.Millisecond)
			time.AfterFunc(time.Second, slow.End)
		})
		time.Sleep(10*time.Second + sent)
		l.Send(k)
		time.Sleep(acknowledged - sent)
		l.Acknowledge(k)
		time.Sleep(10 * time.Second)
		v := l.Judge()
		if p = v.Published[0]; slow.Answered() != p.Slowly {
			t.Errorf("%d, not %d, were counted", slow.Answered(), p.Slowly)
		}
		if err := v.Err(); (err != nil) != (p.Early > 0) || err != nil && !strings.Contains(err.Error(), "early: /loss p/1 was acknowledged after ") {
			t.Errorf("%d early, and the error is %v", p.Early, err)
		}
	})
	return p
}

func TestSlow_what_is_acknowledged_sooner_than_it_can_be_stored_is_early(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		name               string
		sent, acknowledged time.Duration
		slowly, early      int
	}{
		{"at once", 500 * ms, 500 * ms, 1, 1},
		{"a little too soon", 500 * ms, 599 * ms, 1, 1},
		{"in time", 500 * ms, 600 * ms, 1, 0},
		{"sent before", -1 * ms, 5 * ms, 0, 0},
		{"acknowledged after", 999 * ms, 1001 * ms, 0, 0},
		{"before", -2 * ms, -1 * ms, 0, 0},
		{"after", 1001 * ms, 1002 * ms, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			if p := early(t, c.sent, c.acknowledged); p.Acknowledged != 1 || p.Slowly != c.slowly || p.Early != c.early {
				t.Errorf("%+v", p)
			}
		})
	}
}

func TestSlow_goes_on_until_its_end(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := loss.NewLedger()
		l.Publisher("p", "REST")
		l.Slow(time.Minute)
		time.Sleep(time.Hour)
		k := loss.Key{Channel: channel, Publisher: "p", N: 1}
		l.Send(k)
		l.Acknowledge(k)
		if p := l.Judge().Published[0]; p.Early != 1 {
			t.Errorf("%+v", p)
		}
	})
}
