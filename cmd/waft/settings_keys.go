package main

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// What the configuration's errors say about keys is read off the settings' own types.

// keyName writes a key as people do.
func keyName(key toml.Key) string { return strings.Join(key, ".") }

// suggestKey finds what an unknown key may have been meant to be: a key of the same table that is spelt nearly so, or
// one of the same name in another table.
func suggestKey(key toml.Key) string {
	last := key[len(key)-1]
	table := tableType(key[:len(key)-1])
	if table == nil {
		return ""
	}
	if hint := didYouMean(last, tableKeys(table)); hint != "" {
		return hint
	}
	var others []string
	for _, k := range allKeys() {
		if k[strings.LastIndexByte(k, '.')+1:] == last {
			others = append(others, k)
		}
	}
	if len(others) == 0 {
		return ""
	}
	return "; there is " + strings.Join(others, " and ")
}

// wantedType says what a key's value must look like; "" for keys that do not exist.
func wantedType(key toml.Key) string {
	if len(key) == 0 {
		return ""
	}
	table := tableType(key[:len(key)-1])
	if table == nil {
		return ""
	}
	f, ok := tableField(table, key[len(key)-1])
	if !ok {
		return ""
	}
	switch f.Type {
	case reflect.TypeFor[duration]():
		return `a duration in quotes, such as "30s" or "1h30m"`
	case reflect.TypeFor[moment]():
		return `a time in quotes, such as "2026-01-31T12:00:00Z"`
	case reflect.TypeFor[secret]():
		return "a text in quotes"
	case reflect.TypeFor[*bool]():
		return "true or false"
	case reflect.TypeFor[[]string]():
		return `a list of texts, such as ["/chat/**"]`
	}
	switch f.Type.Kind() {
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a text in quotes"
	case reflect.Slice:
		return fmt.Sprintf("tables, each beginning with [[%s]]", keyName(key))
	default:
		return fmt.Sprintf("a table: [%s]", keyName(key))
	}
}

// tableType is the struct behind the table at path; nil if there is no such table.
func tableType(path toml.Key) reflect.Type {
	t := reflect.TypeFor[settings]()
	for _, name := range path {
		f, ok := tableField(t, name)
		if !ok {
			return nil
		}
		if t = elem(f.Type); t.Kind() != reflect.Struct {
			return nil
		}
	}
	return t
}

// elem is the type of what a field holds: of its elements, for a list.
func elem(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// tableField finds a struct's field by its TOML key.
func tableField(t reflect.Type, key string) (reflect.StructField, bool) {
	for _, f := range reflect.VisibleFields(t) {
		if tomlKey(f) == key {
			return f, true
		}
	}
	return reflect.StructField{}, false
}

// tableKeys lists a struct's TOML keys.
func tableKeys(t reflect.Type) []string {
	var keys []string
	for _, f := range reflect.VisibleFields(t) {
		if k := tomlKey(f); k != "" {
			keys = append(keys, k)
		}
	}
	return keys
}

func tomlKey(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
	return name
}

// allKeys lists every key there is with its path, such as "realm.bayeux.timeout".
func allKeys() []string {
	var walk func(prefix string, t reflect.Type) []string
	walk = func(prefix string, t reflect.Type) []string {
		var keys []string
		for _, key := range tableKeys(t) {
			f, _ := tableField(t, key)
			keys = append(keys, prefix+key)
			if t := elem(f.Type); t.Kind() == reflect.Struct {
				keys = append(keys, walk(prefix+key+".", t)...)
			}
		}
		return keys
	}
	keys := walk("", reflect.TypeFor[settings]())
	slices.Sort(keys)
	return keys
}
