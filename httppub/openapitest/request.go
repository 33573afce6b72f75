package openapitest

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"mime"
	"strconv"
	"strings"
)

// checkRequest tells whether a request that was taken is one that the document allows.
func (d *Document) checkRequest(o *Operation, x Exchange) error {
	query := x.Request.URL.Query()
	for _, p := range o.parameters {
		var values []string
		switch p.in {
		case "query":
			values = query[p.name]
		case "header":
			values = x.Request.Header.Values(p.name)
		default:
			continue
		}
		if p.required && len(values) == 0 {
			return fmt.Errorf("it has no %s", p.name)
		}
		if err := d.checkParameter(p, values); err != nil {
			return fmt.Errorf("the parameter %s: %w", p.name, err)
		}
	}
	if o.object["requestBody"] == nil || x.Sent == nil {
		return nil
	}
	return d.checkSent(o, x)
}

func (d *Document) checkParameter(p parameter, values []string) error {
	if p.schema["type"] == "array" {
		list := make([]any, len(values))
		for i, v := range values {
			list[i] = v
		}
		return d.validate(open, p.at, list)
	}
	for _, v := range values {
		var value any = v
		if p.schema["type"] == "integer" {
			n, err := strconv.Atoi(v)
			if err != nil {
				return err
			}
			value = n
		}
		if err := d.validate(open, p.at, value); err != nil {
			return err
		}
	}
	return nil
}

// checkSent holds a body against the document. Whatever is not called lines of JSON is JSON.
func (d *Document) checkSent(o *Operation, x Exchange) error {
	if media, _, _ := mime.ParseMediaType(x.Request.Header.Get("Content-Type")); media == "application/x-ndjson" || media == "application/ndjson" {
		return nil // of which each line is taken or refused for itself
	}
	sent := x.Sent
	if strings.HasSuffix(strings.ToLower(x.Request.Header.Get("Content-Encoding")), "gzip") {
		zip, err := gzip.NewReader(bytes.NewReader(sent))
		if err != nil {
			return err
		}
		if sent, err = io.ReadAll(zip); err != nil {
			return err
		}
	}
	schema := o.at + "/requestBody/content/application~1json/schema"
	return d.validateText(open, schema, string(sent))
}
