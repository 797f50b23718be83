package httpctx_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
)

// A Proxy asks the policy about each method, a server of gRPC has it asked by
// grpcctx, and so the methods need be no routes.
func TestRule10_AnEntryOfAMethodIsFollowedBelowARouteOfItsService(t *testing.T) {
	for _, service := range []string{"/shop.v1.Orders/", "/shop.v1.Orders/{method}"} {
		mux := newServer(t, httpctx.ServerConfig{Policy: newPolicy(t, authctx.PolicyConfig{Rules: map[string]authctx.Rule{
			service: authctx.Authenticated(), "/shop.v1.Orders/Admin": authctx.Role("nobody's"),
		}})}).NewMux()
		mux.Handle(service, http.NotFoundHandler())
		handler, err := mux.Handler()
		if err != nil {
			t.Fatalf("%s: %v", service, err)
		}
		for path, want := range map[string]int{"/shop.v1.Orders/Get": 404, "/shop.v1.Orders/Admin": 403} {
			w := httptest.NewRecorder()
			r := httptest.NewRequest("POST", path, nil)
			r.Header = token("alice")
			handler.ServeHTTP(w, r)
			if w.Code != want {
				t.Errorf("%s behind %s: status %d, want %d", path, service, w.Code, want)
			}
		}
	}
}

// One policy may serve a mux and a server of gRPC.
func TestEntriesOfServicesThatTheMuxDoesNotServeAreLeftToOthers(t *testing.T) {
	rules := map[string]authctx.Rule{}
	for _, name := range []string{
		"/shop.v1.Orders/", "/shop.v1.Carts/Get", "/shop.v1.OrdersAdmin/Delete", "/shop.v1.Orders/*", // of gRPC on another port
		"/orders/", "/orders/Get", // a directory, and a service without a package
		"/shop.v1.Users/{$}", "/shop.v1.Users/Get", "/shop.v1.Users/List", // a page about a service
		"/",
	} {
		rules[name] = authctx.Authenticated()
	}
	mux := newServer(t, httpctx.ServerConfig{Policy: newPolicy(t, authctx.PolicyConfig{Rules: rules})}).NewMux()
	for _, route := range []string{"/shop.v1.Orders/", "/orders/", "/shop.v1.Users/{$}", "/shop.v1.Users/List", "/"} {
		mux.Handle(route, spy)
	}
	if _, err := mux.Handler(); err != nil {
		t.Error(err)
	}
}

func TestTheStartUpCheckSaysThatAWholeServiceRulesNoRoute(t *testing.T) {
	mux := newServer(t, httpctx.ServerConfig{Policy: newPolicy(t, authctx.PolicyConfig{
		Rules: map[string]authctx.Rule{"/shop.v1.Orders/*": authctx.Authenticated()},
	})}).NewMux()
	for _, route := range []string{"/shop.v1.Orders/", "POST /shop.v1.Orders/Get", "/shop.v1.Carts/", "/"} {
		mux.Handle(route, spy)
	}
	_, err := mux.Handler()
	const want = `httpctx: mux: the policy does not list the route "/shop.v1.Orders/", for "/shop.v1.Orders/*" rules no route
httpctx: mux: the policy does not list the route "POST /shop.v1.Orders/Get", for "/shop.v1.Orders/*" rules no route
httpctx: mux: the policy does not list the route "/shop.v1.Carts/"
httpctx: mux: the policy does not list the route "/"`
	if err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
}

func TestAMuxWithoutAPolicySaysWhatToUseInstead(t *testing.T) {
	_, err := newServer(t, httpctx.ServerConfig{AllowAnonymous: true}).NewMux().Handler()
	if err == nil || !strings.Contains(err.Error(), "http.ServeMux") || !strings.Contains(err.Error(), "Server.Handler") {
		t.Errorf("%v", err)
	}
}
