package comparison

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

var algorithms = []string{"HS256", "RS256", "ES256", "EdDSA"}

// What is measured is a check: everybody takes a good token and refuses bad ones.
func TestEveryLibraryChecks(t *testing.T) {
	for _, algorithm := range algorithms {
		s := newSigner(algorithm)
		good := s.token(t, 1)
		header := `{"alg":"` + algorithm + `","typ":"at+jwt","kid":"k1"}`
		replaced := func(old, new string) string {
			claims := strings.Replace("{"+goodClaims+"}", "1780000600", "4102444800", 1)
			return s.compact(header, strings.Replace(claims, old, new, 1))
		}
		for _, lib := range libraries {
			if lib.lacks == algorithm {
				continue
			}
			reached := 0
			guarded := lib.guard(s, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached++ }))
			for name, c := range map[string]struct {
				token string
				want  int
			}{
				"good":                {good, http.StatusOK},
				"good again":          {good, http.StatusOK},
				"what others spoil":   {replaced("", ""), http.StatusOK},
				"signature of others": {good[:strings.LastIndexByte(good, '.')] + strings.Repeat("A", len(good)-strings.LastIndexByte(good, '.')), http.StatusUnauthorized},
				"another issuer":      {replaced("issuer.example", "evil.example"), http.StatusUnauthorized},
				"another audience":    {replaced("api.example", "other.example"), http.StatusUnauthorized},
				"expired":             {replaced("4102444800", "1780000000"), http.StatusUnauthorized},
			} {
				w := httptest.NewRecorder()
				before := reached
				guarded.ServeHTTP(w, request(c.token))
				if w.Code != c.want || (reached > before) != (c.want == http.StatusOK) {
					t.Errorf("%s, %s, %s: %d, the handler was reached %d times", algorithm, lib.name, name, w.Code, reached-before)
				}
			}
		}
	}
}

func request(token string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/orders", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

// discard is a response writer that costs nothing.
type discard http.Header

func (d discard) Header() http.Header         { return http.Header(d) }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(code int) {
	if code != http.StatusOK {
		panic("a token was refused")
	}
}

// BenchmarkLibraries measures a request through a handler that each library
// guards. The limit is the bare check of the same signatures.
func BenchmarkLibraries(b *testing.B) {
	for _, algorithm := range algorithms {
		s := newSigner(algorithm)
		tokens := make([]string, 256)
		requests := make([]*http.Request, len(tokens))
		for i := range tokens {
			tokens[i] = s.token(b, i)
			requests[i] = request(tokens[i])
		}
		b.Run(algorithm+"/limit", func(b *testing.B) { benchLimit(b, s, tokens) })
		for _, lib := range libraries {
			if lib.lacks == algorithm {
				continue
			}
			b.Run(algorithm+"/"+lib.name, func(b *testing.B) {
				reached := 0
				guarded := lib.guard(s, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached++ }))
				w := discard{}
				for _, r := range requests { // what may be remembered is
					guarded.ServeHTTP(w, r)
				}
				b.ReportAllocs()
				i := 0
				for reached = 0; b.Loop(); {
					clear(w)
					guarded.ServeHTTP(w, requests[i%len(requests)])
					i++
				}
				if reached != i {
					b.Fatalf("%d of %d requests reached the handler", reached, i)
				}
			})
		}
	}
}

func benchLimit(b *testing.B, s *signer, tokens []string) {
	method := jwt.GetSigningMethod(s.algorithm)
	inputs, signatures := make([]string, len(tokens)), make([][]byte, len(tokens))
	for i, token := range tokens {
		dot := strings.LastIndexByte(token, '.')
		inputs[i], signatures[i] = token[:dot], must(jwt.NewParser().DecodeSegment(token[dot+1:]))
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if err := method.Verify(inputs[i%len(inputs)], signatures[i%len(inputs)], s.public); err != nil {
			b.Fatal(err)
		}
		i++
	}
}
