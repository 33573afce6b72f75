package bayeux

import (
	"fmt"
	"slices"
	"testing"
)

// The conformance checklist for Bayeux servers, rows numbered as they were collected from the specification, from Faye's
// and CometD's servers, and from watching eight real clients. A row is one observable behaviour on which some client depends.
//
// Not here, because what they are about is not part of the door yet: 17 to 23 (JSONP), 63 to 68 (EventSource), 96 and 97
// (acknowledge extension). Of 25 the connection type callback-polling: it is not offered while there is no JSONP, as 20
// asks. Of 89 the transports EventSource and JSONP. Clients of 47 and 61 are driven here, real ones in interop.
type row struct {
	number int
	name   string
	test   func(t *testing.T)
}

func TestChecklist(t *testing.T) {
	for _, r := range slices.Concat(httpRows, handshakeRows, connectRows, socketRows, publishRows, endRows) {
		t.Run(fmt.Sprintf("%02d_%s", r.number, r.name), r.test)
	}
}
