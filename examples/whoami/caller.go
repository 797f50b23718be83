package main

import (
	"context"

	"github.com/authctx/authctx"
	pb "github.com/authctx/authctx/examples/internal/examplespb"
)

// caller is the answer over HTTP. Lists are never null.
type caller struct {
	Issuer      string   `json:"issuer"`
	Subject     string   `json:"subject"`
	Kind        string   `json:"kind"`
	Name        string   `json:"name"`
	Email       string   `json:"email"`
	Tenant      string   `json:"tenant"`
	ClientID    string   `json:"client_id"`
	Roles       []string `json:"roles"`
	Permissions []string `json:"permissions"`
	Scopes      []string `json:"scopes"`
	Groups      []string `json:"groups"`
	Provenance  string   `json:"provenance"`
	Received    []string `json:"received"`
}

// callerOf describes the caller of ctx, whom the middleware made sure of.
func callerOf(ctx context.Context) caller {
	p, _ := authctx.FromContext(ctx)
	return caller{
		Issuer:      p.Issuer(),
		Subject:     p.Subject(),
		Kind:        p.Kind().String(),
		Name:        p.Name(),
		Email:       p.Email(),
		Tenant:      p.Tenant(),
		ClientID:    p.ClientID(),
		Roles:       orEmpty(p.Roles()),
		Permissions: orEmpty(p.Permissions()),
		Scopes:      orEmpty(p.Scopes()),
		Groups:      orEmpty(p.Groups()),
		Provenance:  p.Provenance().String(),
		Received:    orEmpty(receivedNames(ctx)),
	}
}

func (c caller) proto() *pb.Caller {
	return &pb.Caller{
		Issuer: c.Issuer, Subject: c.Subject, Kind: c.Kind, Name: c.Name, Email: c.Email,
		Tenant: c.Tenant, ClientId: c.ClientID, Roles: c.Roles, Permissions: c.Permissions,
		Scopes: c.Scopes, Groups: c.Groups, Provenance: c.Provenance, Received: c.Received,
	}
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
