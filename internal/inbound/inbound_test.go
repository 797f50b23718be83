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
		"x-extra-team": {"blue", "green"}, "x-extra-other": {"white"}, "x-other": {"1", "red"},
		"grpcgateway-x-extra-team": {"red"}, "Grpc-Metadata-X_Extra.Team": {"red"}, "x-extra-mine": {"red"},
	}
	inbound.Remove(ctx, fields)
	want := map[string][]string{
		"authorization": {"Bearer own"}, "x-extra-team": {"green"}, "x-extra-other": {"white"}, "x-other": {"1", "red"},
		"x-extra-mine": {"red"},
	}
	if !maps.EqualFunc(fields, want, slices.Equal) {
		t.Errorf("left %v, want %v", fields, want)
	}
}

// Servers may stand behind one another, each with a credential that it read.
func TestWhatAnyServerHasReadIsRemoved(t *testing.T) {
	outer, inner := authctx.FieldSet{Names: []string{"authorization"}}, authctx.FieldSet{Names: []string{"x-token"}}
	ctx := inbound.NewContext(t.Context(), map[string][]string{"authorization": {"Bearer outer"}}, outer)
	ctx = inbound.NewContext(ctx, map[string][]string{"x-token": {"inner"}}, inner)
	fields := map[string][]string{"Authorization": {"Bearer outer"}, "X-Token": {"inner"}, "Trace": {"1"}}
	if inbound.Remove(ctx, fields); len(fields) != 1 || fields["Trace"] == nil {
		t.Errorf("left %v", fields)
	}
}

// A peer chooses how many fields and values it has. Were each compared with each,
// these would take minutes.
func TestRule3_WhatAPeerWritesIsNotComparedEachWithEach(t *testing.T) {
	const many = 100_000
	prefixed, values := map[string][]string{}, make([]string, many)
	for i := range many {
		prefixed[fmt.Sprint("x-extra-", i)] = []string{"v"}
		values[i] = fmt.Sprint("Bearer ", i)
	}
	ctx := inbound.NewContext(context.Background(), prefixed, authctx.FieldSet{Prefixes: []string{"x-extra-"}})
	if inbound.Remove(ctx, prefixed); len(prefixed) > 0 {
		t.Errorf("%d fields are left", len(prefixed))
	}
	ctx = inbound.NewContext(context.Background(), map[string][]string{"authorization": values}, authctx.FieldSet{Names: []string{"authorization"}})
	fields := map[string][]string{"authorization": slices.Clone(values), "grpcgateway-authorization": {"Basic own", values[many-1]}}
	if inbound.Remove(ctx, fields); len(fields) != 1 || !slices.Equal(fields["grpcgateway-authorization"], []string{"Basic own"}) {
		t.Errorf("%d fields are left", len(fields))
	}
	// What came in is not looked through for each call.
	for range many {
		inbound.Remove(ctx, map[string][]string{"x-own": {"v"}})
	}
}

func TestACredentialIsTheSameWithoutItsScheme(t *testing.T) {
	for _, came := range []string{"Bearer token", "bearer\ttoken", " Bearer  token ", "token"} {
		fields := map[string][]string{
			"Authorization": {"Bearer token"}, "grpcgateway-authorization": {"token"}, "authorization-bin": {"DPoP\ttoken"}, "own": {"token"},
		}
		if inbound.Remove(inbound.WithUnread(context.Background(), came), fields); len(fields) != 1 {
			t.Errorf("%q: left %v", came, fields)
		}
	}
}

// Who reads the whole cookie field has read every cookie, however it is sent on.
func TestWhatWasReadIsRemovedCookieByCookie(t *testing.T) {
	came := map[string][]string{"Cookie": {"session=secret; a=1", "b=2"}}
	for name, read := range map[string]authctx.FieldSet{
		"whole": {Names: []string{"cookie"}}, "each": {Cookies: []string{"session", "A", "b"}},
	} {
		fields := map[string][]string{"Cookie": {"session=secret; mine=1; a=1", "b=2"}}
		inbound.Remove(inbound.NewContext(context.Background(), came, read), fields)
		if want := []string{"mine=1"}; !slices.Equal(fields["Cookie"], want) {
			t.Errorf("%s: left %v", name, fields)
		}
	}
}

func TestNothingThatIsRememberedIsTheLenders(t *testing.T) {
	came := map[string][]string{"Authorization": {"Bearer token"}}
	ctx := inbound.NewContext(context.Background(), came, authctx.FieldSet{Names: []string{"authorization"}})
	came["Authorization"][0] = "redacted"
	fields := map[string][]string{"Authorization": {"Bearer token"}}
	if inbound.Remove(ctx, fields); len(fields) > 0 {
		t.Errorf("left %v", fields)
	}
}
