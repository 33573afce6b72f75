package openapitest

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"

	"pgregory.net/rapid"
)

// Known is what a test knows of its handler, and a document does not: values that mean something, by the name of the parameter or the member.
// "Authorization" are whole headers.
type Known map[string][]string

// Sample is a request made from the document, right or wrong.
type Sample struct {
	Method, Path, Query string // as they stand in the request
	Header              http.Header
	Body                []byte
	Cut                 bool // the body breaks off before its end
}

// Request makes it one for a handler.
func (s Sample) Request() *http.Request {
	var body io.Reader = bytes.NewReader(s.Body)
	if len(s.Body) == 0 && !s.Cut {
		body = http.NoBody
	}
	r := httptest.NewRequest(http.MethodGet, "/", body)
	r.Method, r.Header = s.Method, s.Header
	r.URL = &url.URL{RawPath: s.Path, Path: s.Path, RawQuery: s.Query}
	if path, err := url.PathUnescape(s.Path); err == nil {
		r.URL.Path = path
	} else {
		r.URL.RawPath = "" // what cannot be unescaped is refused by net/http
	}
	if s.Cut {
		r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(s.Body), broken{}))
		r.ContentLength = int64(len(s.Body)) + 1
	}
	return r
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// Samples makes requests of the operation: half of them as the document wants them, as far as it says, and the others with something wrong.
func (d *Document) Samples(o *Operation, known Known) *rapid.Generator[Sample] {
	return rapid.Custom(func(t *rapid.T) Sample {
		g := &maker{d: d, t: t, known: known, wrong: rapid.Bool().Draw(t, "wrong")}
		s := Sample{Method: o.Method, Header: http.Header{}}
		if g.err("method", 10) {
			s.Method = rapid.SampledFrom([]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"}).Draw(t, "method")
		}
		s.Path = o.URL(func(name string) string { return g.text(name, o.inPath(name)) })
		if g.err("path", 10) {
			s.Path += rapid.SampledFrom([]string{"x", "/x", "//", "%zz", "%2F", "%00", "/..", "é", "/messages", "/messages/x/y"}).Draw(t, "tail")
		}
		s.Query = g.query(o)
		g.headers(o, s.Header)
		if _, _, err := d.resolve(o.at + "/requestBody"); err == nil {
			s.Body = g.body(o, s.Header)
			s.Cut = g.err("cut", 10)
		} else if g.err("body", 10) {
			s.Body = []byte("{}")
		}
		return s
	})
}

// inPath is the schema of a parameter in the path.
func (o *Operation) inPath(name string) map[string]any {
	for _, p := range o.parameters {
		if p.in == "path" && p.name == name {
			return p.schema
		}
	}
	return nil
}

type maker struct {
	d     *Document
	t     *rapid.T
	known Known
	wrong bool
}

// err decides whether here is something wrong: in one of n requests that have something.
func (g *maker) err(what string, n int) bool {
	return g.wrong && rapid.IntRange(1, n).Draw(g.t, what+" is wrong") == 1
}

func (g *maker) one(what string, n int) bool { return rapid.IntRange(1, n).Draw(g.t, what) == 1 }

// text is a value of a parameter: a known one, or as its schema has it, or a hostile one.
func (g *maker) text(name string, schema map[string]any) string {
	if g.err(name, 6) {
		return g.hostile(name)
	}
	if list := g.known[name]; len(list) > 0 && !g.one(name+" is made up", 8) {
		return rapid.SampledFrom(list).Draw(g.t, name)
	}
	switch v := g.value(name, schema, 0).(type) {
	case string:
		return v
	default:
		text, _ := json.Marshal(v)
		return string(text)
	}
}

func (g *maker) hostile(name string) string {
	return rapid.OneOf(
		rapid.SampledFrom([]string{
			"", " ", "/", "..", "a b", "a//b", "\x00", "\xff\xfe", "é", "\r\nX: y", "-1", "0", "1e9", "99999999999999999999", "null", "*", "/**",
			"meta/connect", "/service/x", "%zz", "'\"<>", strings.Repeat("x", 600), strings.Repeat("a/", 40), "zzzzzzzzzzzzz-99999999999999999999",
		}),
		rapid.StringN(0, 20, 60),
	).Draw(g.t, "hostile "+name)
}

func (g *maker) query(o *Operation) string {
	var parts []string
	add := func(name, value string) { parts = append(parts, url.QueryEscape(name)+"="+url.QueryEscape(value)) }
	for _, p := range o.parameters {
		if p.in != "query" || !(p.required && !g.err("required "+p.name, 6)) && !g.one("has "+p.name, 6) {
			continue
		}
		schema := p.schema
		if items, ok := schema["items"].(map[string]any); ok {
			schema = items
		}
		add(p.name, g.text(p.name, schema))
		if g.err("twice "+p.name, 10) {
			add(p.name, g.text(p.name, schema))
		}
	}
	if g.one("cache buster", 8) {
		add("_", "1")
	}
	if g.err("query", 8) {
		parts = append(parts, rapid.SampledFrom([]string{"unknown=1", "%", "a=%zz", ";", "=", "limit", "\xff=1"}).Draw(g.t, "bad query"))
	}
	return strings.Join(parts, "&")
}

func (g *maker) headers(o *Operation, h http.Header) {
	if accept := rapid.SampledFrom([]string{"", "application/json", "text/plain", "*/*", ",;="}).Draw(g.t, "Accept"); accept != "" {
		h.Set("Accept", accept)
	}
	if list := g.known["Authorization"]; len(list) > 0 && !g.one("anonymous", 6) {
		h.Set("Authorization", rapid.SampledFrom(list).Draw(g.t, "Authorization"))
	} else if g.err("Authorization", 3) {
		h.Set("Authorization", g.hostile("Authorization"))
	}
	for _, p := range o.parameters {
		if p.in == "header" && p.name != "Content-Encoding" && g.one("has "+p.name, 8) {
			h.Set(p.name, g.text(p.name, p.schema))
		}
	}
}

// value is one that the schema allows, as far as its part is known here.
func (g *maker) value(name string, schema map[string]any, depth int) any {
	if ref, ok := schema["$ref"].(string); ok {
		_, found, err := g.d.resolve(strings.TrimPrefix(ref, "#"))
		if err != nil {
			g.t.Fatal(err)
		}
		return g.value(name, found, depth)
	}
	if v, ok := schema["const"]; ok {
		return v
	}
	if list, ok := schema["enum"].([]any); ok {
		return rapid.SampledFrom(list).Draw(g.t, name)
	}
	if list, ok := schema["oneOf"].([]any); ok {
		return g.value(name, rapid.SampledFrom(list).Draw(g.t, name+" is one").(map[string]any), depth)
	}
	if list := g.known[name]; len(list) > 0 && !g.one(name+" is made up", 8) {
		return rapid.SampledFrom(list).Draw(g.t, name)
	}
	kind := schema["type"]
	if list, ok := kind.([]any); ok {
		kind = rapid.SampledFrom(list).Draw(g.t, name+" is a")
	}
	switch kind {
	case "string":
		if p, ok := schema["pattern"].(string); ok {
			return rapid.StringMatching(p).Draw(g.t, name)
		}
		return rapid.StringN(1, 12, 40).Draw(g.t, name)
	case "integer":
		low, high := 0, 100
		if n, ok := schema["minimum"].(float64); ok {
			low = int(n)
		}
		if n, ok := schema["maximum"].(float64); ok {
			high = int(n)
		}
		return rapid.IntRange(low, high).Draw(g.t, name)
	case "boolean":
		return rapid.Bool().Draw(g.t, name)
	case "array":
		items, _ := schema["items"].(map[string]any)
		list := make([]any, rapid.IntRange(0, 4).Draw(g.t, name+" has"))
		for i := range list {
			list[i] = g.value(name, items, depth+1)
		}
		return list
	case "object":
		return g.object(schema, depth)
	}
	return g.anything(name, depth)
}

func (g *maker) object(schema map[string]any, depth int) any {
	properties, _ := schema["properties"].(map[string]any)
	required, _ := schema["required"].([]any)
	object := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		often := 4
		if g.known[name] != nil {
			often = 2
		}
		if slices.Contains(required, any(name)) || g.one("has "+name, often) {
			object[name] = g.value(name, properties[name].(map[string]any), depth+1)
		}
	}
	if g.one("has more", 10) {
		object["more"] = g.anything("more", depth)
	}
	return object
}

func (g *maker) anything(name string, depth int) any {
	most := 5
	if depth > 4 {
		most = 3
	}
	switch rapid.IntRange(0, most).Draw(g.t, name+" is") {
	case 0:
		return nil
	case 1:
		return rapid.Bool().Draw(g.t, name)
	case 2:
		return json.Number(rapid.StringMatching(`-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,5})?(e[+-]?[0-9]{1,3})?`).Draw(g.t, name))
	case 3:
		return rapid.StringN(0, 10, 30).Draw(g.t, name)
	case 4:
		list := make([]any, rapid.IntRange(0, 3).Draw(g.t, name+" has"))
		for i := range list {
			list[i] = g.anything(name, depth+1)
		}
		return list
	}
	return map[string]any{rapid.StringN(0, 5, 20).Draw(g.t, "member"): g.anything(name, depth+1)}
}

// body is one of a content type that the operation takes.
func (g *maker) body(o *Operation, h http.Header) []byte {
	_, content, err := g.d.resolve(o.at + "/requestBody/content")
	if err != nil {
		g.t.Fatal(err)
	}
	media := rapid.SampledFrom(slices.Sorted(maps.Keys(content))).Draw(g.t, "Content-Type")
	h.Set("Content-Type", media)
	_, schema, err := g.d.resolve(o.at + "/requestBody/content/" + escape(media) + "/schema")
	if err != nil {
		g.t.Fatal(err)
	}
	n := 1
	if media == "application/x-ndjson" {
		n = rapid.IntRange(0, 5).Draw(g.t, "lines")
	}
	var body []byte
	for i := range n {
		value := g.value("body", schema, 0)
		if g.err("body", 2) {
			value = g.bend(value)
		}
		text, _ := json.Marshal(value)
		if g.err("text", 4) {
			text = g.scratch(text)
		}
		if i > 0 {
			body = append(body, '\n')
		}
		body = append(body, text...)
	}
	if g.err("type", 10) {
		h.Set("Content-Type", rapid.SampledFrom([]string{"text/xml", "application/x-ndjson", "?", ""}).Draw(g.t, "other type"))
	}
	if g.one("packed", 6) {
		return g.pack(body, h)
	}
	return body
}

func (g *maker) pack(body []byte, h http.Header) []byte {
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	_, _ = zip.Write(body) // a buffer takes everything
	_ = zip.Close()
	h.Set("Content-Encoding", "gzip")
	if g.err("encoding", 4) {
		h.Set("Content-Encoding", rapid.SampledFrom([]string{"br", "identity", "gzip, gzip"}).Draw(g.t, "Content-Encoding"))
	}
	packed := out.Bytes()
	if g.err("packed", 4) {
		packed = packed[:rapid.IntRange(0, len(packed)-1).Draw(g.t, "packed to")]
	}
	return packed
}

// bend puts something else in the place of a part of a value, takes a member away, or adds one.
func (g *maker) bend(v any) any {
	if g.one("here", 4) {
		return g.anything("instead", 0)
	}
	switch x := v.(type) {
	case []any:
		if len(x) > 0 {
			i := rapid.IntRange(0, len(x)-1).Draw(g.t, "at")
			x[i] = g.bend(x[i])
		}
	case map[string]any:
		if len(x) == 0 {
			break
		}
		name := rapid.SampledFrom(slices.Sorted(maps.Keys(x))).Draw(g.t, "member")
		if g.one("without", 3) {
			delete(x, name)
		} else {
			x[name] = g.bend(x[name])
		}
	default:
		return g.anything("instead", 0)
	}
	return v
}

// scratch spoils a text of JSON.
func (g *maker) scratch(text []byte) []byte {
	at := rapid.IntRange(0, len(text)).Draw(g.t, "at byte")
	switch rapid.IntRange(0, 5).Draw(g.t, "scratch") {
	case 0:
		return text[:at]
	case 1:
		return slices.Concat(text[:at], []byte("\xff"), text[at:])
	case 2:
		return slices.Concat(text[:at], []byte(rapid.SampledFrom([]string{"{", "]", ",", `"`, "\x00", "\\", "1", "\n"}).Draw(g.t, "byte")), text[at:])
	case 3: // every member twice
		return bytes.ReplaceAll(text, []byte(`"id":`), []byte(`"id":"0","id":`))
	case 4:
		deep := rapid.SampledFrom([]int{100, 200, 5000}).Draw(g.t, "deep")
		return []byte(strings.Repeat(`{"json-object":[`, deep) + strings.Repeat("]}", deep))
	default:
		return bytes.Replace(text, []byte(`"`), []byte(`"`+strings.Repeat("long ", rapid.IntRange(100, 5000).Draw(g.t, "long"))), 1)
	}
}
