package httppub

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"waft/broker"
)

func TestStanza_goes_out_once_with_its_item(t *testing.T) {
	d := openDoor(t, Options{}, broker.Options{})
	var sent []string
	d.stanza = func(c broker.Channel, text string) (func() bool, error) {
		return func() bool { sent = append(sent, string(c)+" "+text); return true }, nil
	}
	const body = `{"items":[{"channel":"a","id":"1","json-object":1,"xmpp-stanza":"<message to='é'/>"},{"channel":"b","formats":{"xmpp-stanza":{"content":"x"}}}]}`
	for range 2 { // repeated, the item with an id is the same item
		if w := d.post("/realm/myrealm/publish/", body); w.Code != http.StatusOK {
			t.Fatal(w.Body)
		}
	}
	if want := []string{"/a <message to='é'/>", "/b x", "/b x"}; !slices.Equal(sent, want) {
		t.Errorf("sent %q, want %q", sent, want)
	}
}

func TestStanza_that_cannot_go_out_refuses_the_whole_batch(t *testing.T) {
	for _, c := range []struct {
		name, channel, format string
		off                   bool
		err                   error
		status                int
		text                  string
		token                 string
	}{
		{name: "no XMPP", channel: "a", format: `"x"`, off: true, status: 400, text: "items[1]: the item has the format xmpp-stanza, and the realm has no XMPP link to send it over"},
		{name: "a number", channel: "a", format: "6", status: 400, text: `items[1]: xmpp-stanza must be a string of XML, or an object with it as "content", not a number`},
		{name: "an object", channel: "a", format: `{"content":[]}`, status: 400, text: `items[1]: xmpp-stanza must be a string of XML, or an object with it as "content", not an object`},
		{name: "not allowed", channel: "a", format: `"x"`, err: broker.Errorf(broker.Forbidden, "no rule allows it"), status: 403, text: "items[1]: no rule allows it"},
		{name: "not now", channel: "a", format: `"x"`, err: broker.Errorf(broker.Unavailable, "the link is down"), status: 503, text: "items[1]: the link is down"},
		{name: "may not publish", channel: "other", format: `6`, token: narrowToken, status: 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := openDoor(t, Options{}, broker.Options{})
			sent := 0
			d.stanza = func(broker.Channel, string) (func() bool, error) { return func() bool { sent++; return true }, c.err }
			if c.off {
				d.stanza = nil
			}
			token := goodToken
			if c.token != "" {
				token = c.token
			}
			w := d.post("/realm/myrealm/publish/", `{"items":[{"channel":"news","json-object":1},{"channel":"`+c.channel+`","json-object":1,"xmpp-stanza":`+c.format+`}]}`,
				header("Authorization", "Bearer "+token))
			if got := strings.TrimSpace(w.Body.String()); w.Code != c.status || c.text != "" && got != c.text || strings.Contains(got, "stanza") && c.token != "" {
				t.Errorf("answered %d %s", w.Code, got)
			}
			if got := d.received(); len(got) > 0 || sent > 0 {
				t.Errorf("published %q, sent %d", got, sent)
			}
		})
	}
}
