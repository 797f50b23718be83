package main

import (
	"encoding/json"
	"net/http"
	"sync/atomic"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
)

// ordersService is the HTTP service. Like the users service it believes the
// gateway and holds no keys.
type ordersService struct{ created atomic.Int64 }

func newOrdersService(gateway authctx.Authenticator) (http.Handler, error) {
	policy, err := authctx.NewPolicy(authctx.PolicyConfig{Rules: map[string]authctx.Rule{
		"GET /orders":         authctx.Permission("orders:read"),
		"POST /orders":        authctx.Permission("orders:create"),
		"DELETE /orders/{id}": authctx.Role("admin"),
	}})
	if err != nil {
		return nil, err
	}
	server, err := httpctx.NewServer(httpctx.ServerConfig{Authenticator: gateway, Policy: policy})
	if err != nil {
		return nil, err
	}
	o := new(ordersService)
	mux := server.NewMux()
	mux.HandleFunc("GET /orders", o.list)
	mux.HandleFunc("POST /orders", o.create)
	mux.HandleFunc("DELETE /orders/{id}", o.remove)
	return mux.Handler()
}

func (o *ordersService) list(w http.ResponseWriter, r *http.Request) {
	caller, _ := authctx.FromContext(r.Context())
	writeJSON(w, http.StatusOK, map[string]any{
		"orders": o.created.Load(), "caller": caller.Subject(), "caller_roles": caller.Roles(),
	})
}

func (o *ordersService) create(w http.ResponseWriter, r *http.Request) {
	var in struct{ Item string }
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<10)).Decode(&in); err != nil || in.Item == "" {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": "an item is expected as JSON"})
		return
	}
	caller, _ := authctx.FromContext(r.Context())
	writeJSON(w, http.StatusCreated, map[string]any{
		"id": o.created.Add(1), "item": in.Item, "ordered_by": caller.Subject(),
	})
}

func (o *ordersService) remove(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusNoContent)
}
