package jwtauth_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
	"github.com/authctx/authctx/jwtauth"
)

// verifierFunc is a TokenVerifier that a test makes up.
type verifierFunc func(string) (jwtauth.VerifiedToken, error)

func (f verifierFunc) VerifyToken(_ context.Context, token string) (jwtauth.VerifiedToken, error) {
	return f(token)
}

func newBearer(t testing.TB, v jwtauth.TokenVerifier, o *jwtauth.BearerOptions) *jwtauth.Bearer {
	t.Helper()
	b, err := jwtauth.NewBearer(v, o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func fields(pairs ...string) *authctx.Request {
	m := map[string][]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = append(m[pairs[i]], pairs[i+1])
	}
	return &authctx.Request{Transport: "http", Method: "GET", Target: "/", Fields: authctx.FieldMap(m)}
}

func TestBearerReadsOneTokenFromOnePlace(t *testing.T) {
	s := signerFor(t, jwtauth.EdDSA)
	v := newVerifier(t, s, nil)
	token := s.token(t, goodClaims(nil))
	cookie := &jwtauth.BearerOptions{Cookie: "access"}
	header := &jwtauth.BearerOptions{Header: "X-Access-Token"}
	scheme := &jwtauth.BearerOptions{Header: "x-access-token", HeaderScheme: true}
	for name, test := range map[string]struct {
		options *jwtauth.BearerOptions
		request *authctx.Request
		want    error
	}{
		"a token":                            {nil, fields("Authorization", "Bearer "+token), nil},
		"the scheme in any case":             {nil, fields("authorization", "bEARER  "+token), nil},
		"nothing":                            {nil, fields(), authctx.NoCredentials},
		"no request fields at all":           {nil, &authctx.Request{}, authctx.NoCredentials},
		"an empty field":                     {nil, fields("Authorization", ""), authctx.NoCredentials},
		"another scheme":                     {nil, fields("Authorization", "Basic dTpw"), authctx.NoCredentials},
		"DPoP":                               {nil, fields("Authorization", "DPoP "+token), authctx.NoCredentials},
		"a token without scheme":             {nil, fields("Authorization", token), authctx.NoCredentials},
		"a scheme without token":             {nil, fields("Authorization", "Bearer"), authctx.InvalidRequest},
		"a scheme and a space":               {nil, fields("Authorization", "Bearer "), authctx.InvalidRequest},
		"two words":                          {nil, fields("Authorization", "Bearer "+token+" x"), authctx.InvalidRequest},
		"a tab":                              {nil, fields("Authorization", "Bearer \t"+token), authctx.InvalidRequest},
		"a tab in place of the space":        {nil, fields("Authorization", "Bearer\t"+token), authctx.InvalidRequest},
		"two lines":                          {nil, fields("Authorization", "Bearer "+token, "Authorization", "Bearer "+token), authctx.InvalidRequest},
		"two lines in different case":        {nil, fields("Authorization", "Bearer "+token, "authorization", "Basic dTpw"), authctx.InvalidRequest},
		"two lines joined":                   {nil, fields("Authorization", "Bearer "+token+", Bearer "+token), authctx.InvalidRequest},
		"an empty line after":                {nil, fields("Authorization", "Bearer "+token, "Authorization", ""), authctx.InvalidRequest},
		"an empty line before":               {nil, fields("Authorization", "", "Authorization", "Bearer "+token), authctx.InvalidRequest},
		"two empty lines":                    {nil, fields("Authorization", "", "Authorization", ""), authctx.InvalidRequest},
		"another scheme twice":               {nil, fields("Authorization", "Basic dTpw", "Authorization", ""), authctx.InvalidRequest},
		"a colon after the scheme":           {nil, fields("Authorization", "Bearer:"+token), authctx.InvalidRequest},
		"a colon and a space":                {nil, fields("Authorization", "Bearer: "+token), authctx.InvalidRequest},
		"an equals sign after the scheme":    {nil, fields("Authorization", "bearer="+token), authctx.InvalidRequest},
		"a comma after the scheme":           {nil, fields("Authorization", "Bearer, Bearer "+token), authctx.InvalidRequest},
		"a quoted scheme":                    {nil, fields("Authorization", `"Bearer" `+token), authctx.InvalidRequest},
		"a space that is none":               {nil, fields("Authorization", "Bearer\u00a0"+token), authctx.InvalidRequest},
		"a space first":                      {nil, fields("Authorization", " Bearer "+token), authctx.InvalidRequest},
		"a scheme that begins like ours":     {nil, fields("Authorization", "BearerV2 "+token), authctx.NoCredentials},
		"one word that may be a key":         {nil, fields("Authorization", "c2VjcmV0/w=="), authctx.NoCredentials},
		"one word that is no key":            {nil, fields("Authorization", "ApiKey:x"), authctx.InvalidRequest},
		"a comma":                            {nil, fields("Authorization", ","), authctx.InvalidRequest},
		"an equals sign":                     {nil, fields("Authorization", "="), authctx.InvalidRequest},
		"another scheme joined":              {nil, fields("Authorization", "Basic dTpw, Bearer "+token), authctx.InvalidRequest},
		"another scheme joined closely":      {nil, fields("Authorization", "Basic dTpw,bearer "+token), authctx.InvalidRequest},
		"a list joined":                      {nil, fields("Authorization", `Digest username="a\", b", nc=1, Bearer `+token), authctx.InvalidRequest},
		"the scheme as a parameter":          {nil, fields("Authorization", "Digest nc=1, bearer = x, Bearer=x"), authctx.NoCredentials},
		"the scheme in a parameter":          {nil, fields("Authorization", `Digest username="a\", Bearer x", nc=1`), authctx.NoCredentials},
		"a comma behind a backslash":         {nil, fields("Authorization", `Digest a=\, Bearer `+token), authctx.InvalidRequest},
		"a quotation that ends in one":       {nil, fields("Authorization", `Digest a="\\", Bearer `+token), authctx.InvalidRequest},
		"a list of signed fields":            {nil, fields("Authorization", "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host;range, Signature=0f"), authctx.NoCredentials},
		"another scheme that begins alike":   {nil, fields("Authorization", "Bearer2 "+token), authctx.NoCredentials},
		"a malformed token":                  {nil, fields("Authorization", "Bearer abc"), authctx.InvalidToken},
		"a JSON serialization":               {nil, fields("Authorization", `Bearer {"payload":"e30","signatures":[]}`), authctx.InvalidToken},
		"a token in quotes":                  {nil, fields("Authorization", `Bearer "`+token+`"`), authctx.InvalidToken},
		"a token and a comma":                {nil, fields("Authorization", "Bearer "+token+","), authctx.InvalidToken},
		"a token and a parameter":            {nil, fields("Authorization", `Bearer token="`+token+`"`), authctx.InvalidToken},
		"a cookie, when not told":            {nil, fields("Cookie", "access="+token), authctx.NoCredentials},
		"a cookie":                           {cookie, fields("Cookie", "a=b; access="+token), nil},
		"a cookie of another case":           {cookie, fields("Cookie", "Access="+token), authctx.NoCredentials},
		"an empty cookie":                    {cookie, fields("Cookie", "access="), authctx.NoCredentials},
		"a cookie twice":                     {cookie, fields("Cookie", "access="+token+"; access="+token), authctx.InvalidRequest},
		"authorization, when told a cookie":  {cookie, fields("Authorization", "Bearer "+token), authctx.NoCredentials},
		"a header":                           {header, fields("x-access-token", token), nil},
		"a header with an unexpected scheme": {header, fields("x-access-token", "Bearer "+token), authctx.InvalidRequest},
		"a header with its scheme":           {scheme, fields("X-Access-Token", "Bearer "+token), nil},
		"a header with an empty line":        {header, fields("x-access-token", token, "X-Access-Token", ""), authctx.InvalidRequest},
		"a header twice":                     {header, fields("x-access-token", token, "X-Access-Token", token), authctx.InvalidRequest},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBearer(t, v, test.options)
			res, err := authctx.Authenticate(t.Context(), b, test.request)
			if !errors.Is(err, test.want) || test.want == nil && res.Principal.Subject() != "alice" {
				t.Errorf("%v, %v; want %v", res.Principal, err, test.want)
			}
			if got, err := b.Presents(t.Context(), test.request); err != nil || got == errors.Is(test.want, authctx.NoCredentials) {
				t.Errorf("Presents: %v, %v", got, err)
			}
		})
	}
}

func TestBearerNamesExactlyWhatItReads(t *testing.T) {
	v := newVerifier(t, signerFor(t, jwtauth.EdDSA), nil)
	plain := newBearer(t, v, nil).Fields()
	if !slices.Equal(plain.Names, []string{"authorization"}) || !slices.Equal(plain.Schemes, []string{"Bearer"}) || plain.Cookies != nil {
		t.Errorf("%+v", plain)
	}
	cookie := newBearer(t, v, &jwtauth.BearerOptions{Cookie: "access"}).Fields()
	if !slices.Equal(cookie.Cookies, []string{"access"}) || cookie.Names != nil {
		t.Errorf("%+v", cookie)
	}
	header := newBearer(t, v, &jwtauth.BearerOptions{Header: "X-Token"}).Fields()
	if !slices.Equal(header.Names, []string{"x-token"}) {
		t.Errorf("%+v", header)
	}
}

func TestRule1_NewBearerNamesEveryProblem(t *testing.T) {
	v := newVerifier(t, signerFor(t, jwtauth.EdDSA), nil)
	for want, test := range map[string]struct {
		verifier jwtauth.TokenVerifier
		options  jwtauth.BearerOptions
	}{
		"TokenVerifier":          {nil, jwtauth.BearerOptions{}},
		"OneOf":                  {v, jwtauth.BearerOptions{Cookie: "a", Header: "b"}},
		"Cookie":                 {v, jwtauth.BearerOptions{Cookie: "a b"}},
		"Header":                 {v, jwtauth.BearerOptions{Header: "a\nb"}},
		"authorization":          {v, jwtauth.BearerOptions{Header: "Authorization"}},
		"not be Host":            {v, jwtauth.BearerOptions{Header: "Host"}},
		"not be X_User_Id":       {v, jwtauth.BearerOptions{Header: "X_User_Id"}},
		"not be txn-token":       {v, jwtauth.BearerOptions{Header: "txn-token"}},
		"not be X-User-Deferred": {v, jwtauth.BearerOptions{Header: "X-User-Deferred"}},
		"HeaderScheme":           {v, jwtauth.BearerOptions{HeaderScheme: true}},
		"Shape":                  {v, jwtauth.BearerOptions{Shape: 9}},
	} {
		if _, err := jwtauth.NewBearer(test.verifier, &test.options); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestRule1_NoTokenIsReadFromAFieldThatIsThereForSomethingElse(t *testing.T) {
	v := newVerifier(t, signerFor(t, jwtauth.EdDSA), nil)
	for _, name := range []string{
		"x-user-id", "x-user-roles", "x-user-extra", "txn-token", "x-user-deferred", "cookie", "set-cookie", "dpop", "client-cert", "authorization",
		"www-authenticate", "proxy-authorization", "proxy-authenticate", "proxy-authentication-info", "authentication-info", "client-cert-chain", "dpop-nonce", "sec-websocket-protocol", "connection", "content-type", "host",
	} {
		for _, spelled := range []string{name, strings.ToUpper(name), strings.ReplaceAll(name, "-", "_")} {
			if _, err := jwtauth.NewBearer(v, &jwtauth.BearerOptions{Header: spelled}); err == nil || !strings.Contains(err.Error(), "Header must not be") {
				t.Errorf("%s: %v", spelled, err)
			}
		}
	}
	if _, err := jwtauth.NewBearer(v, &jwtauth.BearerOptions{Header: "X-Access-Token"}); err != nil {
		t.Error(err)
	}
}

func TestTokensAreDividedByShape(t *testing.T) {
	s := signerFor(t, jwtauth.EdDSA)
	signed := newBearer(t, newVerifier(t, s, nil), &jwtauth.BearerOptions{Shape: jwtauth.JWTShape})
	bob, err := authctx.New(authctx.Attributes{Issuer: "https://opaque.example", Subject: "bob"})
	if err != nil {
		t.Fatal(err)
	}
	opaque := newBearer(t, verifierFunc(func(token string) (jwtauth.VerifiedToken, error) {
		if !strings.HasSuffix(token, "opaque.token") {
			return jwtauth.VerifiedToken{}, authctx.InvalidToken
		}
		return jwtauth.VerifiedToken{Principal: bob}, nil
	}), &jwtauth.BearerOptions{Shape: jwtauth.OpaqueShape})
	for name, members := range map[string]authctx.Authenticator{
		"signed first": authctx.OneOf(signed, opaque), "opaque first": authctx.OneOf(opaque, signed),
	} {
		for token, want := range map[string]string{
			s.token(t, goodClaims(nil)): "alice", "opaque.token": "bob", "neither": "", "eyJ.bad.token": "",
			// Not by the grammar of RFC 6750 section 2.1, but by what providers do.
			"1|opaque.token": "bob",
			// What these begin with is no "{".
			"eA.opaque.token": "bob", "ev.opaque.token": "bob", "e.opaque.token": "bob", "e~.opaque.token": "bob", "ew.opaque.token": "", "e_.opaque.token": "",
		} {
			res, err := members.Authenticate(t.Context(), fields("authorization", "Bearer "+token))
			if res.Principal.Subject() != want || want == "" && !errors.Is(err, authctx.InvalidToken) {
				t.Errorf("%s: %.20q: %v, %v", name, token, res.Principal, err)
			}
		}
		if _, err := members.Authenticate(t.Context(), fields()); !errors.Is(err, authctx.NoCredentials) {
			t.Errorf("%s: nothing: %v", name, err)
		}
	}
}

// A token of a shape that nobody takes is there all the same.
func TestRule8_ATokenOfAnotherShapeIsBadAndNotAbsent(t *testing.T) {
	s := signerFor(t, jwtauth.EdDSA)
	v, stranger := newVerifier(t, s, nil), verifierFunc(func(string) (jwtauth.VerifiedToken, error) {
		return jwtauth.VerifiedToken{Principal: principalOf(t, authctx.Attributes{Issuer: "i", Subject: "bob"})}, nil
	})
	signed := newBearer(t, v, &jwtauth.BearerOptions{Shape: jwtauth.JWTShape})
	opaque := newBearer(t, stranger, &jwtauth.BearerOptions{Shape: jwtauth.OpaqueShape})
	cookie := newBearer(t, v, &jwtauth.BearerOptions{Cookie: "sid", Shape: jwtauth.JWTShape})
	proofs := newDPoP(t, v, func(c *jwtauth.DPoPConfig) { c.Shape = jwtauth.JWTShape })
	token := s.token(t, goodClaims(nil))
	bearer, cut := []string{"Authorization", "Bearer " + token}, []string{"Authorization", "Bearer " + token[:strings.LastIndex(token, ".")]}
	word := []string{"Authorization", "Bearer opaque"}
	for name, c := range map[string]struct {
		authenticator         authctx.Authenticator
		known, unknown, wrong [][]string // requests with a caller, without one, and with a bad token
	}{
		"signed tokens alone": {signed, [][]string{bearer}, [][]string{{}, {"Authorization", "Basic dTpw"}}, [][]string{word, cut}},
		"both":                {authctx.OneOf(signed, opaque), [][]string{bearer, word, cut}, [][]string{{}}, nil},
		"a cookie alone":      {cookie, [][]string{{"Cookie", "sid=" + token}}, [][]string{{}, bearer, {"Cookie", "sid="}}, [][]string{{"Cookie", "sid=opaque"}}},
		"a cookie beside":     {authctx.OneOf(cookie, signed), [][]string{bearer}, [][]string{{}}, [][]string{word, cut, {"Cookie", "sid=opaque"}}},
		"JWT proofs beside":   {authctx.OneOf(opaque, proofs), [][]string{word}, [][]string{{}}, [][]string{bearer, {"Authorization", "DPoP opaque"}}},
		"nested": {authctx.OneOf(authctx.OneOf(cookie, proofs), authctx.OneOf(signed)),
			[][]string{bearer}, [][]string{{}}, [][]string{word, cut, {"Authorization", "DPoP opaque"}}},
	} {
		for _, anonymous := range []bool{false, true} {
			answer := func(request []string) (code int, invalid bool) {
				var seen http.Header
				r, w := httptest.NewRequest("GET", "/", nil), httptest.NewRecorder()
				for i := 0; i < len(request); i += 2 {
					r.Header.Set(request[i], request[i+1])
				}
				serve(t, httpctx.ServerConfig{Authenticator: c.authenticator, AllowAnonymous: anonymous}, &seen).ServeHTTP(w, r)
				return w.Code, strings.Contains(strings.Join(w.Header()["Www-Authenticate"], "\n"), `error="invalid_token"`)
			}
			for _, request := range c.known {
				if code, _ := answer(request); code != 200 {
					t.Errorf("%s: %.30q: %d", name, request, code)
				}
			}
			for _, request := range c.unknown {
				if code, invalid := answer(request); (code == 200) != anonymous || invalid {
					t.Errorf("%s: %.30q, anonymous callers %v: %d, invalid_token %v", name, request, anonymous, code, invalid)
				}
			}
			for _, request := range c.wrong {
				if code, invalid := answer(request); code != 401 || !invalid {
					t.Errorf("%s: %.30q, anonymous callers %v: %d, invalid_token %v", name, request, anonymous, code, invalid)
				}
			}
		}
	}
}

func TestABoundTokenIsNoPlainBearerToken(t *testing.T) {
	s := signerFor(t, jwtauth.EdDSA)
	b := newBearer(t, newVerifier(t, s, nil), nil)
	for _, cnf := range []string{"jkt", "x5t#S256"} {
		token := s.token(t, goodClaims(map[string]any{"cnf": map[string]any{cnf: "thumb"}}))
		if res, err := b.Authenticate(t.Context(), fields("authorization", "Bearer "+token)); !errors.Is(err, authctx.InvalidToken) || !res.Principal.IsZero() {
			t.Errorf("%s: %v, %v", cnf, res.Principal, err)
		}
	}
}

func TestKong_9946_TokensInTwoPlacesAreRefused(t *testing.T) {
	s := signerFor(t, jwtauth.EdDSA)
	v := newVerifier(t, s, nil)
	both := authctx.OneOf(newBearer(t, v, nil), newBearer(t, v, &jwtauth.BearerOptions{Cookie: "access"}))
	token := s.token(t, goodClaims(nil))
	if _, err := both.Authenticate(t.Context(), fields("authorization", "Bearer "+token, "cookie", "access="+token)); !errors.Is(err, authctx.InvalidRequest) {
		t.Error(err)
	}
}

func TestResultSaysWhetherACacheAnswered(t *testing.T) {
	s := signerFor(t, jwtauth.EdDSA)
	b := newBearer(t, newVerifier(t, s, nil), nil)
	request := fields("authorization", "Bearer "+s.token(t, goodClaims(nil)))
	for i, want := range []bool{false, true} {
		res, err := b.Authenticate(t.Context(), request)
		if err != nil || res.Cached != want || res.Recheck == nil {
			t.Errorf("request %d: %+v, %v", i, res.Cached, err)
		}
	}
}
