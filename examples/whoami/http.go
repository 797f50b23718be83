package main

import (
	"encoding/json"
	"net/http"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/examples/internal/program"
	"github.com/authctx/authctx/httpctx"
)

// newHTTPHandler returns the HTTP side. The handlers find the caller in the
// context; who may come in is in the policy.
func newHTTPHandler(auth authctx.Authenticator, observer authctx.Observer) (http.Handler, error) {
	policy, err := newPolicy()
	if err != nil {
		return nil, err
	}
	server, err := httpctx.NewServer(httpctx.ServerConfig{Authenticator: auth, Policy: policy, Observer: observer})
	if err != nil {
		return nil, err
	}
	mux := server.NewMux()
	mux.HandleFunc("GET /whoami", showCaller(http.StatusOK))
	mux.HandleFunc("GET /admin", showCaller(http.StatusOK))
	mux.HandleFunc("POST /orders", showCaller(http.StatusCreated))
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	handler, err := mux.Handler() // fails if a route has no rule
	return program.EndWithCertificate(recordReceived(handler)), err
}

func showCaller(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, status, callerOf(r.Context()))
	}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v) // fails only when the client has gone
}
