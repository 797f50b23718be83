package jwtauthtest

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http/httptest"
	"strings"

	"github.com/authctx/authctx/internal/spiffeid"
	"github.com/authctx/authctx/jwtauth"
)

// BadToken is a token that no resource server may accept.
type BadToken struct {
	Name  string // what is wrong with it
	Token string
}

// Bad returns the token itself, which must be one that the service under test
// accepts, and one token for each well-known way to spoil it. The service must
// answer good with success and each of bad with 401. Present good first: a service
// that was set up for another audience refuses all of them, and a test of bad alone
// would not notice.
//
// Left out is what equals good, or is as good to a service that accepts that:
//
//   - ID tokens, if good looks like one by its "nonce", hashes or "firebase". A
//     service of [jwtauth.IDTokenTypes] must be given such a good token;
//   - a token without an audience, if the "aud" of good names nobody;
//   - tokens of other issuers, if good has no "iss". A service that ignores it, as
//     [jwtauth.SPIFFEClaims] do, must be given such a good token.
//
// A [jwtauth.TxnAuthenticator] answers the JSON serialization with 400, because its
// commas look like several tokens.
//
// A service whose [jwtauth.VerifierConfig.IssuerAliases] has the issuer of good with a
// slash more accepts that one of bad: leave it out by its Name.
//
// One of bad names a key that is never published, the same in every call. A service
// answers it with 503 instead while its [jwtauth.RemoteKeys] cool down after
// another unknown key, see [Issuer.Rotate].
func (t *Token) Bad() (good string, bad []BadToken) {
	i := t.issuer
	i.tb.Helper()
	good = t.Sign()
	signed := good[:strings.LastIndexByte(good, '.')+1]
	add := func(name string, b *Token) {
		if token := b.Sign(); !strings.HasPrefix(token, signed) {
			bad = append(bad, BadToken{name, token})
		}
	}

	add("expired", t.clone().Expired())
	add("not yet valid", t.clone().NotYetValid())
	add("without an end", t.clone().Set("exp", nil))
	add("end as text", t.clone().Set("exp", "4102444800"))
	t.badNames(add)
	add("unknown critical header", t.clone().SetHeader("crit", []string{"exp"}))
	add("typed as a Transaction Token", t.clone().SetHeader("typ", "txntoken+jwt"))
	add("typed as a DPoP proof", t.clone().SetHeader("typ", "dpop+jwt"))
	add("typed as a logout token", t.clone().SetHeader("typ", "logout+jwt"))
	if !t.looksLikeIDToken() {
		add("an ID token", t.clone().SetHeader("typ", "JWT").Set("at_hash", "x").Set("nonce", "n"))
		bare := t.clone().SetHeader("typ", "JWT").Set("nonce", "n")
		for _, name := range []string{"scope", "scp", "client_id", "cid", "typ"} {
			bare.Set(name, nil)
		}
		add("an ID token without hashes", bare)
	}
	add("larger than any token", t.clone().Set("pad", make([]int, 32<<10))) // in bytes and in values
	bad = append(bad, t.badSignatures(good)...)
	return good, append(bad, t.badTexts(good)...)
}

// badNames adds tokens of somebody else and for somebody else.
func (t *Token) badNames(add func(name string, b *Token)) {
	t.issuer.tb.Helper()
	iss, _ := t.Claims["iss"].(string)
	sub, _ := t.Claims["sub"].(string)
	switch {
	case t.names("iss"):
		add("of another issuer", t.clone().Set("iss", "https://evil.test"))
		add("issuer with a slash more", t.clone().Set("iss", iss+"/"))
		add("issuer as a list", t.clone().Set("iss", []string{iss}))
		add("without an issuer", t.clone().Set("iss", nil))
	case strings.HasPrefix(sub, spiffeid.Scheme):
		add("of another trust domain", t.clone().Set("sub", "spiffe://evil.test/a"))
	}
	add("for another audience", t.clone().Set("aud", "https://other.test"))
	add("for an empty audience", t.clone().Set("aud", []string{""}))
	if t.names("aud") {
		add("without an audience", t.clone().Set("aud", nil))
	}
}

func (t *Token) looksLikeIDToken() bool {
	for _, name := range []string{"nonce", "at_hash", "c_hash", "s_hash", "firebase"} {
		if _, ok := t.Claims[name]; ok {
			return true
		}
	}
	return false
}

// names reports whether a claim is there and is neither null nor an empty list.
func (t *Token) names(claim string) bool {
	t.issuer.tb.Helper()
	text := t.text(map[string]any{"": t.Claims[claim]})
	return text != `{"":null}` && text != `{"":[]}`
}

// badSignatures returns tokens that nobody signed, or somebody else.
func (t *Token) badSignatures(good string) []BadToken {
	i := t.issuer
	i.tb.Helper()
	other, alg := i.unpublished(), string(i.opts.Algorithm)
	parts := strings.Split(good, ".")
	sub, _ := t.Claims["sub"].(string)
	changed := strings.Split(t.clone().Set("sub", sub+"-admin").Sign(), ".") // other claims, whatever t has
	return []BadToken{
		{"claims changed after signing", parts[0] + "." + changed[1] + "." + parts[2]},
		{"without a signature", parts[0] + "." + parts[1] + "."},
		{"unsigned", t.clone().SignWith("none", nil).Sign()},
		{"unsigned, spelled nOnE", t.clone().SignWith("none", nil).SetHeader("alg", "nOnE").Sign()},
		{"signed with another key under this key's ID", t.clone().SignWith(alg, other.private).Sign()},
		{"signed with a key that is not published", t.clone().SignWith(alg, other.private).SetHeader("kid", other.id).Sign()},
		{"HMAC keyed with the public key", t.clone().SignWith("HS256", i.publicPEM()).Sign()},
		{"key brought along in the header", t.withOwnKey(other)},
	}
}

// badTexts returns what was signed with the published key, if it can be, and is
// no JWS of JSON in compact serialization, or no JSON that all read alike.
func (t *Token) badTexts(good string) []BadToken {
	t.issuer.tb.Helper()
	parts := strings.Split(good, ".")
	header, claims := t.Text()
	padded := base64.URLEncoding.EncodeToString([]byte(claims + strings.Repeat(" ", 1+len(claims)%3/2)))
	return []BadToken{
		{"a claim twice", t.SignText(header, strings.Replace(claims, "{", `{"exp":4102444800,`, 1))},
		{"a claim twice, in another case", t.clone().Set("EXP", t.Claims["exp"]).Sign()},
		{"data after the claims", t.SignText(header, claims+"{}")},
		{"claims with a byte order mark", t.SignText(header, "\ufeff"+claims)},
		{"claims that are not UTF-8", t.SignText(header, strings.Replace(claims, "{", "{\"x\":\"\xff\",", 1))},
		{"claims that are a list", t.SignText(header, "["+claims+"]")},
		{"padded base64", t.sign(parts[0] + "." + padded)},
		{"JSON serialization", `{"protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`},
		{"encrypted", b64([]byte(`{"alg":"dir","enc":"A256GCM"}`)) + "..AAAAAAAAAAAAAAAA." + parts[1] + ".AAAAAAAAAAAAAAAAAAAAAA"},
		{"five parts", good + ".x.y"},
		{"two parts", parts[0] + "." + parts[1]},
		{"a character inside that is not base64url", parts[0] + "." + parts[1][:8] + "!" + parts[1][8:] + "." + parts[2]},
		{"not a token", "garbage"},
	}
}

func (i *Issuer) publicPEM() []byte {
	i.mu.Lock()
	public := i.keys[len(i.keys)-1].private.Public()
	i.mu.Unlock()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		i.tb.Fatalf("jwtauthtest: %v", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// withOwnKey returns a token with its own verification key in the header (RFC
// 7515 section 4.1.3).
func (t *Token) withOwnKey(own *key) string {
	i := t.issuer
	keys, err := jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: own.signing})
	if err != nil {
		i.tb.Fatalf("jwtauthtest: %v", err)
	}
	rec := httptest.NewRecorder()
	keys.JWKSHandler().ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
	var set struct{ Keys []json.RawMessage }
	if err := json.Unmarshal(rec.Body.Bytes(), &set); err != nil {
		i.tb.Fatalf("jwtauthtest: %v", err)
	}
	return t.clone().SignWith(string(i.opts.Algorithm), own.private).SetHeader("jwk", set.Keys[0]).SetHeader("kid", nil).Sign()
}

// clone returns a copy to spoil. What Set and SetHeader change is not shared.
func (t *Token) clone() *Token {
	c := *t
	c.Header, c.Claims = maps.Clone(t.Header), maps.Clone(t.Claims)
	return &c
}
