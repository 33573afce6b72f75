package broker

// IsJSON tells whether text is one JSON value (RFC 8259), nested at most depth deep. Whether it is UTF-8 is not looked at.
//
// Every publish is checked, by its adapter and by the broker, and encoding/json takes four times as long for it.
func IsJSON[T string | []byte](text T, depth int) bool {
	s := jsonScan[T]{text: text}
	return s.whole(depth)
}

// jsonScan reads a JSON text from front to end, and keeps nothing of it.
type jsonScan[T string | []byte] struct {
	text   T
	at     int
	spaces bool // there was white space between tokens
	deep   bool // it nests too deep: at is where
}

// whole reads a value, behind which there is nothing.
func (s *jsonScan[T]) whole(depth int) bool {
	return s.value(depth) && s.next() == 0 && s.at == len(s.text)
}

// next moves behind white space and gives what is there; 0 at the end.
func (s *jsonScan[T]) next() byte {
	for ; s.at < len(s.text); s.at++ {
		switch c := s.text[s.at]; c {
		case ' ', '\t', '\n', '\r':
			s.spaces = true
		default:
			return c
		}
	}
	return 0
}

// value reads one that nests at most depth deep.
func (s *jsonScan[T]) value(depth int) bool {
	switch s.next() {
	case '"':
		return s.quoted()
	case '{':
		return s.list('}', depth)
	case '[':
		return s.list(']', depth)
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	default:
		return s.number()
	}
}

// list reads an object or an array, whose last character is end.
func (s *jsonScan[T]) list(end byte, depth int) bool {
	if depth == 0 {
		s.deep = true
		return false
	}
	s.at++
	if s.next() == end {
		s.at++
		return true
	}
	for {
		if end == '}' {
			if s.next() != '"' || !s.quoted() || s.next() != ':' {
				return false
			}
			s.at++
		}
		if !s.value(depth - 1) {
			return false
		}
		switch s.next() {
		case ',':
			s.at++
		case end:
			s.at++
			return true
		default:
			return false
		}
	}
}

func (s *jsonScan[T]) quoted() bool {
	text := s.text[s.at+1:]
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			s.at += i + len(`""`)
			return true
		case c < ' ':
			return false
		case c == '\\':
			if i++; !escapable(text[i:]) {
				return false
			}
		}
	}
	return false
}

// escapable tells whether text may follow a backslash.
func escapable[T string | []byte](text T) bool {
	if len(text) == 0 {
		return false
	}
	switch text[0] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return true
	case 'u':
		return len(text) > 4 && isHex(text[1]) && isHex(text[2]) && isHex(text[3]) && isHex(text[4])
	default:
		return false
	}
}

func isHex(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func (s *jsonScan[T]) word(w string) bool {
	end := s.at + len(w)
	if end > len(s.text) || string(s.text[s.at:end]) != w {
		return false
	}
	s.at = end
	return true
}

func (s *jsonScan[T]) number() bool {
	s.skip('-', '-')
	if !s.skip('0', '0') && !s.digits() {
		return false
	}
	if s.skip('.', '.') && !s.digits() {
		return false
	}
	if s.skip('e', 'E') {
		s.skip('+', '-')
		return s.digits()
	}
	return true
}

// skip takes one of two characters.
func (s *jsonScan[T]) skip(one, other byte) bool {
	if s.at == len(s.text) || s.text[s.at] != one && s.text[s.at] != other {
		return false
	}
	s.at++
	return true
}

// digits takes those that come, one at least.
func (s *jsonScan[T]) digits() bool {
	began := s.at
	for s.at < len(s.text) && isDigit(s.text[s.at]) {
		s.at++
	}
	return s.at > began
}
