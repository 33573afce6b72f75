package main

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"waft/auth"
)

// revokedSettings takes tokens back before they expire: those to which everything applies that is given.
type revokedSettings struct {
	ID      string `toml:"id,omitempty"`      // their jti
	Subject string `toml:"subject,omitempty"` // their sub
	Key     string `toml:"key,omitempty"`     // the id of their key
	Before  moment `toml:"before,omitempty"`  // they were issued before; default: whenever
}

// revoked makes the realm's list, of the configuration and of revoked_file.
func (r *realmSettings) revoked(dir string) (*auth.Revoked, error) {
	all := r.Revoked
	if path := r.Tokens.RevokedFile; path != "" {
		text, err := readBeside(dir, path)
		if err != nil {
			return nil, fmt.Errorf("tokens.revoked_file: %w", err)
		}
		more, err := parseRevoked(path, text)
		if err != nil {
			return nil, fmt.Errorf("tokens.revoked_file: %w", err)
		}
		all = append(slices.Clip(all), more...)
	}
	list := make([]auth.Revocation, len(all))
	for i, x := range all {
		list[i] = auth.Revocation{ID: x.ID, Subject: x.Subject, Key: x.Key, Before: x.Before.Time}
	}
	return auth.NewRevoked(list)
}

// parseRevoked reads a file of tables [[revoked]] and nothing else: a program can take a token back by appending one.
func parseRevoked(name string, text []byte) ([]revokedSettings, error) {
	var file struct {
		Revoked []revokedSettings `toml:"revoked"`
	}
	d := toml.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	err := d.Decode(&file)
	if missing, ok := errors.AsType[*toml.StrictMissingError](err); ok {
		line, _ := missing.Errors[0].Position()
		return nil, fmt.Errorf("%s:%d: there is no key %s", name, line, keyName(missing.Errors[0].Key()))
	}
	if decode, ok := errors.AsType[*toml.DecodeError](err); ok {
		line, _ := decode.Position()
		return nil, fmt.Errorf("%s:%d: %s", name, line, strings.TrimPrefix(decode.Error(), "toml: "))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return file.Revoked, nil
}
