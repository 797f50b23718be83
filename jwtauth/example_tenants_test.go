package jwtauth_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// Providers of customers say of their users what they like, so that what they say
// must not count elsewhere: the program puts its own name of the customer in front
// of roles, says itself which tenant they act in, and lets nobody act for their users,
// because a provider can name anybody.
func ExampleResolvingVerifier_roles() {
	const acme, globex = "https://acme.example.com", "https://globex.example.com"
	customers := map[string]string{acme: "acme", globex: "globex"}
	keys := map[string]*jwtauth.SigningKeys{acme: exampleSigningKeys(), globex: exampleSigningKeys()}
	verifier, err := jwtauth.NewResolvingVerifier(jwtauth.ResolvingVerifierConfig{
		Algorithms: []jwtauth.Algorithm{jwtauth.EdDSA},
		Resolve: func(_ context.Context, issuer string) (*jwtauth.Verifier, error) {
			name, ok := customers[issuer]
			if !ok {
				return nil, authctx.WrongIssuer
			}
			nowhere := []jwtauth.ClaimSource{}
			mapping, err := jwtauth.NewClaimMapping(jwtauth.ClaimMappingConfig{
				Tenant:      []jwtauth.ClaimSource{{Constant: name}},
				Roles:       []jwtauth.ClaimSource{{Path: []string{"roles"}, AddPrefix: name + ":"}},
				Permissions: nowhere, Scopes: nowhere, Groups: nowhere,
				Refuse: []jwtauth.ClaimTest{{Path: []string{"act"}, Present: true}},
			})
			if err != nil {
				return nil, err
			}
			return jwtauth.NewVerifier(jwtauth.VerifierConfig{
				Issuer:     issuer,
				Audiences:  []string{"https://api.example.com"},
				Algorithms: []jwtauth.Algorithm{jwtauth.EdDSA},
				Keys:       keys[issuer],
				Claims:     mapping,
			})
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer verifier.Close()

	provider, err := jwtauth.NewIssuer(jwtauth.IssuerConfig{
		Issuer: globex, Audiences: []string{"https://api.example.com"}, Keys: keys[globex], Lifetime: time.Minute,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	token, err := provider.Issue(context.Background(), authctx.Attributes{
		Subject: "mallory", ClientID: "web", Tenant: "acme", Roles: []string{"admin", "acme:admin"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	caller, err := verifier.Verify(context.Background(), token)
	fmt.Println(caller.Tenant(), caller.Roles(), err)

	ctx := authctx.NewContext(context.Background(), caller)
	for _, rule := range []authctx.Rule{authctx.Role("admin"), authctx.Role("acme:admin"), authctx.Tenant("acme"), authctx.Issuer(acme)} {
		fmt.Println(errors.Is(authctx.Authorize(ctx, rule), authctx.PermissionDenied))
	}

	token, err = provider.Issue(context.Background(), authctx.Attributes{
		Subject: "mallory", ClientID: "web", Actors: []authctx.Actor{{Issuer: "https://login.example.com", Subject: "support-desk"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = verifier.Verify(context.Background(), token)
	fmt.Println(errors.Is(err, authctx.InvalidToken))
	// Output:
	// globex [globex:admin globex:acme:admin] <nil>
	// true
	// true
	// true
	// true
	// true
}

func exampleSigningKeys() *jwtauth.SigningKeys {
	key, err := jwtauth.GenerateSigningKey(jwtauth.EdDSA)
	if err != nil {
		panic(err)
	}
	keys, err := jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: key})
	if err != nil {
		panic(err)
	}
	return keys
}
