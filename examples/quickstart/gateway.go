package main

import (
	"crypto/tls"
	"net/http"
	"net/http/httputil"
	"net/url"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/authctx/authctx"
	pb "github.com/authctx/authctx/examples/internal/examplespb"
	"github.com/authctx/authctx/grpcctx"
	"github.com/authctx/authctx/httpctx"
	"github.com/authctx/authctx/jwtauth"
)

// gateway is the one place where tokens are verified.
type gateway struct {
	issuer  string
	keys    jwtauth.KeySource
	auth    *url.URL
	orders  *url.URL
	users   string      // address
	tls     *tls.Config // shows the services who the gateway is
	closing []func() error
}

// handler returns the routes of the gateway. Who may do what with an order is
// the business of the orders service; here it is enough to be known.
func (g *gateway) handler() (http.Handler, error) {
	verifier, err := jwtauth.NewVerifier(jwtauth.VerifierConfig{
		Issuer:     g.issuer,
		Audiences:  []string{audience},
		Algorithms: []jwtauth.Algorithm{jwtauth.EdDSA},
		Keys:       g.keys,
		Leeway:     jwtauth.NoLeeway, // one machine has one clock
	})
	if err != nil {
		return nil, err
	}
	bearer, err := jwtauth.NewBearer(verifier, nil)
	if err != nil {
		return nil, err
	}
	policy, err := authctx.NewPolicy(authctx.PolicyConfig{
		Rules: map[string]authctx.Rule{
			"GET /users": authctx.Authenticated(),
			"/orders":    authctx.Authenticated(),
			"/orders/":   authctx.Authenticated(),
		},
		Public: []string{"POST /auth/login"},
	})
	if err != nil {
		return nil, err
	}
	server, err := httpctx.NewServer(httpctx.ServerConfig{Authenticator: bearer, Policy: policy, Realm: "quickstart"})
	if err != nil {
		return nil, err
	}
	return g.routes(server)
}

// routes connects the services; each learns the caller from plain fields.
func (g *gateway) routes(server *httpctx.Server) (http.Handler, error) {
	fields, err := authctx.NewFieldsPropagator(authctx.FieldsPropagatorConfig{})
	if err != nil {
		return nil, err
	}
	proxy, err := httpctx.NewProxy(httpctx.ProxyConfig{Server: server, Propagator: fields})
	if err != nil {
		return nil, err
	}
	auth, err := proxy.Handler(&httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) { pr.SetURL(g.auth) },
	})
	if err != nil {
		return nil, err
	}
	orders, err := proxy.Handler(&httputil.ReverseProxy{
		Rewrite:   func(pr *httputil.ProxyRequest) { pr.SetURL(g.orders) },
		Transport: &http.Transport{TLSClientConfig: g.tls},
	})
	if err != nil {
		return nil, err
	}
	carry, err := grpcctx.NewClient(grpcctx.ClientConfig{Propagator: fields})
	if err != nil {
		return nil, err
	}
	users, err := grpc.NewClient(g.users, append([]grpc.DialOption{
		grpc.WithTransportCredentials(credentials.NewTLS(g.tls))}, carry.DialOptions()...)...)
	if err != nil {
		return nil, err
	}
	g.closing = append(g.closing, users.Close)

	mux := server.NewMux()
	mux.Handle("POST /auth/login", auth)
	mux.HandleFunc("GET /users", listUsers(server, pb.NewUsersClient(users)))
	mux.Handle("/orders", orders)
	mux.Handle("/orders/", orders)
	return mux.Handler()
}

// listUsers asks the gRPC service. The caller travels with the context.
func listUsers(server *httpctx.Server, users pb.UsersClient) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		list, err := users.List(r.Context(), &pb.ListUsersRequest{})
		if refusal, ok := grpcctx.FromError(err); ok {
			server.WriteError(w, r, refusal)
			return
		}
		if err != nil {
			writeJSON(w, http.StatusBadGateway, map[string]string{"error": "the users service does not answer"})
			return
		}
		names := []string{}
		for _, user := range list.Users {
			names = append(names, user.Name)
		}
		writeJSON(w, http.StatusOK, map[string]any{"users": names, "requested_by": list.RequestedBy})
	}
}
