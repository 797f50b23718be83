package jwtauth_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/authctx/authctx"
)

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
		"a number beside another":  map[string]any{"jkt": 7, "x5t#S256": rfc8705Thumbprint},
		"another beside a number":  map[string]any{"jkt": c.key.Thumbprint(), "x5t#S256": 7},
		"another beside nothing":   map[string]any{"jkt": c.key.Thumbprint(), "x5t#S256": ""},
		"another beside null":      map[string]any{"jkt": c.key.Thumbprint(), "x5t#S256": json.RawMessage("null")},
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

// A binding that cannot be read is none that could be left out.
func TestATokenWhoseOtherBindingIsNoTextIsRefused(t *testing.T) {
	c := newDPoPCase(t, nil)
	cert := newCertificate(t)
	bearer := newBearer(t, newVerifier(t, c.signer, nil), nil)
	for name, jkt := range map[string]any{"a number": 7, "a list": []string{c.key.Thumbprint()}, "empty": "", "null": json.RawMessage("null"), "absent": nil} {
		cnf := map[string]any{"jkt": jkt, "x5t#S256": thumbprintOf(cert)}
		want := authctx.InvalidToken
		if jkt == nil {
			delete(cnf, "jkt")
			want = 0
		}
		r := fields("authorization", "Bearer "+c.bound(t, cnf))
		r.UnverifiedPeerCertificate = cert
		if _, err := bearer.Authenticate(t.Context(), r); authctx.ReasonOf(err) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestATokenWithTwoBindingsNeedsBothProofs(t *testing.T) {
	c := newDPoPCase(t, nil)
	cert := newCertificate(t)
	c.token = c.bound(t, map[string]any{"jkt": c.key.Thumbprint(), "x5t#S256": thumbprintOf(cert)})
	c.try(t, c.request(c.proof().Sign()), authctx.InvalidToken)
	r := c.request(c.proof().Sign())
	r.UnverifiedPeerCertificate = cert
	c.try(t, r, 0)
	bearer := newBearer(t, newVerifier(t, c.signer, nil), nil)
	plain := fields("authorization", "Bearer "+c.token)
	plain.UnverifiedPeerCertificate = cert
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

func TestRefusalsTellTheOperatorWhichProofIsMissing(t *testing.T) {
	c := newDPoPCase(t, nil)
	v := newVerifier(t, c.signer, nil)
	free := c.signer.token(t, goodClaims(nil))
	certificate := c.bound(t, map[string]any{"x5t#S256": rfc8705Thumbprint})
	for want, test := range map[string]struct {
		a       authctx.Authenticator
		request *authctx.Request
	}{
		"plain bearer":         {newBearer(t, v, nil), fields("authorization", "Bearer "+c.token)},
		"client certificate":   {newBearer(t, v, nil), fields("authorization", "Bearer "+certificate)},
		"bound to no key":      {c.dpop, dpopRequest(free, c.key.Proof("GET", "https://api.example/orders", free).Sign())},
		"bound to another key": {c.dpop, c.request(c.issuer.NewDPoPKey("").Proof("GET", "https://api.example/orders", c.token).Sign())},
		"private key":          {c.dpop, c.request(c.proof().SetHeader("jwk", map[string]any{"kty": "EC", "d": "AA"}).Sign())},
		"used before":          {c.dpop, usedRequest(t, c)},
	} {
		if _, err := test.a.Authenticate(t.Context(), test.request); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}

// usedRequest returns a request whose proof was used.
func usedRequest(t testing.TB, c *dpopCase) *authctx.Request {
	t.Helper()
	r := c.request(c.proof().Sign())
	c.try(t, r, 0)
	return r
}
