package main

import (
	"fmt"
	"strings"
	"testing"
)

// Which channels can be replayed, and in which shape, is up to the rules, also after a reload.
func TestReplay_goes_by_the_rules(t *testing.T) {
	const (
		key    = "[[realm.key]]\nsecret = '" + goodKey + "'\n"
		kept   = "[[realm.rule]]\nmatch = '/a/*'\npublish = 'anyone'\nhistory = { size = 9 }\n"
		sf     = "replay_id = true\n"
		quiet  = "[[realm.rule]]\nmatch = '/a/quiet'\n"
		narrow = "[realm.limits]\nmax_replay_channels = 1\n"
	)
	r := serveReloadable(t, nil, reloadBase+narrow+key+kept)
	replay := func(subscription string) string {
		t.Helper()
		id := handshake(t, r.url()+"/bayeux", "")
		_, answer := post(t, r.url()+"/bayeux", "", fmt.Sprintf(`[{"channel":"/meta/subscribe","clientId":%q,"id":"1","subscription":%q,"ext":{"replay":{%q:-2}}},`+
			`{"channel":"/meta/connect","clientId":%q,"id":"2","connectionType":"long-polling"}]`, id, subscription, subscription, id))
		return answer
	}
	publish := func(channel string) {
		t.Helper()
		if _, answer := post(t, r.url()+"/bayeux", "", fmt.Sprintf(`{"channel":%q,"data":{"n":1}}`, channel)); !strings.Contains(answer, `"successful":true`) {
			t.Fatal(answer)
		}
	}
	mustSay := func(what, answer, want string) {
		t.Helper()
		if !strings.Contains(answer, want) {
			t.Errorf("%s: %s does not say %s", what, answer, want)
		}
	}
	publish("/a/1")
	mustSay("kept", replay("/a/*"), `"data":{"n":1}}`)
	publish("/a/2")
	mustSay("above the limit", replay("/a/*"), `413:/a/*:`)

	r.reload(reloadBase + key + kept)
	mustSay("a limit that is gone", replay("/a/*"), `"data":{"n":1}}`)
	mustSay("all", replay("/**"), `"data":{"n":1}}`) // the built-in rule keeps a history

	r.reload(reloadBase + key + quiet + kept + sf)
	publish("/a/2")
	mustSay("the shape of a rule that is new", replay("/a/2"), `"data":{"n":1,"event":{"replayId":`)
	mustSay("a gap that is new", replay("/a/*"), `400:/a/quiet:`)
}
