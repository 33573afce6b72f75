package httppub

import (
	_ "embed"
	"net/http"
	"time"
)

// OpenAPI is the description of everything that waft serves over HTTP to programs, this package's addresses and those of the doors below it, as
// OpenAPI 3.1 has it. It is written by hand, and the handlers' tests hold every answer against it: see openapitest.
//
//go:embed openapi.json
var OpenAPI string

// DocumentPath is where a Document belongs.
const DocumentPath = "/openapi.json"

// Document is the http.Handler of the OpenAPI document. There is nothing in it that not everybody may know, and it changes with waft
// alone: caches may keep it.
type Document struct {
	origins origins
	body    []byte
	tag     string
}

const documentMethods = "GET, HEAD, OPTIONS"

// NewDocument makes the handler; pages of the origins may read it. The error is of kind Invalid.
func NewDocument(allowed []string) (*Document, error) {
	o, err := parseOrigins(allowed)
	if err != nil {
		return nil, err
	}
	body := []byte(OpenAPI)
	return &Document{origins: o, body: body, tag: entityTag(body)}, nil
}

// ServeHTTP answers one request.
func (d *Document) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.origins.admit(w, r)
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		w.Header().Set("Cache-Control", "public, max-age=3600")
		deliver(w, r, d.body, d.tag, time.Minute)
	case http.MethodOptions:
		d.origins.preflight(w, documentMethods)
	default:
		w.Header().Set("Allow", documentMethods)
		Refuse(w, r, ErrMethod("the document is read with GET"))
	}
}
