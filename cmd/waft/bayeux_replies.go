package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// handle does what one message from the server asks for.
func (c *bayeuxClient) handle(ctx context.Context, m *incoming) error {
	if m.Advice != nil {
		c.advice = *m.Advice
	}
	switch m.Channel {
	case "/meta/handshake":
		return c.shaken(ctx, m)
	case "/meta/connect":
		return c.connected(ctx, m)
	case "/meta/subscribe":
		return c.subscribed(m)
	case "/meta/disconnect", "/meta/unsubscribe":
		return nil
	}
	if strings.HasPrefix(m.Channel, "/meta/") || m.Data == nil {
		return nil
	}
	more, err := c.message(m.Channel, oneLine(m.Data))
	if err == nil && !more {
		err = errEnough
	}
	return err
}

// shaken is the reply to a handshake.
func (c *bayeuxClient) shaken(ctx context.Context, m *incoming) error {
	if !m.Successful {
		return c.again(ctx, "handshake", m, c.backoff(), c.handshake)
	}
	c.clientID, c.known = m.ClientID, true
	var batch []outgoing
	for _, p := range c.patterns {
		batch = append(batch, outgoing{Channel: "/meta/subscribe", ClientID: c.clientID, Subscription: p})
	}
	return c.send(append(batch, c.connect())...)
}

// connected is the reply to a connect: time for the next.
func (c *bayeuxClient) connected(ctx context.Context, m *incoming) error {
	least := time.Duration(0)
	if m.Successful {
		c.failures = 0
	} else {
		least = c.backoff()
	}
	return c.again(ctx, "connection", m, least, func() error { return c.send(c.connect()) })
}

// again does what the advice says, after the time that it says, or least. retry is what its "retry" means for m.
func (c *bayeuxClient) again(ctx context.Context, what string, m *incoming, least time.Duration, retry func() error) error {
	reason := ""
	if m.Error != "" {
		reason = ": " + m.Error
	}
	wait := max(time.Duration(c.advice.Interval)*time.Millisecond, least)
	switch advised := c.advice.Reconnect; {
	case advised == "none", c.once && !m.Successful:
		return refusedBy(what, m)
	case advised == "handshake":
		if c.clientID != "" {
			c.note("the server has ended this session%s; messages may be missing until there is a new one", reason)
		}
		c.clientID, c.granted = "", 0
		retry = c.handshake
	}
	if wait > clientPatience {
		return &laterError{"the server asks for patience" + reason, wait}
	}
	if !sleep(ctx, wait) {
		return ctx.Err()
	}
	return retry()
}

// subscribed is the reply to a subscribe.
func (c *bayeuxClient) subscribed(m *incoming) error {
	if !m.Successful {
		return refusedBy("subscription to "+m.Subscription, m)
	}
	if c.granted++; c.granted == len(c.patterns) {
		c.note("subscribed to %s", strings.Join(c.patterns, " "))
		if c.ready != nil {
			c.ready()
		}
	}
	return nil
}

// refusedBy is what an unsuccessful reply says. Bayeux §3.6: "code:args:message".
func refusedBy(what string, m *incoming) error {
	reason := ""
	if m.Error != "" {
		reason = ": " + m.Error
	}
	code, _, _ := strings.Cut(m.Error, ":")
	n, _ := strconv.Atoi(code) // 0: the error is in words alone
	return &refusedError{fmt.Sprintf("the server refused the %s%s", what, reason), n}
}

// oneLine is data without line breaks between its tokens, and otherwise as it came.
func oneLine(data json.RawMessage) json.RawMessage {
	if !bytes.ContainsAny(data, "\r\n") {
		return data
	}
	var b bytes.Buffer
	if json.Compact(&b, data) != nil {
		return data
	}
	return b.Bytes()
}
