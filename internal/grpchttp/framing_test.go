package grpchttp_test

import (
	"math"
	"testing"

	"github.com/authctx/authctx/internal/grpchttp"
)

func TestFramingKnowsWhereAMessageEnds(t *testing.T) {
	body := []byte("\x00\x00\x00\x00\x03abc" + "\x01\x00\x00\x00\x00" + "\x00\x00\x00\x01\x00" + string(make([]byte, 256)))
	ends := []int{8, 13, 13 + 5 + 256}
	for _, step := range []int{1, 2, 3, 7, len(body)} {
		var f grpchttp.Framing
		var got []int
		for at := 0; at < len(body); {
			n := f.Advance(body[at:min(at+step, len(body))])
			if at += n; f.Between() {
				got = append(got, at)
			} else if n != step || f.Missing() < 1 || f.Missing() > 256 {
				t.Fatalf("by %d: at %d, advanced %d, missing %d", step, at, n, f.Missing())
			}
		}
		if len(got) != len(ends) || got[0] != ends[0] || got[1] != ends[1] || got[2] != ends[2] {
			t.Errorf("by %d: messages end at %v, want %v", step, got, ends)
		}
	}
}

func TestFramingTakesAnyLength(t *testing.T) {
	var f grpchttp.Framing
	if n := f.Advance([]byte("\x00\xff\xff\xff\xff")); n != 5 || f.Between() || f.Missing() != int(min(int64(math.MaxUint32), math.MaxInt)) {
		t.Errorf("advanced %d, missing %d", n, f.Missing())
	}
	if f.Advance(nil) != 0 || f.Between() {
		t.Error("nothing was something")
	}
}
