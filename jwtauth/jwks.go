package jwtauth

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/MicahParks/jwkset"
)

// maxJWKSAge bounds for how long clients are told to cache a key set.
const maxJWKSAge = time.Hour

// JWKSHandler returns a handler that serves the public keys as a JWK set (RFC
// 7517 section 5), whatever the path. It answers GET and HEAD, with an ETag,
// and lets clients cache for half of Ahead, so that a new key is everywhere
// before it signs. Keys are in the order of their IDs, so that replicas which
// publish the same keys serve the same document. It never serves a secret or a
// private key.
func (s *SigningKeys) JWKSHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := s.marshalJWKS()
		if err != nil {
			http.Error(w, "key set not available", http.StatusInternalServerError)
			return
		}
		serveDocument(w, r, "application/jwk-set+json", min(s.ahead/2, maxJWKSAge), body)
	})
}

// marshalJWKS returns the JWK set of the keys that may be published.
func (s *SigningKeys) marshalJWKS() ([]byte, error) {
	set := jwkset.JWKSMarshal{Keys: []jwkset.JWKMarshal{}}
	for _, key := range s.verificationKeys() {
		if key.symmetric() {
			continue
		}
		jwk, err := publicJWK(key)
		if err != nil {
			return nil, err
		}
		set.Keys = append(set.Keys, jwk)
	}
	slices.SortFunc(set.Keys, func(a, b jwkset.JWKMarshal) int { return strings.Compare(a.KID, b.KID) })
	return json.Marshal(set)
}

// publicJWK returns a public key for signatures as a JWK.
func publicJWK(key *Key) (jwkset.JWKMarshal, error) {
	jwk, err := key.jwk()
	if err != nil {
		return jwkset.JWKMarshal{}, err
	}
	return jwk.Marshal(), nil
}

// thumbprint returns the SHA-256 thumbprint of a public key (RFC 7638 section
// 3, RFC 8037 section 2). The members are base64url and names of curves, so
// nothing needs quoting.
func thumbprint(k jwkset.JWKMarshal) string {
	var canonical string
	switch k.KTY {
	case jwkset.KtyEC:
		canonical = `{"crv":"` + string(k.CRV) + `","kty":"EC","x":"` + k.X + `","y":"` + k.Y + `"}`
	case jwkset.KtyOKP:
		canonical = `{"crv":"` + string(k.CRV) + `","kty":"OKP","x":"` + k.X + `"}`
	case jwkset.KtyRSA:
		canonical = `{"e":"` + k.E + `","kty":"RSA","n":"` + k.N + `"}`
	}
	sum := sha256.Sum256([]byte(canonical))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// serveDocument answers GET and HEAD with a small public document.
func serveDocument(w http.ResponseWriter, r *http.Request, contentType string, maxAge time.Duration, body []byte) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	sum := sha256.Sum256(body)
	etag := `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
	h := w.Header()
	h.Set("Cache-Control", fmt.Sprintf("public, max-age=%d", maxAge/time.Second))
	h.Set("ETag", etag)
	h.Set("X-Content-Type-Options", "nosniff")
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", contentType)
	w.Write(body) // net/http sends no body in answer to HEAD
}
