package bayeux

import (
	"slices"

	"github.com/tidwall/gjson"
)

// extFormat is the name under which a message keeps the allow-listed part of its publisher's ext (CometD's binary
// extension needs it on the other side). The rest of ext is dropped before the broker sees the message: it may hold the
// publisher's token.
const extFormat = "bayeux-ext"

// allowedExt is the object ext reduced to the allowed members, as they were written, or "" if nothing is left.
func allowedExt(ext string, allowed []string) string {
	if ext == "" {
		return ""
	}
	var out []byte
	gjson.Parse(ext).ForEach(func(key, value gjson.Result) bool {
		if key.Type == gjson.String && slices.Contains(allowed, key.Str) {
			if out == nil {
				out = append(out, '{')
			} else {
				out = append(out, ',')
			}
			out = append(out, key.Raw...)
			out = append(out, ':')
			out = append(out, value.Raw...)
		}
		return true
	})
	if out == nil {
		return ""
	}
	return string(append(out, '}'))
}

// credential is the bearer token that a message brings along: ext.token, ext.auth.token or ext.authToken.
func (m *message) credential() string {
	if !m.ext.IsObject() {
		return ""
	}
	var token string
	m.ext.ForEach(func(key, value gjson.Result) bool {
		switch key.Str {
		case "token", "authToken":
			token = value.String()
		case "auth":
			if t := value.Get("token"); value.IsObject() && t.Exists() {
				token = t.String()
			}
		}
		return token == ""
	})
	return token
}
