package jwtauthtest

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http/httptest"
	"strings"

	"github.com/authctx/authctx/jwtauth"
)

// BadToken is a token that no resource server may accept.
type BadToken struct {
	Name  string // what is wrong with it
	Token string
}

// BadTokens returns one token of this issuer per well-known way to be wrong, so
// that a test can present each of them and expect 401. One has a key that is not
// published, always the same; nobody can tell that, which is 503, as long as
// [jwtauth.RemoteKeys] cool down after another unknown key.
func (i *Issuer) BadTokens() []BadToken {
	i.tb.Helper()
	var bad []BadToken
	add := func(name, token string) { bad = append(bad, BadToken{name, token}) }
	other := i.unpublished()
	good := strings.Split(i.Token().Sign(), ".")
	admin := strings.Split(i.Token().Set("sub", "admin").Sign(), ".")

	add("expired", i.Token().Expired().Sign())
	add("not yet valid", i.Token().NotYetValid().Sign())
	add("without an end", i.Token().Set("exp", nil).Sign())
	add("end as text", i.Token().Set("exp", "4102444800").Sign())
	add("of another issuer", i.Token().Set("iss", "https://evil.test").Sign())
	add("issuer with a slash more", i.Token().Set("iss", i.URL()+"/").Sign())
	add("issuer as a list", i.Token().Set("iss", []string{i.URL()}).Sign())
	add("without an issuer", i.Token().Set("iss", nil).Sign())
	add("for another audience", i.Token().Set("aud", "https://other.test").Sign())
	add("for an empty audience", i.Token().Set("aud", []string{""}).Sign())
	add("without an audience", i.Token().Set("aud", nil).Sign())
	add("claims changed after signing", good[0]+"."+admin[1]+"."+good[2])
	add("without a signature", good[0]+"."+good[1]+".")
	add("unsigned", i.Token().SignWith("none", nil).Sign())
	add("unsigned, spelled nOnE", i.Token().SignWith("none", nil).SetHeader("alg", "nOnE").Sign())
	add("signed with another key under this key's ID", i.Token().SignWith(string(i.opts.Algorithm), other.private).Sign())
	add("signed with a key that is not published",
		i.Token().SignWith(string(i.opts.Algorithm), other.private).SetHeader("kid", other.id).Sign())
	add("HMAC keyed with the public key", i.Token().SignWith("HS256", i.publicPEM()).Sign())
	add("key brought along in the header", i.withOwnKey(other))
	add("unknown critical header", i.Token().SetHeader("crit", []string{"exp"}).Sign())
	add("typed as a Transaction Token", i.Token().SetHeader("typ", "txntoken+jwt").Sign())
	add("typed as a DPoP proof", i.Token().SetHeader("typ", "dpop+jwt").Sign())
	add("typed as a logout token", i.Token().SetHeader("typ", "logout+jwt").Sign())
	add("an ID token", i.Token().SetHeader("typ", "JWT").Set("at_hash", "x").Set("nonce", "n").Sign())
	add("five parts", strings.Join(good, ".")+".x.y")
	add("two parts", good[0]+"."+good[1])
	add("a character inside that is not base64url", good[0]+"."+good[1][:8]+"!"+good[1][8:]+"."+good[2])
	add("not a token", "garbage")
	add("longer than any token", i.Token().Set("pad", strings.Repeat("x", 64<<10)).Sign())
	return bad
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
func (i *Issuer) withOwnKey(own *key) string {
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
	return i.Token().SignWith(string(i.opts.Algorithm), own.private).SetHeader("jwk", set.Keys[0]).SetHeader("kid", nil).Sign()
}
