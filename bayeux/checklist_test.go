package bayeux

import (
	"fmt"
	"slices"
	"testing"
)

// The conformance checklist for Bayeux servers, rows numbered as they were collected from the specification, from Faye's
// and CometD's servers, and from watching eight real clients. A row is one observable behaviour on which some client depends.
//
// Clients of 47, 61 and 67 are driven here, real ones in interop.
type row struct {
	number int
	name   string
	test   func(t *testing.T)
}

func TestChecklist(t *testing.T) {
	for _, r := range slices.Concat(httpRows, callbackRows, handshakeRows, connectRows, socketRows, streamRows, publishRows, endRows, limitRows, expiryRows, ackRows, timesyncRows, timestampRows) {
		t.Run(fmt.Sprintf("%02d_%s", r.number, r.name), r.test)
	}
}
