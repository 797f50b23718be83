package authctx_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/authctx/authctx"
)

// caller stands for whom middleware has found.
func caller() authctx.Principal {
	p, err := authctx.New(authctx.Attributes{
		Issuer:      "https://idp.example",
		Subject:     "alice",
		Roles:       []string{"editor"},
		Permissions: []string{"orders:read"},
	})
	if err != nil {
		panic(err)
	}
	return p
}

func ExampleNew() {
	p, err := authctx.New(authctx.Attributes{Issuer: "https://idp.example", Subject: "alice", Roles: []string{"editor"}})
	fmt.Println(p, err)

	_, err = authctx.New(authctx.Attributes{Roles: []string{""}})
	fmt.Println(err)
	// Output:
	// user alice of https://idp.example (asserted) <nil>
	// authctx: Issuer is required
	// authctx: Subject is required
	// authctx: Roles has an empty element
}

func ExampleFromContext() {
	ctx := authctx.NewContext(context.Background(), caller())
	if p, ok := authctx.FromContext(ctx); ok {
		fmt.Println(p.Subject(), p.HasRole("editor"))
	}
	// Output: alice true
}

func ExampleAuthorize() {
	ctx := authctx.NewContext(context.Background(), caller())
	mayRead := authctx.Any(authctx.Role("admin"), authctx.Permission("orders:read"))
	fmt.Println(authctx.Authorize(ctx, mayRead))

	err := authctx.Authorize(ctx, authctx.Permission("orders:delete"))
	fmt.Println(err, errors.Is(err, authctx.PermissionDenied))
	fmt.Println(authctx.Authorize(context.Background(), mayRead))
	// Output:
	// <nil>
	// authctx: permission denied: permission "orders:delete" required true
	// authctx: no credentials: no caller in the context: there is no Server of httpctx or grpcctx around this, or it let the request in without one
}

// A handler for a framework that does not know this package, and would send the cause
// to the caller.
func ExampleAuthorize_framework() {
	handler := func(ctx context.Context) error {
		err := authctx.Authorize(ctx, authctx.Role("payroll-superuser"))
		if err == nil {
			return nil
		}
		reason, code := authctx.ReasonOf(err).Public(), "unauthenticated"
		switch reason {
		case authctx.PermissionDenied, authctx.InsufficientScope:
			code = "permission_denied"
		case authctx.Unavailable:
			code = "unavailable"
		}
		return fmt.Errorf("%s: %s", code, reason.Description()) // for Connect, connect.NewError
	}
	fmt.Println(handler(authctx.NewContext(context.Background(), caller())))
	fmt.Println(handler(context.Background()))
	// Output:
	// permission_denied: The caller may not do this.
	// unauthenticated: Authentication is required.
}

// A rule may be any function of the caller, such as this one about what is asked for. It
// allows what it knows to be right and refuses the rest, so that an order of nobody is not
// everybody's.
func ExampleRuleFunc() {
	type order struct{ issuer, owner string } // a subject is unique within its issuer
	owner := func(o order) authctx.Rule {
		return authctx.RuleFunc(func(_ context.Context, p authctx.Principal) error {
			if p.Issuer() == o.issuer && p.Subject() == o.owner {
				return nil
			}
			return authctx.PermissionDenied
		})
	}
	ctx := authctx.NewContext(context.Background(), caller())
	for _, o := range []order{{"https://idp.example", "alice"}, {"https://idp.example", "bob"}, {}} {
		fmt.Println(authctx.Authorize(ctx, authctx.Any(owner(o), authctx.Role("admin"))))
	}
	// Output:
	// <nil>
	// authctx: permission denied
	// authctx: permission denied
}

// A rule that a client can satisfy by logging in more strongly.
func ExampleACR() {
	ctx := authctx.NewContext(context.Background(), caller())
	err := authctx.Authorize(ctx, authctx.ACR("urn:example:gold"))
	fmt.Println(errors.Is(err, authctx.InsufficientAuthentication))
	// Output: true
}

func ExampleNewPolicy() {
	policy, err := authctx.NewPolicy(authctx.PolicyConfig{
		Rules: map[string]authctx.Rule{
			"GET /orders/{id}":  authctx.Authenticated(),
			"/shop.v1.Orders/*": authctx.Role("editor"),
		},
		Public: []string{"GET /health"},
	})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	fmt.Println(policy.RPC("/shop.v1.Orders/List").Check(ctx, caller()))
	fmt.Println(policy.Route("GET /health").Check(ctx, authctx.Principal{}))
	fmt.Println(policy.Route("GET /forgotten").Check(ctx, caller()))
	// Output:
	// <nil>
	// <nil>
	// authctx: permission denied: the policy does not list this
}

// A gateway behind which services have rules of their own.
func ExampleDefaultPolicy() {
	policy := authctx.DefaultPolicy(authctx.Authenticated())
	ctx := context.Background()
	fmt.Println(policy.Route("/whatever").Check(ctx, authctx.Principal{}))
	fmt.Println(policy.Route("/whatever").Check(ctx, caller()))
	fmt.Println(policy.RPC("/shop.v1.Orders/List").Check(ctx, caller()))
	// Output:
	// authctx: no credentials
	// <nil>
	// <nil>
}

// A gateway writes the caller as plain fields, and a service behind it, which
// trusts whoever connects from the gateway's network, reads them.
func ExampleNewFieldsPropagator() {
	propagator, err := authctx.NewFieldsPropagator(authctx.FieldsPropagatorConfig{})
	if err != nil {
		panic(err)
	}
	fields := map[string][]string{}
	err = propagator.Inject(context.Background(), caller(), func(name, value string) {
		fields[name] = []string{value}
		fmt.Println(name, value)
	})
	fmt.Println(err)
	// Output:
	// x-user-id alice
	// x-user-issuer https://idp.example
	// x-user-roles editor
	// x-user-permissions orders:read
	// <nil>
}

func ExampleNewFieldsAuthenticator() {
	trust, err := authctx.TrustPeerCIDR("10.1.0.0/16")
	if err != nil {
		panic(err)
	}
	authenticator, err := authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{Trust: trust})
	if err != nil {
		panic(err)
	}
	for _, peer := range []string{"10.1.0.7:4711", "192.0.2.1:4711"} {
		result, err := authenticator.Authenticate(context.Background(), &authctx.Request{
			Transport: authctx.TransportHTTP,
			Peer:      netip.MustParseAddrPort(peer),
			Fields:    authctx.FieldMap(map[string][]string{"X-User-Id": {"alice"}, "X-User-Issuer": {"https://idp.example"}}),
		})
		fmt.Println(result.Principal, err)
	}
	// Output:
	// user alice of https://idp.example (asserted) <nil>
	// nobody authctx: no credentials: identity fields not believed: peer 192.0.2.1 is in no trusted prefix
}

func ExampleTrustSPIFFEID() {
	_, err := authctx.TrustSPIFFEID("spiffe://prod.example/gateway")
	fmt.Println(err)
	_, err = authctx.TrustSPIFFEID("spiffe://prod.example")
	fmt.Println(err)
	// Output:
	// <nil>
	// authctx: trust: "spiffe://prod.example" names a trust domain and no workload; say TrustSPIFFEDomain if that is meant
}

// An authenticator of your own, for API keys.
func ExampleNewAuthenticator() {
	apiKey := authctx.NewAuthenticator(authctx.FieldSet{Names: []string{"x-api-key"}},
		func(_ context.Context, r *authctx.Request) (authctx.Result, error) {
			switch keys := r.Values("x-api-key"); {
			case len(keys) == 0:
				return authctx.Result{}, authctx.NoCredentials
			case len(keys) > 1:
				return authctx.Result{}, authctx.InvalidRequest
			case keys[0] != "correct horse": // look the key's hash up instead
				return authctx.Result{}, authctx.InvalidToken
			}
			return authctx.Result{Principal: caller()}, nil
		})
	request := &authctx.Request{Fields: authctx.FieldMap(map[string][]string{"X-Api-Key": {"correct horse"}})}
	result, err := apiKey.Authenticate(context.Background(), request)
	fmt.Println(result.Principal, err)
	// Output: user alice of https://idp.example (asserted) <nil>
}

// withRoles adds to callers what the service itself knows of them. It embeds the
// authenticator that it wraps and replaces one method, so that Fields and
// Presents stay what they are.
type withRoles struct {
	*authctx.FieldsAuthenticator
	roles map[string][]string // by subject; a database would be asked
}

func (a withRoles) Authenticate(ctx context.Context, r *authctx.Request) (authctx.Result, error) {
	result, err := a.FieldsAuthenticator.Authenticate(ctx, r)
	if err != nil {
		return result, err
	}
	attrs := result.Principal.Attributes()
	attrs.Roles = a.roles[attrs.Subject]
	result.Principal, err = authctx.New(attrs)
	return result, err
}

// An authenticator around another one.
func ExamplePresenter() {
	fields, err := authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{Trust: authctx.TrustNetworkAlone()})
	if err != nil {
		panic(err)
	}
	var authenticator authctx.Authenticator = withRoles{fields, map[string][]string{"alice": {"editor"}}}
	request := &authctx.Request{Fields: authctx.FieldMap(map[string][]string{
		"x-user-id": {"alice"}, "x-user-issuer": {"https://idp.example"}, "x-user-roles": {"admin"},
	})}
	result, err := authctx.Authenticate(context.Background(), authenticator, request)
	fmt.Println(result.Principal.Roles(), err)
	_, ok := authenticator.(authctx.Presenter)
	fmt.Println(ok)
	// Output:
	// [editor] <nil>
	// true
}

func ExampleOneOf() {
	answer := func(name string) authctx.Authenticator {
		return authctx.NewAuthenticator(authctx.FieldSet{Names: []string{name}},
			func(_ context.Context, r *authctx.Request) (authctx.Result, error) {
				if len(r.Values(name)) == 0 {
					return authctx.Result{}, authctx.NoCredentials
				}
				return authctx.Result{Principal: caller()}, nil
			})
	}
	either := authctx.OneOf(answer("authorization"), answer("x-api-key"))
	for _, fields := range []map[string][]string{
		{"x-api-key": {"k"}},
		{"x-api-key": {"k"}, "authorization": {"Bearer t"}},
	} {
		result, err := either.Authenticate(context.Background(), &authctx.Request{Fields: authctx.FieldMap(fields)})
		fmt.Println(result.Principal, err)
	}
	// Output:
	// user alice of https://idp.example (asserted) <nil>
	// nobody authctx: malformed or ambiguous credentials: credentials of two kinds in one request
}

func ExampleInjectHeaders() {
	propagator, err := authctx.NewFieldsPropagator(authctx.FieldsPropagatorConfig{})
	if err != nil {
		panic(err)
	}
	headers := map[string]string{"content-type": "application/json", "X-User-Id": "somebody-else"}
	ctx := authctx.NewContext(context.Background(), caller())
	if err := authctx.InjectHeaders(ctx, propagator, headers); err != nil {
		panic(err)
	}

	// A consumer that trusts every writer of the topic.
	authenticator, err := authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{Trust: authctx.TrustNetworkAlone()})
	if err != nil {
		panic(err)
	}
	ctx, err = authctx.ExtractHeaders(context.Background(), authenticator, "orders", headers)
	p, _ := authctx.FromContext(ctx)
	fmt.Println(p, err)
	// Output: user alice of https://idp.example (asserted) <nil>
}

// The constructor names what is missing; the observer is told every decision.
func ExampleNewConsumer() {
	_, err := authctx.NewConsumer(authctx.ConsumerConfig{})
	fmt.Println(err)
	authenticator, err := authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{Trust: authctx.TrustNetworkAlone()})
	if err != nil {
		panic(err)
	}
	consumer, err := authctx.NewConsumer(authctx.ConsumerConfig{
		Authenticator: authenticator,
		Rules:         map[string]authctx.Rule{"orders": authctx.Role("editor")},
		Observer: authctx.ObserverFunc(func(_ context.Context, e authctx.Event) {
			fmt.Println(e.Target, e.Outcome, e.Principal)
		}),
	})
	if err != nil {
		panic(err)
	}
	headers := map[string]string{"x-user-id": "alice", "x-user-issuer": "https://idp.example", "x-user-roles": "editor"}
	_, err = authctx.ReceiveHeaders(context.Background(), consumer, "orders", headers)
	fmt.Println(err)
	// Output:
	// authctx: consumer: Authenticator is required
	// authctx: consumer: Rules is required
	// orders allowed user alice of https://idp.example (asserted)
	// <nil>
}

// A worker has one rule for each topic.
func ExampleReceiveHeaders() {
	authenticator, err := authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{Trust: authctx.TrustNetworkAlone()})
	if err != nil {
		panic(err)
	}
	consumer, err := authctx.NewConsumer(authctx.ConsumerConfig{
		Authenticator: authenticator, // or jwtauth.NewDeferredAuthenticator, which believes signatures
		Rules: map[string]authctx.Rule{
			"orders":  authctx.Role("editor"),
			"refunds": authctx.Role("clerk"),
		},
	})
	if err != nil {
		panic(err)
	}
	propagator, err := authctx.NewFieldsPropagator(authctx.FieldsPropagatorConfig{})
	if err != nil {
		panic(err)
	}
	headers := map[string]string{}
	if err := authctx.InjectHeaders(authctx.NewContext(context.Background(), caller()), propagator, headers); err != nil {
		panic(err)
	}
	for _, topic := range []string{"orders", "refunds", "returns"} {
		_, err := authctx.ReceiveHeaders(context.Background(), consumer, topic, headers)
		fmt.Println(topic, err)
	}
	// Output:
	// orders <nil>
	// refunds authctx: permission denied: role "clerk" required
	// returns authctx: permission denied: the consumer does not list the topic
}

// Who may have this refund depends on the message, so its handler asks itself.
func ExampleConsumer_ObserveRefusal() {
	authenticator, err := authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{Trust: authctx.TrustNetworkAlone()})
	if err != nil {
		panic(err)
	}
	consumer, err := authctx.NewConsumer(authctx.ConsumerConfig{
		Authenticator: authenticator,
		Rules:         map[string]authctx.Rule{"refunds": authctx.Authenticated()},
		Observer:      authctx.ObserverFunc(func(_ context.Context, e authctx.Event) { fmt.Println(e.Target, e.Outcome, e.Err) }),
	})
	if err != nil {
		panic(err)
	}
	handle := func(headers map[string]string, cents int) {
		ctx, err := authctx.ReceiveHeaders(context.Background(), consumer, "refunds", headers)
		if err == nil && cents > 100_00 {
			err = authctx.Authorize(ctx, authctx.Role("accountant"))
			consumer.ObserveRefusal(ctx, "refunds", err)
		}
		if err != nil {
			return // or give it back, see ExtractHeaders
		}
		fmt.Println("refunded")
	}
	headers := map[string]string{"x-user-id": "alice", "x-user-issuer": "https://login.example"}
	handle(headers, 50_00)
	handle(headers, 500_00)
	// Output:
	// refunds allowed <nil>
	// refunded
	// refunds allowed <nil>
	// refunds denied authctx: permission denied: role "accountant" required
}

// Clients of Kafka have headers as a list. Reading it into a map of lists keeps a header
// that occurs twice, which is then refused.
func ExampleInjectHeaders_list() {
	type header struct {
		Key   string
		Value []byte
	}
	headers := []header{{"content-type", []byte("application/json")}, {"x-user-id", []byte("somebody-else")}}

	propagator, err := authctx.NewFieldsPropagator(authctx.FieldsPropagatorConfig{})
	if err != nil {
		panic(err)
	}
	fields := map[string][]byte{}
	if err := authctx.InjectHeaders(authctx.NewContext(context.Background(), caller()), propagator, fields); err != nil {
		panic(err)
	}
	identity := authctx.IdentityFields().Union(propagator.Fields())
	headers = slices.DeleteFunc(headers, func(h header) bool { return identity.Owns(h.Key) })
	for name, value := range fields {
		headers = append(headers, header{name, value})
	}

	authenticator, err := authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{Trust: authctx.TrustNetworkAlone()})
	if err != nil {
		panic(err)
	}
	consume := func(headers []header) {
		lists := map[string][]string{}
		for _, h := range headers {
			lists[h.Key] = append(lists[h.Key], string(h.Value))
		}
		ctx, err := authctx.ExtractHeaders(context.Background(), authenticator, "orders", lists)
		p, _ := authctx.FromContext(ctx)
		fmt.Println(p, err)
	}
	consume(headers)
	consume(append(headers, header{"x-user-id", []byte("mallory")}))
	// Output:
	// user alice of https://idp.example (asserted) <nil>
	// nobody authctx: malformed or ambiguous credentials: x-user-id: it occurs more than once
}

func ExampleNewSlogObserver() {
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if slices.Contains([]string{slog.TimeKey}, a.Key) {
				return slog.Attr{}
			}
			return a
		},
	}))
	authctx.NewSlogObserver(logger).Observe(context.Background(), authctx.Event{
		Transport: authctx.TransportHTTP, Entry: "GET /orders/{id}", Outcome: authctx.Denied,
		Reason: authctx.TokenExpired, Duration: 42 * time.Microsecond,
	})
	// Output: level=WARN msg="authctx: denied" transport=http entry="GET /orders/{id}" reason=token_expired duration=42µs
}
