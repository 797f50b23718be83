package dex

import (
	"errors"
	"slices"
	"testing"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

func TestDexIsAskedAboutTokens(t *testing.T) {
	dex := startDex(t)
	introspector := must(jwtauth.NewIntrospector(jwtauth.IntrospectorConfig{
		Endpoint: dex.endpoint(t, "introspection_endpoint"), ClientID: api, ClientSecret: secret,
		Issuer: dex.issuer, Audiences: []string{api}, Claims: jwtauth.DexClaims(),
	}))
	got := dex.login(t, everything+" audience:server:client_id:"+api)
	p, err := introspector.Verify(t.Context(), got.Access)
	if err != nil {
		t.Fatal(err)
	}
	if p.ClientID() != web || p.Name() != "Kilgore Trout" || p.Email() != "kilgore@kilgore.trout" ||
		!slices.Equal(p.Groups(), []string{"authors"}) || !slices.Equal(p.Extra("connector"), []string{"mock"}) {
		t.Errorf("%+v", p.Attributes())
	}
	// Dex answers for refresh tokens as well: they are active.
	if _, err := introspector.Verify(t.Context(), got.Refresh); !errors.Is(err, authctx.WrongType) {
		t.Errorf("a refresh token: %v", err)
	}
	if _, err := introspector.Verify(t.Context(), got.Access+"A"); !errors.Is(err, authctx.InvalidToken) {
		t.Errorf("another signature: %v", err)
	}
	if _, err := introspector.Verify(t.Context(), dex.login(t, everything).Access); !errors.Is(err, authctx.WrongAudience) {
		t.Errorf("a token for another client: %v", err)
	}
}
