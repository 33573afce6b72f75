package main

import (
	"crypto"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"waft/auth"
)

// pairSettings is a key whose tokens are signed elsewhere: its public half, and where waft is to mint as well the
// private one.
type pairSettings struct {
	PublicKey      string `toml:"public_key,omitempty"`       // PEM
	PublicKeyFile  string `toml:"public_key_file,omitempty"`  // the file that holds it
	PrivateKeyFile string `toml:"private_key_file,omitempty"` // the file that holds the other half, for `waft token mint`
}

// read reads the keys. A file for the private one is enough: the public one follows from it.
func (p pairSettings) read(dir string) (public crypto.PublicKey, private crypto.Signer, err error) {
	text := []byte(p.PublicKey)
	name := "public_key"
	if p.PublicKeyFile != "" {
		if name = "public_key_file"; p.PublicKey != "" {
			return nil, nil, errors.New("set only one of public_key and public_key_file")
		}
		if text, err = readBeside(dir, p.PublicKeyFile); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	if p.PublicKey != "" || p.PublicKeyFile != "" {
		if public, err = auth.ParsePublicKey(text); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	if p.PrivateKeyFile != "" {
		if text, err = readBeside(dir, p.PrivateKeyFile); err == nil {
			private, err = auth.ParsePrivateKey(text)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("private_key_file: %w", err)
		}
	}
	return public, private, nil
}

// readBeside reads a file that the configuration names, seen from its own folder.
func readBeside(dir, path string) ([]byte, error) {
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	return os.ReadFile(path) //nolint:gosec // the operator names the file
}
