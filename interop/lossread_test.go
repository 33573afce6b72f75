//go:build interop

package interop

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"waft/interop/loss"
)

// Readers of the loss checker over HTTP: what is kept, long-polling, event streams. Nothing comes to them twice.
var httpLossReaders = []lossReader{
	{name: "REST history", follow: readPages("limit=500")},
	{name: "REST long-poll", channels: lossChannels[:1], follow: readPages("limit=50&wait=2")},
	{name: "SSE", follow: readEvents(lossChannels...)},
	{name: "SSE wildcard", follow: readEvents("/loss/*")},
}

// readPages reads what comes after the place, of one channel after the other.
func readPages(parameters string) func(context.Context, *lossReading) error {
	return func(ctx context.Context, l *lossReading) error {
		for _, channel := range l.channels {
			since := l.place[channel]
			if since == "" {
				since = "0"
			}
			position, err := l.readPage(ctx, channel, "since="+since+"&"+parameters)
			if err != nil {
				return err
			}
			l.place[channel] = position
		}
		l.began()
		if !strings.Contains(parameters, "wait") {
			time.Sleep(200 * time.Millisecond)
		}
		return nil
	}
}

func (l *lossReading) readPage(ctx context.Context, channel, query string) (position string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.w.url+"/realm/default/channels/"+url.PathEscape(channel)+"/messages?"+query, nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+token())
	resp, err := l.client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusGone:
		l.Told(channel + ": " + resp.Status)
		return "", errors.New(resp.Status)
	default:
		return "", errors.New(resp.Status)
	}
	var page struct {
		Messages []struct {
			ID   string
			Data json.RawMessage
		}
		Position string
	}
	if err := json.NewDecoder(resp.Body).Decode(&page); err != nil {
		return "", err
	}
	for _, m := range page.Messages {
		l.took(channel, m.ID, m.Data)
	}
	return page.Position, nil
}

// readEvents listens, from the place of the last event.
func readEvents(patterns ...string) func(context.Context, *lossReading) error {
	return func(ctx context.Context, l *lossReading) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.w.url+"/realm/default/events?"+url.Values{"channel": patterns}.Encode(), nil)
		if err != nil {
			return err
		}
		last := l.place[""]
		if last != "" {
			req.Header.Set("Last-Event-ID", last)
		}
		resp, err := l.client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		lines := bufio.NewScanner(resp.Body)
		lines.Buffer(nil, 1<<20)
		var e streamEvent
		for lines.Scan() && !l.Ended() {
			switch name, value, _ := strings.Cut(lines.Text(), ": "); name {
			case "event":
				e.name = value
			case "id":
				e.id = value
			case "data":
				e.data = value
			case "":
				if lines.Text() != "" || e.data == "" {
					continue // a comment, a pause for reconnects
				}
				if err := l.event(e, last != ""); err != nil {
					return err
				}
				e = streamEvent{}
			}
		}
		return errors.Join(errors.New("the stream has ended"), lines.Err())
	}
}

type streamEvent struct{ name, id, data string }

func (l *lossReading) event(e streamEvent, resumes bool) error {
	switch e.name {
	case "":
		var m struct {
			Channel, ID string
			Data        json.RawMessage
		}
		if err := json.Unmarshal([]byte(e.data), &m); err != nil {
			return err
		}
		l.took(m.Channel, m.ID, m.Data)
	case "ready":
		if resumes && e.data != `{"resumed":true}` {
			l.Told("ready " + e.data)
		}
		l.began()
	case "reset":
		l.Told("reset " + e.data)
	case "end":
		return fmt.Errorf("end %s", e.data)
	}
	if e.id != "" {
		l.place[""] = e.id
	}
	return nil
}

// bayeuxLossReaders begin a new session behind the last position when a connection is lost; or else, those that keep it go on with the session as long as
// waft knows it.
var bayeuxLossReaders = []lossReader{
	{name: "Bayeux WebSocket", follow: readBayeux(websocketType, false)},
	{name: "Bayeux long-polling", follow: readBayeux(pollingType, false)},
	{name: "Bayeux WebSocket, same session", terms: loss.Terms{Again: true}, follow: readBayeux(websocketType, true)},
	{name: "Bayeux long-polling, same session", follow: readBayeux(pollingType, true)},
}

// keptTries is how often a session is tried again with one connect. waft believes it eight times that the response was lost.
const keptTries = 4

func readBayeux(transport string, keep bool) func(context.Context, *lossReading) error {
	return func(ctx context.Context, l *lossReading) (err error) {
		if l.kept == nil || l.kept.id == "" || !keep {
			l.kept = &rawClient{transport: transport}
		}
		c := l.kept
		if err := c.redial(l.reading.addr); err != nil {
			return err
		}
		defer c.nc.Close()
		defer context.AfterFunc(ctx, func() { c.nc.Close() })()
		c.onEvent = func(m rawMessage) {
			var ext struct{ Replay string }
			if err := json.Unmarshal(m.Ext, &ext); err != nil {
				l.Told(fmt.Sprintf("an event without a position: %s", m.Ext))
				return
			}
			l.took(m.Channel, ext.Replay, m.Data)
			l.place[m.Channel] = ext.Replay
		}
		again := c.id != ""
		if !again {
			if err := l.shakeHands(c); err != nil {
				c.id = ""
				return err
			}
		}
		for l.ctx.Err() == nil && !l.Ended() {
			c.nc.SetDeadline(time.Now().Add(clientPatience))
			if again && transport == pollingType { // the same id says that the response has not come
				if l.tries++; l.tries == keptTries {
					c.id = ""
					return errors.New("too many tries with one connect")
				}
				c.count.Add(-1)
			}
			again = false
			if _, err := c.send("/meta/connect", c.connectFields()); err != nil {
				return err
			}
			for connected := false; !connected; {
				c.nc.SetDeadline(time.Now().Add(clientPatience))
				replies, err := c.receive()
				if err != nil {
					return err
				}
				for _, r := range replies {
					if err := r.failure(); err != nil {
						c.id = ""
						return err
					}
					connected = connected || r.Channel == "/meta/connect"
				}
			}
			l.tries = 0
		}
		return nil
	}
}

// shakeHands makes a session that is subscribed behind the last positions.
func (l *lossReading) shakeHands(c *rawClient) error {
	r, err := c.ask("/meta/handshake", `"version":"1.0","supportedConnectionTypes":["`+c.transport+`"],"ext":{"replay":true}`)
	if err != nil {
		return err
	}
	c.id = r.ClientID
	if _, err := c.ask("/meta/connect", c.connectFields()); err != nil {
		return err
	}
	begin := map[string]any{}
	for _, channel := range l.channels {
		begin[channel] = -2
		if at := l.place[channel]; at != "" {
			begin[channel] = at
		}
	}
	text, err := json.Marshal(map[string]any{"subscription": l.channels, "ext": map[string]any{"replay": begin}})
	if err != nil {
		return err
	}
	id, err := c.send("/meta/subscribe", strings.TrimSuffix(string(text[1:]), "}"))
	for err == nil {
		var replies []rawMessage
		replies, err = c.receive()
		for _, r := range replies {
			if r.ID != id {
				continue
			}
			if err := r.failure(); err != nil {
				if strings.HasPrefix(r.Error, "410") {
					l.Told(r.Error)
				}
				return err
			}
			l.began()
			return nil
		}
	}
	return err
}
