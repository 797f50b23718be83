package jwtauth_test

import (
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/authctx/authctx/jwtauth"
)

func TestRule11_NoTokenIsKeptInMemory(t *testing.T) {
	s := signerFor(t, jwtauth.EdDSA)
	v := newVerifier(t, s, nil)
	token := strings.Clone(s.token(t, goodClaims(nil)))
	gone := make(chan struct{})
	runtime.AddCleanup(unsafe.StringData(token), func(struct{}) { close(gone) }, struct{}{})
	cached(t, v, token, false)
	cached(t, v, token, true)
	token = ""
	deadline := time.After(unhurried)
	for {
		runtime.GC()
		select {
		case <-gone:
			runtime.KeepAlive(v)
			return
		case <-deadline:
			t.Fatal("the token is still referred to")
		default:
			runtime.Gosched()
		}
	}
}

func TestOnlyHeadersOfGoodTokensAreRememberedAndFew(t *testing.T) {
	s := signerFor(t, jwtauth.HS256)
	v := newVerifier(t, s, nil)
	claims := asJSON(t, goodClaims(nil))
	header := func(i int) string { return fmt.Sprintf(`{"alg":"HS256","kid":"k1","n":%d}`, i) }
	for i := range 500 {
		refused(t, v, "forged", mac(header(i), claims, []byte("guess")))
	}
	if n := jwtauth.HeaderLen(v); n != 0 {
		t.Errorf("%d headers of forged tokens are remembered", n)
	}
	for i := range 500 {
		if _, err := v.Verify(t.Context(), s.compact(t, header(i), claims)); err != nil {
			t.Fatal(err)
		}
		if n := jwtauth.HeaderLen(v); n < 1 || n > 64 {
			t.Fatalf("%d headers are remembered", n)
		}
	}
}

func TestABadSignatureAsksForItsKeyOnceAndNoMore(t *testing.T) {
	s := newSigner(t, "k1")
	var lookups atomic.Int32
	v := newVerifier(t, s, func(c *jwtauth.VerifierConfig) { c.Keys = countedKeys(s, &lookups) })
	token := newSigner(t, "k1").token(t, goodClaims(nil))
	for range 10 {
		if _, err := v.Verify(t.Context(), token); err == nil {
			t.Fatal("accepted")
		}
	}
	if n := lookups.Load(); n != 10 {
		t.Errorf("%d lookups for 10 tokens", n)
	}
}

func TestAVerifierThatIsNotAskedTakesLittleMemory(t *testing.T) {
	s := signerFor(t, jwtauth.EdDSA)
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	verifiers := make([]*jwtauth.Verifier, 500)
	for i := range verifiers {
		verifiers[i] = newVerifier(t, s, nil)
	}
	if each := int64(heap()-before) / int64(len(verifiers)); each > 16<<10 {
		t.Errorf("%d bytes each", each)
	}
	runtime.KeepAlive(verifiers)
}
