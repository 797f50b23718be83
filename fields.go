package authctx

import (
	"errors"
	"fmt"
	"time"
)

// plainFieldPrefix begins every plain identity field of ours, known or not yet
// known.
const plainFieldPrefix = "x-user-"

// FieldNames is the layout of plain identity fields: which field carries which
// attribute. Writing, reading and stripping are all derived from one value. An
// empty name means that the attribute does not travel.
type FieldNames struct {
	Subject, Issuer, Kind     string
	Name, Email, Tenant       string
	ClientID                  string
	SessionID, TokenID        string
	ACR, AMR                  string
	Roles, Permissions        string
	Scopes, Groups            string
	GroupsIncomplete          string
	AuthTime, Issued, Expires string
	Actor, Extra              string
}

// PlainFieldNames returns the layout that this module uses unless told
// otherwise. Names may be added in later versions; meanings never change.
func PlainFieldNames() FieldNames {
	return FieldNames{
		Subject:          "x-user-id",
		Issuer:           "x-user-issuer",
		Kind:             "x-user-kind",
		Name:             "x-user-name",
		Email:            "x-user-email",
		Tenant:           "x-user-tenant",
		ClientID:         "x-user-client-id",
		SessionID:        "x-user-session",
		TokenID:          "x-user-token-id",
		ACR:              "x-user-acr",
		AMR:              "x-user-amr",
		Roles:            "x-user-roles",
		Permissions:      "x-user-permissions",
		Scopes:           "x-user-scopes",
		Groups:           "x-user-groups",
		GroupsIncomplete: "x-user-groups-incomplete",
		AuthTime:         "x-user-auth-time",
		Issued:           "x-user-issued",
		Expires:          "x-user-expires",
		Actor:            "x-user-actor",
		Extra:            "x-user-extra",
	}
}

// named couples the name of a field with the attribute it carries.
type named[V any] struct {
	name  string
	value *V
}

func (n *FieldNames) texts(a *Attributes) [9]named[string] {
	return [...]named[string]{
		{n.Subject, &a.Subject}, {n.Issuer, &a.Issuer}, {n.Name, &a.Name}, {n.Email, &a.Email},
		{n.Tenant, &a.Tenant}, {n.ClientID, &a.ClientID}, {n.SessionID, &a.SessionID},
		{n.TokenID, &a.TokenID}, {n.ACR, &a.ACR},
	}
}

func (n *FieldNames) lists(a *Attributes) [5]named[[]string] {
	return [...]named[[]string]{
		{n.Roles, &a.Roles}, {n.Permissions, &a.Permissions}, {n.Scopes, &a.Scopes},
		{n.Groups, &a.Groups}, {n.AMR, &a.AMR},
	}
}

func (n *FieldNames) times(a *Attributes) [3]named[time.Time] {
	return [...]named[time.Time]{
		{n.AuthTime, &a.AuthTime}, {n.Issued, &a.IssuedAt}, {n.Expires, &a.Expires},
	}
}

// all returns every name that is set.
func (n *FieldNames) all() []string {
	names := make([]string, 0, 21)
	add := func(name string) {
		if name != "" {
			names = append(names, name)
		}
	}
	var a Attributes
	for _, f := range n.texts(&a) {
		add(f.name)
	}
	add(n.Kind)
	for _, f := range n.lists(&a) {
		add(f.name)
	}
	add(n.GroupsIncomplete)
	for _, f := range n.times(&a) {
		add(f.name)
	}
	add(n.Actor)
	add(n.Extra)
	return names
}

// validate reports names that cannot be fields or that clash.
func (n *FieldNames) validate() error {
	var errs []error
	if n.Subject == "" {
		errs = append(errs, errors.New("authctx: field names: Subject is required"))
	}
	seen := map[string]bool{}
	for _, name := range n.all() {
		if !validFieldName(name) {
			errs = append(errs, fmt.Errorf("authctx: field names: %q is not a lower-case field name", name))
		}
		if seen[name] {
			errs = append(errs, fmt.Errorf("authctx: field names: %q is used twice", name))
		}
		seen[name] = true
	}
	return errors.Join(errs...)
}

// validFieldName reports whether s is a name that HTTP and gRPC both carry
// unchanged. gRPC keeps "grpc-" for itself and reads "-bin" as binary.
func validFieldName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return s != "" && !hasFoldedPrefix(s, "grpc-") && (len(s) < 4 || s[len(s)-4:] != binarySuffix)
}

// fieldSet is what a layout owns: its names, and for our own names everything
// that may be added to them later.
func (n *FieldNames) fieldSet() FieldSet {
	set := FieldSet{Names: n.all()}
	if hasFoldedPrefix(n.Subject, plainFieldPrefix) {
		set.Prefixes = []string{plainFieldPrefix}
	}
	return set
}
