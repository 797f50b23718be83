package httpctx_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
)

// Where one route is for all methods of a service, as connect-go generates it, HTTP
// serves the service. An entry with a slip in it would rule nothing, and the method
// that was meant would have the rule of that route.
func TestRule10_AMistypedMethodBelowARouteOfItsServiceIsFoundAtStartUp(t *testing.T) {
	for _, service := range []string{"/shop.v1.Orders/", "/shop.v1.Orders/{method}", "shop.example/shop.v1.Orders/"} {
		start := func(entry string, routes ...string) error {
			mux := newServer(t, httpctx.ServerConfig{Policy: newPolicy(t, authctx.PolicyConfig{Rules: map[string]authctx.Rule{
				service: authctx.Authenticated(), entry: authctx.Role("admin"), "/shop.v1.Orders/*": authctx.Authenticated(),
			}})}).NewMux()
			for _, route := range append(routes, service) {
				mux.Handle(route, spy)
			}
			_, err := mux.Handler()
			return err
		}
		if err := start("/shop.v1.Orders/Admin", "/shop.v1.Orders/Admin"); err != nil {
			t.Errorf("beside %s: %v", service, err)
		}
		want := `httpctx: mux: the policy lists "/shop.v1.Orders/Admim", which is not a route: register it beside ` + strconv.Quote(service)
		if err := start("/shop.v1.Orders/Admim"); err == nil || err.Error() != want {
			t.Errorf("beside %s: %v", service, err)
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
