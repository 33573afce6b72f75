package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"waft/broker"
)

// What object finds wrong, as the end of a sentence that begins with the object's name.
var (
	errNotObject = errors.New("is not a JSON object")
	errNotJSON   = errors.New("is not valid JSON")
)

// object reads src as one JSON object. Values come as json.Unmarshal would give them, numbers as json.Number. Names
// are compared exactly (a struct would take "EXP" for "exp"), and a name that occurs twice in any object is refused.
//
// encoding/json checks the syntax and decodes what has escapes; the rest is cut out of the text, because every request
// with a token comes here twice and json.Decoder's tokens took three quarters of the time to verify one.
// It recurses, so src must have a limit; MaxToken is one.
func object(src []byte) (map[string]any, error) {
	if !utf8.Valid(src) || !json.Valid(src) {
		// encoding/json would replace what is not UTF-8, and two names could become one.
		return nil, errNotJSON
	}
	r := objectReader{rest: string(src)}
	if r.peek() != '{' {
		return nil, errNotObject
	}
	return r.members()
}

// objectReader reads a text that is known to be valid JSON: no method looks beyond its end or meets a surprise.
type objectReader struct{ rest string }

// peek skips white space and gives the byte after it.
func (r *objectReader) peek() byte {
	r.rest = strings.TrimLeft(r.rest, " \t\r\n")
	return r.rest[0]
}

// next takes that byte.
func (r *objectReader) next() byte {
	c := r.peek()
	r.rest = r.rest[1:]
	return c
}

func (r *objectReader) value() (any, error) {
	switch r.peek() {
	case '{':
		return r.members()
	case '[':
		return r.elements()
	case '"':
		return r.text(), nil
	default:
		return r.literal(), nil
	}
}

func (r *objectReader) members() (map[string]any, error) {
	members := map[string]any{}
	r.next()
	if r.peek() == '}' {
		r.next()
		return members, nil
	}
	for {
		r.peek()
		name := r.text()
		if _, twice := members[name]; twice {
			return nil, fmt.Errorf("has the name %s twice", broker.Quote(name))
		}
		r.next() // the colon
		value, err := r.value()
		if err != nil {
			return nil, err
		}
		members[name] = value
		if r.next() == '}' {
			return members, nil
		}
	}
}

func (r *objectReader) elements() ([]any, error) {
	elements := []any{}
	r.next()
	if r.peek() == ']' {
		r.next()
		return elements, nil
	}
	for {
		value, err := r.value()
		if err != nil {
			return nil, err
		}
		elements = append(elements, value)
		if r.next() == ']' {
			return elements, nil
		}
	}
}

// text reads a string: the quote is the next byte.
func (r *objectReader) text() string {
	escapes, end := false, 1
	for ; r.rest[end] != '"'; end++ {
		if r.rest[end] == '\\' {
			escapes = true
			end++
		}
	}
	text := r.rest[1:end]
	if escapes {
		_ = json.Unmarshal([]byte(r.rest[:end+1]), &text) // cannot fail: the whole is valid
	}
	r.rest = r.rest[end+1:]
	return text
}

// literal reads a number, true, false or null.
func (r *objectReader) literal() any {
	end := strings.IndexAny(r.rest, ",]} \t\r\n")
	word := r.rest[:end]
	r.rest = r.rest[end:]
	switch word {
	case "true":
		return true
	case "false":
		return false
	case "null":
		return nil
	default:
		return json.Number(word)
	}
}
