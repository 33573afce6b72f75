package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"hash"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// crafted is a token of these parts, signed with key.
func crafted(t *testing.T, h func() hash.Hash, key []byte, header, payload string) string {
	t.Helper()
	text := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload))
	mac := hmac.New(h, key)
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// hostileTokens are bad in all the ways that a stranger can think of who has a good one, or knows how one looks. Package auth has a longer
// table, with the reasons; this one is for the doors.
func hostileTokens(t *testing.T) (good string, bad map[string]string) {
	key, err := base64.StdEncoding.DecodeString(goodKey)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().Unix()
	const head = `{"alg":"HS256","typ":"JWT"}`
	payload := fmt.Sprintf(`{"iss":"default","exp":%d}`, now+3600)
	good = crafted(t, sha256.New, key, head, payload)
	parts := strings.Split(good, ".")
	b64 := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	tokens := map[string]string{
		"a word": "token", "a dot": ".", "two dots": "..", "three dots": "...", "null": "null", "an API key nobody has": "waft_" + strings.Repeat("a", 40),
		"two parts": parts[0] + "." + parts[1], "four parts": good + ".x", "five parts": "a.b.c.d.e", "no signature": parts[0] + "." + parts[1] + ".",
		"no header": "." + parts[1] + "." + parts[2], "no payload": parts[0] + ".." + parts[2], "padding": good + "=", "another alphabet": parts[0] + "." + parts[1] + ".++//",
		"its signature twice": good + parts[2], "half its signature": good[:len(good)-20], "zeros for a signature": parts[0] + "." + parts[1] + "." + strings.Repeat("A", 43),
		"its parts turned round": parts[2] + "." + parts[1] + "." + parts[0], "of 8 KB": good + strings.Repeat("A", 8100), "quoted": `"` + good + `"`,
		"another payload": parts[0] + "." + b64(strings.Replace(payload, "}", `,"sub":"root"}`, 1)) + "." + parts[2], "another header": b64(`{"alg":"HS256"}`) + "." + parts[1] + "." + parts[2],
		"signed with the key's text": crafted(t, sha256.New, []byte(goodKey), head, payload), "signed with nothing": crafted(t, sha256.New, nil, head, payload),
		"signed with another key": crafted(t, sha256.New, []byte("what somebody else has for a key"), head, payload), "HS512 that says HS256": crafted(t, sha512.New, key, head, payload),
		"HS512": crafted(t, sha512.New, key, `{"alg":"HS512"}`, payload), "none": b64(`{"alg":"none"}`) + "." + parts[1] + ".",
	}
	for name, header := range map[string]string{
		"alg none, signed": `{"alg":"none"}`, "alg nOnE": `{"alg":"nOnE"}`, "alg RS256": `{"alg":"RS256"}`, "alg EdDSA": `{"alg":"EdDSA"}`, "no alg": `{"typ":"JWT"}`, "alg null": `{"alg":null}`,
		"alg twice": `{"alg":"none","alg":"HS256"}`, "crit": `{"alg":"HS256","crit":["exp"]}`, "an empty crit": `{"alg":"HS256","crit":[]}`, "crit b64": `{"alg":"HS256","crit":["b64"],"b64":false}`,
		"a number for a kid": `{"alg":"HS256","kid":1}`, "a header that is no object": `["HS256"]`, "a header that is no JSON": `HS256`, "two headers": head + head,
	} {
		tokens[name] = crafted(t, sha256.New, key, header, payload)
	}
	for name, claims := range map[string]string{
		"no claims": `{}`, "no payload object": `null`, "text for a payload": `hello`, "no iss": `{"exp":%d}`, "no exp": `{"iss":"default"}`, "iss null": `{"iss":null,"exp":%d}`,
		"another realm": `{"iss":"another","exp":%d}`, "the realm in capitals": `{"iss":"DEFAULT","exp":%d}`, "a list of realms": `{"iss":["default"],"exp":%d}`, "iss twice": `{"iss":"another","iss":"default","exp":%d}`,
		"exp in quotes": `{"iss":"default","exp":"%d"}`, "exp null": `{"iss":"default","exp":null}`, "exp zero": `{"iss":"default","exp":0}`, "exp negative": `{"iss":"default","exp":-%d}`,
		"exp long ago": `{"iss":"default","exp":946684800}`, "exp in milliseconds": `{"iss":"default","exp":%d000}`, "exp huge": `{"iss":"default","exp":1e400}`, "exp twice": `{"iss":"default","exp":1,"exp":%d}`,
		"nbf tomorrow": `{"iss":"default","exp":%d,"nbf":99999999999}`, "nbf in quotes": `{"iss":"default","exp":%d,"nbf":"0"}`, "for somebody else": `{"iss":"default","exp":%d,"aud":"billing"}`,
		"a number for a sub": `{"iss":"default","exp":%d,"sub":7}`, "a line break in its sub": `{"iss":"default","exp":%d,"sub":"a\nb"}`, "waft is a word": `{"iss":"default","exp":%d,"waft":"all"}`,
		"rights that are no list": `{"iss":"default","exp":%d,"waft":{"publish":"/**"}}`, "manage is a number": `{"iss":"default","exp":%d,"waft":{"manage":1}}`,
	} {
		if strings.Contains(claims, "%d") {
			claims = fmt.Sprintf(claims, now+3600)
		}
		tokens[name] = crafted(t, sha256.New, key, head, claims)
	}
	return good, tokens
}

// Every door refuses all of them, the same way, and takes nobody who shows one for somebody who shows none: here anyone may listen and publish.
func TestHostile_tokens_are_refused_on_every_door(t *testing.T) {
	r := serve(t, nil, "--config", writeConfig(t, "[[realm]]\nid = 'default'\n[[realm.key]]\nsecret = '"+goodKey+"'\n[realm.bayeux]\nbad_tokens_per_address = 100000\n"+
		"[realm.http]\nbad_tokens_per_address = 100000\n[[realm.rule]]\nmatch = '/**'\nsubscribe = 'anyone'\nread = 'anyone'\npublish = 'anyone'\nhistory = { size = 10 }\n"))
	call := func(method, path string) func(string) string {
		return func(token string) string {
			status, _ := r.call(t, method, "/realm/default/"+path, token)
			return fmt.Sprint(status)
		}
	}
	stream := func(query, token string) string { // one that lets somebody in does not end
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url()+"/realm/default/events?channel=/x"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		newSecret(token).show(request)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err.Error()
		}
		defer response.Body.Close()
		return fmt.Sprint(response.StatusCode)
	}
	bayeux := func(token, message string) string {
		if reply := r.bayeuxPost(t, defaultRealm, "", fmt.Sprintf(message, strings.ReplaceAll(token, `"`, `\"`))); strings.Contains(reply, `"successful":false`) && !strings.Contains(reply, `"successful":true`) {
			return "401"
		}
		return "let in"
	}
	session := r.clientID(t, defaultRealm, "")
	doors := map[string]func(token string) string{
		"publish": func(token string) string {
			status, _ := post(t, r.url()+"/realm/default/publish/", token, `{"items":[{"channel":"/x","json-object":1}]}`)
			return fmt.Sprint(status)
		},
		"channels": call(http.MethodGet, "channels/"), "messages": call(http.MethodGet, "channels/x/messages"), "delete": call(http.MethodDelete, "channels/x/messages/1"),
		"sessions": call(http.MethodGet, "sessions/"), "usage": call(http.MethodGet, "usage"), "events": func(token string) string { return stream("", token) },
		"events, in the address": func(token string) string { return stream("&access_token="+url.QueryEscape(token), "") },
		"ws": func(token string) string {
			_, response, err := websocket.DefaultDialer.DialContext(t.Context(), webSocketScheme("http")+strings.TrimPrefix(r.url(), "http")+"/realm/default/ws", http.Header{"Authorization": {"Bearer " + token}})
			if response == nil {
				return err.Error()
			}
			defer response.Body.Close()
			return fmt.Sprint(response.StatusCode)
		},
		"ws, in a frame": func(token string) string {
			ws, response, err := websocket.DefaultDialer.DialContext(t.Context(), webSocketScheme("http")+strings.TrimPrefix(r.url(), "http")+"/realm/default/ws", nil)
			if err != nil {
				return err.Error()
			}
			defer response.Body.Close()
			defer ws.Close()
			_ = ws.SetReadDeadline(time.Now().Add(time.Minute))
			var answer plainFrame
			if err := ws.WriteJSON(plainFrame{Type: "auth", Token: token}); err != nil {
				return err.Error()
			}
			if err := ws.ReadJSON(&answer); err != nil {
				return err.Error()
			}
			if _, _, err := ws.ReadMessage(); !websocket.IsCloseError(err, 4401) {
				return "open"
			}
			return fmt.Sprint(plainCodes[answer.Code])
		},
		"handshake": func(token string) string {
			return bayeux(token, `[{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"],"ext":{"token":"%s"}}]`)
		},
		"subscribe": func(token string) string {
			return bayeux(token, `[{"channel":"/meta/subscribe","clientId":"`+session+`","subscription":"/x","ext":{"token":"%s"}}]`)
		},
		"event": func(token string) string {
			return bayeux(token, `[{"channel":"/x","clientId":"`+session+`","data":1,"ext":{"token":"%s"}}]`)
		},
	}
	good, tokens := hostileTokens(t)
	if got := doors["usage"](good); got != "200" {
		t.Fatalf("the good token that they are made of: %s", got)
	}
	if len(tokens) < 60 {
		t.Errorf("%d hostile tokens", len(tokens))
	}
	for name, token := range tokens {
		for door, try := range doors {
			if got := try(token); got != "401" {
				t.Errorf("%s, with a token that is %s: %s", door, name, got)
			}
		}
	}
	_, metrics := r.get(t, "/metrics")
	if !strings.Contains(metrics, `waft_messages_published_total{realm="default"} 0`) {
		t.Error("something was published")
	}
}
