package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// overrides are what flags say; empty means that the flag was not given.
type overrides struct {
	config, listen, adminListen, data string
}

// load gives the effective settings: flags before environment before file before defaults. Whatever is wrong is in
// one configError, a line for each fault.
func load(flags overrides, env environment) (*settings, error) {
	s := &settings{path: firstOf(flags.config, env[envConfig])}
	if s.path != "" {
		if err := s.read(); err != nil {
			return nil, err
		}
	}
	if s.Data != "" && !filepath.IsAbs(s.Data) {
		s.Data = filepath.Join(s.dir, s.Data) // as a secret_file is
	}
	if err := env.check(s.secretEnvs()); err != nil {
		return nil, err
	}
	s.Listen = firstOf(flags.listen, env[envListen], s.Listen)
	s.AdminListen = firstOf(flags.adminListen, env[envAdminListen], s.AdminListen)
	s.Data = firstOf(flags.data, env[envData], s.Data)
	if key := env[envRealmKey]; key != "" {
		if err := s.setRealmKey(newSecret(key)); err != nil {
			return nil, err
		}
	}
	s.complete()
	return s, s.validate(env)
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// read reads the file at s.path into s.
func (s *settings) read() error {
	text, err := os.ReadFile(s.path)
	if err != nil {
		return configErrorf("reading the configuration: %v", err)
	}
	s.dir = filepath.Dir(s.path)
	return s.parse(text)
}

// parse reads TOML, refusing keys that nobody would look at.
func (s *settings) parse(text []byte) error {
	d := toml.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	err := d.Decode(s)
	if err == nil {
		return nil
	}
	var faults faults
	var missing *toml.StrictMissingError
	var decode *toml.DecodeError
	switch {
	case errors.As(err, &missing):
		for i := range missing.Errors {
			e := &missing.Errors[i]
			line, _ := e.Position()
			faults.add("%s:%d: there is no key %s%s", s.name(), line, keyName(e.Key()), suggestKey(e.Key()))
		}
	case errors.As(err, &decode):
		line, _ := decode.Position()
		what := strings.TrimPrefix(decode.Error(), "toml: ")
		if want := wantedType(decode.Key()); want != "" {
			what = fmt.Sprintf("%s must be %s", keyName(decode.Key()), want)
		}
		faults.add("%s:%d: %s", s.name(), line, what)
	default:
		faults.add("%s: %v", s.name(), err)
	}
	return faults.err()
}

// name is how errors call the file.
func (s *settings) name() string { return firstOf(s.path, "the configuration") }

// secretEnvs lists the variables that the file's secret_env keys name.
func (s *settings) secretEnvs() []string {
	var names []string
	for _, r := range s.Realms {
		for _, k := range r.Keys {
			names = append(names, k.SecretEnv)
		}
		for _, x := range r.XMPP {
			names = append(names, x.SecretEnv)
		}
	}
	return names
}

// setRealmKey gives realm `default` the key of WAFT_REALM_KEY: in place of its one key's secret, whose rights it
// keeps, or as its first key.
func (s *settings) setRealmKey(key secret) error {
	if len(s.Realms) == 0 {
		s.Realms = []realmSettings{{ID: defaultRealm}}
	}
	r, ok := s.realm(defaultRealm)
	if !ok {
		return configErrorf("%s is set, and is the key of the realm %q, which %s does not have", envRealmKey, defaultRealm, s.name())
	}
	switch len(r.Keys) {
	case 0:
		r.Keys = []keySettings{{ID: "main", secretSettings: secretSettings{Secret: key}}}
	case 1:
		r.Keys[0].secretSettings = secretSettings{Secret: key}
	default:
		return configErrorf("%s is set, and the realm %q has %d keys in %s: which one does it replace? Name it there with secret_env",
			envRealmKey, defaultRealm, len(r.Keys), s.name())
	}
	return nil
}
