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
		"grpcgateway-x-extra-team": {"red"}, "Grpc-Metadata-X_Extra.Team": {"red"},
	}
	inbound.Remove(ctx, fields)
	want := map[string][]string{
		"authorization": {"Bearer own"}, "x-extra-team": {"green"}, "x-extra-other": {"white"}, "x-other": {"1", "red"},
	}
	if !maps.EqualFunc(fields, want, slices.Equal) {
		t.Errorf("left %v, want %v", fields, want)
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
	for how, ctx := range map[string]context.Context{
		"unread": inbound.WithUnread(context.Background(), values),
		"read": inbound.NewContext(context.Background(), map[string][]string{"authorization": values},
			authctx.FieldSet{Names: []string{"authorization"}}),
	} {
		fields := map[string][]string{"authorization": slices.Clone(values), "grpcgateway-authorization": {"Basic own", values[many-1]}}
		inbound.Remove(ctx, fields)
		if len(fields) != 1 || !slices.Equal(fields["grpcgateway-authorization"], []string{"Basic own"}) {
			t.Errorf("%s: %d fields are left", how, len(fields))
		}
	}
}
