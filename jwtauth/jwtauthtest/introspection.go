package jwtauthtest

import (
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
)

// IntrospectionClientID and IntrospectionSecret are what the introspection endpoint of
// every [Issuer] knows its clients by; it answers all others with 401.
const (
	IntrospectionClientID = "api"
	IntrospectionSecret   = "a-secret-for-tests"
)

// IntrospectionURL returns where clients ask about tokens (RFC 7662), for
// [jwtauth.IntrospectorConfig]. Active are those of [Token.Opaque], from their "nbf"
// to their "exp" and until [Issuer.Revoke], and no others: not what [Token.Sign]
// returns.
func (i *Issuer) IntrospectionURL() string { return i.URL() + introspectionPath }

const introspectionPath = "/introspect"

// Opaque returns a token that says nothing by itself and stands for the claims as
// they are now: the introspection endpoint answers with them.
func (t *Token) Opaque() string {
	i := t.issuer
	i.tb.Helper()
	_, answer := t.clone().Set("active", true).Text()
	opaque := rand.Text()
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.opaque == nil {
		i.opaque = map[string]string{}
	}
	i.opaque[opaque] = answer
	return opaque
}

// Revoke ends a token of [Token.Opaque]. A service may still take it for as long as
// it remembers answers, see [jwtauth.IntrospectorConfig].
func (i *Issuer) Revoke(opaque string) {
	i.tb.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.opaque[opaque] == "" {
		i.tb.Fatalf("jwtauthtest: Revoke was given what Token.Opaque did not make")
	}
	i.opaque[opaque] = inactive
}

const inactive = `{"active":false}`

func (i *Issuer) introspect(w http.ResponseWriter, r *http.Request) {
	id, secret, _ := r.BasicAuth()
	switch {
	case r.Method != http.MethodPost:
		w.WriteHeader(http.StatusMethodNotAllowed)
	case id != IntrospectionClientID || secret != IntrospectionSecret:
		w.Header().Set("WWW-Authenticate", `Basic realm="introspection"`)
		w.WriteHeader(http.StatusUnauthorized)
	default:
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, i.answer(r.PostFormValue("token")))
	}
}

// answer returns what is known of a token at this time (RFC 7662 section 2.2).
func (i *Issuer) answer(opaque string) string {
	i.mu.Lock()
	answer := i.opaque[opaque]
	i.mu.Unlock()
	if answer == "" {
		return inactive
	}
	var life struct{ Nbf, Exp *float64 }
	if err := json.Unmarshal([]byte(answer), &life); err != nil {
		return answer // dates of another type are for the service to refuse
	}
	now := float64(i.opts.Now().UnixMilli()) / 1000
	if life.Nbf != nil && now < *life.Nbf || life.Exp != nil && now >= *life.Exp {
		return inactive
	}
	return answer
}
