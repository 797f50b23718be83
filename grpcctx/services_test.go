package grpcctx_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/grpcctx"
)

func TestRule10_CheckServicesListsWhatWasForgotten(t *testing.T) {
	policy := newPolicy(t, authctx.PolicyConfig{
		Rules: map[string]authctx.Rule{
			unary:                       authctx.Authenticated(),
			"/" + echoService + "/Uary": authctx.Authenticated(),
			"/other.v1.Service/Method":  authctx.Authenticated(),
			"GET /orders":               authctx.Authenticated(),
		},
		Public: []string{bidiStream},
	})
	check := func(policy *authctx.Policy) error {
		auth := newServer(t, func(c *grpcctx.ServerConfig) { c.Policy = policy })
		srv := grpc.NewServer(auth.ServerOptions()...)
		srv.RegisterService(new(echo).desc(), nil)
		return auth.CheckServices(srv)
	}
	err := check(policy)
	if err == nil {
		t.Fatal("nothing was reported")
	}
	want := []string{
		"grpcctx: the policy says nothing about " + clientStream,
		"grpcctx: the policy says nothing about " + serverStream,
		"grpcctx: the policy names /" + echoService + "/Uary, but " + echoService + " has no such method",
	}
	for range 20 { // grpc has methods in a map, and one mistake is to have one text
		if err := check(policy); err == nil || err.Error() != strings.Join(want, "\n") {
			t.Fatalf("reported:\n%v\nwant:\n%v", err, strings.Join(want, "\n"))
		}
	}
	whole := newPolicy(t, authctx.PolicyConfig{Rules: map[string]authctx.Rule{"/" + echoService + "/*": authctx.Authenticated()}})
	if err := check(whole); err != nil {
		t.Errorf("a policy for the whole service: %v", err)
	}
}

// An entry that is not spelled as gRPC spells the method would leave its calls to
// the default rule. One that may be a route of HTTP beside the service is nobody's
// mistake.
func TestRule10_CheckServicesFindsEntriesThatRuleNoCall(t *testing.T) {
	const (
		write = "grpcctx: the policy names %q, which rules no call of gRPC: write %q"
		none  = "grpcctx: the policy names %s, but %s has no such method"
	)
	srv := services{
		"shop.v1.Orders": {"Get", "List"}, "Greeter": {"SayHello"}, "orders": {"Get"},
		"twins.v1.A": {"Get", "get"}, "twins.v1.a": {"Get"}, // which gRPC tells apart
	}
	for what, c := range map[string]struct {
		entries []string // each in a policy of its own
		beside  string   // another that is there too, and right
		want    string   // empty for nothing
		names   string   // by want, after the entry
	}{
		"one method, not as gRPC writes it": {[]string{
			"shop.v1.Orders/Get", "//shop.v1.Orders/Get", "/shop.v1.Orders/Get/", "/shop.v1.Orders/get", "/Shop.V1.Orders/Get", "shop.v1.orders/GET",
			"POST /shop.v1.Orders/Get", "POST  /shop.v1.Orders/Get", "POST shop.v1.Orders/Get", "POST /shop.v1.Orders/get", "POST /shop.v1.Orders/Get/",
		}, "", write, "/shop.v1.Orders/Get"},
		"the same beside the whole service":  {[]string{"/shop.v1.Orders/get", "POST /shop.v1.Orders/Get"}, "/shop.v1.Orders/*", write, "/shop.v1.Orders/Get"},
		"the same beside the right one":      {[]string{"/shop.v1.Orders/get", "shop.v1.Orders/Get"}, "/shop.v1.Orders/Get", write, "/shop.v1.Orders/Get"},
		"one of a service without a package": {[]string{"Greeter/SayHello", "/Greeter/sayhello", "POST /Greeter/SayHello"}, "", write, "/Greeter/SayHello"},
		"no method": {[]string{
			"/shop.v1.Orders/Typo", "shop.v1.Orders/typo", "/shop.v1.ORDERS/Typo", "/shop.v1.Orders/Typo/", "/shop.v1.Orders/Get/Typo",
		}, "", none, "shop.v1.Orders"},
		"no method of a service without a package": {[]string{"/Greeter/Typo"}, "", none, "Greeter"},

		"a whole service in another case":                  {[]string{"/shop.v1.orders/*"}, "", write, "/shop.v1.Orders/*"},
		"one without a package, of which no route has a *": {[]string{"/greeter/*"}, "", write, "/Greeter/*"},
		"a whole service as a mux has it": {[]string{
			"/shop.v1.Orders", "/shop.v1.Orders/", "shop.v1.Orders/", "/shop.v1.orders/", "POST /shop.v1.Orders/",
			"/shop.v1.Orders/{method}", "/shop.v1.Orders/{method...}", "POST /shop.v1.Orders/{method}", "/shop.v1.ORDERS/{method}",
		}, "", write, "/shop.v1.Orders/*"},
		"the same without a package, spelled as no route is": {[]string{
			"/Greeter", "/Greeter/", "Greeter/", "//Greeter", "POST /Greeter/", "/Greeter/{method}",
		}, "", write, "/Greeter/*"},
		"the same beside one of its methods": {[]string{"/shop.v1.Orders/", "POST /shop.v1.Orders/{method}"}, "/shop.v1.Orders/Get", write, "/shop.v1.Orders/*"},

		"as gRPC writes it":                      {[]string{"/shop.v1.Orders/Get", "/shop.v1.Orders/*", "/Greeter/SayHello", "/Greeter/*", "/orders/*", "/twins.v1.A/get", "/twins.v1.a/Get", "/twins.v1.a/*"}, "", "", ""},
		"a route for what gRPC has a method for": {[]string{"POST /shop.v1.Orders/Get", "POST /shop.v1.Orders/Get/"}, "/shop.v1.Orders/Get", "", ""},
		"a route for what gRPC has whole":        {[]string{"/shop.v1.Orders/", "POST /shop.v1.Orders/{method}"}, "/shop.v1.Orders/*", "", ""},
		"a route by which no call of gRPC goes":  {[]string{"GET /shop.v1.Orders/Get", "POST /shop.v1.Orders/Typo", "/shop.v1.Orders/Get/{part}"}, "", "", ""},
		"a route above all services":             {[]string{"/", "POST /", "POST /{service}/{method}", "/{rest...}"}, "", "", ""},
		"a route that has the name of a service": {[]string{
			"/orders", "POST /orders", "/orders/", "POST /orders/", "/orders/{id}", "/orders/{id}/items", "/greeter/", "/greeter/sayhello", "/greeter/typo",
			"/ORDERS/", "POST /Orders/{id}",
		}, "", "", ""},
		"a service of another program": {[]string{"/shop.v1.Carts/Get", "/shop.v1.Carts/*", "shop.v1.Carts/Get"}, "", "", ""},
	} {
		for _, entry := range c.entries {
			rules := map[string]authctx.Rule{entry: authctx.Role("admin")}
			if c.beside != "" {
				rules[c.beside] = authctx.Role("admin")
			}
			auth := newServer(t, func(sc *grpcctx.ServerConfig) {
				sc.Policy = newPolicy(t, authctx.PolicyConfig{Rules: rules, Default: authctx.Authenticated()})
			})
			auth.ServerOptions()
			err := auth.CheckServices(srv)
			if c.want == "" {
				if err != nil {
					t.Errorf("%s: %q: %v", what, entry, err)
				}
			} else if want := fmt.Sprintf(c.want, entry, c.names); err == nil || err.Error() != want {
				t.Errorf("%s: %q: %v, want %s", what, entry, err, want)
			}
		}
	}
}

// services are those of a server, with their methods.
type services map[string][]string

func (s services) GetServiceInfo() map[string]grpc.ServiceInfo {
	all := map[string]grpc.ServiceInfo{}
	for service, methods := range s {
		var info grpc.ServiceInfo
		for _, m := range methods {
			info.Methods = append(info.Methods, grpc.MethodInfo{Name: m})
		}
		all[service] = info
	}
	return all
}

// Without its interceptors a server lets everybody in, whatever the policy says.
func TestRule10_CheckServicesFindsAServerWithoutInterceptors(t *testing.T) {
	for name, change := range map[string]func(*grpcctx.ServerConfig){
		"by a policy":    func(*grpcctx.ServerConfig) {},
		"AllowAnonymous": func(c *grpcctx.ServerConfig) { c.Policy, c.AllowAnonymous = nil, true },
	} {
		auth := newServer(t, change)
		srv := grpc.NewServer()
		srv.RegisterService(new(echo).desc(), nil)
		if err := auth.CheckServices(srv); err == nil || !strings.Contains(err.Error(), "pass ServerOptions to grpc.NewServer") {
			t.Errorf("%s: %v", name, err)
		}
		auth.ServerOptions()
		if err := auth.CheckServices(srv); err != nil {
			t.Errorf("%s, with options: %v", name, err)
		}
	}
}
