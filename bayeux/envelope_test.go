package bayeux

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"
	"pgregory.net/rapid"

	"waft/broker"
)

func TestParseBody(t *testing.T) {
	for _, c := range []struct {
		name, contentType, body string
		channels                string // of the messages; "!" for what is no object
		bad                     bool
	}{
		{"array", "application/json", `[{"channel":"/a"},{"channel":"/b"}]`, "/a /b", false},
		{"object", "application/json", ` {"channel":"/a"} `, "/a", false},
		{"json in disguise", "text/plain", `[{"channel":"/a"}]`, "/a", false},
		{"json without a type", "", `[{"channel":"/a"}]`, "/a", false},
		{"form without a type", "", "message=%5B%7B%22channel%22%3A%22%2Fa%22%7D%5D", "/a", false},
		{"xml, says old IE", "application/xml", "message=%7B%22channel%22%3A%22%2Fa%22%7D", "/a", false},
		{"form with a plus", "", `message={"channel":"/a","data":"b+c"}`, "/a", false},
		{"empty", "application/json", "", "", true},
		{"scalar", "application/json", "42", "", true},
		{"form without message", "", "a=b", "", true},
		{"form with a bad second message", "", "message=[]&message=x", "", true},
		{"nested", "application/json", `[[{"channel":"/a"}],{"channel":"/b"},null,7]`, "! /b !", false},
		{"repeated member: the last counts", "application/json", `{"channel":"/a","channel":"/b"}`, "/b", false},
		{"escaped member name", "application/json", `{"ch\u0061nnel":"/a"}`, "/a", false},
		{"broken UTF-8", "application/json", "[{\"channel\":\"/\xff\"}]", "", true},
		{"control character in a string", "application/json", "[{\"channel\":\"/\x01\"}]", "", true},
		{"rest behind the end", "application/json", `[{"channel":"/a"}]]`, "", true},
		{"too deep", "application/json", strings.Repeat("[", 60_000) + strings.Repeat("]", 60_000), "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			ms, err := parseBody(nil, c.contentType, c.body, 10)
			if (err != nil) != c.bad {
				t.Fatal(err)
			}
			var got []string
			for _, m := range ms {
				if m.notObject {
					got = append(got, "!")
				} else {
					got = append(got, m.channel)
				}
			}
			if !c.bad {
				equal(t, "channels", strings.Join(got, " "), c.channels)
			}
		})
	}
}

func TestParse_client_timeout(t *testing.T) {
	for advice, want := range map[string]time.Duration{
		`{"timeout":700}`: 700 * time.Millisecond, `{"timeout":0}`: 0, `{"timeout":-5}`: 0, `{"timeout":1e300}`: 24 * time.Hour,
		`{"timeout":"700"}`: -1, `{}`: -1, `null`: -1, `7`: -1, `[{"timeout":7}]`: -1, `{"timeout":1.5}`: 1500 * time.Microsecond,
	} {
		ms, err := parseJSON(nil, `{"advice":`+advice+`}`, 1)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, advice, ms[0].timeout, want)
	}
}

// wrongAnswer posts a body. Whatever it is, the door answers with one sentence, or with a JSON array in which every message
// keeps to the rules; if it does not, the result says how.
func wrongAnswer(h http.Handler, contentType, body string) string {
	r := httptest.NewRequest(http.MethodPost, "/bayeux", strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	answer := w.Body.String()
	switch w.Code {
	case http.StatusOK:
		if !json.Valid(w.Body.Bytes()) {
			return "not JSON: " + answer
		}
		for _, m := range gjson.Parse(answer).Array() {
			if wrong := brokenRule(m); wrong != "" {
				return wrong + ": " + m.Raw
			}
		}
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
		if strings.Count(answer, "\n") != 1 {
			return "not one line: " + answer
		}
	default:
		return "status " + strconv.Itoa(w.Code)
	}
	return ""
}

// hurried answers connects soon.
func hurried(t testing.TB) *server {
	return newServer(t, func(o *Options, _ *broker.Options) { o.Timeout = time.Nanosecond })
}

func TestErrors_keep_to_the_grammar_whatever_is_sent(t *testing.T) {
	s := hurried(t)
	id := s.connected()
	rapid.Check(t, func(t *rapid.T) {
		quoted := func(name string) string {
			b, _ := json.Marshal(rapid.String().Draw(t, name))
			return string(b)
		}
		member := rapid.SampledFrom([]string{"clientId", "subscription", "connectionType", "version", "error", "id", "data", "ext"})
		channel := rapid.OneOf(rapid.SampledFrom([]string{
			"/meta/handshake", "/meta/connect", "/meta/subscribe", "/meta/unsubscribe", "/meta/disconnect", "/closed/a", "/token/a", "/service/a",
		}), rapid.String()).Draw(t, "channel")
		name, _ := json.Marshal(channel)
		message := `{"channel":` + string(name)
		if channel != "/meta/disconnect" && rapid.Bool().Draw(t, "known") {
			message += `,"clientId":"` + id + `"`
		}
		for range rapid.IntRange(0, 4).Draw(t, "members") {
			message += `,"` + member.Draw(t, "member") + `":` + quoted("value")
		}
		message += `,"supportedConnectionTypes":[` + quoted("type") + `]}`
		if wrong := wrongAnswer(s.h, "application/json", "["+message+"]"); wrong != "" {
			t.Fatal(wrong)
		}
	})
}

func FuzzEnvelope(f *testing.F) {
	for _, seed := range []string{
		"[" + handshakeMessage + "]", handshakeMessage, "[]", "null", `[{"channel":"/a","data":{"x":[1,2.0,"é"]},"id":0,"ext":{"binary":{}}}]`,
		"message=" + url.QueryEscape("["+handshakeMessage+"]") + "&message=%7B%7D",
		`[{"channel":"/meta/connect","clientId":"x","connectionType":"websocket","advice":{"timeout":0},"id":"1"}]`,
		`[{"channel":"/meta/subscribe","clientId":"x","subscription":["/a","/b/**"],"id":7}]`, `[{"ch\u0061nnel":"\ud800"}]`, "[[[",
	} {
		f.Add("application/json", seed)
		f.Add("text/plain;charset=UTF-8", seed)
	}
	s := hurried(f)
	f.Fuzz(func(t *testing.T, contentType, body string) {
		if strings.ContainsAny(contentType, "\r\n") {
			return
		}
		if wrong := wrongAnswer(s.h, contentType, body); wrong != "" {
			t.Fatal(wrong)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	one := `[{"channel":"/chat/demo","data":{"user":"alice","text":"hello world, this is a message of usual length"},"clientId":"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567","id":"1a"}]`
	ten := "[" + strings.Repeat(one[1:len(one)-1]+",", 9) + one[1:]
	for name, body := range map[string]string{"one": one, "ten": ten} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			var ms []message
			for b.Loop() {
				var err error
				if ms, err = parseJSON(ms[:0], body, 100); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
