package openapitest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// The document is two resources of one compiler: as it stands, for what clients send, and closed, for what they are answered.
const (
	open   = "waft:open"
	closed = "waft:closed"
)

func (d *Document) compile(text string) error {
	d.compiler = jsonschema.NewCompiler()
	d.compiler.DefaultDraft(jsonschema.Draft2020)
	d.compiler.AssertFormat()
	for _, resource := range []string{open, closed} {
		root, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			return err
		}
		if resource == closed {
			shut(root)
		}
		if err := d.compiler.AddResource(resource, root); err != nil {
			return err
		}
	}
	return nil
}

// shut takes the room to grow from every object that says what its members are.
func shut(v any) {
	switch x := v.(type) {
	case []any:
		for _, e := range x {
			shut(e)
		}
	case map[string]any:
		for name, e := range x {
			if name != "examples" && name != "example" && name != "const" && name != "enum" {
				shut(e)
			}
		}
		if _, ok := x["properties"].(map[string]any); ok && x["type"] == "object" && x["additionalProperties"] == nil {
			x["additionalProperties"] = false
		}
	}
}

// schema is the one at a JSON pointer.
func (d *Document) schema(resource, at string) (*jsonschema.Schema, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	loc := resource + "#" + fragment.Replace(at)
	if s := d.schemas[loc]; s != nil {
		return s, nil
	}
	s, err := d.compiler.Compile(loc)
	if err != nil {
		return nil, err
	}
	d.schemas[loc] = s
	return s, nil
}

// fragment escapes a JSON pointer for a URI. (RFC 6901 §6)
var fragment = strings.NewReplacer("%", "%25", "{", "%7B", "}", "%7D", " ", "%20")

// validate holds a value, as jsonschema.UnmarshalJSON gives it, against the schema at a JSON pointer.
func (d *Document) validate(resource, at string, value any) error {
	s, err := d.schema(resource, at)
	if err != nil {
		return err
	}
	return s.Validate(value)
}

// validateText is validate for a JSON text.
func (d *Document) validateText(resource, at, text string) error {
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return fmt.Errorf("it is no JSON: %w", err)
	}
	return d.validate(resource, at, value)
}

// CheckExamples holds the examples of the document against its schemas, and compiles those.
func (d *Document) CheckExamples() error { return d.examples("", d.root) }

func (d *Document) examples(at string, v any) error {
	switch x := v.(type) {
	case []any:
		for i, e := range x {
			if err := d.examples(fmt.Sprintf("%s/%d", at, i), e); err != nil {
				return err
			}
		}
	case map[string]any:
		if err := d.examplesOf(at, x); err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(x)) {
			if name == "examples" || name == "example" {
				continue
			}
			if err := d.examples(at+"/"+escape(name), x[name]); err != nil {
				return err
			}
		}
	}
	return nil
}

// examplesOf checks those of a schema, of a parameter, and of a body.
func (d *Document) examplesOf(at string, x map[string]any) error {
	resource := closed
	if strings.Contains(at, "/requestBody/") {
		resource = open
	}
	check := func(schema string, value any) error {
		if err := d.validate(resource, schema, value); err != nil {
			return fmt.Errorf("an example of %s: %w", schema, err)
		}
		return nil
	}
	_, holder := x["schema"].(map[string]any)
	if holder {
		if _, err := d.schema(resource, at+"/schema"); err != nil {
			return err
		}
		if value, ok := x["example"]; ok {
			if err := check(at+"/schema", value); err != nil {
				return err
			}
		}
	}
	switch list := x["examples"].(type) {
	case []any: // JSON Schema
		for _, value := range list {
			if err := check(at, value); err != nil {
				return err
			}
		}
	case map[string]any: // OpenAPI
		for _, e := range list {
			if err := check(at+"/schema", e.(map[string]any)["value"]); err != nil {
				return err
			}
		}
	}
	return nil
}

// BodyExamples are those of a request's body, as JSON, by content type and name.
func (o *Operation) BodyExamples() map[string]map[string][]byte {
	body, _ := o.object["requestBody"].(map[string]any)
	content, _ := body["content"].(map[string]any)
	all := map[string]map[string][]byte{}
	for media, c := range content {
		examples, _ := c.(map[string]any)["examples"].(map[string]any)
		all[media] = map[string][]byte{}
		for name, e := range examples {
			all[media][name], _ = json.Marshal(e.(map[string]any)["value"]) // it has come from JSON
		}
	}
	return all
}
