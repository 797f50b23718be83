package base64url_test

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/authctx/authctx/internal/base64url"
)

var standard = base64.RawURLEncoding.Strict()

// agree compares what the standard library makes of s, which takes line breaks.
func agree(t *testing.T, s string) {
	t.Helper()
	want, err := standard.DecodeString(s)
	good := err == nil && !strings.ContainsAny(s, "\r\n")
	prefix := []byte("before")
	got, ok := base64url.AppendDecode(prefix[:len(prefix):len(prefix)], s)
	if ok != good {
		t.Fatalf("%q: taken is %v, by the standard library %v", s, ok, good)
	}
	if rest, kept := bytes.CutPrefix(got, prefix); !kept || ok && !bytes.Equal(rest, want) {
		t.Fatalf("%q: %q, want %q", s, got, want)
	}
}

func TestEveryEndOfAText(t *testing.T) {
	for _, before := range []string{"", "AbC-", "AbC-_9zZ", "AbC-_9zZAbC-"} {
		agree(t, before)
		for a := range 256 {
			agree(t, before+string([]byte{byte(a)}))
			for b := range 256 {
				agree(t, before+string([]byte{byte(a), byte(b)}))
				agree(t, before+string([]byte{'_', byte(a), byte(b)}))
			}
		}
	}
}

// Eight, four and fewer characters are decoded by code of their own.
func TestEveryCharacterAtEveryPlaceOfEveryLength(t *testing.T) {
	for _, text := range []string{strings.Repeat("A", 22), standard.EncodeToString([]byte("twice eight, more"))} {
		for length := range len(text) + 1 {
			for i := range length {
				s := []byte(text[:length])
				for c := range 256 {
					s[i] = byte(c)
					agree(t, string(s))
				}
			}
		}
	}
}

func TestEveryLength(t *testing.T) {
	src := bytes.Repeat([]byte{0xff, 0x00, 0xa5, 0x10, 0x7e}, 20)
	for n := range src {
		s := standard.EncodeToString(src[:n])
		agree(t, s)
		buffer := make([]byte, 0, 256)
		if got, ok := base64url.AppendDecode(buffer, s); !ok || !bytes.Equal(got, src[:n]) || &got[:1][0] != &buffer[:1][0] {
			t.Errorf("%d bytes: %v, or a new slice where there was room", n, ok)
		}
	}
}

func TestRoomIsUsedAgain(t *testing.T) {
	buffer, s := make([]byte, 0, 1024), standard.EncodeToString(make([]byte, 700))
	if n := testing.AllocsPerRun(10, func() { buffer, _ = base64url.AppendDecode(buffer[:0], s) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzAppendDecode(f *testing.F) {
	for _, s := range []string{"", "e30", "e31", "eyJ9", "AAAA\nAAAA", "AAAA====", strings.Repeat("z", 17)} {
		f.Add(s)
	}
	f.Fuzz(agree)
}
