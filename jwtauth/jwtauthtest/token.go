package jwtauthtest

import (
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"

	"github.com/authctx/authctx/jwtauth"
)

// Token is a token in the making. Header and Claims may be changed at will
// before [Token.Sign]. It is not safe for concurrent use.
type Token struct {
	Header, Claims map[string]any

	issuer *Issuer
	alg    string
	key    any
}

// Set sets a claim; a nil value takes it away. A [time.Time] becomes a
// NumericDate, in whole seconds (RFC 7519 section 2), and any other value what
// [json.Marshal] makes of it. What JSON cannot say is for [Token.SignText].
func (t *Token) Set(claim string, value any) *Token {
	set(t.Claims, claim, value)
	return t
}

// SetHeader sets a member of the header; a nil value takes it away. The value of
// "alg" is only written: what signs is chosen with SignWith.
func (t *Token) SetHeader(name string, value any) *Token {
	set(t.Header, name, value)
	return t
}

func set(m map[string]any, name string, value any) {
	switch v := value.(type) {
	case nil:
		delete(m, name)
	case time.Time:
		m[name] = v.Unix()
	default:
		m[name] = value
	}
}

// Expired sets the issue of the token to one day ago, and its end to five minutes
// after that.
func (t *Token) Expired() *Token {
	yesterday := t.issuer.opts.Now().Add(-24 * time.Hour)
	return t.Set("iat", yesterday.Unix()).Set("exp", yesterday.Add(5*time.Minute).Unix())
}

// NotYetValid lets the token begin in a day.
func (t *Token) NotYetValid() *Token {
	tomorrow := t.issuer.opts.Now().Add(24 * time.Hour)
	return t.Set("nbf", tomorrow.Unix()).Set("exp", tomorrow.Add(5*time.Minute).Unix())
}

// SignWith changes the algorithm and the key: a private key in memory, a
// []byte for HMAC, or nil with "none". The key ID stays as it is.
func (t *Token) SignWith(alg string, key any) *Token {
	t.alg, t.key = alg, key
	return t.SetHeader("alg", alg)
}

// Sign returns the compact serialization.
func (t *Token) Sign() string {
	t.issuer.tb.Helper()
	return t.SignText(t.Text())
}

// Text returns header and claims in JSON, to be changed and signed by
// [Token.SignText].
func (t *Token) Text() (header, claims string) {
	t.issuer.tb.Helper()
	return t.text(t.Header), t.text(t.Claims)
}

// SignText returns the compact serialization of a header and claims as they are
// given, JSON or not, in place of those of the token: of a claim that comes twice,
// of bytes that are not UTF-8, or of data after the end. What signs is as chosen
// with SignWith.
func (t *Token) SignText(header, claims string) string {
	t.issuer.tb.Helper()
	return t.sign(b64([]byte(header)) + "." + b64([]byte(claims)))
}

// sign returns a signing input with its signature (RFC 7515 section 5.1).
func (t *Token) sign(input string) string {
	t.issuer.tb.Helper()
	alg, key := t.alg, t.key
	if known, err := jwtauth.ParseAlgorithm(alg); err == nil {
		alg = string(known) // by its usual name
	}
	if alg == "none" {
		key = jwt.UnsafeAllowNoneSignatureType
	}
	method := jwt.GetSigningMethod(alg)
	if method == nil {
		t.issuer.tb.Fatalf("jwtauthtest: nothing signs with %q", t.alg)
	}
	sig, err := method.Sign(input, key)
	if err != nil {
		t.issuer.tb.Fatalf("jwtauthtest: %v", err)
	}
	return input + "." + b64(sig)
}

func (t *Token) text(m map[string]any) string {
	t.issuer.tb.Helper()
	for name, value := range m {
		// json.Marshal would put U+FFFD there, and a token be signed that says something else.
		if !utf8.ValidString(name + fmt.Sprint(value)) {
			t.issuer.tb.Fatalf("jwtauthtest: %q holds what is not valid UTF-8, which JSON cannot say: use SignText", name)
		}
	}
	text, err := json.Marshal(m)
	if err != nil {
		t.issuer.tb.Fatalf("jwtauthtest: %v", err)
	}
	return string(text)
}
