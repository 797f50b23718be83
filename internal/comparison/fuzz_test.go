package comparison

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// notLaxer fails when a Verifier takes a token that an oracle refuses, or reads
// another subject of it.
func notLaxer(t *testing.T, v *jwtauth.Verifier, s *signer, token string, now time.Time) {
	t.Helper()
	p, err := v.Verify(t.Context(), token)
	if err != nil || hasIgnored(t, token) {
		return
	}
	for name, ask := range oracles {
		if subject, err := ask(s, token, now); err != nil || subject != p.Subject() {
			t.Errorf("%q was taken; %s reads %q, %v\n%s", p.Subject(), name, subject, err, token)
		}
	}
}

// hasIgnored reports whether the header has a member that authctx never reads, of
// whatever form it is, since providers send it and nobody may believe it (or, of
// a nonce, since only ACME has a use for it). The oracles want it well formed.
func hasIgnored(t *testing.T, token string) bool {
	t.Helper()
	encoded, _, _ := strings.Cut(token, ".")
	text, err := base64.RawURLEncoding.DecodeString(encoded)
	var members map[string]json.RawMessage
	if err != nil || json.Unmarshal(text, &members) != nil {
		t.Fatalf("a header was taken that is not base64 and JSON: %s", token)
	}
	return slices.ContainsFunc([]string{"jku", "x5u", "x5c", "x5t", "x5t#S256", "nonce"}, func(name string) bool {
		return members[name] != nil
	})
}

// now is a time with no fraction, since go-jose keeps none.
var now = time.Unix(1_780_000_000, 0)

func verifierAt(s *signer, now time.Time) *jwtauth.Verifier {
	cfg := s.verifierConfig()
	cfg.Now, cfg.Cache = func() time.Time { return now }, jwtauth.CacheConfig{Disabled: true}
	return must(jwtauth.NewVerifier(cfg))
}

const goodClaims = `"iss":"https://issuer.example","sub":"alice","aud":"https://api.example","exp":1780000600`

// FuzzOthersOnSignedTokens is about headers and claims that the issuer itself signed.
func FuzzOthersOnSignedTokens(f *testing.F) {
	s := newSigner("HS256")
	v := verifierAt(s, now)
	for _, header := range []string{
		`"typ":"at+jwt"`, `"crit":["exp"],"exp":1`, `"b64":false,"crit":["b64"]`, `"ALG":"none"`, `"alg":"none"`, `"zip":"DEF"`,
		`"cty":"JWT"`, `"jku":"https://evil.example"`, `"x5c":["AAAA"]`, `"x5t":"x"`, `"x5u":7`, `"jwk":{}`, `"nonce":1`, `"x":{"y":[1e400]}`,
	} {
		f.Add(`{"alg":"HS256","kid":"k1",`+header+"}", "{"+goodClaims+"}")
	}
	for _, claims := range []string{
		`"nbf":1780000030`, `"nbf":1780000031`, `"iat":1780000030.5`, `"nbf":1e9`, `"exp":1779999970`, `"exp":1779999970.9`, `"exp":1779999969`,
		`"sub":"\ud83d\ude00"`, `"sub":"\u0000"`, `"aud":["a","https://api.example"]`, `"jti":7`, `"Sub":"admin"`, `"iss":["https://issuer.example"]`,
		`"act":{"sub":"x"}`, `"scope":"a b"`, `"cnf":{"jkt":"x"}`, `"auth_time":"1"`, `"amr":["otp"]`, `"exp":1.78e9`, `"iat":null`,
	} {
		f.Add(`{"alg":"HS256","kid":"k1"}`, "{"+claims+","+goodClaims+"}")
		name, _, _ := strings.Cut(claims, ":")
		rest := strings.Split(goodClaims, ",")
		for i, claim := range rest {
			if strings.HasPrefix(claim, name+":") {
				rest[i] = claims
			}
		}
		f.Add(`{"alg":"HS256","kid":"k1"}`, "{"+strings.Join(rest, ",")+"}")
	}
	f.Fuzz(func(t *testing.T, header, claims string) {
		notLaxer(t, v, s, s.compact(header, claims), now)
	})
}

// FuzzOthersOnTokens is about whatever a stranger makes of a token.
func FuzzOthersOnTokens(f *testing.F) {
	s := newSigner("EdDSA")
	v := verifierAt(s, now)
	token := s.compact(`{"alg":"EdDSA","typ":"JWT","kid":"k1"}`, "{"+goodClaims+"}")
	dot := strings.LastIndexByte(token, '.')
	flattened := must(jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.EdDSA})).FullSerialize()
	for _, seed := range []string{
		token, token + "=", token + "\n", " " + token, token + ".", token[:dot], token[:dot] + "\n" + token[dot:], flattened, "", "..", "{}",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) { notLaxer(t, v, s, token, now) })
}

// FuzzOthersOnKeySets is about key sets: a key that is taken is one that go-jose reads
// too, and verifies the tokens that go-jose's key does.
func FuzzOthersOnKeySets(f *testing.F) {
	var signers []*signer
	for _, algorithm := range []string{"RS256", "ES256", "EdDSA"} {
		s := newSigner(algorithm)
		signers = append(signers, s)
		text := string(must(json.Marshal(s.jwk())))
		f.Add(fmt.Appendf(nil, `{"keys":[%s]}`, text))
		f.Add(fmt.Appendf(nil, `{"keys":[{"kty":"oct","k":"AA","kid":"x"},%s,%s]}`, text, strings.Replace(text, "k1", "k2", 1)))
		for _, member := range []string{`"d":"AQ"`, `"use":"enc"`, `"key_ops":["sign"]`, `"x5c":["AAAA"]`, `"KID":"k2"`, `"e":"Aw"`, `"crv":"P-384"`} {
			f.Add(fmt.Appendf(nil, `{"keys":[{%s,%s]}`, member, text[1:]))
		}
	}
	f.Add([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k1","x":"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, _, err := jwtauth.ParseJWKSet(text)
		if err != nil {
			return
		}
		var set struct{ Keys []json.RawMessage }
		if err := json.Unmarshal(text, &set); err != nil {
			t.Fatalf("taken, but not JSON: %v", err)
		}
		for _, key := range keys {
			theirs := find(set.Keys, key.ID())
			if theirs == nil {
				t.Fatalf("%v is taken, go-jose finds none in\n%s", key, text)
			}
			verifyAlike(t, signers, key, theirs)
		}
	})
}

// find reads a key with go-jose. It wants certificates to be those of the key,
// where authctx promises to look at none.
func find(keys []json.RawMessage, id string) *jose.JSONWebKey {
	for _, text := range keys {
		var members map[string]json.RawMessage
		if json.Unmarshal(text, &members) != nil {
			continue
		}
		for _, name := range []string{"x5c", "x5u", "x5t", "x5t#S256"} {
			delete(members, name)
		}
		var key jose.JSONWebKey
		if json.Unmarshal(must(json.Marshal(members)), &key) == nil && key.KeyID == id && key.Valid() && key.IsPublic() {
			return &key
		}
	}
	return nil
}

// verifyAlike signs with every key that is known here, and wants the two keys to
// find the same signatures good, if they are asked.
func verifyAlike(t *testing.T, signers []*signer, ours *jwtauth.Key, theirs *jose.JSONWebKey) {
	t.Helper()
	for _, s := range signers {
		if ours.Algorithm() != "" && string(ours.Algorithm()) != s.algorithm {
			continue
		}
		cfg := s.verifierConfig()
		cfg.Keys = must(jwtauth.NewStaticKeys(ours))
		cfg.Now = func() time.Time { return now }
		v, err := jwtauth.NewVerifier(cfg)
		if err != nil {
			continue // a key of another kind
		}
		header := string(must(json.Marshal(map[string]string{"alg": s.algorithm, "kid": ours.ID()})))
		token := s.compact(header, "{"+goodClaims+"}")
		_, err = v.Verify(t.Context(), token)
		_, theirErr := goJose(&signer{algorithm: s.algorithm, public: theirs.Key}, token, now)
		if err == nil && theirErr != nil || theirErr == nil && errors.Is(err, authctx.BadSignature) {
			t.Errorf("%v: %v, go-jose: %v", ours, err, theirErr)
		}
	}
}
