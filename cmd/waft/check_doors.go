package main

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// checkDoor is a way to listen to a server, as a stranger with a token does.
type checkDoor interface {
	// listen subscribes to the run's channel and hands on what comes, until ctx ends, heard wants no more (both: nil), or it fails.
	// A refusal is a *refusedError with its number. Nothing is tried twice: what a real client gets over is for a check a fault.
	listen(ctx context.Context, as secret, on listening) error
}

// listening is what a door tells, from the goroutine that called listen.
type listening struct {
	ready func()                               // whatever is published from now on will come; at most once
	heard func(data json.RawMessage) (on bool) // a message's data, as it came
}

// checkDoors makes them, by the names that --protocol has. What is added here is checked like the rest.
var checkDoors = map[string]func(*checkRun, *http.Client) checkDoor{
	"bayeux-websocket": func(k *checkRun, _ *http.Client) checkDoor { return &checkSocket{k} },
	"bayeux-polling":   func(k *checkRun, web *http.Client) checkDoor { return &checkPolling{run: k, web: web} },
	"events":           func(k *checkRun, web *http.Client) checkDoor { return &checkEvents{k, web} },
	"messages":         func(k *checkRun, web *http.Client) checkDoor { return &checkHistory{k, web} },
	"websocket":        func(k *checkRun, _ *http.Client) checkDoor { return &checkPlainSocket{k} },
}

// checkProtocols are the names of the doors.
func checkProtocols() []string { return slices.Sorted(maps.Keys(checkDoors)) }

const maxCheckAnswer = 8 << 20 // bytes

// get asks for an address with a token.
func get(ctx context.Context, web *http.Client, to *url.URL, as secret, accept string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, to.String(), nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", accept)
	as.show(request)
	response, err := web.Do(request)
	if err != nil {
		return nil, withoutAddress(err)
	}
	if response.StatusCode != http.StatusOK {
		defer response.Body.Close()
		return nil, answered(response)
	}
	return response, nil
}

// withoutAddress takes the method and the address off an error of net/http: the report has them.
func withoutAddress(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// unlessOver is err, but nil if ctx has ended: then it only says so.
func unlessOver(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return nil
}

// colons writes a channel's name as one part of an address.
func colons(channel string) string {
	return strings.ReplaceAll(strings.TrimPrefix(channel, "/"), "/", ":")
}
