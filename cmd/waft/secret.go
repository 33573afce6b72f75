package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
)

// secret is a key, a token or a password. However it is printed, logged or written as TOML, it reads "(secret)";
// only reveal gives the text. It is a struct because the TOML encoder takes a string type for a string, whatever methods
// it has.
type secret struct{ text string }

const redacted = "(secret)"

func newSecret(text string) secret { return secret{text} }

func (s secret) reveal() string { return s.text }

func (s secret) isZero() bool { return s.text == "" }

// String, GoString, LogValue and MarshalText keep the text out of %v, %#v, logs and `waft config print`.
func (s secret) String() string { return redacted }

// GoString is String for %#v.
func (s secret) GoString() string { return redacted }

// LogValue is String for slog.
func (s secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText is String for TOML and JSON.
func (s secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// UnmarshalText takes the text from TOML.
func (s *secret) UnmarshalText(b []byte) error {
	s.text = string(b)
	return nil
}

// secretSettings says where a secret comes from: one of the three.
type secretSettings struct {
	Secret     secret `toml:"secret,omitempty"`      // the text itself
	SecretEnv  string `toml:"secret_env,omitempty"`  // the environment variable that holds it
	SecretFile string `toml:"secret_file,omitempty"` // the file that holds it, seen from the configuration file's folder; a last line end does not count
}

// resolve finds the secret. dir is the folder of the configuration file.
func (s secretSettings) resolve(env environment, dir string) (secret, error) {
	given := 0
	for _, one := range []string{s.Secret.text, s.SecretEnv, s.SecretFile} {
		if one != "" {
			given++
		}
	}
	switch {
	case given == 0:
		return secret{}, fmt.Errorf("no secret: set one of secret, secret_env and secret_file")
	case given > 1:
		return secret{}, fmt.Errorf("more than one secret: set only one of secret, secret_env and secret_file")
	case s.SecretEnv != "":
		v := env[s.SecretEnv]
		if v == "" {
			return secret{}, fmt.Errorf("secret_env: the environment has no %s, or it is empty", s.SecretEnv)
		}
		return newSecret(v), nil
	case s.SecretFile != "":
		path := s.SecretFile
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		b, err := os.ReadFile(path) //nolint:gosec // the operator names the file
		if err != nil {
			return secret{}, fmt.Errorf("secret_file: %w", err)
		}
		v := strings.TrimRight(string(b), "\r\n")
		if v == "" {
			return secret{}, fmt.Errorf("secret_file: %s is empty", path)
		}
		return newSecret(v), nil
	default:
		return s.Secret, nil
	}
}
