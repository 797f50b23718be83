package conformance

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/grpcctx"
	"github.com/authctx/authctx/httpctx"
)

// handlerFunc is a handler of either transport; names of fields are in lower
// case.
type handlerFunc func(ctx context.Context, fields map[string][]string)

// keeping is how a keeper is configured.
type keeping struct {
	auth   authctx.Authenticator
	strip  authctx.FieldSet
	drops  bool // has no KeepCredentials
	public bool
}

func (k keeping) policy(t *testing.T, all string) *authctx.Policy {
	cfg := authctx.PolicyConfig{Default: authctx.Authenticated()}
	if k.public {
		cfg = authctx.PolicyConfig{Public: []string{all}}
	}
	return must[*authctx.Policy](t)(authctx.NewPolicy(cfg))
}

// A keeper is a server with KeepCredentials. It calls h for one request with
// fields.
type keeper func(t *testing.T, k keeping, fields map[string][]string, h handlerFunc)

var keepers = map[string]keeper{"HTTP": keepHTTP, "gRPC": keepGRPC}

func keepHTTP(t *testing.T, k keeping, fields map[string][]string, h handlerFunc) {
	s := must[*httpctx.Server](t)(httpctx.NewServer(httpctx.ServerConfig{
		Authenticator: k.auth, KeepCredentials: !k.drops, Strip: k.strip, Policy: k.policy(t, "/"),
	}))
	r := httptest.NewRequest("GET", "/", nil)
	r.Header = canonical(fields)
	w := httptest.NewRecorder()
	s.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { h(r.Context(), lower(r.Header)) })).ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Errorf("status %d", w.Code)
	}
}

func keepGRPC(t *testing.T, k keeping, fields map[string][]string, h handlerFunc) {
	s := must[*grpcctx.Server](t)(grpcctx.NewServer(grpcctx.ServerConfig{
		Authenticator: k.auth, KeepCredentials: !k.drops, Strip: k.strip, Policy: k.policy(t, "/test.Test/*"),
	}))
	addr := runGRPC(t, func(_ any, ss grpc.ServerStream) error {
		md, _ := metadata.FromIncomingContext(ss.Context())
		for _, own := range []string{":authority", "content-type", "user-agent", "grpc-accept-encoding"} {
			delete(md, own)
		}
		h(ss.Context(), md)
		return errors.Join(ss.RecvMsg(new(emptypb.Empty)), ss.SendMsg(new(emptypb.Empty)))
	}, s.ServerOptions()...)
	cc := must[*grpc.ClientConn](t)(grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials())))
	defer cc.Close()
	if err := cc.Invoke(metadata.NewOutgoingContext(t.Context(), lower(fields)), "/test.Test/Call", new(emptypb.Empty), new(emptypb.Empty)); err != nil {
		t.Error(err)
	}
}

func canonical(fields map[string][]string) http.Header {
	h := http.Header{}
	for name, values := range fields {
		h[http.CanonicalHeaderKey(name)] = slices.Clone(values)
	}
	return h
}

func lower(fields map[string][]string) map[string][]string {
	m := map[string][]string{}
	for name, values := range fields {
		m[strings.ToLower(name)] = slices.Clone(values)
	}
	return m
}

// sessions knows alice by the Authorization field or a cookie.
func sessions() authctx.Authenticator {
	set := authctx.FieldSet{Names: []string{"authorization"}, Cookies: []string{"session"}, Schemes: []string{"Bearer"}}
	return authctx.NewAuthenticator(set, func(_ context.Context, r *authctx.Request) (authctx.Result, error) {
		if len(r.Values("authorization"))+len(r.Cookies("session")) == 0 {
			return authctx.Result{}, authctx.NoCredentials
		}
		p, err := authctx.New(authctx.Attributes{Issuer: "i", Subject: "alice"})
		return authctx.Result{Principal: p}, err
	})
}

func TestKeptCredentialsAreThoseThatWereRead(t *testing.T) {
	layout := authctx.KubernetesLayout()
	kube := must[*authctx.FieldsAuthenticator](t)(authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{
		Trust: authctx.TrustNetworkAlone(), Issuer: "k", Layout: &layout,
	}))
	proxyLayout := authctx.OAuth2ProxyLayout()
	oauth2Proxy := must[*authctx.FieldsAuthenticator](t)(authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{
		Trust: authctx.TrustNetworkAlone(), Issuer: "k", Layout: &proxyLayout,
	}))
	legacy := authctx.FieldSet{Cookies: []string{"legacy_sso"}}
	for name, test := range map[string]struct {
		auth       authctx.Authenticator
		sent, want map[string][]string
	}{
		"a cookie": {sessions(),
			map[string][]string{"cookie": {"theme=dark; legacy_sso=secret; session=token"}},
			map[string][]string{"cookie": {"theme=dark; session=token"}}},
		"a field beside a cookie to be stripped": {sessions(),
			map[string][]string{"authorization": {"Bearer token"}, "cookie": {"legacy_sso=secret"}},
			map[string][]string{"authorization": {"Bearer token"}}},
		"fields beside what grpc-gateway makes of them": {sessions(),
			map[string][]string{"authorization": {"Bearer token"}, "grpcgateway-authorization": {"Bearer token"},
				"cookie": {"a=1; session=token"}, "grpcgateway-cookie": {"a=1; session=token"}, "grpcgateway-user-agent": {"curl"}},
			map[string][]string{"authorization": {"Bearer token"},
				"cookie": {"a=1; session=token"}, "grpcgateway-cookie": {"a=1"}, "grpcgateway-user-agent": {"curl"}}},
		"fields of Kubernetes": {kube,
			map[string][]string{"x-remote-user": {"alice"}, "x-remote-extra-team": {"x"}, "x-remote-uid": {"7"}, "x-remote-role": {"forged"}, "x_remote_user": {"eve"}, "x-other": {"1"}},
			map[string][]string{"x-remote-user": {"alice"}, "x-remote-extra-team": {"x"}, "x-other": {"1"}}},
		"fields of oauth2-proxy": {oauth2Proxy,
			map[string][]string{"x-forwarded-user": {"alice"}, "x-forwarded-access-token": {"secret"}, "x-other": {"1"}},
			map[string][]string{"x-forwarded-user": {"alice"}, "x-other": {"1"}}},
	} {
		for transport, keep := range keepers {
			t.Run(name+"/"+transport, func(t *testing.T) {
				keep(t, keeping{auth: test.auth, strip: legacy}, test.sent, func(_ context.Context, got map[string][]string) {
					if !reflect.DeepEqual(got, test.want) {
						t.Errorf("the handler sees %v, want %v", got, test.want)
					}
				})
			})
		}
	}
}

// A sender sends fields with the context of a request, and returns what arrives.
type sender func(ctx context.Context, t *testing.T, prop authctx.Propagator, fields map[string][]string) map[string][]string

var senders = map[string]sender{"Transport": sendHTTP, "Client": sendGRPC, "Proxy": sendProxied(false), "Proxy over a Transport": sendProxied(true)}

// Whichever way a credential came in and goes out, a handler that copies all
// fields does not spread it, and one that sets its own sends that.
func TestAKeptCredentialIsNotSentOnOverAnyTransport(t *testing.T) {
	prop, _ := plainFields(t)
	for outName, out := range senders {
		for inName, keep := range keepers {
			for _, sent := range []map[string][]string{
				{"authorization": {"Bearer token"}}, {"cookie": {"theme=dark; session=token"}}, {"cookie": {`session="token"`, "theme=dark"}},
			} {
				t.Run(inName+" to "+outName, func(t *testing.T) {
					keep(t, keeping{auth: sessions()}, sent, func(ctx context.Context, fields map[string][]string) {
						if !reflect.DeepEqual(fields, sent) {
							t.Errorf("the handler sees %v", fields)
						}
						fields = maps.Clone(fields)
						names := []string{"", "grpcgateway-", "grpc-metadata-"} // a grpc-gateway in the program writes the second
						for _, prefix := range names {
							fields[prefix+"authorization"] = append(slices.Clone(sent["authorization"]), "Bearer of-my-own")
							fields[prefix+"cookie"] = append(slices.Clone(sent["cookie"]), "session=of-my-own; mine=1")
						}
						got := out(ctx, t, prop, fields)
						for _, prefix := range names {
							want := []string{"Bearer of-my-own"}
							if isProxy(outName) && (prefix != "" || len(fields["authorization"]) > 1) {
								want = nil // whose Server leaves one, under its own name
							}
							if values := got[prefix+"authorization"]; !slices.Equal(values, want) {
								t.Errorf("%sauthorization %q", prefix, values)
							}
							cookies := strings.Join(got[prefix+"cookie"], "; ")
							for cookie, want := range map[string]bool{
								"token": false, "theme=dark": len(sent["cookie"]) > 0, "session=of-my-own": true, "mine=1": true,
							} {
								if strings.Contains(cookies, cookie) != want {
									t.Errorf("%scookie %q", prefix, cookies)
								}
							}
						}
						if !slices.Equal(got["x-user-id"], []string{"alice"}) {
							t.Errorf("caller %q", got["x-user-id"])
						}
					})
				})
			}
		}
	}
}

// A service behind oauth2-proxy does not look at the token that may still be there
// (--pass-authorization-header). A proxy cannot tell that from what is meant for
// its upstream, such as a login at a public route.
func TestAnAuthorizationThatNobodyReadIsSentOnByProxiesAlone(t *testing.T) {
	layout := authctx.OAuth2ProxyLayout()
	behind := must[*authctx.FieldsAuthenticator](t)(authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{
		Trust: authctx.TrustNetworkAlone(), Issuer: "i", Layout: &layout,
	}))
	prop, _ := plainFields(t)
	sent := map[string][]string{"x-forwarded-user": {"alice"}, "authorization": {"Bearer token"}, "x-other": {"1"}}
	token := authctx.FieldSet{Names: []string{"authorization"}}
	for how, k := range map[string]keeping{
		"dropped": {auth: behind, drops: true}, "kept": {auth: behind}, "public": {auth: behind, public: true},
		"stripped": {auth: behind, strip: token, drops: true},
	} {
		for inName, keep := range keepers {
			for outName, out := range senders {
				t.Run(how+"/"+inName+" to "+outName, func(t *testing.T) {
					keep(t, k, sent, func(ctx context.Context, fields map[string][]string) {
						if left := len(fields["authorization"]) > 0; left == (how == "stripped") {
							t.Errorf("the handler sees %v", fields)
						}
						want := []string{"Bearer of-my-own"}
						fields = maps.Clone(fields)
						if isProxy(outName) && how != "stripped" {
							want = []string{"Bearer token"}
						} else {
							fields["authorization"] = append(slices.Clone(fields["authorization"]), "Bearer of-my-own")
						}
						got := out(ctx, t, prop, fields)
						if !slices.Equal(got["authorization"], want) || !slices.Equal(got["x-other"], sent["x-other"]) {
							t.Errorf("arrived %v, want authorization %q", got, want)
						}
					})
				})
			}
		}
	}
}

func isProxy(sender string) bool { return strings.HasPrefix(sender, "Proxy") }

// Where nobody reads Authorization, a handler sees it under its own name, if there
// is one. Were there more that are known to be inbound, a stranger could send
// thousands and learn by what is missing which is the program's own.
func TestAnAuthorizationThatNobodyReadsIsOne(t *testing.T) {
	prop, auth := plainFields(t)
	for name, test := range map[string]struct{ sent, seen map[string][]string }{
		"one": {map[string][]string{"authorization": {"Bearer a"}}, map[string][]string{"authorization": {"Bearer a"}}},
		"two": {map[string][]string{"authorization": {"Bearer a", "Basic guess"}, "x-other": {"1"}}, map[string][]string{"x-other": {"1"}}},
		"of other names": {map[string][]string{
			"authorization": {"Bearer a"}, "grpcgateway-authorization": {"Bearer a"}, "authorization-bin": {"Bearer a"}, "authorization_": {"x"},
			"trailer-authorization": {"Bearer a"}, "grpc-metadata-authorization": {"Bearer a"}, "authorization.bin": {"Bearer a"},
		}, map[string][]string{"authorization": {"Bearer a"}, "authorization_": {"x"}}},
	} {
		for inName, keep := range keepers {
			for _, drops := range []bool{true, false} {
				t.Run(name+"/"+inName, func(t *testing.T) {
					sent := maps.Clone(test.sent)
					sent["x-user-id"], sent["x-user-issuer"] = []string{"alice"}, []string{"i"}
					keep(t, keeping{auth: auth, drops: drops}, sent, func(ctx context.Context, fields map[string][]string) {
						if !reflect.DeepEqual(fields, test.seen) {
							t.Errorf("the handler sees %v, want %v", fields, test.seen)
						}
						for _, own := range []string{"Basic guess", "Bearer own"} {
							got := sendHTTP(ctx, t, prop, map[string][]string{"authorization": {own}})
							if !slices.Equal(got["authorization"], []string{own}) {
								t.Errorf("own %q, arrived %q", own, got["authorization"])
							}
						}
					})
				})
			}
		}
	}
}

func recordHTTP(t *testing.T) (url string, got *map[string][]string) {
	got = new(map[string][]string)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { *got = lower(r.Header) }))
	t.Cleanup(s.Close)
	return s.URL, got
}

func sendHTTP(ctx context.Context, t *testing.T, prop authctx.Propagator, fields map[string][]string) map[string][]string {
	url, got := recordHTTP(t)
	tr, err := httpctx.NewTransport(httpctx.TransportConfig{Propagator: prop, Destinations: []string{"127.0.0.1"}})
	if err != nil {
		t.Error(err)
		return nil
	}
	r, _ := http.NewRequestWithContext(ctx, "GET", url, nil)
	r.Header = canonical(fields)
	if err := roundTrip(tr, r); err != nil {
		t.Error(err)
	}
	return *got
}

// sendProxied goes through a proxy that stands behind a Server of its own, which
// reads other fields than the one that kept the credential, and if need be through a
// Transport behind that.
func sendProxied(overTransport bool) sender {
	return func(ctx context.Context, t *testing.T, prop authctx.Propagator, fields map[string][]string) map[string][]string {
		return proxied(ctx, t, prop, fields, overTransport)
	}
}

func proxied(ctx context.Context, t *testing.T, prop authctx.Propagator, fields map[string][]string, overTransport bool) map[string][]string {
	upstream, got := recordHTTP(t)
	target, _ := url.Parse(upstream)
	again := authctx.NewAuthenticator(authctx.FieldSet{}, func(context.Context, *authctx.Request) (authctx.Result, error) {
		if p, ok := authctx.FromContext(ctx); ok {
			return authctx.Result{Principal: p}, nil
		}
		return authctx.Result{}, authctx.NoCredentials
	})
	s, err := httpctx.NewServer(httpctx.ServerConfig{Authenticator: again, KeepCredentials: true, AllowAnonymous: true})
	if err != nil {
		t.Error(err)
		return nil
	}
	proxy, err := httpctx.NewProxy(httpctx.ProxyConfig{Server: s, Propagator: prop})
	if err != nil {
		t.Error(err)
		return nil
	}
	rp := &httputil.ReverseProxy{Rewrite: func(pr *httputil.ProxyRequest) { pr.SetURL(target) }}
	if overTransport {
		rp.Transport, err = httpctx.NewTransport(httpctx.TransportConfig{Propagator: prop, Destinations: []string{"127.0.0.1"}})
		if err != nil {
			t.Error(err)
			return nil
		}
	}
	h, err := proxy.Handler(rp)
	if err != nil {
		t.Error(err)
		return nil
	}
	r := httptest.NewRequest("GET", "/", nil).WithContext(ctx)
	r.Header = canonical(fields)
	s.Handler(h).ServeHTTP(httptest.NewRecorder(), r)
	return *got
}

func sendGRPC(ctx context.Context, t *testing.T, prop authctx.Propagator, fields map[string][]string) map[string][]string {
	client, err := grpcctx.NewClient(grpcctx.ClientConfig{Propagator: prop})
	if err != nil {
		t.Error(err)
		return nil
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Error(err)
		return nil
	}
	var got map[string][]string
	g := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, ss grpc.ServerStream) error {
		md, _ := metadata.FromIncomingContext(ss.Context())
		got = md
		return errors.Join(ss.RecvMsg(new(emptypb.Empty)), ss.SendMsg(new(emptypb.Empty)))
	}))
	go g.Serve(lis)
	defer g.Stop()
	cc, err := grpc.NewClient(lis.Addr().String(), append(client.DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Error(err)
		return nil
	}
	defer cc.Close()
	if err := cc.Invoke(metadata.NewOutgoingContext(ctx, lower(fields)), "/test.Test/Call", new(emptypb.Empty), new(emptypb.Empty)); err != nil {
		t.Error(err)
	}
	return got
}
