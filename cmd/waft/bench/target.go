package bench

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Target says how to talk to a server. In URLs and Body, {channel} stands for a channel's name, which begins with a
// slash and has nothing to escape.
type Target struct {
	Transport string `json:"transport"` // one of Transports
	Subscribe string `json:"subscribe"` // URL

	Publish     string `json:"publish"`      // URL: of Bayeux if Body is empty, else to post to
	Body        string `json:"publish_body"` // with {data}, a message's JSON; {string}, the same inside a JSON string; {form}, the same in a form
	ContentType string `json:"publish_type"`

	PublishOver string `json:"publish_over"` // XMPP, and then none of the three above; "": as they say

	Component Component `json:"component"` // of XMPP, which needs no URL
}

// The ways to subscribe.
const (
	WebSocket   = "websocket"    // Bayeux
	LongPolling = "long-polling" // Bayeux
	Events      = "sse"          // Server-Sent Events
	Plain       = "waft.v1"      // waft's own WebSockets
	Raw         = "raw"          // a WebSocket that carries messages and nothing else
	Polls       = "polls"        // a GET for each message, the next from where ETag and Last-Modified say, as nchan does it
	XMPP        = "xmpp"         // events of XEP-0060 to users of an XMPP server, whose part is played here (XEP-0114)
)

// Transports are the ways to subscribe.
var Transports = []string{WebSocket, LongPolling, Events, Plain, Raw, Polls, XMPP}

// preset is what a kind of server is like; URLs are relative to its own.
type preset struct {
	subscribe                  map[string]string // by transport
	publish, body, contentType string
}

const formType = "application/x-www-form-urlencoded"

var presets = map[string]preset{
	"waft": {
		subscribe: map[string]string{
			WebSocket: "/realm/{realm}/bayeux", LongPolling: "/realm/{realm}/bayeux", Events: "/realm/{realm}/events?channel={channel}",
			Plain: "/realm/{realm}/ws", XMPP: "",
		},
		publish: "/realm/{realm}/publish/", body: `{"items":[{"channel":"{channel}","json-object":{data}}]}`, contentType: "application/json",
	},
	"bayeux": {
		subscribe: map[string]string{WebSocket: "", LongPolling: ""},
		publish:   "",
	},
	"mercure": {
		subscribe: map[string]string{Events: "/.well-known/mercure?topic={channel}"},
		publish:   "/.well-known/mercure", body: "topic={channel}&data={form}", contentType: formType,
	},
	"nchan": {
		subscribe: map[string]string{Events: "/sub{channel}", Raw: "/sub{channel}", Polls: "/sub{channel}"},
		publish:   "/pub{channel}", body: "{data}", contentType: "application/json",
	},
}

// Kinds are the servers that Preset knows.
func Kinds() []string {
	kinds := make([]string, 0, len(presets))
	for k := range presets {
		kinds = append(kinds, k)
	}
	slices.Sort(kinds)
	return kinds
}

// Preset is how to talk to a server of that kind at base. bayeux is any Bayeux server, base being its mount; nchan is
// an nginx with the locations /pub/… and /sub/….
func Preset(kind, base, realm, transport string) (Target, error) {
	p, ok := presets[kind]
	if !ok {
		return Target{}, fmt.Errorf("there is no kind of server %q, but %s", kind, strings.Join(Kinds(), ", "))
	}
	path, ok := p.subscribe[transport]
	if !ok {
		var have []string
		for _, t := range Transports {
			if _, ok := p.subscribe[t]; ok {
				have = append(have, t)
			}
		}
		return Target{}, fmt.Errorf("%s servers do not speak %q, but %s", kind, transport, strings.Join(have, ", "))
	}
	at := func(path string) string {
		return strings.TrimSuffix(base, "/") + strings.ReplaceAll(path, "{realm}", url.PathEscape(realm))
	}
	return Target{
		Transport: transport, Subscribe: at(path),
		Publish: at(p.publish), Body: p.body, ContentType: p.contentType,
	}, nil
}

// Linked tells whether it takes the component's link.
func (t Target) Linked() bool { return t.Transport == XMPP || t.PublishOver == XMPP }

// complete fills in what was left out.
func (t *Target) complete() {
	if !t.Linked() {
		return
	}
	t.Component.complete()
	uri := "xmpp:" + t.Component.Domain // RFC 5122
	if t.Transport == XMPP {
		t.Subscribe = uri
	}
	if t.PublishOver == XMPP {
		t.Publish, t.Body = uri, ""
	}
}

// check says what is wrong with the target.
func (t Target) check() error {
	if !slices.Contains(Transports, t.Transport) {
		return fmt.Errorf("there is no transport %q, but %s", t.Transport, strings.Join(Transports, ", "))
	}
	if t.PublishOver != "" && t.PublishOver != XMPP {
		return fmt.Errorf("one can publish over %s, or as the kind of server has it, but not over %q", XMPP, t.PublishOver)
	}
	var urls []string
	if t.Transport != XMPP {
		urls = append(urls, t.Subscribe)
	}
	if t.PublishOver != XMPP {
		urls = append(urls, t.Publish)
	}
	if t.Linked() {
		if err := t.Component.check(); err != nil {
			return err
		}
	}
	for _, text := range urls {
		u, err := url.Parse(text)
		if err != nil {
			return fmt.Errorf("%q is not a URL: %w", text, err)
		}
		if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return fmt.Errorf("%q is not a URL of a server, such as http://127.0.0.1:8080", text)
		}
	}
	if t.Body != "" && !strings.Contains(t.Body, "{data}") && !strings.Contains(t.Body, "{string}") && !strings.Contains(t.Body, "{form}") {
		return fmt.Errorf("the body to publish has none of {data}, {string} and {form}: %s", t.Body)
	}
	return nil
}

// place is a URL taken apart: what is said to whom.
type place struct {
	secure bool
	host   string // of the Host field
	addr   string // to connect to, with a port
	path   string // with the query, and {channel} in it
}

// channelMark stands for {channel} while a URL is taken apart, which would escape the braces.
const channelMark = "waft-bench-channel"

// locate takes a URL apart that check has found good.
func locate(text string) place {
	u, err := url.Parse(strings.ReplaceAll(text, "{channel}", channelMark))
	if err != nil {
		return place{}
	}
	p := place{secure: u.Scheme == "https", host: u.Host, addr: u.Host, path: strings.ReplaceAll(u.RequestURI(), channelMark, "{channel}")}
	if u.Port() == "" {
		p.addr = u.Hostname() + map[bool]string{false: ":80", true: ":443"}[p.secure]
	}
	return p
}

// of is the path for a channel.
func (p place) of(channel string) string { return strings.ReplaceAll(p.path, "{channel}", channel) }

// appendBody appends what is posted to publish data.
func (t Target) appendBody(b []byte, channel string, data []byte) []byte {
	return append(b, strings.NewReplacer("{channel}", channel, "{data}", string(data), "{string}", inString(data),
		"{form}", url.QueryEscape(string(data))).Replace(t.Body)...)
}

// inString is data as it stands between the quotes of a JSON string.
func inString(data []byte) string {
	quoted, err := json.Marshal(string(data))
	if err != nil {
		return ""
	}
	return string(quoted[1 : len(quoted)-1])
}
