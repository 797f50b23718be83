package main

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

const audience = "https://quickstart.example"

// authService logs people in and publishes the keys to check its tokens with.
type authService struct {
	accounts accounts
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
		Issuer: url, Audience: []string{audience}, Keys: keys, Lifetime: life,
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

// login answers a name and a password with an access token. A real service
// would also slow down whoever keeps guessing.
func (a *authService) login(w http.ResponseWriter, r *http.Request) {
	var in struct{ Username, Password string }
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<10)).Decode(&in); err != nil {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": "username and password are expected as JSON"})
		return
	}
	user, ok := a.accounts.login(in.Username, in.Password)
	if !ok {
		writeJSON(w, http.StatusUnauthorized, map[string]string{"error": "unknown user or wrong password"})
		return
	}
	token, err := a.issuer.Issue(r.Context(), authctx.Attributes{
		Subject: user.id, Name: user.name, ClientID: "quickstart",
		Roles: user.roles, Permissions: user.permissions, AuthTime: time.Now(),
	})
	if err != nil {
		writeJSON(w, http.StatusInternalServerError, map[string]string{"error": "no token could be issued"})
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, http.StatusOK, map[string]any{
		"access_token": token, "token_type": "Bearer", "expires_in": int(a.life.Seconds()),
	})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v) // fails only when the client has gone
}
