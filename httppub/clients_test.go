package httppub

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"waft/broker"
)

// replay is a request as a client library sends it. {jwt} and {length} in the head are filled in.
type replay struct {
	name   string
	head   string
	jwt    string // the header of the token
	body   string
	status int
	answer string   // a part of it
	want   []string // what a subscriber gets, see door.received
}

// The heads that clients have in common. The order and the case of the fields are theirs.
const (
	nodeHead = `POST /realm/myrealm/publish/ HTTP/1.1
host: api.fanout.io
connection: keep-alive
Content-Type: application/json
Authorization: Bearer {jwt}
accept: */*
accept-language: *
sec-fetch-mode: cors
user-agent: node
accept-encoding: gzip, deflate
content-length: {length}`

	pythonHead = `POST /realm/myrealm//publish/ HTTP/1.1
Host: api.fanout.io
User-Agent: python-requests/2.28.1
Accept-Encoding: gzip, deflate
Accept: */*
Connection: keep-alive
Authorization: Bearer {jwt}
Content-Type: application/json
Content-Length: {length}`

	goHead = `POST /realm/myrealm/publish/ HTTP/1.1
Host: api.fanout.io
User-Agent: Go-http-client/1.1
Content-Length: {length}
Authorization: Bearer {jwt}
Content-Type: application/json
Accept-Encoding: gzip`

	rubyHead = `POST /realm/myrealm/publish/ HTTP/1.1
Accept-Encoding: gzip;q=1.0,deflate;q=0.6,identity;q=0.3
Accept: */*
User-Agent: Ruby
Authorization: Bearer {jwt}
Content-Type: application/json
Connection: close
Host: api.fanout.io
Content-Length: {length}`

	phpHead = `POST /realm/myrealm//publish/ HTTP/1.1
Host: api.fanout.io
Accept: */*
Authorization: Bearer {jwt}
Content-Type: application/json
Content-Length: {length}`

	typFirst = `{"typ":"JWT","alg":"HS256"}`
	algFirst = `{"alg":"HS256","typ":"JWT"}`
	algOnly  = `{"alg":"HS256"}`
)

func withBearer(head, credentials string) string {
	return strings.Replace(head, "Bearer {jwt}", credentials, 1)
}

var replays = []replay{
	{
		name: "fanoutpub 1.0.3",
		head: nodeHead, jwt: typFirst, status: 200, answer: "Published",
		body: `{"items":[{"json-object":"hello","channel":"chat/room-1"}]}`,
		want: []string{`/chat/room-1 "hello"`},
	},
	{
		name: "fanoutpub 1.0.3 with id and prev-id",
		head: nodeHead, jwt: typFirst, status: 200, answer: "Published",
		body: `{"items":[{"id":"2","prev-id":"1","json-object":{"a":"<&>é"},"channel":"news"}]}`,
		want: []string{`/news #2 {"a":"<&>é"}`},
	},
	{
		name: "fanoutpub 1.0.3 to a name no channel may have",
		head: nodeHead, jwt: typFirst, status: 400, answer: `items[0]: channel "/chat/room 1" has " " at byte 10`,
		body: `{"items":[{"json-object":"hello","channel":"chat/room 1"}]}`,
	},
	{
		name: "@fanoutio/pubcontrol 2.1.4 leaks exports",
		head: nodeHead, jwt: typFirst, status: 200, answer: "Published",
		body: `{"items":[{"exports":{},"id":"7","prev-id":"6","json-object":{"n":1},"channel":"news"}]}`,
		want: []string{`/news #7 {"n":1}`},
	},
	{
		name: "@fanoutio/pubcontrol 2.1.4 with Basic",
		head: withBearer(nodeHead, "Basic dTpw"), status: 401, answer: "Basic credentials are not accepted",
		body: `{"items":[{"exports":{},"json-object":[1],"channel":"news"}]}`,
	},
	{
		name: "grip 1.6.0",
		head: nodeHead, jwt: typFirst, status: 200, answer: "Published",
		body: `{"items":[{"http-response":{"body-bin":"AQL/"},"http-stream":{"content-bin":"AQL/"},"channel":"news"}]}`,
		want: []string{`/news http-response={"body-bin":"AQL/"} http-stream={"content-bin":"AQL/"}`},
	},
	{
		name: "@fanoutio/grip 4.3.0 nests",
		head: nodeHead, jwt: algOnly, status: 200, answer: "Published",
		body: `{"items":[{"formats":{"json-object":{"a":1}},"id":"1","channel":"news"}]}`,
		want: []string{`/news #1 {"a":1}`},
	},
	{
		name: "@fanoutio/grip 4.3.0 with three formats, one misused",
		head: nodeHead, jwt: algOnly, status: 200, answer: "Published",
		body: `{"items":[{"formats":{"http-stream":{"content":"x\n"},"ws-message":{"content-bin":"AQL/"},` +
			`"http-response":{"code":"text"}},"channel":"news"}]}`,
		want: []string{`/news http-response={"code":"text"} http-stream={"content":"x\n"} ws-message={"content-bin":"AQL/"}`},
	},
	{
		name: "@fanoutio/grip 4.3.0 closes",
		head: nodeHead, jwt: algOnly, status: 200, answer: "Published",
		body: `{"items":[{"formats":{"http-stream":{"action":"close","content":""}},"channel":"news"}]}`,
		want: []string{`/news http-stream={"action":"close","content":""}`},
	},
	{
		name: "@fanoutio/grip 4.3.0 with a key for a token",
		head: withBearer(nodeHead, "Bearer changeme"), status: 401, answer: "the token's signature is wrong",
		body: `{"items":[{"formats":{"json-object":1},"channel":"news"}]}`,
	},
	{
		name: "python pubcontrol 3.5.0 with a base address that ends in a slash, two items",
		head: pythonHead, jwt: algFirst, status: 200, answer: "Published",
		body: `{"items": [{"json-object": {"a": "\u00e9", "n": 1.0}, "id": "1", "channel": "news"}, ` +
			`{"http-stream": {"action": "close"}, "channel": "news"}]}`,
		want: []string{`/news #1 {"a":"\u00e9","n":1.0}`, `/news http-stream={"action":"close"}`},
	},
	{
		name: "python pubcontrol 3.5.0 with its broken Basic",
		head: withBearer(pythonHead, "Basic b'dTpw'"), status: 401, answer: "a bug of Python's pubcontrol",
		body: `{"items": [{"json-object": 1, "channel": "news"}]}`,
	},
	{
		name: "go-pubcontrol 1.2.0 escapes HTML",
		head: goHead, jwt: algFirst, status: 200, answer: "Published",
		body: `{"items":[{"channel":"news","json-object":"\u003c\u0026\u003e"}]}`,
		want: []string{`/news "\u003c\u0026\u003e"`},
	},
	{
		name: "go-pubcontrol 1.2.0 without credentials sends an empty Authorization",
		head: withBearer(goHead, ""), status: 401, answer: "items[0]: a token is needed to publish to /news",
		body: `{"items":[{"channel":"news","json-object":1}]}`,
	},
	{
		name: "go-pubcontrol 1.2.0 without credentials to an open channel",
		head: withBearer(goHead, ""), status: 200, answer: "Published",
		body: `{"items":[{"channel":"open","json-object":1}]}`,
		want: []string{`/open 1`},
	},
	{
		name: "ruby pubcontrol 1.3.0 groups ten items of one call",
		head: rubyHead, jwt: algOnly, status: 200, answer: "Published",
		body: `{"items":[` + strings.Repeat(`{"json-object":"日本語","channel":"a"},{"json-object":"日本語","channel":"b"},`, 4) +
			`{"json-object":"é","channel":"a"},{"json-object":"é","channel":"b"}]}`,
		want: []string{
			`/a "日本語"`, `/b "日本語"`, `/a "日本語"`, `/b "日本語"`, `/a "日本語"`, `/b "日本語"`, `/a "日本語"`, `/b "日本語"`,
			`/a "é"`, `/b "é"`,
		},
	},
	{
		name: "php pubcontrol 2.3.0 with a base address that ends in a slash",
		head: phpHead, jwt: algFirst, status: 200, answer: "Published",
		body: `{"items":[{"json-object":"\u00e9 a\/b","channel":"a\/b"}]}`,
		want: []string{`/a/b "\u00e9 a\/b"`},
	},
	{
		name: "php pubcontrol 2.3.0 with Basic",
		head: withBearer(phpHead, "Basic dTpw"), status: 401, answer: "so that it sends a token",
		body: `{"items":[{"json-object":1,"channel":"news"}]}`,
	},
	{
		name: "pushpin-publish falls in its own slash trap",
		head: strings.Replace(phpHead, "Authorization: Bearer {jwt}\n", "", 1), status: 200, answer: "Published",
		body: `{"items": [{"channel": "open/a", "formats": {"http-stream": {"content": "hello\n"}}}]}`,
		want: []string{`/open/a http-stream={"content":"hello\n"}`},
	},
	{
		name: "fanout's demos put the channel into the address",
		head: strings.Replace(nodeHead, "/publish/", "/publish/gamecast%2F42/", 1), jwt: typFirst, status: 200, answer: "Published",
		body: `{"items":[{"json-object":{"score":[1,0]}}]}`,
		want: []string{`/gamecast/42 {"score":[1,0]}`},
	},
	{
		name: "somebody's 2013 library writes fpp",
		head: nodeHead, jwt: typFirst, status: 200, answer: "Published",
		body: `{"items":[{"fpp":"hello","channel":"news"}]}`,
		want: []string{`/news "hello"`},
	},
}

// TestClients sends the addresses, credentials and bodies that the client libraries were seen to send, over a real
// connection. Only the tokens are made here, in each client's spelling.
func TestClients(t *testing.T) {
	for _, c := range replays {
		t.Run(c.name, func(t *testing.T) {
			d := openDoor(t, Options{}, broker.Options{})
			head := strings.ReplaceAll(c.head, "\n", "\r\n") + "\r\n\r\n"
			head = strings.Replace(head, "{jwt}", mint(c.jwt, `{"iss":"myrealm","exp":4102444800}`), 1)
			head = strings.Replace(head, "{length}", fmt.Sprint(len(c.body)), 1)

			w := exchange(t, d, head+c.body)
			expectAnswer(t, w, c.status, c.answer)
			if challenge := w.Header().Get("WWW-Authenticate"); c.status == 401 && !strings.HasPrefix(challenge, "Bearer") {
				t.Errorf("the 401 has WWW-Authenticate %q", challenge)
			}
			d.expect(t, c.want...)
		})
	}
}

// exchange sends the bytes of one request to a server with h, and notes down its answer.
func exchange(t *testing.T, h http.Handler, request string) *httptest.ResponseRecorder {
	t.Helper()
	server := httptest.NewServer(h)
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	w := httptest.NewRecorder()
	w.Code = resp.StatusCode
	maps.Copy(w.Header(), resp.Header)
	if _, err := w.Body.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	return w
}
