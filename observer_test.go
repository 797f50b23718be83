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
		{"no outcome", authctx.Event{Transport: "message"}, map[string]any{"level": "WARN", "msg": "authctx: unknown"}, nil},
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

// Whoever asked may have given up before anybody could tell.
func TestSlogObserverLogsNoErrorForWhoHasLeft(t *testing.T) {
	left, leave := context.WithCancel(t.Context())
	leave()
	late, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	for ctx, level := range map[context.Context]string{left: "WARN", late: "ERROR", t.Context(): "ERROR"} {
		var out strings.Builder
		event := authctx.Event{Outcome: authctx.Failed, Reason: authctx.Unavailable, Err: context.Canceled} // a source's own, perhaps
		authctx.NewSlogObserver(slog.New(slog.NewJSONHandler(&out, nil))).Observe(ctx, event)
		if !strings.Contains(out.String(), `"level":"`+level+`"`) {
			t.Errorf("%v: logged %s", ctx.Err(), out.String())
		}
	}
}

// An issuer may let users choose what they are called.
func TestSlogObserverCutsWhatOthersChose(t *testing.T) {
	long := "x" + strings.Repeat("é", 30_000) // whose halves no bound must part
	event := authctx.Event{
		Method: long, Target: long, Outcome: authctx.Denied, Reason: authctx.WrongIssuer, Err: errors.New(long),
		Principal: mustNew(t, authctx.Attributes{Issuer: long, Subject: long}),
	}
	var out strings.Builder
	authctx.NewSlogObserver(slog.New(slog.NewJSONHandler(&out, nil))).Observe(t.Context(), event)
	var record struct {
		Cause     string
		Principal struct{ Issuer, Subject, Kind string }
	}
	if err := json.Unmarshal([]byte(out.String()), &record); err != nil || out.Len() > 8<<10 {
		t.Errorf("%v, %d bytes", err, out.Len())
	}
	if p := record.Principal; p.Kind != "user" || !strings.HasPrefix(p.Subject, "xéé") || !strings.HasPrefix(p.Issuer, "xéé") || !strings.HasPrefix(record.Cause, "xéé") ||
		strings.Contains(out.String(), "\ufffd") || strings.Contains(out.String(), `\ufffd`) {
		t.Errorf("logged %.100s", out.String())
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

func TestSlogObserverDoesNothingBelowTheLevelOfItsLogger(t *testing.T) {
	var out strings.Builder
	o := authctx.NewSlogObserver(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelError})))
	e := authctx.Event{Outcome: authctx.Allowed, Method: "GET", Target: "/orders"}
	if n := testing.AllocsPerRun(100, func() { o.Observe(context.Background(), e) }); n > 0 || out.Len() > 0 {
		t.Errorf("%v allocations, logged %q", n, out.String())
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

// An observer of one's own logs what an event says, and the reason of an allowed
// call is none.
func TestWhatAnEventSaysIsTextInLogsAndJSON(t *testing.T) {
	for _, c := range []struct {
		value any
		want  string
	}{
		{authctx.Allowed, "allowed"}, {authctx.Ended, "ended"}, {authctx.Outcome(0), "unknown"},
		{authctx.TokenExpired, "token_expired"}, {authctx.Reason(0), ""},
		{authctx.User, "user"}, {authctx.Service, "service"}, {authctx.Kind(9), "kind(9)"},
		{authctx.Asserted, "asserted"}, {authctx.Verified, "verified"}, {authctx.Provenance(9), "provenance(9)"},
	} {
		want := `"` + c.want + `"`
		if text, err := json.Marshal(c.value); err != nil || string(text) != want {
			t.Errorf("%#v in JSON: %s, %v, want %s", c.value, text, err, want)
		}
		var text, object strings.Builder
		slog.New(slog.NewTextHandler(&text, nil)).Info("", "v", c.value)
		slog.New(slog.NewJSONHandler(&object, nil)).Info("", "v", c.value)
		if c.want != "" {
			want = c.want
		}
		if !strings.HasSuffix(text.String(), " v="+want+"\n") || !strings.Contains(object.String(), `"v":"`+c.want+`"`) {
			t.Errorf("%#v is logged as %s and %s", c.value, text.String(), object.String())
		}
	}
	if text := authctx.Reason(0).Error(); text != "authctx: no reason" {
		t.Errorf("no reason reads %q", text)
	}
	if text := (&authctx.Error{}).Error(); text != authctx.Unavailable.Error() {
		t.Errorf("an Error that forgot its reason reads %q", text)
	}
}
