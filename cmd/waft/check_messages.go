package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// checkHistory waits for the channel's messages (docs/http.md), for which the rules have to keep some.
type checkHistory struct {
	run *checkRun
	web *http.Client
}

// historyWait is how many seconds a request may be held: long enough to be held, and short enough for any proxy.
const historyWait = "20"

func (d *checkHistory) listen(ctx context.Context, as secret, on listening) error {
	at, _, err := d.page(ctx, as, url.Values{"limit": {"1"}, "order": {"desc"}})
	if err != nil {
		return unlessOver(ctx, err)
	}
	for first := true; ; first = false {
		query := url.Values{"since": {at}, "wait": {historyWait}}
		if first {
			query.Set("wait", "0") // nothing is new: it tells whether who asks may wait
		}
		var messages []json.RawMessage
		if at, messages, err = d.page(ctx, as, query); err != nil {
			return unlessOver(ctx, err)
		}
		if first {
			on.ready()
		}
		more := true
		for _, data := range messages {
			more = on.heard(data) && more
		}
		if !more {
			return nil
		}
	}
}

// page asks for messages, and gives their data and the position to go on from.
func (d *checkHistory) page(ctx context.Context, as secret, query url.Values) (at string, messages []json.RawMessage, err error) {
	to := d.run.base.JoinPath("channels", colons(string(d.run.channel)), "messages")
	to.RawQuery = query.Encode()
	response, err := get(ctx, d.web, to, as, "application/json")
	if err != nil {
		return "", nil, err
	}
	defer response.Body.Close()
	var page struct {
		Position string
		Messages []struct{ Data json.RawMessage }
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, maxCheckAnswer)).Decode(&page); err != nil {
		return "", nil, fmt.Errorf("the answer is not a page of messages: %w", err)
	}
	if page.Position == "" {
		return "", nil, fmt.Errorf("the answer has no position to go on from")
	}
	for _, m := range page.Messages {
		messages = append(messages, m.Data)
	}
	return page.Position, messages, nil
}
