package auth

import (
	"crypto/rand"
	"encoding/base64"
	"strings"

	"waft/broker"
)

// MinSecret is the fewest bytes of a key's secret. RFC 7518 §3.2 wants as many as the hash has (32 for HS256), but
// realm keys of Fanout's days, whose clients must go on working, may be shorter. 16 random bytes are beyond guessing,
// and the limit still keeps out the passwords ("changeme") that people try first.
const MinSecret = 16

// ParseSecret reads a base64 key as people have them: with padding or without, in the standard or the URL alphabet,
// with white space around it or broken into lines, with the prefix "base64:" of GRIP_URL, and with each '+' turned
// into a space by URL decoding. The error is of kind Invalid, says what is wrong and where, and shows nothing of the
// secret.
func ParseSecret(s string) ([]byte, error) {
	text, err := trimSecret(s)
	if err != nil {
		return nil, err
	}
	digits := strings.TrimRight(text, "=")
	if err := checkDigits(digits); err != nil {
		return nil, err
	}
	padding := len(text) - len(digits)
	switch {
	case digits == "":
		return nil, broker.Errorf(broker.Invalid, "the key is empty")
	case len(digits)%4 == 1 || padding > 0 && (len(text)%4 != 0 || padding > 2):
		return nil, broker.Errorf(broker.Invalid, "the key is not base64: no key has %d characters and %d times '='; "+
			"is a part of it missing?", len(digits), padding)
	}
	// The last digit may carry bits that belong to no byte. The clients' decoders ignore them, and so does this one.
	secret, err := base64.RawStdEncoding.DecodeString(standardAlphabet.Replace(digits))
	if err != nil {
		return nil, broker.Errorf(broker.Invalid, "the key is not base64")
	}
	if err := checkSecret(secret); err != nil {
		return nil, err
	}
	return secret, nil
}

// standardAlphabet undoes the URL alphabet and the damage of URL decoding.
var standardAlphabet = strings.NewReplacer("-", "+", "_", "/", " ", "+")

// trimSecret takes off what is not part of the key: line breaks, the prefix, and the spaces around it. A space at an
// end may also be a '+' that was lost; only the length of the text can tell.
func trimSecret(s string) (string, error) {
	s = strings.NewReplacer("\r", "", "\n", "", "\t", "").Replace(s)
	if after, ok := strings.CutPrefix(strings.TrimLeft(s, " "), "base64:"); ok {
		s = after
	}
	text := strings.Trim(s, " ")
	if strings.HasSuffix(text, "=") {
		s = strings.TrimRight(s, " ") // nothing follows padding
	}
	switch {
	case len(text)%4 == 0 || len(s)%4 != 0 || text == "":
		return text, nil
	case strings.HasSuffix(text, "="):
		return s, nil // padding says that the text is complete, and it is with the spaces alone
	default:
		return "", broker.Errorf(broker.Invalid, "the key begins or ends with a space, which may be white space or "+
			"a '+' lost in URL decoding: take it off, or write the '+'")
	}
}

// checkDigits finds the first character that does not belong.
func checkDigits(s string) error {
	var standard, url bool
	for i := range len(s) {
		switch c := s[i]; {
		case 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		case c == '+', c == '/', c == ' ':
			standard = true
		case c == '-', c == '_':
			url = true
		case c == '%':
			return broker.Errorf(broker.Invalid, "the key is not base64: character %d is '%%'; is it still URL-encoded?", i+1)
		default:
			return broker.Errorf(broker.Invalid, "the key is not base64: character %d does not belong", i+1)
		}
		if standard && url {
			return broker.Errorf(broker.Invalid, "the key is not base64: character %d is of the other alphabet "+
				"('+' and '/', or '-' and '_', but not both)", i+1)
		}
	}
	return nil
}

func checkSecret(secret []byte) error {
	if len(secret) < MinSecret {
		return broker.Errorf(broker.Invalid, "the key has %d bytes; it needs %d or more", len(secret), MinSecret)
	}
	if looksPublic(secret) {
		return broker.Errorf(broker.Invalid, "the secret is a public key or a certificate, which everybody may have; "+
			"it belongs in public_key, with the alg of its kind")
	}
	return nil
}

// GenerateSecret makes a new key, as text for ParseSecret. It holds more than 256 random bits, and is made so that no
// decoder can misread it: 33 bytes need no padding, and a text with a '+' or a '/' is thrown away.
func GenerateSecret() string {
	var secret [33]byte
	for {
		rand.Read(secret[:]) // never fails: it ends the program instead
		if text := base64.StdEncoding.EncodeToString(secret[:]); !strings.ContainsAny(text, "+/") {
			return text
		}
	}
}
