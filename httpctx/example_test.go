package httpctx_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
)

// demoAuthenticator stands for a jwtauth.Bearer: it knows two tokens.
func demoAuthenticator() authctx.Authenticator {
	fields := authctx.FieldSet{Names: []string{"authorization"}, Schemes: []string{"Bearer"}}
	return authctx.NewAuthenticator(fields, func(_ context.Context, r *authctx.Request) (authctx.Result, error) {
		attrs := authctx.Attributes{Issuer: "https://login.example", Provenance: authctx.Verified}
		switch values := r.Values("authorization"); {
		case len(values) == 0:
			return authctx.Result{}, authctx.NoCredentials
		case len(values) == 1 && values[0] == "Bearer alices-token":
			attrs.Subject, attrs.Permissions = "alice", []string{"orders:create"}
		case len(values) == 1 && values[0] == "Bearer bobs-token":
			attrs.Subject = "bob"
		default:
			return authctx.Result{}, authctx.InvalidToken
		}
		p, err := authctx.New(attrs)
		return authctx.Result{Principal: p}, err
	})
}

// call sends a request and prints the answer.
func call(method, url, token string) {
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		log.Fatal(err)
	}
	r.Header.Set("X-User-Id", "root") // what an attacker might try
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		log.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		fmt.Println(res.Status, res.Header["Www-Authenticate"])
		return
	}
	body, _ := io.ReadAll(res.Body)
	fmt.Printf("%s %s", res.Status, body)
}

func hello(w http.ResponseWriter, r *http.Request) {
	caller, ok := authctx.FromContext(r.Context())
	if !ok {
		fmt.Fprintln(w, "hello, whoever you are")
		return
	}
	fmt.Fprintln(w, "hello,", caller.Subject())
}

func ExampleServer_NewMux() {
	policy, err := authctx.NewPolicy(authctx.PolicyConfig{
		Rules: map[string]authctx.Rule{
			"GET /orders/{id}": authctx.Authenticated(),
			"POST /orders":     authctx.Permission("orders:create"),
		},
		Public: []string{"GET /health"},
	})
	if err != nil {
		log.Fatal(err)
	}
	server, err := httpctx.NewServer(httpctx.ServerConfig{Authenticator: demoAuthenticator(), Policy: policy})
	if err != nil {
		log.Fatal(err)
	}
	mux := server.NewMux()
	mux.HandleFunc("GET /orders/{id}", hello)
	mux.HandleFunc("POST /orders", hello)
	mux.HandleFunc("GET /health", hello)
	handler, err := mux.Handler() // fails when a route was forgotten in the policy
	if err != nil {
		log.Fatal(err)
	}
	s := httptest.NewServer(handler)
	defer s.Close()

	call("GET", s.URL+"/orders/7", "")
	call("GET", s.URL+"/orders/7", "stolen")
	call("GET", s.URL+"/orders/7", "bobs-token")
	call("POST", s.URL+"/orders", "bobs-token")
	call("POST", s.URL+"/orders", "alices-token")
	call("GET", s.URL+"/health", "")
	// Output:
	// 401 Unauthorized [Bearer realm="api"]
	// 401 Unauthorized [Bearer realm="api", error="invalid_token", error_description="The access token is not valid."]
	// 200 OK hello, bob
	// 403 Forbidden []
	// 200 OK hello, alice
	// 200 OK hello, whoever you are
}

// generated is a Mux for code that registers its own routes and asks for a handler,
// as what is generated from an OpenAPI document does.
type generated struct {
	*httpctx.Mux
	protected http.Handler
}

// ServeHTTP serves what such code calls within a request, as a caller like any other.
func (g *generated) ServeHTTP(w http.ResponseWriter, r *http.Request) { g.protected.ServeHTTP(w, r) }

// registerOrders stands for generated code.
func registerOrders(router interface {
	http.Handler
	HandleFunc(pattern string, handler func(http.ResponseWriter, *http.Request))
}) {
	router.HandleFunc("GET /orders/{id}", hello)
	router.HandleFunc("GET /openapi.json", hello)
}

// Routes that generated code brings along are found when the program starts.
func ExampleServer_NewMux_generated() {
	policy, err := authctx.NewPolicy(authctx.PolicyConfig{
		Rules: map[string]authctx.Rule{"GET /orders/{id}": authctx.Authenticated()},
	})
	if err != nil {
		log.Fatal(err)
	}
	server, err := httpctx.NewServer(httpctx.ServerConfig{Authenticator: demoAuthenticator(), Policy: policy})
	if err != nil {
		log.Fatal(err)
	}
	router := &generated{Mux: server.NewMux()}
	registerOrders(router)
	router.protected, err = router.Handler()
	fmt.Println(err)
	// Output:
	// httpctx: mux: the policy does not list the route "GET /openapi.json"
}

func ExampleMux_Handler() {
	policy, err := authctx.NewPolicy(authctx.PolicyConfig{
		Rules: map[string]authctx.Rule{"GET /order/{id}": authctx.Authenticated()},
	})
	if err != nil {
		log.Fatal(err)
	}
	server, err := httpctx.NewServer(httpctx.ServerConfig{Authenticator: demoAuthenticator(), Policy: policy})
	if err != nil {
		log.Fatal(err)
	}
	mux := server.NewMux()
	mux.HandleFunc("GET /orders/{id}", hello)
	_, err = mux.Handler()
	fmt.Println(err)
	// Output:
	// httpctx: mux: the policy does not list the route "GET /orders/{id}"
	// httpctx: mux: the policy lists "GET /order/{id}", which is not a route
}

func ExampleNewServer() {
	server, err := httpctx.NewServer(httpctx.ServerConfig{Authenticator: demoAuthenticator(), Policy: authctx.DefaultPolicy(authctx.Authenticated())})
	if err != nil {
		log.Fatal(err)
	}
	s := httptest.NewServer(server.Handler(http.HandlerFunc(hello)))
	defer s.Close()

	call("GET", s.URL, "")
	call("GET", s.URL, "alices-token")
	// Output:
	// 401 Unauthorized [Bearer realm="api"]
	// 200 OK hello, alice
}

// A client that knows the address of an API and nothing else, as clients of the
// Model Context Protocol do, finds out where it gets a token for it.
func ExampleResourceMetadata() {
	server, err := httpctx.NewServer(httpctx.ServerConfig{
		Authenticator: demoAuthenticator(),
		Policy:        authctx.DefaultPolicy(authctx.Authenticated()),
		ResourceMetadata: &httpctx.ResourceMetadata{
			Resource:             "https://api.example/orders",
			AuthorizationServers: []string{"https://login.example"},
			Scopes:               []string{"orders:read"},
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	s := httptest.NewServer(server.Handler(http.HandlerFunc(hello)))
	defer s.Close()

	call("GET", s.URL+"/orders", "")
	call("GET", s.URL+"/.well-known/oauth-protected-resource/orders", "")
	// Output:
	// 401 Unauthorized [Bearer realm="api", resource_metadata="https://api.example/.well-known/oauth-protected-resource/orders"]
	// 200 OK {"resource":"https://api.example/orders","authorization_servers":["https://login.example"],"scopes_supported":["orders:read"],"bearer_methods_supported":["header"]}
}

// Middleware in front of a server takes the address of the client from a header
// that anybody sends. The peer, whom a trust judges, is who is connected.
func ExampleConnContext() {
	trust, err := authctx.TrustPeerCIDR("10.1.0.0/16")
	if err != nil {
		log.Fatal(err)
	}
	fields, err := authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{Trust: trust})
	if err != nil {
		log.Fatal(err)
	}
	server, err := httpctx.NewServer(httpctx.ServerConfig{Authenticator: fields, Policy: authctx.DefaultPolicy(authctx.Authenticated())})
	if err != nil {
		log.Fatal(err)
	}
	protected := server.Handler(http.HandlerFunc(hello))
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.RemoteAddr = r.Header.Get("X-Forwarded-For")
		protected.ServeHTTP(w, r)
	}))
	s.Config.ConnContext = httpctx.ConnContext
	s.Start()
	defer s.Close()

	r, err := http.NewRequest("GET", s.URL, nil)
	if err != nil {
		log.Fatal(err)
	}
	r.Header = http.Header{"X-User-Id": {"root"}, "X-User-Issuer": {"any"}, "X-Forwarded-For": {"10.1.0.5:80"}}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		log.Fatal(err)
	}
	defer res.Body.Close()
	fmt.Println(res.Status)
	// Output: 401 Unauthorized
}

func ExampleServer_Require() {
	server, err := httpctx.NewServer(httpctx.ServerConfig{Authenticator: demoAuthenticator(), Policy: authctx.DefaultPolicy(authctx.Authenticated())})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("POST /orders", server.Require(authctx.Permission("orders:create"))(http.HandlerFunc(hello)))
	s := httptest.NewServer(server.Handler(mux))
	defer s.Close()

	call("POST", s.URL+"/orders", "bobs-token")
	call("POST", s.URL+"/orders", "alices-token")
	// Output:
	// 403 Forbidden []
	// 200 OK hello, alice
}

func ExampleServer_WriteError() {
	server, err := httpctx.NewServer(httpctx.ServerConfig{Authenticator: demoAuthenticator(), Policy: authctx.DefaultPolicy(authctx.Authenticated())})
	if err != nil {
		log.Fatal(err)
	}
	// A handler whose rule depends on what it finds.
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := authctx.Authorize(r.Context(), authctx.Scope("orders:read")); err != nil {
			server.WriteError(w, r, err)
			return
		}
		hello(w, r)
	})
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/orders/7", nil)
	r.Header.Set("Authorization", "Bearer alices-token")
	server.Handler(handler).ServeHTTP(w, r)
	fmt.Println(w.Code, w.Header().Get("WWW-Authenticate"))
	fmt.Print(w.Body)
	// Output:
	// 403 Bearer realm="api", error="insufficient_scope", error_description="The access token lacks a required scope.", scope="orders:read"
	// {"type":"about:blank","title":"Forbidden","status":403,"detail":"The access token lacks a required scope.","reason":"insufficient_scope"}
}

func ExampleServer_Check() {
	server, err := httpctx.NewServer(httpctx.ServerConfig{Authenticator: demoAuthenticator(), Policy: authctx.DefaultPolicy(authctx.Authenticated())})
	if err != nil {
		log.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/", nil)
	_, err = server.Check(r)
	fmt.Println(errors.Is(err, authctx.NoCredentials))

	r.Header.Set("Authorization", "Bearer alices-token")
	res, err := server.Check(r)
	fmt.Println(res.Principal, err)
	// Output:
	// true
	// user alice of https://login.example (verified) <nil>
}

// A handler that sends events for as long as its caller stands.
func ExampleServer_StreamContext() {
	server, err := httpctx.NewServer(httpctx.ServerConfig{Authenticator: authctx.NewAuthenticator(authctx.FieldSet{},
		func(context.Context, *authctx.Request) (authctx.Result, error) { // everybody, for a second or less
			p, err := authctx.New(authctx.Attributes{Issuer: "https://login.example", Subject: "alice", Expires: time.Now().Add(time.Second)})
			return authctx.Result{Principal: p}, err
		}), Policy: authctx.DefaultPolicy(authctx.Authenticated())})
	if err != nil {
		log.Fatal(err)
	}
	news := make(chan string, 1)
	news <- "hello"
	service := httptest.NewServer(server.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		ctx := server.StreamContext(r)
		for {
			select {
			case <-ctx.Done():
				return // which may be said in a last event: authctx.ReasonOf(context.Cause(ctx))
			case event := <-news:
				fmt.Fprintf(w, "data: %s\n\n", event)
				_ = http.NewResponseController(w).Flush()
			}
		}
	})))
	defer service.Close()
	res, err := http.Get(service.URL)
	if err != nil {
		log.Fatal(err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(os.Stdout, res.Body)
	fmt.Println("over")
	// Output:
	// data: hello
	//
	// over
}

func ExampleNewTransport() {
	// A service that believes the fields of whoever connects from this machine.
	trust, err := authctx.TrustPeerCIDR("127.0.0.0/8")
	if err != nil {
		log.Fatal(err)
	}
	fields, err := authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{Trust: trust})
	if err != nil {
		log.Fatal(err)
	}
	server, err := httpctx.NewServer(httpctx.ServerConfig{Authenticator: fields, Policy: authctx.DefaultPolicy(authctx.Authenticated())})
	if err != nil {
		log.Fatal(err)
	}
	orders := httptest.NewServer(server.Handler(http.HandlerFunc(hello)))
	defer orders.Close()

	// A caller of it.
	propagator, err := authctx.NewFieldsPropagator(authctx.FieldsPropagatorConfig{})
	if err != nil {
		log.Fatal(err)
	}
	transport, err := httpctx.NewTransport(httpctx.TransportConfig{
		Propagator:   propagator,
		Destinations: []string{"127.0.0.1", "*.svc.internal"},
	})
	if err != nil {
		log.Fatal(err)
	}
	client := &http.Client{Transport: transport}

	alice, err := authctx.New(authctx.Attributes{Issuer: "https://login.example", Subject: "alice"})
	if err != nil {
		log.Fatal(err)
	}
	ctx := authctx.NewContext(context.Background(), alice) // in a handler, r.Context()
	r, err := http.NewRequestWithContext(ctx, "GET", orders.URL, nil)
	if err != nil {
		log.Fatal(err)
	}
	res, err := client.Do(r)
	if err != nil {
		log.Fatal(err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	fmt.Print(string(body))
	// Output: hello, alice
}

// A gateway: who is calling is said to the upstream, and the token stays here.
func ExampleNewProxy() {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "id %q, token %q\n", r.Header["X-User-Id"], r.Header["Authorization"])
	}))
	defer upstream.Close()
	target, err := url.Parse(upstream.URL)
	if err != nil {
		log.Fatal(err)
	}

	policy, err := authctx.NewPolicy(authctx.PolicyConfig{Default: authctx.Authenticated(), Public: []string{"/static/"}})
	if err != nil {
		log.Fatal(err)
	}
	server, err := httpctx.NewServer(httpctx.ServerConfig{Authenticator: demoAuthenticator(), Policy: policy})
	if err != nil {
		log.Fatal(err)
	}
	propagator, err := authctx.NewFieldsPropagator(authctx.FieldsPropagatorConfig{})
	if err != nil {
		log.Fatal(err)
	}
	proxy, err := httpctx.NewProxy(httpctx.ProxyConfig{Server: server, Propagator: propagator})
	if err != nil {
		log.Fatal(err)
	}
	handler, err := proxy.Handler(&httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) { pr.SetURL(target) },
	})
	if err != nil {
		log.Fatal(err)
	}
	gateway := httptest.NewServer(server.Handler(handler))
	defer gateway.Close()

	call("GET", gateway.URL+"/orders", "")
	call("GET", gateway.URL+"/orders", "alices-token")
	call("GET", gateway.URL+"/static/logo", "alices-token")
	// Output:
	// 401 Unauthorized [Bearer realm="api"]
	// 200 OK id ["alice"], token []
	// 200 OK id [], token []
}
