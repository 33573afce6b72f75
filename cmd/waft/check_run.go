package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// checkMessages is how many messages have to arrive. The last one is published behind those that must not: when it has come, they will
// not, for a channel has one order.
const checkMessages = 4

// run checks the server: what is published while all protocols listen, and then who is let in. Whatever goes wrong is in the report.
func (k *checkRun) run(ctx context.Context) serverReport {
	k.began = time.Now()
	ctx, cancel := context.WithTimeout(ctx, k.timeout)
	defer cancel()
	web := &http.Client{
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment},
		// A redirected POST becomes a GET, and a token does not go to somewhere else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer web.CloseIdleConnections()

	ears := k.listen(ctx, web)
	findings := k.publish(ctx, web, ears)
	// Before the ears are waited for: one that misses a message listens until the time is over.
	refusals := k.refusals(ctx, web)
	if k.idle != nil {
		k.idle(ears)
	}
	for _, e := range ears {
		findings = append(findings, e.finding())
	}
	findings = append(findings, refusals...)
	findings = append(findings, k.links(ctx, web)...)
	return serverReport{URL: k.server, Realm: k.realm, Seconds: time.Since(k.began).Seconds(), Findings: findings}
}

// until is a third or two of the run's time: one step that hangs must not take the time of all others.
func (k *checkRun) until(ctx context.Context, thirds int) (context.Context, context.CancelFunc) {
	return context.WithDeadline(ctx, k.began.Add(k.timeout/3*time.Duration(thirds)))
}

// listen begins to listen by every protocol, and waits until each of them is subscribed, or has failed.
func (k *checkRun) listen(ctx context.Context, web *http.Client) []*ear {
	var ears []*ear
	for _, name := range k.protocols {
		ears = append(ears, newEar(ctx, name, k, checkDoors[name](k, web)))
	}
	soon, cancel := k.until(ctx, 1)
	defer cancel()
	for _, e := range ears {
		select {
		case <-e.ready:
		case <-e.over:
		case <-soon.Done():
			if e.begun() { // while another one was waited for
				continue
			}
			e.giveUp(fmt.Sprintf("it was not subscribed within %v", k.timeout/3))
		}
	}
	return ears
}

// publish sends what has to arrive, and with the bad tokens what must not.
func (k *checkRun) publish(ctx context.Context, web *http.Client, ears []*ear) []finding {
	ctx, cancel := k.until(ctx, 2)
	defer cancel()
	good := finding{Check: "publish", Protocol: "http"}
	var failed error
	send := func(n int) {
		for _, e := range ears {
			e.sent[n-1].Store(int64(time.Since(k.began)))
		}
		began := time.Now()
		if err := k.post(ctx, web, k.tokens.good, k.text(n, "")); err != nil {
			failed = fmt.Errorf("message %d of %d: %w", n, checkMessages, err)
		}
		good.Seconds = max(good.Seconds, time.Since(began).Seconds())
	}
	for n := 1; n < checkMessages && failed == nil; n++ {
		send(n)
	}
	var bad []finding
	for _, token := range k.tokens.bad {
		err := k.post(ctx, web, token.secret, k.text(checkMessages, token.name))
		bad = append(bad, refusal("http", token.name, err, err == nil))
	}
	if failed == nil {
		send(checkMessages)
	}
	if good.OK, good.Detail = true, fmt.Sprintf("%d messages", checkMessages); failed != nil {
		good.OK, good.Detail = false, failed.Error()
		for _, e := range ears {
			e.giveUp("not everything could be published")
		}
	}
	return append([]finding{good}, bad...)
}

// checkMessage is the data of a check's messages. It has what programs on the way like to change: numbers that no float holds, zeros
// behind the point, and characters that somebody escapes.
type checkMessage struct {
	Run    string          `json:"check"`
	N      int             `json:"n"`                // from 1
	Forged string          `json:"forged,omitempty"` // published with this bad token
	Text   string          `json:"text"`
	Number json.RawMessage `json:"number"`
	Large  json.RawMessage `json:"large"`
}

// text is the data of the nth message; forged "" is a good one.
func (k *checkRun) text(n int, forged string) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(checkMessage{k.id, n, forged, "ü€😀 <&>'\\\"/", json.RawMessage("1.50"), json.RawMessage("9223372036854775807")})
	return bytes.TrimSpace(b.Bytes())
}

// post publishes. The error is a *refusedError if the server has answered.
func (k *checkRun) post(ctx context.Context, web *http.Client, token secret, data json.RawMessage) error {
	body, err := publishBody(k.channel, "", data)
	if err != nil {
		return err
	}
	request, err := publishRequest(ctx, k.base.JoinPath("publish/").String(), token, body)
	if err != nil {
		return err
	}
	response, err := web.Do(request)
	if err != nil {
		return withoutAddress(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return answered(response)
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, maxReceipt)) // so that the connection is used again
	return nil
}

// answered is a response that is not what was wanted.
func answered(response *http.Response) error {
	return &refusedError{fmt.Sprintf("answered %s: %s", response.Status, refusalText(response.Body)), response.StatusCode}
}

// refusals asks every protocol for the channel with each of the bad tokens.
func (k *checkRun) refusals(ctx context.Context, web *http.Client) []finding {
	found := make([][]finding, len(k.protocols))
	var all sync.WaitGroup
	for i, name := range k.protocols {
		all.Go(func() {
			for _, token := range k.tokens.bad {
				if token.name == noToken && !k.closed {
					continue
				}
				ctx, cancel := context.WithCancel(ctx)
				letIn := false
				err := checkDoors[name](k, web).listen(ctx, token.secret, listening{
					ready: func() { letIn = true; cancel() },
					heard: func(json.RawMessage) bool { return true },
				})
				cancel()
				found[i] = append(found[i], refusal(name, token.name, err, letIn))
			}
		})
	}
	all.Wait()
	return slices.Concat(found...)
}

// refusal judges what came of a bad token. It has to be refused for what it is: 401, or 403; anything else says nothing of tokens.
func refusal(protocol, token string, err error, letIn bool) finding {
	f := finding{Check: "refusal", Protocol: protocol, Token: token}
	said, refused := errors.AsType[*refusedError](err)
	switch {
	case letIn:
		f.Detail = "it was let in"
	case refused && (said.code == http.StatusUnauthorized || said.code == http.StatusForbidden):
		f.OK, f.Detail = true, fmt.Sprintf("refused: %d", said.code)
	case refused && said.code == http.StatusTooManyRequests:
		f.Detail = fmt.Sprintf("%v (the server looks at no more tokens of this address for now: check less often)", err)
	case err != nil:
		f.Detail = err.Error()
	default:
		f.Detail = "neither let in nor refused in time"
	}
	return f
}
