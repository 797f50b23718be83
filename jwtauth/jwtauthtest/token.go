package jwtauthtest

import (
	"encoding/base64"
	"encoding/json"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Token is a token in the making. Header and Claims may be changed at will
// before [Token.Sign]. It is not safe for concurrent use.
type Token struct {
	Header, Claims map[string]any

	tb  testing.TB
	now func() time.Time
	alg string
	key any
}

// Set sets a claim; a nil value takes it away.
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
	if value == nil {
		delete(m, name)
	} else {
		m[name] = value
	}
}

// Expired sets the issue of the token to one day ago, and its end to five minutes
// after that.
func (t *Token) Expired() *Token {
	yesterday := t.now().Add(-24 * time.Hour)
	return t.Set("iat", yesterday.Unix()).Set("exp", yesterday.Add(5*time.Minute).Unix())
}

// NotYetValid lets the token begin in a day.
func (t *Token) NotYetValid() *Token {
	tomorrow := t.now().Add(24 * time.Hour)
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
	t.tb.Helper()
	input := t.encode(t.Header) + "." + t.encode(t.Claims)
	method, key := jwt.GetSigningMethod(t.alg), t.key
	if t.alg == "none" {
		key = jwt.UnsafeAllowNoneSignatureType
	}
	if method == nil {
		t.tb.Fatalf("jwtauthtest: nothing signs with %q", t.alg)
	}
	sig, err := method.Sign(input, key)
	if err != nil {
		t.tb.Fatalf("jwtauthtest: %v", err)
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(sig)
}

func (t *Token) encode(m map[string]any) string {
	t.tb.Helper()
	text, err := json.Marshal(m)
	if err != nil {
		t.tb.Fatalf("jwtauthtest: %v", err)
	}
	return base64.RawURLEncoding.EncodeToString(text)
}
