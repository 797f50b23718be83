package main

import (
	"encoding/json"
	"io"
	"net/http"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

const audience = "https://quickstart.example"

// authService logs people in and publishes the keys to check its tokens with.
type authService struct {
	accounts *accounts
	issuer   *jwtauth.Issuer
	life     time.Duration
}

func newAuthService(url string, life time.Duration) (http.Handler, error) {
	key, err := jwtauth.GenerateSigningKey(jwtauth.EdDSA)
	if err != nil {
		return nil, err
	}
	keys, err := jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: key})
	if err != nil {
		return nil, err
	}
	issuer, err := jwtauth.NewIssuer(jwtauth.IssuerConfig{
		Issuer: url, Audiences: []string{audience}, Keys: keys, Lifetime: life,
	})
	if err != nil {
		return nil, err
	}
	a := &authService{accounts: demoAccounts(), issuer: issuer, life: life}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /auth/login", a.login)
	mux.Handle("/.well-known/", issuer.Handler())
	return mux, nil
}

// login answers a name and a password with an access token, in the words of RFC
// 6749 sections 5.1 and 5.2; a wrong password is 401, as people expect of a
// login. A real service would also slow down whoever keeps guessing.
func (a *authService) login(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	var in struct{ Username, Password string }
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 4<<10))
	if err != nil || json.Unmarshal(body, &in) != nil { // which reads to the end, unlike a Decoder
		refuseLogin(w, http.StatusBadRequest, "invalid_request", "username and password are expected as JSON")
		return
	}
	user, ok, err := a.accounts.login(r.Context(), in.Username, in.Password)
	if err != nil {
		w.Header().Set("Retry-After", "5")
		refuseLogin(w, http.StatusServiceUnavailable, "temporarily_unavailable", err.Error())
		return
	}
	if !ok {
		w.Header().Set("WWW-Authenticate", `Bearer realm="quickstart"`) // every 401 has a challenge (RFC 9110 section 15.5.2)
		refuseLogin(w, http.StatusUnauthorized, "invalid_grant", "unknown user or wrong password")
		return
	}
	token, err := a.issuer.Issue(r.Context(), authctx.Attributes{
		Subject: user.id, Name: user.name, ClientID: "quickstart",
		Roles: user.roles, Permissions: user.permissions, AuthTime: time.Now(),
	})
	if err != nil {
		refuseLogin(w, http.StatusInternalServerError, "server_error", "no token could be issued")
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"access_token": token, "token_type": "Bearer", "expires_in": int(a.life.Seconds()),
	})
}

func refuseLogin(w http.ResponseWriter, status int, code, description string) {
	writeJSON(w, status, map[string]string{"error": code, "error_description": description})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v) // fails only when the client has gone
}
