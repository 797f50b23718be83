package jwtauth_test

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
	"github.com/authctx/authctx/jwtauth/jwtauthtest"
)

// dpopCase is a service, a client with a bound token, and a request for
// https://api.example/orders.
type dpopCase struct {
	dpop   *jwtauth.DPoP
	now    time.Time
	key    *jwtauthtest.DPoPKey
	issuer *jwtauthtest.Issuer
	signer testSigner
	token  string
}

// newDPoPCase makes one at testNow; change may be nil.
func newDPoPCase(t testing.TB, change func(*jwtauth.DPoPConfig)) *dpopCase {
	t.Helper()
	c := &dpopCase{now: testNow, signer: signerFor(t, jwtauth.EdDSA)}
	clock := func() time.Time { return c.now }
	c.issuer = jwtauthtest.NewIssuer(t, &jwtauthtest.Options{Now: clock})
	c.key = c.issuer.NewDPoPKey("")
	c.token = c.bound(t, map[string]any{"jkt": c.key.Thumbprint()})
	c.dpop = newDPoP(t, newVerifier(t, c.signer, nil), func(cfg *jwtauth.DPoPConfig) {
		cfg.Now = clock
		if change != nil {
			change(cfg)
		}
	})
	return c
}

func newDPoP(t testing.TB, v jwtauth.TokenVerifier, change func(*jwtauth.DPoPConfig)) *jwtauth.DPoP {
	t.Helper()
	cfg := jwtauth.DPoPConfig{ExternalURL: "https://api.example"}
	change(&cfg)
	d, err := jwtauth.NewDPoP(v, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// bound returns an access token with this confirmation.
func (c *dpopCase) bound(t testing.TB, cnf any) string {
	t.Helper()
	return c.signer.token(t, goodClaims(map[string]any{"cnf": cnf}))
}

// proof returns a good proof to be spoilt.
func (c *dpopCase) proof() *jwtauthtest.Token {
	return c.key.Proof("GET", "https://api.example/orders", c.token)
}

// request presents the token with these proofs.
func (c *dpopCase) request(proofs ...string) *authctx.Request {
	return dpopRequest(c.token, proofs...)
}

func dpopRequest(token string, proofs ...string) *authctx.Request {
	r := fields("Authorization", "DPoP "+token, "Host", "evil.example", "X-Forwarded-Host", "evil.example", "Forwarded", "host=evil.example")
	for _, p := range proofs {
		r = withField(r, "DPoP", p)
	}
	r.Target = "/orders"
	return r
}

// try authenticates and holds the answer to its reason, zero for success.
func (c *dpopCase) try(t testing.TB, r *authctx.Request, want authctx.Reason) authctx.Result {
	t.Helper()
	res, err := authctx.Authenticate(t.Context(), c.dpop, r)
	if authctx.ReasonOf(err) != want || (want == 0) != (res.Principal.Subject() == "alice") {
		t.Errorf("%v, %v; want %v", res.Principal, err, want)
	}
	if err != nil && strings.Contains(err.Error(), c.token[len(c.token)-20:]) {
		t.Errorf("the error holds the token: %v", err)
	}
	return res
}

func TestDPoPAcceptsAGoodProof(t *testing.T) {
	for name, alg := range map[string]jwtauth.Algorithm{"ES256": jwtauth.ES256, "EdDSA": jwtauth.EdDSA, "PS256": jwtauth.PS256, "RS256": jwtauth.RS256, "ES512": jwtauth.ES512} {
		t.Run(name, func(t *testing.T) {
			c := newDPoPCase(t, func(cfg *jwtauth.DPoPConfig) {
				cfg.Algorithms = []jwtauth.Algorithm{"Ed25519", jwtauth.ES256, jwtauth.PS256, jwtauth.RS256, jwtauth.ES512}
				cfg.CertificateProxies = trustProxy(t)
			})
			c.key = c.issuer.NewDPoPKey(alg)
			c.token = c.bound(t, map[string]any{"jkt": c.key.Thumbprint()})
			res := c.try(t, c.request(c.proof().Sign()), 0)
			if len(res.Response) != 0 || res.Recheck == nil || !slices.Equal(res.Read.Names, []string{"authorization", "dpop"}) {
				t.Errorf("%+v", res)
			}
			c.try(t, c.request(c.proof().SetHeader("kid", "any").Set("other", true).Sign()), 0)
		})
	}
}

// Where a service takes several algorithms that fit one type of key, the JWK of
// the proof may say for which of them the key is.
func TestRule2_TheKeyOfAProofServesNoAlgorithmButItsOwn(t *testing.T) {
	for bound, passes := range map[string]bool{"": true, "RS256": true, "PS256": false, "RS512": false} {
		c := newDPoPCase(t, func(cfg *jwtauth.DPoPConfig) { cfg.Algorithms = []jwtauth.Algorithm{jwtauth.RS256, jwtauth.PS256} })
		c.key = c.issuer.NewDPoPKey(jwtauth.RS256)
		c.token = c.bound(t, map[string]any{"jkt": c.key.Thumbprint()})
		p, want := c.proof(), authctx.InvalidProof
		if bound != "" {
			p.Header["jwk"].(map[string]any)["alg"] = bound
		}
		if passes {
			want = 0
		}
		c.try(t, c.request(p.Sign()), want)
	}
}

func TestRFC9449_AProofMayEndByItself(t *testing.T) {
	c := newDPoPCase(t, nil)
	for ahead, want := range map[int64]authctx.Reason{600: 0, 1: 0, -29: 0, -30: authctx.InvalidProof} {
		c.try(t, c.request(c.proof().Set("exp", c.now.Unix()+ahead).Sign()), want)
	}
	for ahead, want := range map[int64]authctx.Reason{-600: 0, 30: 0, 31: authctx.InvalidProof} {
		c.try(t, c.request(c.proof().Set("nbf", c.now.Unix()+ahead).Sign()), want)
	}
}

// dpopAttack is a good proof with something changed; null takes a member away.
type dpopAttack struct {
	Check               int // of RFC 9449 section 4.3, counted from 1
	Name                string
	Key                 jwtauth.Algorithm // that the client's key is for, ES256 when empty
	Header, Claims, JWK map[string]any
	Age                 int // in seconds
}

func dpopAttacks(t testing.TB) []dpopAttack {
	t.Helper()
	text, err := os.ReadFile("testdata/dpop/attacks.json")
	if err != nil {
		t.Fatal(err)
	}
	var attacks []dpopAttack
	if err := json.Unmarshal(text, &attacks); err != nil {
		t.Fatal(err)
	}
	if len(attacks) == 0 {
		t.Fatal("there are no attacks")
	}
	return attacks
}

func TestRFC9449_Section4_3_NoChangedProofPasses(t *testing.T) {
	for _, a := range dpopAttacks(t) {
		t.Run(a.Name, func(t *testing.T) {
			c := newDPoPCase(t, nil)
			c.key = c.issuer.NewDPoPKey(a.Key)
			c.token = c.bound(t, map[string]any{"jkt": c.key.Thumbprint()})
			p := c.proof().Set("iat", c.now.Unix()-int64(a.Age))
			for name, v := range a.Header {
				p.SetHeader(name, v)
			}
			for name, v := range a.Claims {
				p.Set(name, v)
			}
			if a.JWK != nil {
				maps.Copy(p.Header["jwk"].(map[string]any), a.JWK)
			}
			c.try(t, c.request(p.Sign()), authctx.InvalidProof)
		})
	}
}

func TestRFC9449_Section4_3_EveryCheckIsAttacked(t *testing.T) {
	// Checks 1, 10 and the binding in 12 are attacked by the tests below.
	attacked := map[int]bool{1: true, 10: true}
	for _, a := range dpopAttacks(t) {
		attacked[a.Check] = true
	}
	for check := 1; check <= 12; check++ {
		if !attacked[check] {
			t.Errorf("check %d is not attacked", check)
		}
	}
}

func TestRFC9449_Section4_3_Check1_ThereIsExactlyOneProof(t *testing.T) {
	c := newDPoPCase(t, nil)
	one, two := c.proof().Sign(), c.proof().Sign()
	c.try(t, c.request(), authctx.InvalidProof)
	c.try(t, c.request(""), authctx.InvalidProof)
	c.try(t, c.request(one, two), authctx.InvalidProof)
	c.try(t, c.request(one, one), authctx.InvalidProof)
	c.try(t, c.request(one+", "+two), authctx.InvalidProof)
	c.try(t, c.request("", one), 0) // an empty field and an absent one are the same
	r := c.request(two)
	r.Fields = authctx.FieldMap(map[string][]string{"Authorization": {"DPoP " + c.token}, "DPoP": {two}, "dpop": {two}})
	c.try(t, r, authctx.InvalidProof)
}

func TestRFC9449_Section4_3_Check2_TheProofIsAStrictJWT(t *testing.T) {
	c := newDPoPCase(t, nil)
	client := signerFor(t, jwtauth.ES256)
	point, err := client.private.(*ecdsa.PrivateKey).PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	jwk := `{"crv":"P-256","kty":"EC","x":"` + b64(string(point[1:33])) + `","y":"` + b64(string(point[33:])) + `"}`
	sum := sha256.Sum256([]byte(jwk))
	c.token = c.bound(t, map[string]any{"jkt": b64(string(sum[:]))})
	header := `{"alg":"ES256","jwk":` + jwk + `,"typ":"dpop+jwt"}`
	claims := asJSON(t, c.proof().Claims)
	sign := func(header, claims string) string { return client.compact(t, header, claims) }
	good := sign(header, claims)
	parts := strings.Split(good, ".")
	for name, proof := range map[string]string{
		"garbage":                     "garbage",
		"two segments":                parts[0] + "." + parts[1],
		"four segments":               good + ".x",
		"no signature":                parts[0] + "." + parts[1] + ".",
		"the signature of another":    parts[0] + "." + parts[1] + "." + strings.Split(c.proof().Sign(), ".")[2],
		"a changed signature":         good[:len(good)-6] + "AAAAAA",
		"a longer signature":          good + "AAAA",
		"padding":                     good + "=",
		"a scheme before it":          "DPoP " + good,
		"a JSON serialization":        `{"payload":"e30","signatures":[]}`,
		"a line break":                parts[0] + "." + parts[1][:8] + "\n" + parts[1][8:] + "." + parts[2],
		"longer than 8 KiB":           c.proof().Set("pad", strings.Repeat("x", 8<<10)).Sign(),
		"claims that are a list":      sign(header, `["jti"]`),
		"data after the claims":       sign(header, claims+"{}"),
		"a claim twice":               sign(header, strings.Replace(claims, `"htm":"GET"`, `"htm":"POST","htm":"GET"`, 1)),
		"a claim in two spellings":    sign(header, strings.Replace(claims, `"htm":"GET"`, `"htm":"GET","HTM":"POST"`, 1)),
		"a claim in one wrong":        sign(header, strings.Replace(claims, `"ath"`, `"Ath"`, 1)),
		"a header member twice":       sign(strings.Replace(header, `"alg"`, `"typ":"dpop+jwt","alg"`, 1), claims),
		"a jwk member twice":          sign(strings.Replace(header, `"crv"`, `"kty":"EC","crv"`, 1), claims),
		"a header that is not closed": sign(header[:len(header)-1], claims),
		"claims that are not UTF-8":   sign(header, strings.Replace(claims, `"GET"`, "\"GET\",\"x\":\"\xff\"", 1)),
	} {
		t.Run(name, func(t *testing.T) { c.try(t, c.request(proof), authctx.InvalidProof) })
	}
	c.try(t, c.request(sign(header, claims)), 0) // the forger signs well
}

func TestRule3_NoClaimOfAProofIsShadowedByAnotherSpelling(t *testing.T) {
	c := newDPoPCase(t, nil)
	for _, name := range []string{"JTI", "Htm", "Htu", "Iat", "Ath", "Nonce", "NONCE", "Exp", "Nbf", "nonc\u00e9"} {
		want := authctx.InvalidProof
		if name == "nonc\u00e9" {
			want = 0 // no spelling of any
		}
		c.try(t, c.request(c.proof().Set(name, "x").Sign()), want)
	}
}

func TestAProofHasAtMost8KiB(t *testing.T) {
	c := newDPoPCase(t, nil)
	padded := func(inHeader, pad int) string {
		return c.proof().SetHeader("pad", strings.Repeat("x", inHeader)).Set("pad", strings.Repeat("x", pad)).Sign()
	}
	tried := map[int]bool{}
	for inHeader := range 4 { // base64 does not have every length
		near := (8<<10 - len(padded(inHeader, 0))) * 3 / 4
		for pad := near - 3; pad <= near+3; pad++ {
			p := padded(inHeader, pad)
			switch n := len(p); {
			case n == 8<<10 && !tried[n]:
				c.try(t, c.request(p), 0)
				tried[n] = true
			case n == 8<<10+1 && !tried[n]:
				c.try(t, c.request(p), authctx.InvalidProof)
				tried[n] = true
			}
		}
	}
	if len(tried) != 2 {
		t.Errorf("tried only %v", tried)
	}
}

func TestRFC9449_Section4_3_Check6_AWeakKeyProvesNothing(t *testing.T) {
	c := newDPoPCase(t, func(cfg *jwtauth.DPoPConfig) { cfg.Algorithms = []jwtauth.Algorithm{jwtauth.RS256, jwtauth.ES256} })
	rsa := c.issuer.NewDPoPKey(jwtauth.RS256)
	jwk := map[string]any{"kty": "RSA", "e": "AQAB", "n": base64.RawURLEncoding.EncodeToString(slices.Repeat([]byte{0xff}, 128))}
	c.try(t, c.request(rsa.Proof("GET", "https://api.example/orders", c.token).SetHeader("jwk", jwk).Sign()), authctx.InvalidProof)
	c.try(t, c.request(c.proof().SignWith("none", nil).Sign()), authctx.InvalidProof)
	// Signed with a key other than the one it shows.
	other := c.issuer.NewDPoPKey("").Proof("GET", "https://api.example/orders", c.token)
	c.try(t, c.request(other.SetHeader("jwk", c.proof().Header["jwk"]).Sign()), authctx.InvalidProof)
}

func TestDPoPOverGRPC(t *testing.T) {
	c := newDPoPCase(t, nil)
	const method = "/orders.v1.Orders/Get"
	r := c.request(c.key.Proof("POST", "https://api.example"+method, c.token).Sign())
	r.Transport, r.Method, r.Target = "grpc", "POST", method
	c.try(t, r, 0)
	message := c.request(c.key.Proof("POST", "https://api.example/orders", c.token).Sign())
	message.Transport, message.Method, message.Target = authctx.TransportMessage, "", "orders"
	c.try(t, message, authctx.InvalidProof)
	for _, method := range []any{"", nil} {
		message.Fields = c.request(c.key.Proof("POST", "https://api.example/orders", c.token).Set("htm", method).Sign()).Fields
		message.Target = "/orders"
		c.try(t, message, authctx.InvalidProof)
	}
}
