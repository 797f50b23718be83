package httpctx_test

import (
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
)

// What connect-go generates for a service: names of its methods, and a constructor
// that returns the path of the service and one handler for all of them.
const (
	ordersGetProcedure    = "/shop.v1.Orders/Get"
	ordersCreateProcedure = "/shop.v1.Orders/Create"
)

func newOrdersHandler() (string, http.Handler) {
	return "/shop.v1.Orders/", http.HandlerFunc(hello)
}

// With Connect, each method is a route of its own. The path that the constructor
// returns would be one route for all of them, with one rule.
func ExampleServer_NewMux_connect() {
	policy, err := authctx.NewPolicy(authctx.PolicyConfig{Rules: map[string]authctx.Rule{
		"/shop.v1.Orders/Get":    authctx.Authenticated(),
		"/shop.v1.Orders/Create": authctx.Permission("orders:create"),
	}})
	if err != nil {
		log.Fatal(err)
	}
	server, err := httpctx.NewServer(httpctx.ServerConfig{Authenticator: demoAuthenticator(), Policy: policy})
	if err != nil {
		log.Fatal(err)
	}
	mux := server.NewMux()
	_, orders := newOrdersHandler()
	for _, procedure := range []string{ordersGetProcedure, ordersCreateProcedure} {
		mux.Handle(procedure, orders)
	}
	handler, err := mux.Handler() // fails when a method was forgotten in the policy, or mistyped
	if err != nil {
		log.Fatal(err)
	}
	s := httptest.NewServer(handler)
	defer s.Close()

	call("POST", s.URL+"/shop.v1.Orders/Get", "bobs-token")
	call("POST", s.URL+"/shop.v1.Orders/Create", "bobs-token")
	call("POST", s.URL+"/shop.v1.Orders/Create", "alices-token")
	// Output:
	// 200 OK hello, bob
	// 403 Forbidden []
	// 200 OK hello, alice
}
