package jwtauth_test

import (
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/golang-jwt/jwt/v5"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// benchToken is a realistic access token of 700 to 900 bytes. Longer signatures
// leave less room for what is optional.
func benchToken(tb testing.TB, s testSigner, id int) string {
	return realisticToken(tb, s, id, time.Now())
}

func realisticToken(tb testing.TB, s testSigner, id int, now time.Time) string {
	optional := `"sid":"08a5019c-17e1-4977-8f42-65a12843ea02","acr":"urn:example:loa:2","auth_time":1780314000,`
	if s.algorithm[1] == 'S' && s.algorithm[0] == 'R' {
		optional = ""
	}
	claims := fmt.Sprintf(`{"iss":%q,"sub":"5ba552d67","aud":%q,"exp":%d,"iat":%d,"jti":"dbe39bf3a3ba4238a5-%06d","client_id":"s6BhdRkqt3",%s`+
		`"scope":"openid profile email orders:read orders:write users:read","roles":["admin","editor","viewer","audit"],`+
		`"permissions":["a:read","a:write","b:read","b:write","c:read","c:write","d:read","d:write"]}`,
		testIssuer, testAudience, now.Unix()+3600, now.Unix()-5, id, optional)
	return s.compact(tb, fmt.Sprintf(`{"alg":%q,"typ":"at+jwt","kid":"k1"}`, s.algorithm), claims)
}

// BenchmarkVerify has two limits: first, a token that is not remembered, is
// measured against the bare check of the same signatures, and repeat, a token
// that is, against hash, for which every algorithm has its own since tokens are
// not of one length. ours is what the verifier's own hash takes in its place.
func BenchmarkVerify(b *testing.B) {
	for _, a := range []jwtauth.Algorithm{jwtauth.HS256, jwtauth.RS256, jwtauth.ES256, jwtauth.EdDSA} {
		s := signerFor(b, a)
		tokens := benchTokens(b, s)
		b.Run(string(a)+"/limit", func(b *testing.B) { benchLimit(b, s, tokens) })
		b.Run(string(a)+"/first", func(b *testing.B) { benchFirst(b, s, tokens) })
		b.Run(string(a)+"/hash", func(b *testing.B) { benchHash(b, tokens[0]) })
		b.Run(string(a)+"/ours", func(b *testing.B) { benchLookup(b, tokens[0], jwtauth.NewTokenHash()) })
		b.Run(string(a)+"/repeat", func(b *testing.B) {
			benchRepeat(b, newVerifier(b, s, func(c *jwtauth.VerifierConfig) { c.Now = nil }), tokens[0])
		})
	}
	b.Run("hash/limit", func(b *testing.B) { benchHash(b, benchToken(b, signerFor(b, jwtauth.ES256), 0)) })
}

// benchTokens returns more tokens than benchFirst lets the cache hold. They are
// a few hundred also because a processor learns the way through the check of one
// signature that it does over and over, which no service can hope for.
func benchTokens(b *testing.B, s testSigner) []string {
	tokens := make([]string, 512)
	for i := range tokens {
		if tokens[i] = benchToken(b, s, i); len(tokens[i]) < 700 || len(tokens[i]) > 900 {
			b.Fatalf("a token of %d bytes is not what this measures", len(tokens[i]))
		}
	}
	return tokens
}

// benchLimit is the bare check of the signatures.
func benchLimit(b *testing.B, s testSigner, tokens []string) {
	inputs, signatures := make([]string, len(tokens)), make([][]byte, len(tokens))
	for i, token := range tokens {
		dot := strings.LastIndexByte(token, '.')
		signature, err := base64.RawURLEncoding.DecodeString(token[dot+1:])
		if err != nil {
			b.Fatal(err)
		}
		inputs[i], signatures[i] = token[:dot], signature
	}
	method, key := jwt.GetSigningMethod(string(s.algorithm)), any(testSecret)
	if signer, ok := s.private.(crypto.Signer); ok {
		key = signer.Public()
	}
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		if err := method.Verify(inputs[i%len(inputs)], signatures[i%len(inputs)], key); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

// benchFirst verifies tokens that the cache has forgotten by the time they come
// again.
func benchFirst(b *testing.B, s testSigner, tokens []string) {
	v := newVerifier(b, s, func(c *jwtauth.VerifierConfig) { c.Now, c.Cache.MaxEntries = nil, 128 })
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(context.Background(), tokens[i%len(tokens)]); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

func benchRepeat(b *testing.B, v *jwtauth.Verifier, token string) {
	if _, err := v.Verify(context.Background(), token); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(context.Background(), token); err != nil {
			b.Fatal(err)
		}
	}
}

// benchHash is what a cache that keeps no token is made of: SHA-256 under a
// secret, and a map.
func benchHash(b *testing.B, token string) {
	secret, buffer := sha256.Sum256([]byte("secret")), make([]byte, 0, 2048)
	benchLookup(b, token, func(token string) [32]byte {
		return sha256.Sum256(append(append(buffer[:0], secret[:]...), token...))
	})
}

// benchLookup hashes a token and reads a map.
func benchLookup(b *testing.B, token string, hash func(string) [32]byte) {
	var mu sync.RWMutex
	known := map[[32]byte]*jwtauth.Verifier{hash(token): nil}
	b.ReportAllocs()
	for b.Loop() {
		d := hash(token)
		mu.RLock()
		_, ok := known[d]
		mu.RUnlock()
		if !ok {
			b.Fatal("not there")
		}
	}
}

// BenchmarkCache asks for a different one of n remembered tokens each time, as many
// callers do. The limit is a hash and a map of as many.
func BenchmarkCache(b *testing.B) {
	s := signerFor(b, jwtauth.ES256)
	token := benchToken(b, s, 0)
	secret := sha256.Sum256([]byte("secret"))
	for _, n := range []int{1, 1000, 100_000, 1_000_000} {
		v := newVerifier(b, s, func(c *jwtauth.VerifierConfig) {
			c.Now, c.Cache = nil, jwtauth.CacheConfig{MaxEntries: 4_000_000, MaxBytes: math.MaxInt}
		})
		if _, err := v.Verify(context.Background(), token); err != nil {
			b.Fatal(err)
		}
		text := variants(token)
		jwtauth.FillCache(v, token, n, text)
		known, buffer := make(map[[32]byte]*jwtauth.Verifier, n), make([]byte, 0, 2048)
		hash := func(token string) [32]byte { return sha256.Sum256(append(append(buffer[:0], secret[:]...), token...)) }
		for i := range n {
			known[hash(text(i))] = v
		}
		b.Run(fmt.Sprint(n, "/limit"), func(b *testing.B) {
			for i := 0; b.Loop(); i += 7919 {
				if known[hash(text(i%n))] == nil {
					b.Fatal("not there")
				}
			}
		})
		b.Run(fmt.Sprint(n, "/repeat"), func(b *testing.B) {
			for i := 0; b.Loop(); i += 7919 {
				if _, err := v.Verify(context.Background(), text(i%n)); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprint(n, "/parallel"), func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				text := variants(token)
				for i := rand.IntN(n); pb.Next(); i += 7919 {
					if _, err := v.Verify(context.Background(), text(i%n)); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

// variants returns tokens that differ from the given one in their last letters.
// Each is overwritten by the next, since a request's token lies in memory that it
// was just read into.
func variants(token string) func(i int) string {
	text := []byte(token)
	return func(i int) string {
		for at := len(text) - 1; at >= len(text)-8; at-- {
			text[at] = byte('0' + i%10)
			i /= 10
		}
		return unsafe.String(&text[0], len(text))
	}
}

// BenchmarkCacheMemory measures what remembering a token takes beyond the
// principal that its verification returned.
func BenchmarkCacheMemory(b *testing.B) {
	s := signerFor(b, jwtauth.HS256)
	tokens := make([]string, 10_000)
	for i := range tokens {
		tokens[i] = benchToken(b, s, i)
	}
	heap := func(cache jwtauth.CacheConfig) float64 {
		v := newVerifier(b, s, func(c *jwtauth.VerifierConfig) { c.Now, c.Cache = nil, cache })
		principals := make([]authctx.Principal, len(tokens))
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for i, token := range tokens {
			principals[i], _ = v.Verify(context.Background(), token)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		runtime.KeepAlive(v)
		runtime.KeepAlive(principals)
		return float64(after.HeapAlloc) - float64(before.HeapAlloc)
	}
	for b.Loop() {
		extra := heap(jwtauth.CacheConfig{}) - heap(jwtauth.CacheConfig{Disabled: true})
		b.ReportMetric(extra/float64(len(tokens)), "cache-B/token")
	}
}

// BenchmarkRefuse is what strangers can make a verifier do. signature/limit is the
// bare check of a signature, which a forged one cannot be refused without.
func BenchmarkRefuse(b *testing.B) {
	s := signerFor(b, jwtauth.RS256)
	v := newVerifier(b, s, func(c *jwtauth.VerifierConfig) { c.Now = nil })
	token := benchToken(b, s, 0)
	if _, err := v.Verify(context.Background(), token); err != nil {
		b.Fatal(err)
	}
	first, last := strings.IndexByte(token, '.'), strings.LastIndexByte(token, '.')
	b.Run("signature/limit", func(b *testing.B) { benchLimit(b, s, []string{token}) })
	for _, test := range []struct{ name, token string }{
		{"signature/forged", token[:last+1] + strings.Repeat("A", len(token)-last-1)},
		{"garbage", strings.Repeat("garbage.", 100)},
		{"header", "e" + strings.Repeat("yJ9_", 20) + token[first:]},
		{"header/no-base64", "eyJ" + strings.Repeat("garb", 189) + "!" + ".AAAA.AAAA"},
		{"header/no-JSON", "eyJ" + strings.Repeat("garb", 189) + "a" + ".AAAA.AAAA"},
		{"header/no-algorithm", b64(`{"x":"`+strings.Repeat("y", 562)+`"}`) + ".AAAA.AAAA"},
		{"header/16KiB", "eyJ" + strings.Repeat("garb", 4089) + ".AAAA.AAAA"},
		{"tail", token[:len(token)-1] + "!"}, // of a header that is known
		{"algorithm", benchToken(b, signerFor(b, jwtauth.ES256), 0)},
	} {
		b.Run(test.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(context.Background(), test.token); err == nil {
					b.Fatal("accepted")
				}
			}
		})
	}
}
