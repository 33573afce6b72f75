package openapitest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

const small = `{
  "openapi": "3.1.0",
  "paths": {
    "/a/{x}/": {
      "post": {
        "operationId": "add",
        "parameters": [{"name": "n", "in": "query", "required": true, "schema": {"type": "integer", "minimum": 1}}],
        "requestBody": {"content": {"application/json": {"schema": {"type": "object", "properties": {"k": {"type": "string"}}, "required": ["k"]}}}},
        "responses": {
          "200": {
            "headers": {"X-Must": {"required": true, "schema": {"pattern": "^m$"}}},
            "content": {
              "application/json": {"schema": {"type": "object", "properties": {"v": {"type": "integer"}}, "required": ["v"]}},
              "application/x-ndjson": {"schema": {"type": "integer"}}
            }
          },
          "204": {"description": "nothing"},
          "500": {"description": "broken"}
        }
      }
    }
  },
  "components": {"responses": {
    "NotFound": {"content": {"text/plain": {"schema": {"type": "string"}}}},
    "MethodNotAllowed": {"headers": {"Allow": {"required": true, "schema": {}}}}
  }}
}`

// Each exchange but the first few has one thing wrong with it, and is found out by it.
func TestCheck_finds_what_is_not_documented(t *testing.T) {
	for _, c := range []struct {
		name, method, target, sent string
		status                     int
		header, body               string // "Name: value", separated by |
		wrong                      string // "": nothing
	}{
		{"right", "POST", "/a/1/?n=1", `{"k":"v","more":1}`, 200, "X-Must: m|Content-Type: application/json; charset=utf-8", `{"v":1}`, ""},
		{"right_without_a_slash", "POST", "/a/1?n=1", `{"k":"v"}`, 204, "", "", ""},
		{"right_lines", "POST", "/a/1?n=1", `{"k":"v"}`, 200, "X-Must: m|Content-Type: application/x-ndjson", "1\n2\n", ""},
		{"right_method_that_there_is_not", "PUT", "/a/1", "", 405, "Allow: POST", "", ""},
		{"right_address_that_there_is_not", "POST", "/a/1/2", "", 404, "Content-Type: text/plain", "no", ""},

		{"status", "POST", "/a/1/?n=1", `{"k":"v"}`, 201, "", "", "answered with 201"},
		{"status_of_no_address", "GET", "/b", "", 200, "", "", "answered with 200"},
		{"status_of_no_method", "GET", "/a/1", "", 200, "", "", "answered with 200"},
		{"allow", "PUT", "/a/1", "", 405, "Allow: GET", "", "allows"},
		{"content_type", "POST", "/a/1/?n=1", `{"k":"v"}`, 200, "X-Must: m|Content-Type: text/html", `{"v":1}`, "text/html"},
		{"content_where_none_is", "POST", "/a/1/?n=1", `{"k":"v"}`, 204, "", "x", "should have none"},
		{"member_that_is_missing", "POST", "/a/1/?n=1", `{"k":"v"}`, 200, "X-Must: m|Content-Type: application/json", `{}`, "missing"},
		{"member_that_is_new", "POST", "/a/1/?n=1", `{"k":"v"}`, 200, "X-Must: m|Content-Type: application/json", `{"v":1,"w":2}`, "additional"},
		{"type", "POST", "/a/1/?n=1", `{"k":"v"}`, 200, "X-Must: m|Content-Type: application/json", `{"v":"1"}`, "got string"},
		{"no_json", "POST", "/a/1/?n=1", `{"k":"v"}`, 200, "X-Must: m|Content-Type: application/json", `{`, "no JSON"},
		{"one_line", "POST", "/a/1?n=1", `{"k":"v"}`, 200, "X-Must: m|Content-Type: application/x-ndjson", "1\n\"2\"\n", "got string"},
		{"header_that_is_missing", "POST", "/a/1/?n=1", `{"k":"v"}`, 200, "Content-Type: application/json", `{"v":1}`, "no header X-Must"},
		{"header_that_is_wrong", "POST", "/a/1/?n=1", `{"k":"v"}`, 200, "X-Must: n|Content-Type: application/json", `{"v":1}`, "the header X-Must"},
		{"header_that_is_new", "POST", "/a/1/?n=1", `{"k":"v"}`, 204, "X-New: 1", "", "the header X-New"},
		{"taken_without_a_parameter", "POST", "/a/1/", `{"k":"v"}`, 204, "", "", "has no n"},
		{"taken_with_a_wrong_parameter", "POST", "/a/1/?n=0", `{"k":"v"}`, 204, "", "", "the parameter n"},
		{"taken_with_a_wrong_body", "POST", "/a/1/?n=1", `{}`, 204, "", "", "missing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := Exchange{Request: httptest.NewRequest(c.method, c.target, nil), Status: c.status, Header: http.Header{}, Body: []byte(c.body)}
			if c.sent != "" {
				x.Sent = []byte(c.sent)
			}
			for line := range strings.SplitSeq(c.header, "|") {
				if name, value, ok := strings.Cut(line, ": "); ok {
					x.Header.Add(name, value)
				}
			}
			err := MustParse(small).Check(x)
			if (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("%v, want %q", err, c.wrong)
			}
		})
	}
}

func TestUnseen_is_what_nobody_was_answered(t *testing.T) {
	d := MustParse(small)
	const address = "POST /a/{x}/ "
	if got := d.Unseen("add"); !slices.Equal(got, []string{address + "200", address + "204", "any 500"}) {
		t.Errorf("%q", got)
	}
	h := d.Handler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusNoContent)
	}))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/a/1/?n=1", strings.NewReader(`{"k":"v"}`)))
	server := httptest.NewServer(h)
	defer server.Close()
	response, err := server.Client().Post(server.URL+"/a/1/?n=1", "application/json", strings.NewReader(`{"k":"v"}`))
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if got := d.Unseen("add"); !slices.Equal(got, []string{address + "200", "any 500"}) {
		t.Errorf("%q", got)
	}
}
