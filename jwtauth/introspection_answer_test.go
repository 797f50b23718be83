package jwtauth_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

func TestAnswersThatLetNobodyIn(t *testing.T) {
	member := func(change string) string { // good with members replaced
		var m, c map[string]json.RawMessage
		if json.Unmarshal([]byte(good), &m) != nil || json.Unmarshal([]byte(change), &c) != nil {
			t.Fatal(change)
		}
		for k, v := range c {
			m[k] = v
			if string(v) == `"-"` {
				delete(m, k)
			}
		}
		b, _ := json.Marshal(m)
		return string(b)
	}
	for name, c := range map[string]struct {
		answer string
		want   authctx.Reason
	}{
		"not active":                      {`{"active":false}`, authctx.InvalidToken},
		"not active, and yet a subject":   {member(`{"active":false}`), authctx.InvalidToken},
		"another issuer":                  {member(`{"iss":"https://evil.example.com"}`), authctx.WrongIssuer},
		"an issuer with a slash more":     {member(`{"iss":"https://as.example.com/"}`), authctx.WrongIssuer},
		"a list of issuers":               {member(`{"iss":["https://as.example.com"]}`), authctx.InvalidToken},
		"another audience":                {member(`{"aud":"billing"}`), authctx.WrongAudience},
		"no audience":                     {member(`{"aud":"-"}`), authctx.WrongAudience},
		"an audience that is null":        {member(`{"aud":null}`), authctx.WrongAudience},
		"an empty list of audiences":      {member(`{"aud":[]}`), authctx.WrongAudience},
		"an audience that is a number":    {member(`{"aud":7}`), authctx.InvalidToken},
		"ended":                           {member(`{"exp":1767225500}`), authctx.TokenExpired},
		"an end that is text":             {member(`{"exp":"1767226200"}`), authctx.InvalidToken},
		"an end beyond all calendars":     {member(`{"exp":1e19}`), authctx.InvalidToken},
		"not yet valid":                   {member(`{"nbf":1767225700}`), authctx.TokenNotYetValid},
		"not yet valid, without an end":   {member(`{"nbf":1767225700,"exp":"-"}`), authctx.TokenNotYetValid},
		"a beginning that is text":        {member(`{"nbf":"1767225600"}`), authctx.InvalidToken},
		"the same, without an end":        {member(`{"nbf":"1767225600","exp":"-"}`), authctx.InvalidToken},
		"issued as text, without an end":  {member(`{"iat":"1767225000","exp":"-"}`), authctx.InvalidToken},
		"not yet valid, its end null":     {member(`{"nbf":1767225700,"exp":null}`), authctx.TokenNotYetValid},
		"no subject":                      {member(`{"sub":"-"}`), authctx.InvalidToken},
		"a subject that is a list":        {member(`{"sub":["alice"]}`), authctx.InvalidToken},
		"a refresh token by token_use":    {member(`{"token_use":"refresh_token"}`), authctx.WrongType},
		"a refresh token by token_usage":  {member(`{"token_usage":"refresh_token"}`), authctx.WrongType},
		"a token_usage that is a list":    {member(`{"token_usage":["access_token"]}`), authctx.WrongType},
		"a token_usage spelled otherwise": {member(`{"Token_Usage":"refresh_token"}`), authctx.Unavailable},
		"a refresh token by token_type":   {member(`{"token_type":"refresh_token"}`), authctx.WrongType},
		"a refresh token by typ":          {member(`{"typ":"Refresh"}`), authctx.WrongType},
		"an ID token by at_hash":          {member(`{"at_hash":"x"}`), authctx.WrongType},
		"an ID token by c_hash":           {member(`{"c_hash":"x"}`), authctx.WrongType},
		"a logout token":                  {member(`{"events":{"http://schemas.openid.net/event/backchannel-logout":{}}}`), authctx.WrongType},
		"an ID token by typ":              {member(`{"typ":"ID"}`), authctx.WrongType},
		"a DPoP token without its key":    {member(`{"token_type":"DPoP"}`), authctx.WrongType},
		"a token_type that is a number":   {member(`{"token_type":1}`), authctx.WrongType},
		"a DPoP token, its key null":      {member(`{"token_type":"DPoP","cnf":null}`), authctx.WrongType},
		"a confirmation that is empty":    {member(`{"cnf":{}}`), authctx.InvalidToken},
		"a key of null":                   {member(`{"cnf":{"jkt":null}}`), authctx.InvalidToken},
		"a confirmation nobody knows":     {member(`{"cnf":{"kid":"x"}}`), authctx.InvalidToken},
		"active as text":                  {member(`{"active":"true"}`), authctx.Unavailable},
		"active as a number":              {member(`{"active":1}`), authctx.Unavailable},
		"active null":                     {member(`{"active":null}`), authctx.Unavailable},
		"no active":                       {member(`{"active":"-"}`), authctx.Unavailable},
		"active twice":                    {`{"active":false,"active":true,"sub":"alice"}`, authctx.Unavailable},
		"active in two spellings":         {`{"active":false,"Active":true,"sub":"alice"}`, authctx.Unavailable},
		"a token_type spelled otherwise":  {member(`{"token_type":"-","Token_Type":"DPoP"}`), authctx.Unavailable},
		"a token_use spelled otherwise":   {member(`{"Token_Use":"refresh_token"}`), authctx.Unavailable},
		"a typ spelled otherwise":         {member(`{"Typ":"Refresh"}`), authctx.Unavailable},
		"a subject in two spellings":      {strings.Replace(good, `"sub"`, `"SUB":"admin","sub"`, 1), authctx.Unavailable},
		"an array":                        {`[true]`, authctx.Unavailable},
		"true":                            {`true`, authctx.Unavailable},
		"nothing":                         {``, authctx.Unavailable},
		"HTML":                            {`<html>active: true</html>`, authctx.Unavailable},
		"data after the end":              {good + `{}`, authctx.Unavailable},
		"cut off":                         {good[:100], authctx.Unavailable},
		"not UTF-8":                       {strings.Replace(good, "alice", "al\xffice", 1), authctx.Unavailable},
		"more than is read":               {strings.Replace(good, "alice", strings.Repeat("a", 64<<10), 1), authctx.Unavailable},
		"nested beyond what anybody does": {strings.Replace(good, `"alice"`, strings.Repeat("[", 5000)+strings.Repeat("]", 5000), 1), authctx.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEndpoint(t, answer(c.answer))
			_, err := newIntrospector(t, introspectionConfig(e.URL, newClock())).Verify(t.Context(), "opaque-secret")
			if authctx.ReasonOf(err) != c.want {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if err != nil && (strings.Contains(err.Error(), "opaque-secret") || strings.Contains(err.Error(), "alice")) {
				t.Errorf("%v shows the token or the answer", err)
			}
		})
	}
}

// Servers that print every field of a structure write null where they have no
// value. That a token is bound to nothing is for the server to say, and null
// says it no less than silence does.
func TestNullInAnAnswerIsNoMember(t *testing.T) {
	const nulls = `"nbf":null,"iat":null,"exp":null,"iss":null,"cnf":null,"token_type":null,"token_use":null,"token_usage":null,"typ":null,` +
		`"username":null,"scope":null,"roles":null,"act":null,"jti":null,`
	for name, c := range map[string]struct {
		answer string
		change func(*jwtauth.IntrospectorConfig)
	}{
		"beside an audience": {`{"active":true,` + nulls + `"sub":"alice","aud":"orders"}`, func(*jwtauth.IntrospectorConfig) {}},
		"the audience too": {`{"active":true,` + nulls + `"sub":"alice","client_id":"web","aud":null}`,
			func(c *jwtauth.IntrospectorConfig) { c.Audiences, c.ClientIDs = nil, []string{"web"} }},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := introspectionConfig(newEndpoint(t, answer(c.answer)).URL, newClock())
			c.change(&cfg)
			if p, err := newIntrospector(t, cfg).Verify(t.Context(), "opaque"); err != nil || p.Subject() != "alice" {
				t.Errorf("%v, %v", p, err)
			}
		})
	}
}

func TestAnEndpointThatAnswersForNoJWTsIsNoOutage(t *testing.T) {
	const unsupported = `{"error":"unsupported_token_type","error_description":"Structured JWT Tokens cannot be introspected"}`
	for _, c := range []struct {
		status int
		answer string
		want   authctx.Reason
	}{
		{400, unsupported, authctx.WrongType},
		{400, `{"error":"invalid_request"}`, authctx.Unavailable},
		{400, `{"error":["unsupported_token_type"]}`, authctx.Unavailable},
		{400, `unsupported_token_type`, authctx.Unavailable},
		{400, `{"error":"unsupported_token_type"`, authctx.Unavailable},
		{401, unsupported, authctx.Unavailable},
		{302, unsupported, authctx.Unavailable},
		{404, unsupported, authctx.Unavailable},
		{503, unsupported, authctx.Unavailable},
	} {
		asked := 0
		e := newEndpoint(t, func(w http.ResponseWriter, _ *http.Request) {
			asked++
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.answer)
		})
		i := newIntrospector(t, introspectionConfig(e.URL, newClock()))
		for range 2 {
			if _, err := i.Verify(t.Context(), "a.b.c.d.e"); authctx.ReasonOf(err) != c.want {
				t.Errorf("%d %s: %v, want %v", c.status, c.answer, err, c.want)
			}
		}
		if remembered := asked == 1; remembered != (c.want == authctx.WrongType) {
			t.Errorf("%d %s: asked %d times", c.status, c.answer, asked)
		}
	}
}

// What an answer says of the kind of token is read wherever servers say it.
func TestAnAnswerMaySayThatTheTokenIsAnAccessToken(t *testing.T) {
	for _, said := range []string{
		`"token_use":"access"`, `"token_use":"access_token"`, `"token_usage":"access_token"`, `"typ":"at+jwt"`, `"typ":"Bearer"`,
	} {
		i := newIntrospector(t, introspectionConfig(newEndpoint(t, answer(`{`+said+`,`+good[1:])).URL, newClock()))
		if p, err := i.Verify(t.Context(), "opaque"); err != nil || p.Subject() != "alice" {
			t.Errorf("%s: %v, %v", said, p, err)
		}
	}
}

// RFC 7662 section 2.2 leaves "sub" to the server. What Doorkeeper says of a
// user's token is what others say of one that a client got for itself.
func TestAnAnswerWithoutASubjectMakesNobodyTheClient(t *testing.T) {
	for name, text := range map[string]string{
		"Doorkeeper":              `{"active":true,"scope":"orders.read","client_id":"spa","token_type":"Bearer","exp":1767226200,"iat":1767225600}`,
		"Spring's check_token":    `{"active":true,"exp":1767226200,"user_name":"alice","authorities":["ROLE_USER"],"client_id":"spa","scope":["read"]}`,
		"a user by another name":  `{"active":true,"exp":1767226200,"user_id":"42","client_id":"spa","scope":"read"}`,
		"a user by username only": `{"active":true,"exp":1767226200,"username":"alice","client_id":"spa","scope":"read"}`,
	} {
		cfg := introspectionConfig(newEndpoint(t, answer(text)).URL, newClock())
		cfg.Audiences, cfg.ClientIDs = nil, []string{"spa"}
		if p, err := newIntrospector(t, cfg).Verify(t.Context(), "opaque"); authctx.ReasonOf(err) != authctx.InvalidToken {
			t.Errorf("%s: %v, %v", name, p, err)
		}
	}
}

// Some endpoints name a subject of everybody but of clients that got a token for
// themselves, and whoever knows that of one may say so.
func TestAnAnswerWithoutASubjectIsAboutTheClientByChoice(t *testing.T) {
	const client = `{"active":true,"aud":"orders","client_id":"billing","scope":"orders.read","token_type":"Bearer"`
	i := func(text string, change ...func(*jwtauth.IntrospectorConfig)) *jwtauth.Introspector {
		cfg := introspectionConfig(newEndpoint(t, answer(text)).URL, newClock())
		cfg.ClientWithoutSubject = true
		for _, f := range change {
			f(&cfg)
		}
		return newIntrospector(t, cfg)
	}
	for _, rest := range []string{`}`, `,"sub":null,"username":null}`} {
		p, err := i(client+rest).Verify(t.Context(), "opaque")
		if err != nil || p.Subject() != "billing" || p.ClientID() != "billing" || p.Kind() != authctx.Service {
			t.Errorf("%s: %v, %v", rest, p, err)
		}
	}
	if p, err := i(client+`,"sub":"alice"}`).Verify(t.Context(), "opaque"); err != nil || p.Subject() != "alice" || p.Kind() != authctx.User {
		t.Errorf("a user: %v, %v", p, err)
	}
	bySubject := func(c *jwtauth.IntrospectorConfig) {
		c.Claims = must(jwtauth.NewClaimMapping(jwtauth.ClaimMappingConfig{Subject: []jwtauth.ClaimSource{jwtauth.Claim("employee")}}))
	}
	noLogin := func(c *jwtauth.IntrospectorConfig) {
		c.Claims = must(jwtauth.NewClaimMapping(jwtauth.ClaimMappingConfig{AuthTime: []jwtauth.ClaimSource{}}))
	}
	byLogin := func(c *jwtauth.IntrospectorConfig) {
		c.Claims = must(jwtauth.NewClaimMapping(jwtauth.ClaimMappingConfig{AuthTime: []jwtauth.ClaimSource{jwtauth.Claim("login")}}))
	}
	for name, refused := range map[string]*jwtauth.Introspector{
		"a user's name":               i(client + `,"username":"alice"}`),
		"a name":                      i(client + `,"name":"Alice"}`),
		"an address":                  i(client + `,"email":"alice@example.com"}`),
		"a session":                   i(client + `,"sid":"s1"}`),
		"a login":                     i(client + `,"auth_time":1767225000}`),
		"a login that is not read":    i(client+`,"auth_time":"yesterday"}`, noLogin),
		"a login that is elsewhere":   i(client+`,"login":1767225000}`, byLogin),
		"an actor":                    i(client + `,"act":{"sub":"bot"}}`),
		"an actor that is a client":   i(client + `,"act":{"client_id":"bot"}}`),
		"an empty subject":            i(client + `,"sub":""}`),
		"a subject that is elsewhere": i(client+`,"sub":"alice"}`, bySubject),
		"no client":                   i(`{"active":true,"aud":"orders"}`),
	} {
		if p, err := refused.Verify(t.Context(), "opaque"); authctx.ReasonOf(err) != authctx.InvalidToken {
			t.Errorf("%s: %v, %v", name, p, err)
		}
	}
	if p, err := i(client+`,"Auth_Time":1767225000}`, noLogin).Verify(t.Context(), "opaque"); err == nil {
		t.Errorf("a login of another spelling: %v", p)
	}
}

func TestRule8_AnEndpointThatFailsMakesNothingInvalidAndNobodyAnonymous(t *testing.T) {
	elsewhere := newEndpoint(t, answer(good))
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		cause  string
	}{
		"our credentials are refused": {status(401), "refused ClientID and ClientSecret with 401"},
		"we are not allowed to ask":   {status(403), "refused ClientID and ClientSecret with 403"},
		"it finds the question wrong": {status(400), "answered 400"},
		"it is not there":             {status(404), "answered 404"},
		"it fails":                    {status(500), "answered 500"},
		"it has no content":           {status(204), "answered 204"},
		"it redirects": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		}, "redirected with 307, which is not followed"},
		"it breaks off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, good)
		}, "unexpected EOF"},
		"it hangs up": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEndpoint(t, c.answer)
			i := newIntrospector(t, introspectionConfig(e.URL, newClock()))
			_, err := i.Verify(t.Context(), "opaque-secret")
			if authctx.ReasonOf(err) != authctx.Unavailable || !strings.Contains(err.Error(), c.cause) || strings.Contains(err.Error(), "secret") {
				t.Errorf("got %v, want Unavailable with %q", err, c.cause)
			}
			e.answers(answer(good))
			if _, err := i.Verify(t.Context(), "opaque-secret"); err != nil {
				t.Errorf("after the outage: %v", err)
			}
		})
	}
	if n := elsewhere.asked.Load(); n != 0 {
		t.Errorf("the token went to another address %d times", n)
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(code)
		if code != http.StatusNoContent {
			_, _ = io.WriteString(w, good)
		}
	}
}

func TestRetryAfterIsPassedOnWithinBounds(t *testing.T) {
	e := newEndpoint(t, status(503))
	_, err := newIntrospector(t, introspectionConfig(e.URL, newClock())).Verify(t.Context(), "opaque")
	if refused, ok := errors.AsType[*authctx.Error](err); !ok || refused.RetryAfter != time.Minute {
		t.Errorf("got %+v, want one minute", err)
	}
}

func TestCVE_2026_26998_AnEndlessAnswerIsNotReadToItsEnd(t *testing.T) {
	sent := make(chan int)
	e := newEndpoint(t, func(w http.ResponseWriter, _ *http.Request) {
		chunk, n := []byte(strings.Repeat(" ", 64<<10)), 0
		for n < 1<<30 {
			written, err := w.Write(chunk)
			if n += written; err != nil {
				break
			}
		}
		sent <- n
	})
	i := newIntrospector(t, introspectionConfig(e.URL, newClock()))
	if _, err := i.Verify(t.Context(), "opaque"); !errors.Is(err, authctx.Unavailable) {
		t.Errorf("got %v", err)
	}
	if n := <-sent; n > 64<<20 {
		t.Errorf("%d bytes were sent", n)
	}
}
