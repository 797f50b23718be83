package inbound_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/inbound"
)

func TestWhatWasReadIsRemovedUnderItsNames(t *testing.T) {
	read := authctx.FieldSet{Names: []string{"authorization", "x-key"}, Prefixes: []string{"x-extra-"}}
	ctx := inbound.NewContext(context.Background(), map[string][]string{
		"Authorization": {"Bearer token"}, "X-Key": {"secret"}, "X-Extra-Team": {"red", "blue"}, "X-Other": {"1"},
	}, read)
	fields := map[string][]string{
		"authorization": {"bearer token", "Bearer own"}, "grpcgateway-authorization": {"Bearer token"}, "X_Key": {"secret"},
		"x-extra-team": {"blue", "green"}, "x-extra-other": {"red"}, "x-other": {"1"},
	}
	inbound.Remove(ctx, fields)
	want := map[string][]string{
		"authorization": {"Bearer own"}, "x-extra-team": {"green"}, "x-extra-other": {"red"}, "x-other": {"1"},
	}
	if !maps.EqualFunc(fields, want, slices.Equal) {
		t.Errorf("left %v, want %v", fields, want)
	}
}

// A peer chooses how many fields it has with a prefix. Were each compared with each,
// these would take minutes.
func TestManyFieldsWithAPrefixAreNotComparedWithOneAnother(t *testing.T) {
	fields := map[string][]string{}
	for i := range 100_000 {
		fields[fmt.Sprint("x-extra-", i)] = []string{"v"}
	}
	ctx := inbound.NewContext(context.Background(), fields, authctx.FieldSet{Prefixes: []string{"x-extra-"}})
	if inbound.Remove(ctx, fields); len(fields) > 0 {
		t.Errorf("%d are left", len(fields))
	}
}
