package jwtauth_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
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

// dpopAttack is a good proof with something changed; null takes a member away.
type dpopAttack struct {
	Check               int // of RFC 9449 section 4.3, counted from 1
	Name                string
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

func TestRFC9449_Section4_3_Check12_TheTokenIsBoundToTheKeyOfTheProof(t *testing.T) {
	c := newDPoPCase(t, nil)
	thief := c.issuer.NewDPoPKey("")
	c.try(t, c.request(thief.Proof("GET", "https://api.example/orders", c.token).Sign()), authctx.InvalidToken)
	for name, cnf := range map[string]any{
		"nothing":                  nil,
		"a certificate only":       map[string]any{"x5t#S256": rfc8705Thumbprint},
		"an empty thumbprint":      map[string]any{"jkt": ""},
		"a list of thumbprints":    map[string]any{"jkt": []string{c.key.Thumbprint()}},
		"the thumbprint padded":    map[string]any{"jkt": c.key.Thumbprint() + "="},
		"a beginning of it":        map[string]any{"jkt": c.key.Thumbprint()[:42]},
		"a kind nobody knows":      map[string]any{"kid": c.key.Thumbprint()},
		"the thumbprint as a text": c.key.Thumbprint(),
	} {
		t.Run(name, func(t *testing.T) {
			token := c.bound(t, cnf)
			c.try(t, dpopRequest(token, c.key.Proof("GET", "https://api.example/orders", token).Sign()), authctx.InvalidToken)
		})
	}
	// A proof for one token does not carry over to another of the same client.
	second := c.bound(t, map[string]any{"jkt": c.key.Thumbprint(), "more": 1})
	c.try(t, dpopRequest(second, c.proof().Sign()), authctx.InvalidProof)
}

func TestATokenWithTwoBindingsNeedsBothProofs(t *testing.T) {
	c := newDPoPCase(t, nil)
	cert := newCertificate(t)
	c.token = c.bound(t, map[string]any{"jkt": c.key.Thumbprint(), "x5t#S256": thumbprintOf(cert)})
	c.try(t, c.request(c.proof().Sign()), authctx.InvalidToken)
	r := c.request(c.proof().Sign())
	r.PeerCertificates = append(r.PeerCertificates, cert)
	c.try(t, r, 0)
	bearer := newBearer(t, newVerifier(t, c.signer, nil), nil)
	plain := fields("authorization", "Bearer "+c.token)
	plain.PeerCertificates = r.PeerCertificates
	if _, err := bearer.Authenticate(t.Context(), plain); !errors.Is(err, authctx.InvalidToken) {
		t.Errorf("as bearer: %v", err)
	}
}

func TestRFC9449_Section7_2_ABoundTokenIsNotDowngradedToBearer(t *testing.T) {
	c := newDPoPCase(t, nil)
	v := newVerifier(t, c.signer, nil)
	both := authctx.OneOf(newBearer(t, v, nil), c.dpop)
	free := c.signer.token(t, goodClaims(nil))
	for name, test := range map[string]struct {
		request *authctx.Request
		want    authctx.Reason
	}{
		"DPoP":                      {c.request(c.proof().Sign()), 0},
		"a free token as Bearer":    {fields("authorization", "Bearer "+free), 0},
		"a bound one as Bearer":     {fields("authorization", "Bearer "+c.token), authctx.InvalidToken},
		"the same with its proof":   {fields("authorization", "Bearer "+c.token, "dpop", c.proof().Sign()), authctx.InvalidToken},
		"a free token as DPoP":      {dpopRequest(free, c.key.Proof("GET", "https://api.example/orders", free).Sign()), authctx.InvalidToken},
		"both at once":              {withField(c.request(c.proof().Sign()), "authorization", "Bearer "+c.token), authctx.InvalidRequest},
		"a proof without a token":   {fields("dpop", c.proof().Sign()), authctx.NoCredentials},
		"a scheme without a token":  {fields("authorization", "DPoP", "dpop", c.proof().Sign()), authctx.InvalidRequest},
		"a scheme and two tokens":   {fields("authorization", "DPoP a b"), authctx.InvalidRequest},
		"the scheme in other case":  {withField(fields("authorization", "dPOP "+c.token), "dpop", c.proof().Sign()), authctx.InvalidProof},
		"nothing":                   {fields(), authctx.NoCredentials},
		"the proof as the token":    {dpopRequest(c.proof().Sign(), c.proof().Sign()), authctx.InvalidToken},
		"the token as the proof":    {c.request(c.token), authctx.InvalidProof},
		"the proof as bearer token": {fields("authorization", "Bearer "+c.proof().Sign()), authctx.InvalidToken},
	} {
		t.Run(name, func(t *testing.T) {
			res, err := authctx.Authenticate(t.Context(), both, test.request)
			if got := authctx.ReasonOf(err); got != test.want && !got.Is(test.want) || (test.want == 0) != (res.Principal.Subject() == "alice") {
				t.Errorf("%v, %v; want %v", res.Principal, err, test.want)
			}
		})
	}
	if f := both.Fields(); !slices.Equal(f.Names, []string{"authorization", "dpop"}) || !slices.Equal(f.Schemes, []string{"Bearer", `DPoP algs="ES256 EdDSA"`}) {
		t.Errorf("%+v", f)
	}
}

func TestRFC9449_Section11_1_AProofPassesOnce(t *testing.T) {
	c := newDPoPCase(t, nil)
	proof := c.proof().Set("jti", "one").Sign()
	c.try(t, c.request(proof), 0)
	c.try(t, c.request(proof), authctx.InvalidProof)
	c.now = c.now.Add(89 * time.Second)
	c.try(t, c.request(proof), authctx.InvalidProof)
	c.try(t, c.request(c.proof().Set("jti", "one").Sign()), authctx.InvalidProof) // the ID counts, not the text
	c.try(t, c.request(c.proof().Set("jti", "One").Sign()), 0)

	r := c.request(c.key.Proof("GET", "https://api.example/others", c.token).Set("jti", "one").Sign())
	r.Target = "/others"
	c.try(t, r, 0)
	r = c.request(c.key.Proof("GET", "https://api.example/0rders", c.token).Set("jti", "one").Sign())
	r.Target = "/0rders"
	c.try(t, r, 0) // an ID counts per URL
	c.key = c.issuer.NewDPoPKey("")
	c.token = c.bound(t, map[string]any{"jkt": c.key.Thumbprint()})
	c.try(t, c.request(c.proof().Set("jti", "one").Sign()), 0) // and per client
}

func TestRFC9449_Section11_1_OtherWaysToWriteTheURLAreNoOtherURL(t *testing.T) {
	c := newDPoPCase(t, nil)
	c.try(t, c.request(c.proof().Set("jti", "one").Sign()), 0)
	r := c.request(c.proof().Set("jti", "one").Set("htu", "https://API.example:443/%6Frders").Sign())
	r.Target = "/%6frders"
	c.try(t, r, authctx.InvalidProof)
	c.try(t, c.request(c.proof().Set("jti", "one").Set("htu", "https://api.example/orders?x").Sign()), authctx.InvalidProof)
}

func TestRFC9449_Section11_1_OfSimultaneousReplaysOnePasses(t *testing.T) {
	c := newDPoPCase(t, nil)
	request := c.request(c.proof().Sign())
	var passed, refused atomic.Int64
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			_, err := c.dpop.Authenticate(context.Background(), request)
			switch {
			case err == nil:
				passed.Add(1)
			case errors.Is(err, authctx.InvalidProof):
				refused.Add(1)
			}
		})
	}
	wg.Wait()
	if passed.Load() != 1 || refused.Load() != 63 {
		t.Errorf("%d passed, %d were refused", passed.Load(), refused.Load())
	}
}

func TestDPoPTimeWindowEndsToTheSecond(t *testing.T) {
	for name, test := range map[string]struct {
		leeway time.Duration
		age    int64
		want   authctx.Reason
	}{
		"as old as may be":         {0, 89, 0},
		"a second older":           {0, 90, authctx.InvalidProof},
		"as early as may be":       {0, -30, 0},
		"a second earlier":         {0, -31, authctx.InvalidProof},
		"old without leeway":       {jwtauth.NoLeeway, 59, 0},
		"older without leeway":     {jwtauth.NoLeeway, 60, authctx.InvalidProof},
		"now without leeway":       {jwtauth.NoLeeway, 0, 0},
		"the future without any":   {jwtauth.NoLeeway, -1, authctx.InvalidProof},
		"a wide window, in it":     {5 * time.Minute, 359, 0},
		"a wide window, before it": {5 * time.Minute, 360, authctx.InvalidProof},
	} {
		t.Run(name, func(t *testing.T) {
			c := newDPoPCase(t, func(cfg *jwtauth.DPoPConfig) { cfg.Leeway = test.leeway })
			c.try(t, c.request(c.proof().Set("iat", c.now.Unix()-test.age).Sign()), test.want)
		})
	}
}

// failingStore cannot tell.
type failingStore struct{ err error }

func (s failingStore) Use(context.Context, [32]byte, time.Time) (bool, error) { return false, s.err }

func TestRule8_AReplayStoreOutOfReachIsNeitherYesNorNo(t *testing.T) {
	c := newDPoPCase(t, func(cfg *jwtauth.DPoPConfig) { cfg.Replays = failingStore{errors.New("connection refused")} })
	c.try(t, c.request(c.proof().Sign()), authctx.Unavailable)
	c.try(t, c.request(c.proof().Set("htm", "PUT").Sign()), authctx.InvalidProof)
}

func TestRule8_AVerifierOutOfReachIsNotABadProof(t *testing.T) {
	c := newDPoPCase(t, nil)
	down := verifierFunc(func(string) (jwtauth.VerifiedToken, error) { return jwtauth.VerifiedToken{}, authctx.Unavailable })
	c.dpop = newDPoP(t, down, func(*jwtauth.DPoPConfig) {})
	c.try(t, c.request(c.proof().Sign()), authctx.Unavailable)
}

func TestOnlyAProofThatHoldsLeavesATrace(t *testing.T) {
	memory := &jwtauth.ReplayMemory{Now: func() time.Time { return testNow }}
	c := newDPoPCase(t, func(cfg *jwtauth.DPoPConfig) { cfg.Replays = memory })
	for _, a := range dpopAttacks(t) {
		p := c.proof()
		for name, v := range a.Claims {
			p.Set(name, v)
		}
		if len(a.Claims) > 0 {
			c.try(t, c.request(p.Sign()), authctx.InvalidProof)
		}
	}
	c.try(t, c.request(c.issuer.NewDPoPKey("").Proof("GET", "https://api.example/orders", c.token).Sign()), authctx.InvalidToken)
	if memory.Len() != 0 {
		t.Errorf("%d refused proofs are remembered", memory.Len())
	}
	c.try(t, c.request(c.proof().Sign()), 0)
	if memory.Len() != 1 {
		t.Errorf("%d proofs are remembered", memory.Len())
	}
}

func TestDPoPOverGRPC(t *testing.T) {
	c := newDPoPCase(t, nil)
	const method = "/orders.v1.Orders/Get"
	r := c.request(c.key.Proof("POST", "https://api.example"+method, c.token).Sign())
	r.Transport, r.Method, r.Target = "grpc", "POST", method
	c.try(t, r, 0)
	message := c.request(c.key.Proof("POST", "https://api.example/orders", c.token).Sign())
	message.Transport, message.Method, message.Target = authctx.MessageTransport, "", "orders"
	c.try(t, message, authctx.InvalidProof)
	for _, method := range []any{"", nil} {
		message.Fields = c.request(c.key.Proof("POST", "https://api.example/orders", c.token).Set("htm", method).Sign()).Fields
		message.Target = "/orders"
		c.try(t, message, authctx.InvalidProof)
	}
}

func TestRule1_NewDPoPNamesEveryProblem(t *testing.T) {
	v := newVerifier(t, signerFor(t, jwtauth.EdDSA), nil)
	ok := jwtauth.DPoPConfig{ExternalURL: "https://api.example"}
	for name, test := range map[string]struct {
		verifier jwtauth.TokenVerifier
		change   func(*jwtauth.DPoPConfig)
		want     []string
	}{
		"everything":           {nil, func(c *jwtauth.DPoPConfig) { *c = jwtauth.DPoPConfig{MaxAge: -1, Leeway: time.Hour} }, []string{"TokenVerifier", "ExternalURL", "MaxAge", "Leeway"}},
		"http":                 {v, func(c *jwtauth.DPoPConfig) { c.ExternalURL = "http://api.example" }, []string{"https"}},
		"no scheme":            {v, func(c *jwtauth.DPoPConfig) { c.ExternalURL = "api.example" }, []string{"ExternalURL"}},
		"a query":              {v, func(c *jwtauth.DPoPConfig) { c.ExternalURL += "?a" }, []string{"ExternalURL"}},
		"a user":               {v, func(c *jwtauth.DPoPConfig) { c.ExternalURL = "https://a:b@api.example" }, []string{"ExternalURL"}},
		"a host not in ASCII":  {v, func(c *jwtauth.DPoPConfig) { c.ExternalURL = "https://bücher.example" }, []string{"ASCII"}},
		"HMAC":                 {v, func(c *jwtauth.DPoPConfig) { c.Algorithms = []jwtauth.Algorithm{"HS256"} }, []string{"Algorithms"}},
		"none":                 {v, func(c *jwtauth.DPoPConfig) { c.Algorithms = []jwtauth.Algorithm{"none"} }, []string{"Algorithms"}},
		"an empty algorithm":   {v, func(c *jwtauth.DPoPConfig) { c.Algorithms = []jwtauth.Algorithm{""} }, []string{"Algorithms"}},
		"a long life":          {v, func(c *jwtauth.DPoPConfig) { c.MaxAge = time.Hour }, []string{"MaxAge"}},
		"a short secret":       {v, func(c *jwtauth.DPoPConfig) { c.RequireNonce, c.NonceSecret = true, []byte("short") }, []string{"NonceSecret"}},
		"a secret for nothing": {v, func(c *jwtauth.DPoPConfig) { c.NonceSecret = testSecret }, []string{"RequireNonce"}},
		"a long nonce":         {v, func(c *jwtauth.DPoPConfig) { c.RequireNonce, c.NonceLife = true, 2*time.Hour }, []string{"NonceLife"}},
		"a shape":              {v, func(c *jwtauth.DPoPConfig) { c.Shape = 9 }, []string{"Shape"}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := ok
			test.change(&cfg)
			_, err := jwtauth.NewDPoP(test.verifier, cfg)
			for _, want := range test.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%v does not name %s", err, want)
				}
			}
		})
	}
	for _, url := range []string{"http://127.0.0.1:8080", "http://localhost/base/", "HTTPS://Api.Example:443/v1"} {
		if _, err := jwtauth.NewDPoP(v, jwtauth.DPoPConfig{ExternalURL: url}); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
}
