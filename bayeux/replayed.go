package bayeux

import (
	"slices"

	"waft/broker"
)

// Sessions whose handshake asked for replay get events that say where they stand:
//
//	{"channel":"/chat/a","data":…,"ext":{"replay":"3f9k2-18"}}
//
// It is the text that ext.replay of a subscribe takes. That is a second form of a message, made once for all these sessions;
// on channels that keep no history, where there is nothing to resume, it is the first.

// withPositions is the form f with positions.
func (f *eventForm) withPositions() *eventForm {
	placed := *f
	placed.plain = f
	return &placed
}

// form is the form of the session's events.
func (s *session) form() *eventForm {
	if s.placed {
		return s.h.placed
	}
	return s.h.form
}

// packed is that form, compressed.
func (s *session) packed() *packedForm {
	if s.placed {
		return s.h.placedPacked
	}
	return s.h.packed
}

// addPosition adds a position to ext, an object or "".
func addPosition(ext string, at broker.Position) string {
	member := `"replay":"` + at.String() + `"}`
	if ext == "" {
		return "{" + member
	}
	return ext[:len(ext)-1] + "," + member
}

// withoutReplay is the list of allowed members of ext less the one that is ours: a publisher cannot make up positions.
func withoutReplay(allowed []string) []string {
	return slices.DeleteFunc(slices.Clone(allowed), func(name string) bool { return name == "replay" })
}
