package main

import (
	"errors"
	"fmt"

	"waft/auth"
)

// jwksSettings is a set of keys that somebody else keeps, in place of one key.
type jwksSettings struct {
	JWKSURL  string   `toml:"jwks_url,omitempty"`  // https, or http on this machine
	JWKSFile string   `toml:"jwks_file,omitempty"` // instead: the file that holds it, read at the start and on SIGHUP
	Algs     []string `toml:"algs,omitempty"`      // that its tokens may use; default all that are for public keys
}

// isSet tells whether k is a set of keys.
func (k *keySettings) isSet() bool { return k.JWKSURL != "" || k.JWKSFile != "" }

// set reads what stands here, and the file.
func (k *keySettings) set(t *tokenSettings, dir string) (auth.SetOptions, error) {
	o := auth.SetOptions{
		Name: k.ID, URL: k.JWKSURL, Algorithms: k.Algs, Issuer: k.Issuer, Audience: k.Audience,
		Refresh: t.JWKSRefresh.Duration, Timeout: t.JWKSTimeout.Duration, MinInterval: t.JWKSMinInterval.Duration, MaxBody: t.JWKSMaxBody,
	}
	if len(o.Algorithms) == 0 {
		o.Algorithms = nil
	}
	err := k.checkIssuer()
	switch {
	case err != nil:
		return o, err
	case k.JWKSURL != "" && k.JWKSFile != "":
		return o, errors.New("set only one of jwks_url and jwks_file")
	case k.secretSettings != (secretSettings{}) || k.pairSettings != (pairSettings{}):
		return o, errors.New("it has a JWK set and a key of its own; it can have only one of them")
	case k.Alg != "":
		return o, errors.New("alg is for a single key; the algorithms of a JWK set are algs")
	}
	if o.Grants, err = k.grants(); err != nil {
		return o, err
	}
	if k.JWKSFile != "" {
		if o.Text, err = readBeside(dir, k.JWKSFile); err != nil {
			return o, fmt.Errorf("jwks_file: %w", err)
		}
		if len(o.Text) == 0 {
			return o, fmt.Errorf("jwks_file: %s is empty", k.JWKSFile)
		}
	}
	return o, nil
}

// checkIssuer refuses an audience that nobody would look at, and algorithms of no set.
func (k *keySettings) checkIssuer() error {
	switch {
	case k.Audience != "" && k.Issuer == "":
		return errors.New("audience is for tokens of another issuer, and there is no issuer")
	case len(k.Algs) > 0 && !k.isSet():
		return errors.New("algs is for a JWK set; the algorithm of a single key is alg")
	default:
		return nil
	}
}
