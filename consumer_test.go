package authctx_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/observertest"
)

// sender is an authenticator of messages by a header that names their sender.
func sender(answer func(from string) (authctx.Result, error)) authctx.Authenticator {
	return authctx.NewAuthenticator(authctx.FieldSet{Names: []string{"from"}}, func(_ context.Context, r *authctx.Request) (authctx.Result, error) {
		if r.Transport != authctx.TransportMessage || r.Method != "" {
			return authctx.Result{}, fmt.Errorf("asked about %q of %q", r.Method, r.Transport)
		}
		return answer(strings.Join(r.Values("From"), ","))
	})
}

func nobody(string) (authctx.Result, error) { return authctx.Result{}, authctx.NoCredentials }

func newConsumer(t testing.TB, cfg authctx.ConsumerConfig) *authctx.Consumer {
	t.Helper()
	c, err := authctx.NewConsumer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTheObserverLearnsWhatAMessageHandlerRefuses(t *testing.T) {
	seen := new(observertest.Journal)
	alice := mustNew(t, authctx.Attributes{Issuer: "i", Subject: "alice"})
	cfg := authctx.ConsumerConfig{
		Authenticator: sender(func(string) (authctx.Result, error) { return authctx.Result{Principal: alice}, nil }),
		Rules:         map[string]authctx.Rule{"orders": authctx.Authenticated()},
	}
	newConsumer(t, cfg).ObserveRefusal(t.Context(), "orders", authctx.PermissionDenied) // to nobody
	(*authctx.Consumer)(nil).ObserveRefusal(t.Context(), "orders", authctx.PermissionDenied)
	cfg.Observer = seen
	c := newConsumer(t, cfg)
	ctx, err := authctx.ReceiveHeaders(t.Context(), c, "orders", map[string]string{"from": "alice"})
	if err != nil {
		t.Fatal(err)
	}
	c.ObserveRefusal(ctx, "orders", nil)
	refusal := authctx.Authorize(ctx, authctx.Role("clerk"))
	c.ObserveRefusal(ctx, "orders", refusal)
	c.ObserveRefusal(ctx, "another", errors.New("disk full"))
	told := seen.All()
	if len(told) != 3 {
		t.Fatalf("%d events", len(told))
	}
	for i, want := range []authctx.Event{
		{Target: "orders", Entry: "orders", Outcome: authctx.Denied, Reason: authctx.PermissionDenied},
		{Target: "another", Outcome: authctx.Failed, Reason: authctx.Unavailable},
	} {
		e := told[i+1]
		if e.Target != want.Target || e.Entry != want.Entry || e.Outcome != want.Outcome || e.Reason != want.Reason || e.Err == nil ||
			e.Transport != authctx.TransportMessage || e.Principal.Subject() != "alice" || e.Duration != 0 {
			t.Errorf("the observer was told %+v, want %+v", e, want)
		}
	}
}

func TestRule10_AConsumerRefusesTopicsWithoutARule(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	person := func(name string, end time.Time, roles ...string) authctx.Result {
		return authctx.Result{Cached: true, Principal: mustNew(t, authctx.Attributes{
			Issuer: "https://idp.example", Subject: name, Roles: roles, Expires: end,
		})}
	}
	outage := &authctx.Error{Reason: authctx.Unavailable}
	seen := new(observertest.Journal)
	c := newConsumer(t, authctx.ConsumerConfig{
		Authenticator: sender(func(from string) (authctx.Result, error) {
			switch from {
			case "alice":
				return person("alice", now.Add(time.Second), "clerk"), nil
			case "bob":
				return person("bob", time.Time{}), nil
			case "late":
				return person("late", now, "clerk"), nil
			case "forged":
				return authctx.Result{}, authctx.InvalidToken
			case "outage":
				return authctx.Result{}, outage
			}
			return authctx.Result{}, authctx.NoCredentials
		}),
		Rules: map[string]authctx.Rule{
			"invoices": authctx.RuleFunc(func(ctx context.Context, _ authctx.Principal) error {
				return authctx.Authorize(ctx, authctx.Role("clerk")) // ctx carries the caller
			}),
			"news":   authctx.Authenticated(),
			"broken": authctx.RuleFunc(func(context.Context, authctx.Principal) error { return outage }),
		},
		Observer: seen,
		Now:      func() time.Time { return now },
	})
	for _, try := range []struct {
		from, topic string
		want        authctx.Reason // zero is nobody's
		entry       string
		caller      string // of the event
	}{
		{"alice", "invoices", 0, "invoices", "alice"},
		{"bob", "news", 0, "news", "bob"},
		{"bob", "invoices", authctx.PermissionDenied, "invoices", "bob"},
		{"alice", "invoices.eu", authctx.PermissionDenied, "", "alice"},
		{"alice", "Invoices", authctx.PermissionDenied, "", "alice"},
		{"alice", "", authctx.PermissionDenied, "", "alice"},
		{"alice", "broken", authctx.Unavailable, "broken", "alice"},
		{"late", "invoices", authctx.TokenExpired, "invoices", ""},
		{"forged", "invoices", authctx.InvalidToken, "invoices", ""},
		{"outage", "invoices", authctx.Unavailable, "invoices", ""},
		{"outage", "elsewhere", authctx.Unavailable, "", ""},
		{"", "news", authctx.NoCredentials, "news", ""},
		{"", "elsewhere", authctx.NoCredentials, "", ""},
	} {
		before := len(seen.All())
		outer := authctx.NewContext(t.Context(), mustNew(t, full()))
		ctx, err := authctx.ReceiveHeaders(outer, c, try.topic, map[string]string{"from": try.from})
		if authctx.ReasonOf(err) != try.want || (err == nil) != (try.want == 0) {
			t.Errorf("%s to %s: %v", try.from, try.topic, err)
		}
		p, known := authctx.FromContext(ctx)
		if known != (try.want == 0) || known && p.Subject() != try.from {
			t.Errorf("%s to %s is handled as %v", try.from, try.topic, p)
		}
		told := seen.All()[before:]
		if len(told) != 1 {
			t.Fatalf("%s to %s: %d events", try.from, try.topic, len(told))
		}
		e := told[0]
		if e.Transport != authctx.TransportMessage || e.Target != try.topic || e.Entry != try.entry || e.Reason != try.want ||
			e.Outcome != authctx.OutcomeOf(err) || !errors.Is(e.Err, err) || e.Principal.Subject() != try.caller || e.Cached != (try.caller != "") {
			t.Errorf("%s to %s: the observer was told %+v", try.from, try.topic, e)
		}
	}
}

func TestRule1_AConsumerNeedsAnAuthenticatorAndRules(t *testing.T) {
	var dropped *observertest.Journal
	for name, try := range map[string]struct {
		cfg  authctx.ConsumerConfig
		want []string
	}{
		"nothing":      {authctx.ConsumerConfig{}, []string{"Authenticator is required", "Rules is required"}},
		"empty":        {authctx.ConsumerConfig{Authenticator: sender(nobody), Rules: map[string]authctx.Rule{}}, []string{"Rules is required"}},
		"a nil rule":   {authctx.ConsumerConfig{Authenticator: sender(nobody), Rules: map[string]authctx.Rule{"a": nil, "b": authctx.RuleFunc(nil)}}, []string{`"a" has a nil rule`, `"b" has a nil rule`}},
		"no name":      {authctx.ConsumerConfig{Authenticator: sender(nobody), Rules: map[string]authctx.Rule{"": authctx.Authenticated()}}, []string{"a topic has no name"}},
		"nil pointers": {authctx.ConsumerConfig{Authenticator: (*authctx.FieldsAuthenticator)(nil), Observer: dropped, Rules: map[string]authctx.Rule{"a": authctx.Authenticated()}}, []string{"Authenticator is required", "Observer holds a nil pointer"}},
	} {
		_, err := authctx.NewConsumer(try.cfg)
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		for _, want := range try.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if lines := strings.Count(err.Error(), "\n") + 1; lines != len(try.want) {
			t.Errorf("%s: %d problems in %v", name, lines, err)
		}
	}
	for name, c := range map[string]*authctx.Consumer{"nil": nil, "zero": {}} {
		ctx, err := authctx.ReceiveHeaders(authctx.NewContext(t.Context(), mustNew(t, full())), c, "a", map[string][]byte{})
		if _, known := authctx.FromContext(ctx); known || !errors.Is(err, authctx.Unavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAConsumerKeepsNothingOfItsConfiguration(t *testing.T) {
	rules := map[string]authctx.Rule{"a": authctx.Authenticated()}
	alice := authctx.Result{Principal: mustNew(t, full())}
	c := newConsumer(t, authctx.ConsumerConfig{Authenticator: sender(func(string) (authctx.Result, error) { return alice, nil }), Rules: rules, Observer: authctx.ObserverFunc(nil)})
	rules["b"] = authctx.Authenticated()
	delete(rules, "a")
	for topic, want := range map[string]bool{"a": true, "b": false} {
		if _, err := authctx.ReceiveHeaders(t.Context(), c, topic, map[string][]string{"FROM": {"alice"}}); (err == nil) != want {
			t.Errorf("%s: %v", topic, err)
		}
	}
}

func TestAConsumerTellsHowLongItsDecisionTook(t *testing.T) {
	now, seen := time.Unix(1_800_000_000, 0), new(observertest.Journal)
	c := newConsumer(t, authctx.ConsumerConfig{
		Authenticator: sender(func(string) (authctx.Result, error) {
			now = now.Add(3 * time.Second)
			return nobody("")
		}),
		Rules:    map[string]authctx.Rule{"news": authctx.Authenticated()},
		Observer: seen, Now: func() time.Time { return now },
	})
	_, _ = authctx.ReceiveHeaders(t.Context(), c, "news", map[string]string{})
	if events := seen.All(); len(events) != 1 || events[0].Duration != 3*time.Second {
		t.Errorf("told of %+v", events)
	}
}

func TestAMessageIsToldToHaveNoPeer(t *testing.T) {
	for name, trust := range map[string]authctx.Trust{
		"TrustPeerCIDR":     must(t)(authctx.TrustPeerCIDR("127.0.0.0/8")),
		"TrustSPIFFEID":     must(t)(authctx.TrustSPIFFEID("spiffe://prod.example/gateway")),
		"TrustSPIFFEDomain": must(t)(authctx.TrustSPIFFEDomain("prod.example")),
		"TrustDNSName":      must(t)(authctx.TrustDNSName("gateway.internal")),
		"TrustAuthority":    must(t)(authctx.TrustAuthority(newAuthority("root", nil).Certificate)),
	} {
		consumer, err := authctx.NewConsumer(authctx.ConsumerConfig{
			Authenticator: reader(t, authctx.FieldsAuthenticatorConfig{Trust: trust}),
			Rules:         map[string]authctx.Rule{"orders": authctx.Authenticated()},
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = authctx.ReceiveHeaders(t.Context(), consumer, "orders", map[string]string{"x-user-id": "alice", "x-user-issuer": "i"})
		if !errors.Is(err, authctx.NoCredentials) || !strings.Contains(err.Error(), "a message has no peer") ||
			!strings.Contains(err.Error(), "TrustNetworkAlone") {
			t.Errorf("%s: %v", name, err)
		}
		if err := trust.Trusts(t.Context(), &authctx.Request{Transport: authctx.TransportHTTP}); strings.Contains(err.Error(), "message") {
			t.Errorf("%s of a request: %v", name, err)
		}
	}
}

// Clocks that differ are found by how much they do.
func TestACallerWhoHasEndedIsToldSinceWhen(t *testing.T) {
	caller := mustNew(t, authctx.Attributes{Issuer: "i", Subject: "s", Expires: time.Unix(1000, 0)})
	fields := write(t, propagator(t, authctx.FieldsPropagatorConfig{Now: at(999)}), caller)
	late := at(1000 + 3540)
	reads := reader(t, authctx.FieldsAuthenticatorConfig{Trust: authctx.TrustNetworkAlone(), Now: late})
	_, read := reads.Authenticate(t.Context(), &authctx.Request{Fields: authctx.FieldMap(fields)})
	consumer := must1(authctx.NewConsumer(authctx.ConsumerConfig{
		Authenticator: authctx.NewAuthenticator(authctx.FieldSet{}, func(context.Context, *authctx.Request) (authctx.Result, error) {
			return authctx.Result{Principal: caller}, nil
		}),
		Rules: map[string]authctx.Rule{"orders": authctx.Authenticated()}, Now: late,
	}))
	_, received := authctx.ReceiveHeaders(t.Context(), consumer, "orders", map[string]string{})
	written := propagator(t, authctx.FieldsPropagatorConfig{Now: late}).Inject(t.Context(), caller, nil)
	for what, err := range map[string]error{"read": read, "received": received, "written": written} {
		if !errors.Is(err, authctx.TokenExpired) || !strings.HasSuffix(err.Error(), "the caller's effective end came 59m0s ago") {
			t.Errorf("%s: %v", what, err)
		}
	}
}
