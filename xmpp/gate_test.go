package xmpp

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"waft/xmpp/component"
)

// A change between a failed attempt and the wait for one must not be missed.
func TestGate_misses_no_change(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		g.init()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		attempts := 0
		err := g.try(ctx, true, func() error {
			if attempts++; attempts == 1 {
				g.signal()
				return component.ErrFull
			}
			return nil
		})
		if err != nil {
			t.Errorf("after %d attempts: %v", attempts, err)
		}
	})
}

func TestGate_waits_for_a_link_that_is_down_only_with_patience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		g.init()
		down := func() error {
			if up, _ := g.state(); up {
				return nil
			}
			return component.ErrDown
		}
		if err := g.try(t.Context(), false, down); err != component.ErrDown {
			t.Errorf("without patience: %v", err)
		}
		time.AfterFunc(time.Hour, func() { g.set(true) })
		if err := g.try(t.Context(), true, down); err != nil {
			t.Errorf("with patience: %v", err)
		}
	})
}
