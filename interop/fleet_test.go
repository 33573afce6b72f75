//go:build interop

package interop

import (
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// bayeuxClient is a client library in one version, over one transport.
type bayeuxClient struct {
	library   string // npm package or its alias in package.json, or fayeInRuby
	transport string
	ack       bool // with CometD's acknowledge extension
}

const fayeInRuby = "faye-ruby"

// fleet is every Bayeux client that is no browser's.
var fleet = func() (fleet []bayeuxClient) {
	for _, transport := range []string{webSocket, longPolling} {
		for _, library := range []string{"faye", "faye-1.4.0", "faye-1.2", "faye-1.1", "faye-0.8", fayeInRuby} {
			fleet = append(fleet, bayeuxClient{library, transport, false})
		}
		for _, library := range []string{"cometd", "cometd-8", "cometd-7", "cometd-3"} {
			for _, ack := range []bool{false, true} {
				fleet = append(fleet, bayeuxClient{library, transport, ack})
			}
		}
	}
	return fleet
}()

// name is good for a test and for a segment of a channel.
func (c bayeuxClient) name() string {
	name := strings.ReplaceAll(c.library, ".", "_") + "-" + c.transport
	if c.ack {
		name += "-ack"
	}
	return name
}

// start starts the client. waft is at the URL.
func (c bayeuxClient) start(t *testing.T, url string) *driver {
	t.Helper()
	options := map[string]string{
		"url": url + "/bayeux", "package": c.library, "transport": c.transport, "ack": strconv.FormatBool(c.ack),
	}
	if c.library == fayeInRuby {
		need(t, rubyFaye)
		return drive(t, c.name(), exec.Command(systemRuby, "drivers/ruby/faye.rb", object(options)))
	}
	need(t, nodePeer)
	script, _, _ := strings.Cut(c.library, "-")
	return drive(t, c.name(), node(script, options))
}

// mustAcknowledge fails the test if waft did not take up a client's acknowledge extension.
func (c bayeuxClient) mustAcknowledge(t *testing.T, d *driver) {
	t.Helper()
	if c.ack && d.count("ack") != d.count("handshake") {
		t.Errorf("%s: %d handshakes and %d offers of acknowledgement", d.proc.name, d.count("handshake"), d.count("ack"))
	}
}
