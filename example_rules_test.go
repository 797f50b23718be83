package authctx_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/authctx/authctx"
)

// Middleware does this for a handler, and a test for the code that it tests.
func ExampleNewContext() {
	_, ok := authctx.FromContext(context.Background())
	fmt.Println(ok)
	ctx := authctx.NewContext(context.Background(), caller())
	p, ok := authctx.FromContext(ctx)
	fmt.Println(p, ok)
	// Output:
	// false
	// user alice of https://idp.example (asserted) true
}

// A job that reads reports on Alice's behalf.
func ExampleActor() {
	p, err := authctx.New(authctx.Attributes{
		Issuer: "https://idp.example", Subject: "alice",
		Actors: []authctx.Actor{{Issuer: "https://idp.example", Subject: "report-job"}},
	})
	actor, ok := p.Actor()
	fmt.Println(p, "by", actor, ok, err)
	// Output: user alice of https://idp.example (asserted) by report-job of https://idp.example true <nil>
}

func ExampleAuthenticated() {
	ctx := context.Background()
	fmt.Println(authctx.Authorize(ctx, authctx.Authenticated()))
	fmt.Println(authctx.Authorize(authctx.NewContext(ctx, caller()), authctx.Authenticated()))
	// Output:
	// authctx: no credentials: no caller in the context: there is no Server of httpctx or grpcctx around this, or it let the request in without one
	// <nil>
}

// Who may call what, for whoever reviews it.
func ExamplePolicy_String() {
	policy, err := authctx.NewPolicy(authctx.PolicyConfig{
		Rules: map[string]authctx.Rule{
			"/shop.v1.Orders/*":      authctx.Scope("orders"),
			"/shop.v1.Orders/Refund": authctx.All(authctx.Role("support"), authctx.MaxAuthAge(5*time.Minute, nil)),
			"GET /report":            authctx.Any(authctx.Group("staff"), authctx.Tenant("acme")),
		},
		Public: []string{"/healthz"},
	})
	if err != nil {
		panic(err)
	}
	fmt.Print(policy)
	// Output:
	// /healthz                everybody
	// /shop.v1.Orders/*       Scope("orders")
	// /shop.v1.Orders/Refund  All(Role("support"), MaxAuthAge(5m0s))
	// GET /report             Any(Group("staff"), Tenant("acme"))
	// default                 nobody
}

func ExampleAll() {
	ctx := authctx.NewContext(context.Background(), caller())
	fmt.Println(authctx.Authorize(ctx, authctx.All(authctx.Role("editor"), authctx.Permission("orders:read"))))
	fmt.Println(authctx.Authorize(ctx, authctx.All(authctx.Role("editor"), authctx.Role("admin"))))
	// Output:
	// <nil>
	// authctx: permission denied: role "admin" required
}

func ExampleAny() {
	ctx := authctx.NewContext(context.Background(), caller())
	fmt.Println(authctx.Authorize(ctx, authctx.Any(authctx.Role("admin"), authctx.Role("editor"))))
	fmt.Println(authctx.Authorize(ctx, authctx.Any(authctx.Role("admin"), authctx.Role("owner"))))
	// Output:
	// <nil>
	// authctx: permission denied: role "admin" required
}

func ExampleRole() {
	ctx := authctx.NewContext(context.Background(), caller())
	fmt.Println(authctx.Authorize(ctx, authctx.Role("editor")))
	// Output: <nil>
}

func ExampleGroup() {
	ctx := authctx.NewContext(context.Background(), caller())
	fmt.Println(authctx.Authorize(ctx, authctx.Group("sales")))
	// Output: authctx: permission denied: group "sales" required
}

// A handler asks when it knows whose the order is.
func ExampleTenant() {
	p, err := authctx.New(authctx.Attributes{Issuer: "https://idp.example", Subject: "alice", Tenant: "acme"})
	if err != nil {
		panic(err)
	}
	ctx := authctx.NewContext(context.Background(), p)
	for _, order := range []struct{ Tenant string }{{"acme"}, {"globex"}, {""}} {
		fmt.Println(authctx.Authorize(ctx, authctx.Tenant(order.Tenant)))
	}
	// Output:
	// <nil>
	// authctx: permission denied: tenant "globex" required
	// authctx: permission denied: tenant "" required
}

// The provider of a customer may call its own people admins, but they are none here.
func ExampleIssuer() {
	admin := authctx.All(authctx.Issuer("https://login.company.example"), authctx.Role("admin"))
	for _, issuer := range []string{"https://login.company.example", "https://customer.example"} {
		p, err := authctx.New(authctx.Attributes{Issuer: issuer, Subject: "bob", Roles: []string{"admin"}})
		if err != nil {
			panic(err)
		}
		fmt.Println(authctx.Authorize(authctx.NewContext(context.Background(), p), admin))
	}
	// Output:
	// <nil>
	// authctx: permission denied: issuer "https://login.company.example" required
}

// For what needs a fresh login (RFC 9470).
func ExampleMaxAuthAge() {
	rule := authctx.MaxAuthAge(5*time.Minute, nil)
	err := authctx.Authorize(authctx.NewContext(context.Background(), caller()), rule)
	fmt.Println(errors.Is(err, authctx.InsufficientAuthentication))
	// Output: true
}

func ExamplePermission() {
	ctx := authctx.NewContext(context.Background(), caller())
	fmt.Println(authctx.Authorize(ctx, authctx.Permission("orders:read")))
	// Output: <nil>
}

// A client can ask for a missing scope, so the refusal names it.
func ExampleScope() {
	err := authctx.Authorize(authctx.NewContext(context.Background(), caller()), authctx.Scope("orders.write"))
	var refusal *authctx.Error
	fmt.Println(errors.As(err, &refusal), refusal.Reason, refusal.Scopes)
	// Output: true authctx: scope missing [orders.write]
}

// Every reason that blames the token also matches InvalidToken.
func ExampleReasonOf() {
	err := fmt.Errorf("while checking: %w", &authctx.Error{Reason: authctx.TokenExpired})
	fmt.Println(authctx.ReasonOf(err) == authctx.TokenExpired, errors.Is(err, authctx.InvalidToken))
	fmt.Println(authctx.ReasonOf(errors.New("the database is down")))
	// Output:
	// true true
	// authctx: credentials could not be checked
}

// There are few enough reasons for a metric with one series each.
func ExampleReasons() {
	for _, r := range authctx.Reasons()[:2] {
		fmt.Println(r.String(), "-", r.Description())
	}
	// Output:
	// no_credentials - Authentication is required.
	// invalid_request - The credentials are malformed or ambiguous.
}

// A rule of your own tells the caller a reason and operators a cause.
func ExampleError() {
	open := authctx.RuleFunc(func(context.Context, authctx.Principal) error {
		return &authctx.Error{Reason: authctx.Unavailable, Cause: errors.New("the calendar is down"), RetryAfter: time.Minute}
	})
	err := authctx.Authorize(authctx.NewContext(context.Background(), caller()), open)
	fmt.Println(err, errors.Is(err, authctx.Unavailable))
	// Output: authctx: credentials could not be checked: the calendar is down true
}

func ExampleOutcomeOf() {
	fmt.Println(authctx.OutcomeOf(nil), authctx.OutcomeOf(authctx.TokenExpired), authctx.OutcomeOf(authctx.Unavailable))
	// Output: allowed denied failed
}

// A metric is an observer of a few lines.
func ExampleObserverFunc() {
	counts := map[authctx.Outcome]int{}
	var observer authctx.Observer = authctx.ObserverFunc(func(_ context.Context, e authctx.Event) {
		counts[e.Outcome]++ // with a lock, where requests run side by side
	})
	observer.Observe(context.Background(), authctx.Event{Outcome: authctx.Allowed})
	fmt.Println(counts)
	// Output: map[allowed:1]
}
