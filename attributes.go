package authctx

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
	"unicode/utf8"
)

// Attributes describe a caller. They are the mutable twin of [Principal]: fill
// them in and pass them to [New]. Issuer and Subject are required; everything
// else may stay zero, which means absent.
type Attributes struct {
	// Issuer and Subject together name the caller.
	Issuer, Subject string
	// Kind is User when zero.
	Kind Kind
	// Provenance is Asserted, the weakest, when zero.
	Provenance Provenance

	Name, Email        string
	Tenant             string
	ClientID           string
	SessionID, TokenID string
	ACR                string
	AMR                []string
	Roles, Permissions []string
	Scopes, Groups     []string
	GroupsIncomplete   bool
	AuthTime, IssuedAt time.Time
	Expires            time.Time
	// AsOf is when all this was last known to be true; zero means now.
	AsOf time.Time
	// Actors act on the caller's behalf, outermost first.
	Actors []Actor
	// Extra holds further attributes; a key without values is absent.
	Extra map[string][]string
	// Claims are the verified claims as JSON; they never leave the process.
	Claims []byte
}

// Actor is a party that acts on behalf of a caller (RFC 8693 section 4.1).
// Issuer and Subject are both required.
type Actor struct {
	Issuer, Subject string
}

// Kind tells people from programs.
type Kind uint8

const (
	// User is a person, or somebody for whom nothing else is known.
	User Kind = iota
	// Service is a program acting for itself, such as an OAuth client that used
	// the client credentials grant.
	Service
)

// String returns "user" or "service".
func (k Kind) String() string {
	switch k {
	case User:
		return "user"
	case Service:
		return "service"
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Provenance says how a principal is known, weakest first, so that they compare
// with <.
type Provenance uint8

const (
	// Asserted: a trusted peer said so in plain fields.
	Asserted Provenance = iota
	// Signed: a party of the same trust domain vouched for it with a signature
	// that was verified here.
	Signed
	// Verified: the caller's own credential was verified here.
	Verified
)

// String returns "asserted", "signed" or "verified".
func (p Provenance) String() string {
	switch p {
	case Asserted:
		return "asserted"
	case Signed:
		return "signed"
	case Verified:
		return "verified"
	}
	return fmt.Sprintf("provenance(%d)", uint8(p))
}

// maxTime is the last second of the year 9999, the end of what JSON, HTTP and
// people write as a date.
const maxTime = 253402300799

// texts yields every single-valued text attribute with the name that errors use.
func (a *Attributes) texts(yield func(name string, value string) bool) {
	_ = yield("Issuer", a.Issuer) && yield("Subject", a.Subject) && yield("Name", a.Name) &&
		yield("Email", a.Email) && yield("Tenant", a.Tenant) && yield("ClientID", a.ClientID) &&
		yield("SessionID", a.SessionID) && yield("TokenID", a.TokenID) && yield("ACR", a.ACR)
}

// lists yields every list attribute; the slice may be replaced through the
// pointer.
func (a *Attributes) lists(yield func(name string, list *[]string) bool) {
	_ = yield("AMR", &a.AMR) && yield("Roles", &a.Roles) && yield("Permissions", &a.Permissions) &&
		yield("Scopes", &a.Scopes) && yield("Groups", &a.Groups)
}

// times yields every time attribute.
func (a *Attributes) times(yield func(name string, t *time.Time) bool) {
	_ = yield("AuthTime", &a.AuthTime) && yield("IssuedAt", &a.IssuedAt) && yield("Expires", &a.Expires) &&
		yield("AsOf", &a.AsOf)
}

// own replaces everything that a shares with its maker by copies.
func (a *Attributes) own() {
	n := 0
	for _, list := range a.lists {
		n += len(*list)
	}
	all := make([]string, 0, n) // one backing array for all lists
	for _, list := range a.lists {
		if len(*list) == 0 {
			continue
		}
		start := len(all)
		all = append(all, *list...)
		*list = all[start:len(all):len(all)]
	}
	a.Actors = slices.Clone(a.Actors)
	a.Claims = bytes.Clone(a.Claims)
	if len(a.Extra) > 0 {
		extra := make(map[string][]string, len(a.Extra))
		for k, v := range a.Extra {
			extra[k] = slices.Clone(v)
		}
		a.Extra = extra
	}
}

// validate reports everything that is wrong, each by attribute name and never
// by value.
func (a *Attributes) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("authctx: "+format, args...)) }
	if a.Issuer == "" {
		bad("Issuer is required")
	}
	if a.Subject == "" {
		bad("Subject is required")
	}
	if a.Kind > Service {
		bad("Kind is unknown")
	}
	if a.Provenance > Verified {
		bad("Provenance is unknown")
	}
	for name, s := range a.texts {
		if !utf8.ValidString(s) {
			bad("%s is not valid UTF-8", name)
		}
	}
	for name, list := range a.lists {
		if err := validateList(*list); err != nil {
			bad("%s has %w", name, err)
		}
	}
	for name, t := range a.times {
		if u := t.Unix(); !t.IsZero() && (u < 0 || u > maxTime) {
			bad("%s is before 1970 or after 9999", name)
		}
	}
	for i, actor := range a.Actors {
		if !validText(actor.Issuer) || !validText(actor.Subject) {
			bad("Actors[%d] needs issuer and subject in valid UTF-8", i)
		}
	}
	for key, values := range a.Extra {
		if !validText(key) {
			bad("Extra has a key that is empty or not valid UTF-8")
		} else if err := validateList(values); err != nil {
			bad("Extra has %w under %q", err, key)
		}
	}
	return errors.Join(errs...)
}

func validText(s string) bool { return s != "" && utf8.ValidString(s) }

func validateList(list []string) error {
	for _, s := range list {
		switch {
		case s == "":
			return errors.New("an empty element")
		case !utf8.ValidString(s):
			return errors.New("an element that is not valid UTF-8")
		}
	}
	return nil
}

// normalize gives equal meanings one form: absent and empty are the same, and
// times are whole seconds in UTC.
func (a *Attributes) normalize() {
	for _, list := range a.lists {
		if len(*list) == 0 {
			*list = nil
		}
	}
	for _, t := range a.times {
		if !t.IsZero() {
			*t = time.Unix(t.Unix(), 0).UTC()
		}
	}
	if len(a.Actors) == 0 {
		a.Actors = nil
	}
	if len(a.Claims) == 0 {
		a.Claims = nil
	}
	maps.DeleteFunc(a.Extra, func(_ string, v []string) bool { return len(v) == 0 })
	if len(a.Extra) == 0 {
		a.Extra = nil
	}
}

// equal compares normalized attributes.
func (a *Attributes) equal(b *Attributes) bool {
	return a.Kind == b.Kind && a.Provenance == b.Provenance && a.GroupsIncomplete == b.GroupsIncomplete &&
		slices.Equal(slices.Collect(values(a.texts)), slices.Collect(values(b.texts))) &&
		slices.EqualFunc(slices.Collect(values(a.lists)), slices.Collect(values(b.lists)),
			func(x, y *[]string) bool { return slices.Equal(*x, *y) }) &&
		slices.EqualFunc(slices.Collect(values(a.times)), slices.Collect(values(b.times)),
			func(x, y *time.Time) bool { return x.Equal(*y) }) &&
		slices.Equal(a.Actors, b.Actors) && maps.EqualFunc(a.Extra, b.Extra, slices.Equal) &&
		bytes.Equal(a.Claims, b.Claims)
}

// values drops the names of texts, lists and times.
func values[V any](seq func(func(string, V) bool)) func(func(V) bool) {
	return func(yield func(V) bool) {
		seq(func(_ string, v V) bool { return yield(v) })
	}
}
