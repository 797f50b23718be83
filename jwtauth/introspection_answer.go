package jwtauth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/strictjson"
)

// maxAnswerBytes bounds what is read of an introspection response.
const maxAnswerBytes = 64 << 10

// introspect asks the endpoint and judges the answer. The error is
// [authctx.Unavailable]; that a token is not good is an answer too.
func (i *Introspector) introspect(token string) (*verified, error) {
	ctx, cancel := context.WithTimeout(i.ctx, i.timeout)
	defer cancel()
	asked := i.policy.Now() // before the answer, which may be about then
	v := &verified{policy: i.policy, key: i.key, until: asked.Add(i.policy.Cache.MaxAge)}
	body, err := i.post(ctx, token)
	switch {
	case err == errUnsupported:
		v.refused = err
	case err != nil:
		return nil, unavailable("introspection", err)
	default:
		if err := i.read(v, body, asked); err != nil {
			return nil, err
		}
	}
	v.endBy(v.token.Principal.Expires()) // the endpoint may have moved it by then
	if v.refused != nil {
		v.size, v.until = verifiedOverhead, asked.Add(min(refusedAge, i.policy.Cache.MaxAge))
	}
	return v, nil
}

// read notes in v what the answer to a question of then says.
func (i *Introspector) read(v *verified, body []byte, asked time.Time) error {
	var s scratch
	s.payload = body
	if err := s.parseClaims(i.policy.parser); err != nil {
		return errAnswerJSON
	}
	v.size = 2*len(body) + verifiedOverhead
	switch s.doc.Get("active").Kind() {
	case strictjson.True:
		v.token, v.refused = i.judge(&s, asked)
		v.refused = i.policy.about(v.refused)
		v.size += s.listBytes
	case strictjson.False:
		v.refused = errInactive
	default:
		return errAnswerJSON
	}
	return nil
}

// post sends the token (RFC 7662 section 2.1) and returns the body of a 200
// response. The time of ctx is that of the configuration.
func (i *Introspector) post(ctx context.Context, token string) ([]byte, error) {
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, i.endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, errors.New("the endpoint is not a URL")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	// A question may be asked twice, so net/http may repeat it on another
	// connection when the endpoint has just closed an idle one. The key without
	// values says so and is not sent, see [http.Transport].
	req.Header["Idempotency-Key"] = nil
	i.sign(req)
	body, _, err := exchange(i.client, req, maxAnswerBytes, answerError)
	return body, inTime(ctx, "the endpoint", i.timeout, err)
}

// answerError says what an answer other than 200 means. Only one is about the
// token; that it is not good is what "active" says.
func answerError(resp *http.Response) error {
	e := &authctx.Error{Reason: authctx.Unavailable}
	switch code := resp.StatusCode; {
	case code == http.StatusBadRequest && unsupported(resp.Body):
		return errUnsupported
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		e.Cause = fmt.Errorf("jwtauth: introspection: the endpoint refused ClientID and ClientSecret with %d", code)
	case code >= 300 && code < 400:
		e.Cause = fmt.Errorf("jwtauth: introspection: the endpoint redirected with %d, which is not followed", code)
	default:
		e.Cause = fmt.Errorf("jwtauth: introspection: the endpoint answered %d", code)
		if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 {
			e.RetryAfter = time.Duration(min(seconds, maxRetryAfter)) * time.Second
		}
	}
	return e
}

// unsupported reports whether the endpoint answers for no tokens of this kind
// (RFC 7009 section 2.2.1), as some do when they are asked about a JWT or what
// begins like one, which anybody can send.
func unsupported(body io.Reader) bool {
	text, _ := io.ReadAll(io.LimitReader(body, maxAnswerBytes))
	doc, err := readJSONObject(text)
	if err != nil {
		return false
	}
	code, _ := doc.text("error")
	return code == "unsupported_token_type"
}

// maxRetryAfter is how many seconds an endpoint may send our callers away for.
const maxRetryAfter = 60

// judge makes a principal of an answer about an active token that was asked for
// then, or says why the token does not count here.
func (i *Introspector) judge(s *scratch, asked time.Time) (VerifiedToken, error) {
	p, doc := i.policy, &s.doc
	if iss := doc.Get("iss"); iss.Exists() {
		switch name, ok := iss.Text(); {
		case !ok:
			return VerifiedToken{}, errIssuerType
		case p.canonical(name) != p.Issuer:
			return VerifiedToken{}, &p.wrongIssuer
		}
	}
	confirmation, err := readConfirmation(given(doc, "cnf"))
	if err != nil {
		return VerifiedToken{}, err
	}
	if !accessToken(doc, confirmation) {
		return VerifiedToken{}, errTokenUse
	}
	if err := p.Types.checkClaims("", doc); err != nil {
		return VerifiedToken{}, err
	}
	life, err := i.lifetime(doc, asked)
	if err != nil {
		return VerifiedToken{}, err
	}
	principal, err := p.principal(p.Issuer, life, s)
	if err != nil {
		return VerifiedToken{}, err
	}
	return VerifiedToken{Principal: principal, Confirmation: confirmation}, nil
}

// given returns a member of an answer, Missing when it is null: what a server has
// no value for binds, begins and ends nothing.
func given(doc *strictjson.Doc, name string) strictjson.Value {
	if v := doc.Get(name); v.Exists() {
		return v
	}
	return strictjson.Value{}
}

// lifetime is checkLifetime for answers, in which exp is optional: without it
// the answer itself ends.
func (i *Introspector) lifetime(doc *strictjson.Doc, asked time.Time) (lifetime, error) {
	p, exp, nbf, iat := i.policy, given(doc, "exp"), given(doc, "nbf"), given(doc, "iat")
	if exp.Exists() {
		return p.checkLifetime(exp, nbf, iat, asked)
	}
	notBefore, ok1 := optionalDate(nbf)
	issued, ok2 := optionalDate(iat)
	if !ok1 || !ok2 {
		return lifetime{}, errDate
	}
	if err := p.checkBegin(notBefore, issued, asked); err != nil {
		return lifetime{}, err
	}
	// Counted from now, however long the answer took, with the leeway that every
	// end has and rounded up: the answer is forgotten before the principal ends,
	// here and wherever the clock differs by less.
	end := p.Now().Add(p.Cache.MaxAge).Add(p.Leeway + time.Second).Truncate(time.Second)
	return lifetime{issued, end}, nil
}

// accessToken reports whether nothing in the answer says that the token is of
// another kind. Endpoints answer for refresh tokens too, and say so in
// "token_type" (RFC 7662 section 2.2), "token_use" (Ory Hydra), "token_usage"
// (OpenIddict) or "typ" (Keycloak). A DPoP token without a key cannot be checked.
func accessToken(doc *strictjson.Doc, c Confirmation) bool {
	one := func(name string, of ...string) bool {
		v := doc.Get(name)
		text, ok := v.Text()
		if !ok {
			return !v.Exists()
		}
		for _, s := range of {
			if strings.EqualFold(text, s) {
				return true
			}
		}
		return false
	}
	return one("token_use", "access", "access_token") && one("token_usage", "access_token") &&
		one("typ", "Bearer", "DPoP", "JWT", "at+jwt", "application/at+jwt") &&
		(one("token_type", "Bearer", "access_token") || c.KeyThumbprint != "" && one("token_type", "DPoP"))
}
