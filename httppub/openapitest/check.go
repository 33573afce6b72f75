package openapitest

import (
	"bytes"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Exchange is a request and what it was answered.
type Exchange struct {
	Request *http.Request // its body is not looked at
	Sent    []byte        // the body; nil: it is not known, or there is none
	Status  int
	Header  http.Header
	Body    []byte // of a stream, nil
}

// Check tells what of an exchange is not as the document says.
func (d *Document) Check(x Exchange) error {
	operations := d.find(x.Request.URL.EscapedPath())
	if operations == nil {
		if err := d.checkOneOf(x, "/components/responses/NotFound", "/components/responses/Invalid"); err != nil {
			return fmt.Errorf("an address that the document does not have: %w", err)
		}
		return nil
	}
	o := operations[x.Request.Method]
	if o == nil && x.Request.Method == http.MethodHead && x.Status != http.StatusMethodNotAllowed {
		o = operations[http.MethodGet]
	}
	if o == nil {
		return d.checkMethod(x, operations)
	}
	at, response, err := d.resolve(o.at + "/responses/" + strconv.Itoa(x.Status))
	if err != nil {
		return fmt.Errorf("%s is answered with %d, which the document does not have: %s", o, x.Status, short(x.Body))
	}
	d.mark(o, x.Status)
	if err := d.checkResponse(x, at, response); err != nil {
		return fmt.Errorf("%s, %d: %w", o, x.Status, err)
	}
	if x.Status < 300 && x.Request.Method == o.Method {
		if err := d.checkRequest(o, x); err != nil {
			return fmt.Errorf("%s took a request that the document does not allow: %w", o, err)
		}
	}
	return nil
}

// String is the operation's method and address.
func (o *Operation) String() string { return o.Method + " " + o.Path }

// statuses are those of components for addresses and methods that there are not.
var statuses = map[string]int{
	"/components/responses/NotFound": 404, "/components/responses/Invalid": 400, "/components/responses/MethodNotAllowed": 405,
	"/components/responses/Forbidden": 403,
}

func (d *Document) checkOneOf(x Exchange, components ...string) error {
	for _, at := range components {
		if statuses[at] != x.Status {
			continue
		}
		_, response, err := d.resolve(at)
		if err != nil {
			return err
		}
		return d.checkResponse(x, at, response)
	}
	return fmt.Errorf("%s %s is answered with %d: %s", x.Request.Method, x.Request.URL, x.Status, short(x.Body))
}

// checkMethod is for a method that an address does not have.
func (d *Document) checkMethod(x Exchange, operations map[string]*Operation) error {
	if err := d.checkOneOf(x, "/components/responses/MethodNotAllowed", "/components/responses/NotFound", "/components/responses/Invalid",
		"/components/responses/Forbidden"); err != nil {
		return fmt.Errorf("a method that the document does not have: %w", err)
	}
	if x.Status != http.StatusMethodNotAllowed {
		return nil // something else is wrong too
	}
	allowed := strings.Split(x.Header.Get("Allow"), ", ")
	allowed = slices.DeleteFunc(allowed, func(m string) bool { return m == http.MethodHead })
	slices.Sort(allowed)
	if have := slices.Sorted(maps.Keys(operations)); !slices.Equal(allowed, have) {
		return fmt.Errorf("%s allows %q, and the document %q", x.Request.URL, allowed, have)
	}
	return nil
}

func (d *Document) checkResponse(x Exchange, at string, response map[string]any) error {
	if err := d.checkHeaders(x, at, response); err != nil {
		return err
	}
	content, _ := response["content"].(map[string]any)
	given := x.Header.Get("Content-Type")
	if len(content) == 0 {
		if len(x.Body) > 0 || given != "" {
			return fmt.Errorf("it has the content %s %s, and should have none", given, short(x.Body))
		}
		return nil
	}
	media, _, err := mime.ParseMediaType(given)
	if err != nil {
		return fmt.Errorf("the Content-Type %q: %w", given, err)
	}
	if content[media] == nil {
		return fmt.Errorf("the content is %s, which the document does not have", given)
	}
	if x.Request.Method == http.MethodHead || x.Body == nil {
		return nil
	}
	schema := at + "/content/" + escape(media) + "/schema"
	switch media {
	case "application/json":
		err = d.validateText(closed, schema, string(x.Body))
	case "application/x-ndjson":
		for line := range bytes.Lines(x.Body) {
			if err = d.validateText(closed, schema, string(line)); err != nil {
				break
			}
		}
	case "text/event-stream":
	default:
		err = d.validate(closed, schema, string(x.Body))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", short(x.Body), err)
	}
	return nil
}

// CheckEvent holds an event of a stream, which is of the operation's 200, against the document. name is "message" if it has none.
func (d *Document) CheckEvent(operation, name, data string) error {
	for _, o := range d.operations {
		if o.ID != operation {
			continue
		}
		at, events, err := d.resolve(o.at + "/responses/200/content/text~1event-stream/x-events")
		if err != nil {
			return err
		}
		if events[name] == nil {
			return fmt.Errorf("the document has no event %q", name)
		}
		d.markEvent(o, name)
		if err := d.validateText(closed, at+"/"+escape(name), data); err != nil {
			return fmt.Errorf("the event %q, %s: %w", name, data, err)
		}
		return nil
	}
	return fmt.Errorf("the document has no operation %q", operation)
}

func short(body []byte) string {
	if len(body) > 300 {
		return string(body[:300]) + "…"
	}
	return string(body)
}
