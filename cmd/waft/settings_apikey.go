package main

import (
	"fmt"

	"waft/auth"
)

// apiKeySettings is a static bearer token. What is not listed it may not do.
type apiKeySettings struct {
	ID      string `toml:"id"`
	Hash    string `toml:"hash"`              // "sha256:…", as `waft token api-key` prints it
	Subject string `toml:"subject,omitempty"` // who holds it; default nobody in particular
	Expires moment `toml:"expires,omitempty"` // default never
	rightsSettings
}

func (k *apiKeySettings) complete() { k.rightsSettings.nothing() }

// apiKeys reads the realm's.
func (r *realmSettings) apiKeys() ([]auth.APIKey, error) {
	var keys []auth.APIKey
	for i, k := range r.APIKeys {
		grants, err := k.grants()
		if err != nil {
			return nil, fmt.Errorf("API key %d (%s): %w", i+1, k.ID, err)
		}
		keys = append(keys, auth.APIKey{ID: k.ID, Hash: k.Hash, Subject: k.Subject, Grants: grants, Expires: k.Expires.Time})
	}
	return keys, nil
}

// keyless tells whether the realm takes no credential at all.
func (r *realmSettings) keyless() bool { return len(r.Keys) == 0 && len(r.APIKeys) == 0 }
