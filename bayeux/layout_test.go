package bayeux

import (
	"testing"
	"unsafe"
)

// What a delivery touches of a session is its first cache line, and of the second what prefetch asks for. The allocator begins it at one only if its size
// is a whole number of them.
func TestSession_lies_on_cache_lines(t *testing.T) {
	const line = 64
	if unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("the layout is for 64 bits")
	}
	var s session
	equal(t, "bytes beyond whole lines", unsafe.Sizeof(s)%line, 0)
	equal(t, "line of the newest messages' end", (unsafe.Offsetof(s.sent)+unsafe.Offsetof(s.sent.latest)+unsafe.Sizeof(s.sent.latest)-1)/line, 1)
	equal(t, "line that prefetch asks for", unsafe.Offsetof(s.who)/line, 1)
}
