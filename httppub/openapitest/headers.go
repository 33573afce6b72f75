package openapitest

import (
	"fmt"
	"net/http"
	"strings"
)

// plainHeaders need no word in the document: HTTP has them, or all answers do.
var plainHeaders = map[string]bool{
	"Content-Type": true, "Content-Length": true, "Date": true, "Vary": true, "Transfer-Encoding": true, "Connection": true,
	"X-Content-Type-Options": true,
}

func plainHeader(name string) bool {
	return plainHeaders[name] || strings.HasPrefix(name, "Access-Control-")
}

func (d *Document) checkHeaders(x Exchange, at string, response map[string]any) error {
	documented, _ := response["headers"].(map[string]any)
	for name := range documented {
		where, h, err := d.resolve(at + "/headers/" + escape(name))
		if err != nil {
			return err
		}
		values := x.Header[http.CanonicalHeaderKey(name)]
		if required, _ := h["required"].(bool); required && len(values) == 0 {
			return fmt.Errorf("it has no header %s: %v", name, x.Header)
		}
		for _, value := range values {
			if name == "Connection" && strings.EqualFold(value, "keep-alive") {
				continue
			}
			if err := d.validate(closed, where+"/schema", value); err != nil {
				return fmt.Errorf("the header %s: %w", name, err)
			}
		}
	}
	for name := range x.Header {
		if !plainHeader(name) && !hasFold(documented, name) {
			return fmt.Errorf("it has the header %s, which the document does not have", name)
		}
	}
	return nil
}

func hasFold(m map[string]any, name string) bool {
	for k := range m {
		if strings.EqualFold(k, name) {
			return true
		}
	}
	return false
}
