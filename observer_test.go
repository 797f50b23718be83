package authctx_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/authctx/authctx"
)

func TestSlogObserverWritesOneRecordPerDecision(t *testing.T) {
	for _, c := range []struct {
		name  string
		event authctx.Event
		want  map[string]any
		not   []string
	}{
		{"allowed", authctx.Event{Transport: "http", Entry: "GET /orders", Outcome: authctx.Allowed, Principal: mustNew(t, full()), Cached: true, Duration: time.Millisecond},
			map[string]any{"level": "INFO", "msg": "authctx: allowed", "transport": "http", "entry": "GET /orders", "cached": true}, []string{"reason", "cause", "ignored", "peer"}},
		{"denied", authctx.Event{Transport: "grpc", Target: "/a.B/C", Outcome: authctx.Denied, Reason: authctx.TokenExpired, Err: errors.New("why"),
			Peer: netip.MustParseAddrPort("127.0.0.1:7"), Ignored: []string{"X-User-Id"}},
			map[string]any{"level": "WARN", "reason": "token_expired", "cause": "why", "peer": "127.0.0.1:7", "target": "/a.B/C"}, []string{"principal", "cached", "entry"}},
		{"failed", authctx.Event{Outcome: authctx.Failed, Reason: authctx.Unavailable}, map[string]any{"level": "ERROR", "reason": "unavailable"}, nil},
		{"ended", authctx.Event{Outcome: authctx.Ended, Reason: authctx.TokenExpired}, map[string]any{"level": "WARN", "msg": "authctx: ended"}, nil},
	} {
		var out strings.Builder
		authctx.NewSlogObserver(slog.New(slog.NewJSONHandler(&out, nil))).Observe(context.Background(), c.event)
		var record map[string]any
		if err := json.Unmarshal([]byte(out.String()), &record); err != nil {
			t.Fatalf("%s: %v in %q", c.name, err, out.String())
		}
		for key, want := range c.want {
			if record[key] != want {
				t.Errorf("%s: %s = %v, want %v", c.name, key, record[key], want)
			}
		}
		for _, key := range c.not {
			if _, ok := record[key]; ok {
				t.Errorf("%s: has %s", c.name, key)
			}
		}
		for _, secret := range []string{"alice@example.com", "s3cret", "editor"} {
			if strings.Contains(out.String(), secret) {
				t.Errorf("%s: %s is logged", c.name, secret)
			}
		}
	}
}

func TestOutcomeOf(t *testing.T) {
	for _, c := range []struct {
		err  error
		want authctx.Outcome
	}{{nil, authctx.Allowed}, {authctx.PermissionDenied, authctx.Denied}, {authctx.Unavailable, authctx.Failed}, {errors.New("x"), authctx.Failed}} {
		if got := authctx.OutcomeOf(c.err); got != c.want {
			t.Errorf("%v: %v, want %v", c.err, got, c.want)
		}
	}
}

func TestSlogObserverWithoutALoggerUsesTheDefault(t *testing.T) {
	var out strings.Builder
	old := slog.Default()
	t.Cleanup(func() { slog.SetDefault(old) })
	slog.SetDefault(slog.New(slog.NewTextHandler(&out, nil)))
	authctx.NewSlogObserver(nil).Observe(context.Background(), authctx.Event{Outcome: authctx.Denied})
	if !strings.Contains(out.String(), "denied") {
		t.Errorf("logged %q", out.String())
	}
}
