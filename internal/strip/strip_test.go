package strip_test

import (
	"strings"
	"testing"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/strip"
)

func TestOnlyTheFieldOfThatVeryNameWasRead(t *testing.T) {
	set := &authctx.FieldSet{Names: []string{"x-token"}, Prefixes: []string{"x-task-"}}
	for name, want := range map[string]bool{
		"x-token": true, "X-Token": true, "x_token": false, "x-token-bin": false, "grpc-metadata-x-token": false, "grpcgateway-x-token": false, "x-to\u212aen": false,
		"x-task-": true, "X-TASK-ID": true, "x-task": false, "x_task_id": false, "x-tas\u212a-id": false, "x-ta\u017fk-id": false, "": false,
	} {
		if got := strip.Reads(set, name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

func TestIdentityNeverStays(t *testing.T) {
	kept := &authctx.FieldSet{Names: []string{"authorization", "txn-token"}, Prefixes: []string{"x-user-"}}
	set := strip.NewSet(*kept)
	for name, want := range map[string]bool{"Authorization": true, "Txn-Token": false, "X-User-Id": false, "Other": false} {
		if got := set.Keeps(name, kept); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

func TestAnObserverIsToldOfSixtyFourBytesOfAName(t *testing.T) {
	set := strip.NewSet(authctx.FieldSet{Prefixes: []string{"x-other-"}})
	for n, want := range map[int]int{63: 63, 64: 64, 65: 64, 1000: 64} {
		name := "x-other-" + strings.Repeat("a", n-len("x-other-"))
		if got := set.AppendUnread(nil, name, new(authctx.Result)); len(got) != 1 || len(got[0]) != want {
			t.Errorf("of %d bytes: %q", n, got)
		}
	}
}
