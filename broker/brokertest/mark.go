package brokertest

import (
	"context"
	"testing"

	"waft/broker"
)

func testMark(t *testing.T, h *harness) {
	before := h.engine.Stats().Mark
	for range 3 { // limits, removal and replacement are no forgetting: the positions tell
		h.publish("/a", "x", broker.Append{Keep: broker.Retention{Size: 2}, Replace: true})
		h.publish("/a", "y", broker.Append{Keep: broker.Retention{Size: 2}})
	}
	if err := h.engine.Remove(context.Background(), "/a", "y", false); err != nil {
		t.Fatal(err)
	}
	h.publish("/live", "z", broker.Append{})
	if now := h.engine.Stats().Mark; now != before {
		t.Errorf("the mark was %d and is %d, and nothing was forgotten", before, now)
	}
	h.publish("/a", "x", broker.Append{})
	if h.engine.Stats().Mark == before {
		t.Error("the mark did not change")
	}
}

func testMarkStands(t *testing.T, r *restarting) {
	var marks []uint64
	for range 3 {
		marks = append(marks, r.engine.Stats().Mark)
		r.publish("/a", "kept", broker.Append{Keep: keep100})
		r.restart()
		if now := r.engine.Stats().Mark; now != marks[len(marks)-1] {
			t.Errorf("the mark was %d, and after a restart %d", marks[len(marks)-1], now)
		}
		r.publish("/a", "passing", broker.Append{})
		r.restart()
		for _, old := range marks {
			if r.engine.Stats().Mark == old {
				t.Errorf("the mark %d is that of before something was forgotten", old)
			}
		}
	}
}
