package jwtauth_test

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// refused fails unless the verifier refuses the token as bad, not as something
// that could not be checked, by every way in.
func refused(t *testing.T, v *jwtauth.Verifier, name, token string) {
	t.Helper()
	if p, err := v.Verify(t.Context(), token); !errors.Is(err, authctx.InvalidToken) || !p.IsZero() {
		t.Errorf("%s: Verify: %v, %v", name, p, err)
	}
	if found, err := v.VerifyToken(t.Context(), token); !errors.Is(err, authctx.InvalidToken) || !found.Principal.IsZero() {
		t.Errorf("%s: VerifyToken: %v, %v", name, found.Principal, err)
	}
	m := must(jwtauth.NewMultiVerifier(v))
	if p, err := m.Verify(t.Context(), token); !errors.Is(err, authctx.InvalidToken) || !p.IsZero() {
		t.Errorf("%s: MultiVerifier: %v, %v", name, p, err)
	}
}

// mac signs with HS256 and any secret, as an attacker may.
func mac(header, claims string, secret []byte) string {
	input := b64(header) + "." + b64(claims)
	return unapproved(func() string {
		h := hmac.New(sha256.New, secret)
		h.Write([]byte(input))
		return input + "." + base64.RawURLEncoding.EncodeToString(h.Sum(nil))
	})
}

// publicSecrets are bytes of a public key that a careless library takes for an
// HMAC secret.
func publicSecrets(pub *rsa.PublicKey) map[string][]byte {
	pkix := must(x509.MarshalPKIXPublicKey(pub))
	pkcs1 := x509.MarshalPKCS1PublicKey(pub)
	jwk := fmt.Sprintf(`{"kty":"RSA","n":%q,"e":"AQAB"}`, base64.RawURLEncoding.EncodeToString(pub.N.Bytes()))
	return map[string][]byte{
		"PEM":            pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pkix}),
		"PEM of PKCS #1": pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: pkcs1}),
		"DER":            pkix, "DER of PKCS #1": pkcs1, "JWK": []byte(jwk), "modulus": pub.N.Bytes(), "nothing": nil,
	}
}

func TestCVE_2015_9235_CVE_2026_85394_APublicKeyIsNeverAnHMACSecret(t *testing.T) {
	s := signerFor(t, jwtauth.RS256)
	pub := testRSAKey().Public().(*rsa.PublicKey)
	claims := asJSON(t, goodClaims(nil))
	both := newVerifier(t, s, func(c *jwtauth.VerifierConfig) { c.Algorithms = append(c.Algorithms, jwtauth.HS256) })
	for name, secret := range publicSecrets(pub) {
		token := mac(`{"alg":"HS256","typ":"at+jwt","kid":"k1"}`, claims, secret)
		refused(t, newVerifier(t, s, nil), name, token)
		refused(t, both, name+", HMAC configured too", token)
	}
}

func TestCVE_2026_44699_AnRSAKeyWithoutAlgorithmIsBoundToTheConfiguredOne(t *testing.T) {
	pub := testRSAKey().Public().(*rsa.PublicKey)
	key := must(jwtauth.ParseJWK([]byte(fmt.Sprintf(`{"kty":"RSA","kid":"k1","n":%q,"e":"AQAB"}`,
		base64.RawURLEncoding.EncodeToString(pub.N.Bytes())))))
	if key.Algorithm() != "" {
		t.Fatalf("key of algorithm %q", key.Algorithm())
	}
	v := newVerifier(t, signerFor(t, jwtauth.RS256), func(c *jwtauth.VerifierConfig) {
		c.Keys = must(jwtauth.NewStaticKeys(key))
		c.Algorithms = []jwtauth.Algorithm{jwtauth.HS256, jwtauth.RS256, jwtauth.PS256}
	})
	claims := asJSON(t, goodClaims(nil))
	if _, err := v.Verify(t.Context(), signerFor(t, jwtauth.RS256).token(t, goodClaims(nil))); err != nil {
		t.Errorf("the first algorithm that fits: %v", err)
	}
	refused(t, v, "the second that fits", signerFor(t, jwtauth.PS256).token(t, goodClaims(nil)))
	for name, secret := range publicSecrets(pub) {
		refused(t, v, "HMAC with "+name, mac(`{"alg":"HS256","kid":"k1"}`, claims, secret))
	}
}

func TestCVE_2022_23540_NoneIsNoAlgorithm(t *testing.T) {
	for _, name := range []jwtauth.Algorithm{"none", "None", "NONE", "", "rs256", "RS256 ", "HS1"} {
		cfg := configFor(t, signerFor(t, jwtauth.RS256))
		cfg.Algorithms = []jwtauth.Algorithm{jwtauth.RS256, name}
		if _, err := jwtauth.NewVerifier(cfg); err == nil {
			t.Errorf("%q can be configured", name)
		}
	}
}

func TestCVE_2020_15084_AlgorithmsMustBeConfigured(t *testing.T) {
	for _, algorithms := range [][]jwtauth.Algorithm{nil, {}} {
		cfg := configFor(t, signerFor(t, jwtauth.RS256))
		cfg.Algorithms = algorithms
		_, err := jwtauth.NewVerifier(cfg)
		requireNames(t, err, "Algorithms")
	}
}

func TestBCP_2_11_AlgorithmNamesAreComparedExactly(t *testing.T) {
	s := signerFor(t, jwtauth.RS256)
	v := newVerifier(t, s, nil)
	claims := asJSON(t, goodClaims(nil))
	for _, alg := range []string{`"none"`, `"None"`, `"nOnE"`, `"NONE"`, `""`, `"rs256"`, `" RS256"`, `"RS256 "`, `"RS256\u0000"`, `"RS384"`, `null`, `7`, `["RS256"]`, `{}`} {
		token := s.compact(t, `{"alg":`+alg+`,"kid":"k1"}`, claims)
		refused(t, v, alg, token)
		refused(t, v, alg+" without signature", token[:strings.LastIndexByte(token, '.')+1])
	}
	refused(t, v, "no alg", s.compact(t, `{"kid":"k1"}`, claims))
}

// strictHeaders are headers that must not be accepted whatever is signed.
var strictHeaders = map[string]string{
	"CVE-2025-59420 unknown crit":            `{"alg":"ES256","kid":"k1","crit":["exp"],"exp":1}`,
	"CVE-2026-32597 crit that names nothing": `{"alg":"ES256","kid":"k1","crit":["x"]}`,
	"CVE-2026-35042 empty crit":              `{"alg":"ES256","kid":"k1","crit":[]}`,
	"crit that is no list":                   `{"alg":"ES256","kid":"k1","crit":"b64"}`,
	"crit that is null":                      `{"alg":"ES256","kid":"k1","crit":null}`,
	"CVE-2026-48525 b64 false":               `{"alg":"ES256","kid":"k1","b64":false,"crit":["b64"]}`,
	"b64 true":                               `{"alg":"ES256","kid":"k1","b64":true}`,
	"compressed":                             `{"alg":"ES256","kid":"k1","zip":"DEF"}`,
	"encrypted":                              `{"alg":"ES256","kid":"k1","enc":"A128GCM"}`,
	"a nested token":                         `{"alg":"ES256","kid":"k1","cty":"JWT"}`,
	"a nested token by media type":           `{"alg":"ES256","kid":"k1","cty":"application/jwt"}`,
	"a cty that is a number":                 `{"alg":"ES256","kid":"k1","cty":1}`,
	"a cty that is null":                     `{"alg":"ES256","kid":"k1","cty":null}`,
	"a cty that is a list":                   `{"alg":"ES256","kid":"k1","cty":["JWT"]}`,
	"a key of its own":                       `{"alg":"ES256","kid":"k1","jwk":{"kty":"EC"}}`,
	"jwx 2234 alg twice":                     `{"alg":"ES256","alg":"ES256","kid":"k1"}`,
	"a name twice, deep down":                `{"alg":"ES256","kid":"k1","x":{"a":1,"a":2}}`,
	"go-jose 73 alg in another case":         `{"alg":"ES256","ALG":"none","kid":"k1"}`,
	"kid in another case":                    `{"alg":"ES256","Kid":"k1"}`,
	"crit in another case":                   `{"alg":"ES256","kid":"k1","Crit":["x"]}`,
	"kid with the long s":                    "{\"alg\":\"ES256\",\"\u212Aid\":\"k1\"}",
	"an empty kid":                           `{"alg":"ES256","kid":""}`,
	"a kid that is null":                     `{"alg":"ES256","kid":null}`,
	"a kid that is a number":                 `{"alg":"ES256","kid":1}`,
	"a kid with a line break":                `{"alg":"ES256","kid":"k1\n"}`,
	"a kid with an escaped line break":       `{"alg":"ES256","kid":"k1\n"}`,
	"a kid with an escaped NUL":              `{"alg":"ES256","kid":"k1\u0000"}`,
	"a kid with a DEL":                       `{"alg":"ES256","kid":"k1\u007f"}`,
	"a kid too long":                         `{"alg":"ES256","kid":"` + strings.Repeat("k", 257) + `"}`,
	"typ in another case":                    `{"alg":"ES256","kid":"k1","Typ":"logout+jwt"}`,
	"b64 in another case":                    `{"alg":"ES256","kid":"k1","B64":false}`,
	"zip in another case":                    `{"alg":"ES256","kid":"k1","Zip":"DEF"}`,
	"enc in another case":                    `{"alg":"ES256","kid":"k1","Enc":"A128GCM"}`,
	"cty in another case":                    `{"alg":"ES256","kid":"k1","Cty":"JWT"}`,
	"jwk in another case":                    `{"alg":"ES256","kid":"k1","Jwk":{"kty":"EC"}}`,
	"a typ that is a number":                 `{"alg":"ES256","kid":"k1","typ":1}`,
	"a typ that is null":                     `{"alg":"ES256","kid":"k1","typ":null}`,
	"invalid UTF-8":                          "{\"alg\":\"ES256\",\"kid\":\"k1\",\"x\":\"\xff\"}",
	"half a surrogate pair":                  `{"alg":"ES256","kid":"k1","x":"\ud800"}`,
	"data after the end":                     `{"alg":"ES256","kid":"k1"}{}`,
	"a byte order mark":                      "\ufeff{\"alg\":\"ES256\",\"kid\":\"k1\"}",
	"a list":                                 `["ES256"]`,
	"null":                                   `null`,
	"nothing":                                ``,
	"CVE-2019-11253 deep nesting":            `{"alg":"ES256","kid":"k1","x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`,
	"too many values":                        `{"alg":"ES256","kid":"k1","x":[` + strings.Repeat("1,", 400) + `1]}`,
}

func TestStrictHeaders(t *testing.T) {
	s := signerFor(t, jwtauth.ES256)
	v := newVerifier(t, s, nil)
	claims := asJSON(t, goodClaims(nil))
	if _, err := v.Verify(t.Context(), s.compact(t, `{"alg":"ES256","kid":"k1"}`, claims)); err != nil {
		t.Fatalf("the header that all of these spoil: %v", err)
	}
	// A key without ID serves tokens that name any, so that there the header itself
	// must be refused and not what it names.
	nameless := newVerifier(t, s, func(c *jwtauth.VerifierConfig) {
		c.Keys = must(jwtauth.NewStaticKeys(must(jwtauth.NewPublicKey("", jwtauth.ES256, s.private.(crypto.Signer).Public()))))
	})
	if _, err := nameless.Verify(t.Context(), s.compact(t, `{"alg":"ES256","kid":"`+strings.Repeat("k", 256)+`"}`, claims)); err != nil {
		t.Fatalf("the longest kid: %v", err)
	}
	for name, header := range strictHeaders {
		refused(t, v, name, s.compact(t, header, claims))
		refused(t, nameless, name+", any key ID will do", s.compact(t, header, claims))
	}
}

func TestBCP_3_14_OnlyStrictCompactSerializationIsAToken(t *testing.T) {
	s := signerFor(t, jwtauth.ES256)
	v := newVerifier(t, s, nil)
	token := s.token(t, goodClaims(nil))
	parts := strings.Split(token, ".")
	h, p, sig := parts[0], parts[1], parts[2]
	last := sig[len(sig)-1]
	for name, bad := range map[string]string{
		"nothing":                   "",
		"one segment":               h,
		"two segments":              h + "." + p,
		"four segments":             token + "." + sig,
		"CVE-2023-51774 a JWE":      h + "." + p + "." + sig + "." + sig + "." + sig,
		"CVE-2024-28122 a JWE head": b64(`{"alg":"PBES2-HS512+A256KW","enc":"A256GCM","p2c":2147483647,"zip":"DEF"}`) + ".a.b.c.d",
		"no signature":              h + "." + p + ".",
		"no claims":                 h + ".." + sig,
		"no header":                 "." + p + "." + sig,
		"padding":                   h + "." + p + "." + sig + "==",
		"padding of the claims":     h + "." + p + "=." + sig,
		"standard alphabet":         h + "." + p + "+/." + sig,
		"a line break in a segment": h + "." + p[:8] + "\n" + p[8:] + "." + sig,
		"CR in the header":          h[:8] + "\r" + h[8:] + "." + p + "." + sig,
		"CR in the claims":          h + "." + p[:8] + "\r" + p[8:] + "." + sig,
		"CR in the signature":       h + "." + p + "." + sig[:8] + "\r" + sig[8:],
		"LF in the signature":       h + "." + p + "." + sig[:8] + "\n" + sig[8:],
		"CR LF in the signature":    h + "." + p + "." + sig[:8] + "\r\n" + sig[8:],
		"a line break in front":     "\n" + token,
		"a line break behind":       token + "\n",
		"a space":                   " " + token,
		"quotes":                    `"` + token + `"`,
		"NUL":                       token + "\x00",
		"bits behind the signature": h + "." + p + "." + sig[:len(sig)-1] + string(last+1),
		"CVE-2016-9122 flattened":   `{"protected":"` + h + `","payload":"` + p + `","signature":"` + sig + `"}`,
		"CVE-2024-21664 general":    `{"payload":"` + p + `","signatures":[{"header":{"alg":"none"}}]}`,
		"GHSA-jc38-x7x8-2xc8":       `{"protected":"` + h + `","header":{"alg":"none"},"payload":"` + p + `","signature":""}`,
		"not a token at all":        "opaque-access-token",
		"URL-encoded":               strings.ReplaceAll(token, ".", "%2E"),
	} {
		refused(t, v, name, bad)
	}
}

func TestJwx_2_0_16_ECDSASignaturesHaveTheirExactLength(t *testing.T) {
	for _, a := range []jwtauth.Algorithm{jwtauth.ES256, jwtauth.ES384, jwtauth.ES512} {
		s := signerFor(t, a)
		v := newVerifier(t, s, nil)
		token := s.token(t, goodClaims(nil))
		dot := strings.LastIndexByte(token, '.')
		raw := must(base64.RawURLEncoding.DecodeString(token[dot+1:]))
		half := len(raw) / 2
		der := must(asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(raw[:half]), new(big.Int).SetBytes(raw[half:])}))
		for name, signature := range map[string][]byte{
			"one byte short":  raw[:len(raw)-1],
			"one byte long":   append(append([]byte{}, raw...), 0),
			"a leading zero":  append([]byte{0}, raw...),
			"padded halves":   append(append(append([]byte{0}, raw[:half]...), 0), raw[half:]...),
			"DER":             der,
			"empty":           {},
			"all zero":        make([]byte, len(raw)),
			"halves exchange": append(append([]byte{}, raw[half:]...), raw[:half]...),
		} {
			refused(t, v, string(a)+" "+name, token[:dot+1]+base64.RawURLEncoding.EncodeToString(signature))
		}
	}
}

func TestPSSSaltsAreAsLongAsTheHash(t *testing.T) {
	s := signerFor(t, jwtauth.PS256)
	v := newVerifier(t, s, nil)
	input := b64(`{"alg":"PS256","kid":"k1"}`) + "." + b64(asJSON(t, goodClaims(nil)))
	sum := sha256.Sum256([]byte(input))
	// The longest that fits is what a signer takes that was told nothing.
	for salt, good := range map[int]bool{20: false, 31: false, 32: true, 33: false, testRSAKey().Size() - sha256.Size - 2: false} {
		signature := unapproved(func() []byte {
			return must(testRSAKey().Sign(rand.Reader, sum[:], &rsa.PSSOptions{SaltLength: salt, Hash: crypto.SHA256}))
		})
		token := input + "." + base64.RawURLEncoding.EncodeToString(signature)
		if !good {
			refused(t, v, fmt.Sprintf("a salt of %d bytes", salt), token)
		} else if _, err := v.Verify(t.Context(), token); err != nil {
			t.Errorf("a salt of %d bytes: %v", salt, err)
		}
	}
}

func TestCVE_2015_10004_EveryChangedByteOfASignatureShows(t *testing.T) {
	for _, a := range []jwtauth.Algorithm{jwtauth.HS256, jwtauth.EdDSA} {
		s := signerFor(t, a)
		v := newVerifier(t, s, nil)
		token := s.token(t, goodClaims(nil))
		dot := strings.LastIndexByte(token, '.')
		signature := must(base64.RawURLEncoding.DecodeString(token[dot+1:]))
		for i := range signature {
			signature[i] ^= 0x80
			refused(t, v, fmt.Sprintf("%s byte %d", a, i), token[:dot+1]+base64.RawURLEncoding.EncodeToString(signature))
			signature[i] ^= 0x80
		}
	}
}

func TestCVE_2025_30204_CVE_2025_27144_DotsCostNothing(t *testing.T) {
	v := newVerifier(t, signerFor(t, jwtauth.ES256), func(c *jwtauth.VerifierConfig) { c.MaxTokenBytes = 1 << 20 })
	for name, token := range map[string]string{
		"dots": strings.Repeat(".", 1<<20), "header and dots": "eyJh" + strings.Repeat(".", 1<<19), "no dots": "ey" + strings.Repeat("a", 1<<19),
	} {
		refused(t, v, name, token)
		if n := testing.AllocsPerRun(10, func() { _, _ = v.Verify(t.Context(), token) }); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestCVE_2025_61920_SizeIsLimitedBeforeAnythingIsDecoded(t *testing.T) {
	s := signerFor(t, jwtauth.EdDSA)
	v := newVerifier(t, s, nil)
	big := s.token(t, goodClaims(map[string]any{"pad": strings.Repeat("a", 16<<10)}))
	refused(t, v, "more than 16 KiB", big)
	if n := testing.AllocsPerRun(10, func() { _, _ = v.Verify(t.Context(), big) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
	wide := newVerifier(t, s, func(c *jwtauth.VerifierConfig) { c.MaxTokenBytes = 64 << 10 })
	if _, err := wide.Verify(t.Context(), big); err != nil {
		t.Errorf("with a larger limit: %v", err)
	}
	largest := newVerifier(t, s, func(c *jwtauth.VerifierConfig) { c.MaxTokenBytes = 1 << 20 })
	if _, err := largest.Verify(t.Context(), s.token(t, goodClaims(map[string]any{"pad": strings.Repeat("a", 700<<10)}))); err != nil {
		t.Errorf("with the largest limit: %v", err)
	}
}
