package openapitest

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Document is an OpenAPI document, and what was seen of it. It may be used by many goroutines.
type Document struct {
	// static
	root       map[string]any
	operations []*Operation
	compiler   *jsonschema.Compiler // guarded by mu

	mu      sync.Mutex // guards the rest
	schemas map[string]*jsonschema.Schema
	seen    map[string]bool // see mark
}

// Operation is a method of an address.
type Operation struct {
	Method string
	Path   string // template
	ID     string

	at         string // JSON pointer
	segments   []string
	rest       bool // the last parameter takes all that is left of a path
	object     map[string]any
	parameters []parameter
}

// parameter is one of an operation's.
type parameter struct {
	name, in string
	required bool
	at       string // JSON pointer of its schema
	schema   map[string]any
}

// MustParse reads a document of JSON; it panics if that is none.
func MustParse(text string) *Document {
	d := &Document{schemas: map[string]*jsonschema.Schema{}, seen: map[string]bool{}}
	if err := d.parse(text); err != nil {
		panic(fmt.Sprintf("the OpenAPI document: %v", err))
	}
	return d
}

func (d *Document) parse(text string) error {
	if err := json.Unmarshal([]byte(text), &d.root); err != nil {
		return err
	}
	if err := d.compile(text); err != nil {
		return err
	}
	paths, _ := d.root["paths"].(map[string]any)
	for path, item := range paths {
		if err := d.addPath(path, item.(map[string]any)); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	slices.SortFunc(d.operations, func(a, b *Operation) int { return strings.Compare(a.Path+" "+a.Method, b.Path+" "+b.Method) })
	return nil
}

// Operations lists them, by address.
func (d *Document) Operations() []*Operation { return d.operations }

var methods = []string{"get", "put", "post", "delete", "options", "patch"}

func (d *Document) addPath(path string, item map[string]any) error {
	for _, method := range methods {
		object, ok := item[method].(map[string]any)
		if !ok {
			continue
		}
		at := "/paths/" + escape(path)
		o := &Operation{
			Method: strings.ToUpper(method), Path: path, at: at + "/" + method, object: object,
			segments: strings.Split(strings.Trim(path, "/"), "/"),
		}
		o.ID, _ = object["operationId"].(string)
		for _, list := range []struct {
			at   string
			from any
		}{{at, item["parameters"]}, {o.at, object["parameters"]}} {
			given, _ := list.from.([]any)
			for i := range given {
				where, p, err := d.resolve(fmt.Sprintf("%s/parameters/%d", list.at, i))
				if err != nil {
					return err
				}
				o.add(where, p)
			}
		}
		d.operations = append(d.operations, o)
	}
	return nil
}

func (o *Operation) add(at string, p map[string]any) {
	one := parameter{at: at + "/schema"}
	one.name, _ = p["name"].(string)
	one.in, _ = p["in"].(string)
	one.required, _ = p["required"].(bool)
	one.schema, _ = p["schema"].(map[string]any)
	if rest, _ := p["x-rest-of-path"].(bool); rest {
		o.rest = true
	}
	o.parameters = append(o.parameters, one)
}

// resolve finds the object at a JSON pointer, and follows references from there.
func (d *Document) resolve(at string) (string, map[string]any, error) {
	var v any = d.root
	for part := range strings.SplitSeq(strings.TrimPrefix(at, "/"), "/") {
		part = strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
		switch x := v.(type) {
		case map[string]any:
			v = x[part]
		case []any:
			var i int
			if _, err := fmt.Sscan(part, &i); err != nil || i >= len(x) {
				return "", nil, fmt.Errorf("there is no %s", at)
			}
			v = x[i]
		default:
			v = nil
		}
	}
	object, ok := v.(map[string]any)
	if !ok {
		return "", nil, fmt.Errorf("there is no %s", at)
	}
	if ref, ok := object["$ref"].(string); ok {
		return d.resolve(strings.TrimPrefix(ref, "#"))
	}
	return at, object, nil
}

func escape(part string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(part) }

// find gives the operations of the address that an escaped path names, by their methods; nil: there is none.
func (d *Document) find(path string) map[string]*Operation {
	var found map[string]*Operation
	for _, o := range d.operations {
		if o.matches(path) {
			if found == nil {
				found = map[string]*Operation{}
			}
			found[o.Method] = o
		}
	}
	return found
}

// matches tells whether an escaped path is one of the operation's. Its parameters may be empty, which the handler is to refuse.
func (o *Operation) matches(path string) bool {
	rest, ok := strings.CutPrefix(path, "/")
	if !ok {
		return false
	}
	segments := strings.Split(strings.TrimSuffix(rest, "/"), "/")
	if len(segments) > 2 && segments[0] == "realm" && segments[2] == "" { // "//publish/": clients whose base address ends in a slash
		segments = slices.Delete(segments, 2, 3)
	}
	if len(segments) < len(o.segments) || len(segments) > len(o.segments) && !o.rest {
		return false
	}
	for i, want := range o.segments {
		if want == "{realm}" && segments[i] == "" || want[0] != '{' && segments[i] != want {
			return false
		}
	}
	return true
}

// URL is an address of the operation; fill gives the value of a parameter in its path, unescaped.
func (o *Operation) URL(fill func(name string) string) string {
	var b strings.Builder
	for _, s := range o.segments {
		b.WriteByte('/')
		if s[0] == '{' {
			s = url.PathEscape(fill(strings.Trim(s, "{}")))
		}
		b.WriteString(s)
	}
	if strings.HasSuffix(o.Path, "/") {
		b.WriteByte('/')
	}
	return b.String()
}

// Serves tells whether an escaped path is an address of the operation.
func (d *Document) Serves(path, operation string) bool {
	for _, o := range d.find(path) {
		if o.ID == operation {
			return true
		}
	}
	return false
}
