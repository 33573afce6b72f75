//go:build !race

package auth_test

import (
	"testing"

	"waft/auth"
	"waft/broker"
	"waft/broker/brokertest"
)

func TestGuard_authenticate(t *testing.T) {
	token, err := auth.Mint(mainKey, "default", auth.Claims{})
	if err != nil {
		t.Fatal(err)
	}
	v := newVerifier(t, auth.VerifierOptions{})
	brokertest.Guard{Allocs: 34.1, Calls: 0.5, Instructions: 41_000}.Hold(t, brokertest.Times(500, func() {
		if _, err := v.Authenticate(t.Context(), token); err != nil {
			t.Fatal(err)
		}
	}))
}

// A hundred rules, none of which is for the channel: the last is looked at as well.
func TestGuard_rules(t *testing.T) {
	rules := hundredRules(t)
	t.Run("who may publish", func(t *testing.T) {
		brokertest.Guard{Allocs: 0.1, Calls: 0.5, Instructions: 1500}.Hold(t, brokertest.Times(2000, func() {
			if err := rules.Authorize(t.Context(), holder, broker.ActPublish, "/chat/42"); err != nil {
				t.Fatal(err)
			}
		}))
	})
	t.Run("what is kept", func(t *testing.T) {
		brokertest.Guard{Allocs: 0.1, Calls: 0.5, Instructions: 1000}.Hold(t, brokertest.Times(2000, func() {
			rules.Retention("/chat/42")
		}))
	})
}
