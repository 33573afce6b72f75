package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// checkSocket listens by Bayeux on a WebSocket, as `waft subscribe` does.
type checkSocket struct{ run *checkRun }

func (d *checkSocket) listen(ctx context.Context, as secret, on listening) error {
	to := d.run.base.JoinPath("bayeux")
	to.Scheme = webSocketScheme(to.Scheme)
	client := &bayeuxClient{
		url: to.String(), token: as, patterns: []string{string(d.run.channel)}, once: true, ready: on.ready,
		message: func(_ string, data json.RawMessage) (bool, error) { return on.heard(data), nil },
		note:    func(string, ...any) {},
	}
	return client.run(ctx)
}

// checkPolling listens by Bayeux with one request after another.
type checkPolling struct {
	run      *checkRun
	web      *http.Client
	clientID string
	serial   int
}

func (d *checkPolling) listen(ctx context.Context, as secret, on listening) error {
	hello := outgoing{Channel: "/meta/handshake", Version: "1.0", Connections: []string{"long-polling"}}
	reply, _, err := d.ask(ctx, as, hello, nil)
	if err != nil {
		return unlessOver(ctx, err)
	}
	d.clientID = reply.ClientID
	defer d.farewell(ctx, as)
	if _, _, err := d.ask(ctx, as, outgoing{Channel: "/meta/subscribe", Subscription: string(d.run.channel)}, nil); err != nil {
		return unlessOver(ctx, err)
	}
	on.ready()
	for more := true; more; {
		_, more, err = d.ask(ctx, as, outgoing{Channel: "/meta/connect", ConnectionType: "long-polling"}, on.heard)
		if err != nil {
			return unlessOver(ctx, err)
		}
	}
	return nil
}

// ask posts one message, gives its reply, which has to be a success, and hands the events that came along to heard, all of them even if
// it wants no more.
func (d *checkPolling) ask(ctx context.Context, as secret, m outgoing, heard func(json.RawMessage) bool) (reply incoming, more bool, err error) {
	d.serial++
	m.ID, m.ClientID = strconv.Itoa(d.serial), d.clientID
	body, err := json.Marshal([]outgoing{m})
	if err != nil {
		return reply, false, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, d.run.base.JoinPath("bayeux").String(), bytes.NewReader(body))
	if err != nil {
		return reply, false, err
	}
	request.Header.Set("Content-Type", "application/json")
	as.show(request)
	response, err := d.web.Do(request)
	if err != nil {
		return reply, false, withoutAddress(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return reply, false, answered(response)
	}
	var messages []incoming
	if err := json.NewDecoder(io.LimitReader(response.Body, maxCheckAnswer)).Decode(&messages); err != nil {
		return reply, false, fmt.Errorf("the answer to %s is not Bayeux: %w", m.Channel, err)
	}
	more = true
	for i := range messages {
		switch {
		case messages[i].Channel == m.Channel:
			reply = messages[i]
		case heard != nil && !strings.HasPrefix(messages[i].Channel, "/meta/") && messages[i].Data != nil:
			more = heard(messages[i].Data) && more
		}
	}
	switch {
	case reply.Channel == "":
		return reply, false, fmt.Errorf("the answer to %s has no reply to it", m.Channel)
	case !reply.Successful:
		return reply, false, refusedBy(strings.TrimPrefix(m.Channel, "/meta/"), &reply)
	}
	return reply, more, nil
}

// farewell ends the session, so that the server need not wait for it.
func (d *checkPolling) farewell(ctx context.Context, as secret) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_, _, _ = d.ask(ctx, as, outgoing{Channel: "/meta/disconnect"}, nil)
}
