package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// checkEvents listens to the event stream (docs/events.md).
type checkEvents struct {
	run *checkRun
	web *http.Client
}

func (d *checkEvents) listen(ctx context.Context, as secret, on listening) error {
	to := d.run.base.JoinPath("events")
	to.RawQuery = url.Values{"channel": {string(d.run.channel)}, "envelope": {"0"}}.Encode()
	response, err := get(ctx, d.web, to, as, "text/event-stream")
	if err != nil {
		return unlessOver(ctx, err)
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, maxCheckAnswer)
	var event, data string
	for lines.Scan() {
		// WHATWG HTML §9.2.6, as far as this server writes it.
		field, value, _ := strings.Cut(lines.Text(), ":")
		switch value = strings.TrimPrefix(value, " "); field {
		case "event":
			event = value
		case "data":
			data += value
		case "":
			if lines.Text() != "" {
				continue // a comment
			}
			switch {
			case event == "ready":
				on.ready()
			case event == "end":
				return fmt.Errorf("the stream was ended: %s", data)
			case (event == "" || event == "message") && data != "" && !on.heard(json.RawMessage(data)):
				return nil
			}
			event, data = "", ""
		}
	}
	if err := lines.Err(); err != nil {
		return unlessOver(ctx, fmt.Errorf("reading the stream: %w", err))
	}
	return unlessOver(ctx, fmt.Errorf("the stream broke off"))
}
