package main

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"waft/httppub"
	"waft/httppub/openapitest"
)

// There is no such realm, and what does not find it says so as the document has it. The realms' own handlers are held against the document
// by their tests.
func TestOpenAPI_document_is_served_and_true_of_a_realm_that_is_not_there(t *testing.T) {
	document := openapitest.MustParse(httppub.OpenAPI)
	r := serve(t, nil, "--config", writeConfig(t, readRealms))
	call := func(method, path, accept string) (status int, body string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, r.url()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Accept", accept)
		response, err := client(t).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		if err := document.Check(openapitest.Exchange{Request: request, Status: response.StatusCode, Header: response.Header, Body: text}); err != nil {
			t.Error(err)
		}
		return response.StatusCode, string(text)
	}
	if status, text := call("GET", "/openapi.json", ""); status != http.StatusOK || text != httppub.OpenAPI {
		t.Errorf("%d %s", status, text)
	}
	for _, o := range document.Operations() {
		if !strings.HasPrefix(o.Path, "/realm/") {
			continue
		}
		path := o.URL(func(string) string { return "nowhere" })
		for _, accept := range []string{"", "application/json"} {
			if status, text := call(o.Method, path, accept); status != http.StatusNotFound || strings.Contains(text, `"code":"not_found"`) != (accept != "") {
				t.Errorf("%s %s: %d %s", o.Method, path, status, text)
			}
		}
	}
	for _, path := range []string{"/", "/realm/default/nothing", "/openapi.yaml", "/realm/default/events/x"} {
		if status, text := call("GET", path, "application/json"); status != http.StatusNotFound {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
}
