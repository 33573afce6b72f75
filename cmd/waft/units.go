package main

import (
	"fmt"
	"time"
)

// duration is a time.Duration that TOML writes as "30s" or "1h30m". It is a struct because the TOML decoder puts a bare
// number into an integer type, and 10 would be ten nanoseconds.
type duration struct{ time.Duration }

// UnmarshalText reads what time.ParseDuration reads, which wants a unit.
func (d *duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		return fmt.Errorf("%s is not a duration; write it in quotes and with a unit, such as \"30s\" or \"1h30m\"", b)
	}
	d.Duration = v
	return nil
}

// MarshalText writes the text of String.
func (d duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// String is the duration without the zero units that time.Duration ends with: "1h", not "1h0m0s".
func (d duration) String() string {
	switch {
	case d.Duration != 0 && d.Duration%time.Hour == 0:
		return fmt.Sprintf("%dh", d.Duration/time.Hour)
	case d.Duration != 0 && d.Duration%time.Minute == 0:
		return fmt.Sprintf("%dm", d.Duration/time.Minute)
	default:
		return d.Duration.String()
	}
}

// moment is a time.Time that TOML writes in quotes, with its zone. TOML's own dates, some of which have none, are not read.
type moment struct{ time.Time }

// UnmarshalText reads RFC 3339; nothing is the zero moment.
func (m *moment) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*m = moment{}
		return nil
	}
	v, err := time.Parse(time.RFC3339, string(b))
	if err != nil {
		return fmt.Errorf("%s is not a time; write it as \"2026-01-31T12:00:00Z\"", b)
	}
	m.Time = v
	return nil
}

// MarshalText writes RFC 3339; nothing for the zero moment.
func (m moment) MarshalText() ([]byte, error) {
	if m.IsZero() {
		return nil, nil
	}
	return []byte(m.Format(time.RFC3339)), nil
}
