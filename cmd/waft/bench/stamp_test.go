package bench

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

var anyStamp = rapid.Custom(func(t *rapid.T) stamp {
	return stamp{
		run: rapid.Uint32().Draw(t, "run"), publisher: rapid.IntRange(0, maxPublishers-1).Draw(t, "publisher"),
		channel: rapid.IntRange(0, maxCount-1).Draw(t, "channel"), n: rapid.Uint64Range(0, 1<<40-1).Draw(t, "n"), at: rapid.Int64Min(0).Draw(t, "at"),
	}
})

func TestStamp_what_is_written_is_found_wherever_the_text_is_cut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sent := rapid.SliceOfN(anyStamp, 0, 5).Draw(t, "sent")
		text := []byte("[]{waftbench.zz waftbench")
		for _, s := range sent {
			text = append(s.appendPayload(text, rapid.IntRange(0, 200).Draw(t, "size")), `,"waftb`...)
		}
		var got []stamp
		see := func(s stamp) { got = append(got, s) }
		cut := rapid.IntRange(0, len(text)).Draw(t, "cut")
		rest := slices.Clone(eachStamp(text[:cut], see))
		eachStamp(append(rest, text[cut:]...), see)
		if !slices.Equal(got, sent) {
			t.Fatalf("found %v, want %v", got, sent)
		}
	})
}

func TestStamp_a_payload_is_json_of_the_size_asked_for(t *testing.T) {
	for _, size := range []int{MinSize, MinSize + 1, 128, 5000} {
		b := stamp{run: 1, at: 1}.appendPayload(nil, size)
		if len(b) != size || !json.Valid(b) {
			t.Errorf("%d bytes, want %d: %s", len(b), size, b)
		}
	}
	if b := (stamp{}).appendPayload(nil, 0); len(b) != MinSize {
		t.Errorf("the smallest payload has %d bytes, MinSize is %d", len(b), MinSize)
	}
}

func FuzzStamp(f *testing.F) {
	f.Add(stamp{1, 2, 3, 4, 5}.appendPayload(nil, 100), 50)
	f.Add([]byte("waftbench.0000000g.0000"), 3)
	f.Fuzz(func(t *testing.T, text []byte, cut int) {
		count := func(parts ...[]byte) (n int) {
			var rest []byte
			for _, p := range parts {
				rest = slices.Clone(eachStamp(append(rest, p...), func(stamp) { n++ }))
			}
			return n
		}
		whole := count(text)
		if whole > bytes.Count(text, []byte(stampMark)) {
			t.Fatalf("%d stamps in %q", whole, text)
		}
		cut = min(max(cut, 0), len(text))
		if parts := count(text[:cut], text[cut:]); parts != whole {
			t.Fatalf("%d stamps in two parts, %d in one", parts, whole)
		}
	})
}
