package authctx

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Attributes describe a caller: fill them in and pass them to [New]. They are the
// mutable twin of [Principal], whose methods of the same names say what each is.
// Issuer and Subject are required; everything else may stay zero, which means absent.
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
	// Expires is the effective end, leeway included; zero means that nothing
	// ends the caller.
	Expires time.Time
	// AsOf is when all this was last known to be true; zero means now.
	AsOf time.Time
	// Actors act on the caller's behalf, outermost first.
	Actors []Actor
	// Extra holds further attributes; a key without values is absent.
	Extra map[string][]string
	// Claims are the verified claims, a JSON object that was parsed before;
	// [New] does not look at them. They never leave the process.
	Claims string
}

// Actor is a party that acts on behalf of a caller (RFC 8693 section 4.1).
// Issuer and Subject are both required.
type Actor struct {
	Issuer, Subject string
}

// String names the actor for logs, quoted where [Principal.String] quotes.
func (a Actor) String() string { return quoted(a.Subject) + " of " + quoted(a.Issuer) }

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

// MarshalText returns String, for JSON.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads what MarshalText wrote, and fails for other kinds than
// those of this package.
func (k *Kind) UnmarshalText(text []byte) error { return unmarshal(k, text, User, Service) }

// LogValue implements [slog.LogValuer] with String.
func (k Kind) LogValue() slog.Value { return slog.StringValue(k.String()) }

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

// MarshalText returns String, for JSON.
func (p Provenance) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads what MarshalText wrote, and fails for other provenances
// than those of this package.
func (p *Provenance) UnmarshalText(text []byte) error {
	return unmarshal(p, text, Asserted, Signed, Verified)
}

// LogValue implements [slog.LogValuer] with String.
func (p Provenance) LogValue() slog.Value { return slog.StringValue(p.String()) }

// unmarshal sets v to the one of values that is written so.
func unmarshal[V fmt.Stringer](v *V, text []byte, values ...V) error {
	for _, value := range values {
		if string(text) == value.String() {
			*v = value
			return nil
		}
	}
	return fmt.Errorf("authctx: %.32q is not one of %v", text, values)
}

// maxTime is the last second of the year 9999, the end of what JSON, HTTP and
// people write as a date.
const maxTime = 253402300799

// slot couples an attribute with its name, or with that of the field that
// carries it.
type slot[V any] struct {
	name  string
	value *V
}

// texts returns every single-valued text attribute with the name that errors
// use.
func (a *Attributes) texts() [9]slot[string] {
	return [...]slot[string]{
		{"Issuer", &a.Issuer}, {"Subject", &a.Subject}, {"Name", &a.Name}, {"Email", &a.Email},
		{"Tenant", &a.Tenant}, {"ClientID", &a.ClientID}, {"SessionID", &a.SessionID},
		{"TokenID", &a.TokenID}, {"ACR", &a.ACR},
	}
}

// lists returns every list attribute.
func (a *Attributes) lists() [5]slot[[]string] {
	return [...]slot[[]string]{
		{"AMR", &a.AMR}, {"Roles", &a.Roles}, {"Permissions", &a.Permissions},
		{"Scopes", &a.Scopes}, {"Groups", &a.Groups},
	}
}

// times returns every time attribute.
func (a *Attributes) times() [4]slot[time.Time] {
	return [...]slot[time.Time]{
		{"AuthTime", &a.AuthTime}, {"IssuedAt", &a.IssuedAt}, {"Expires", &a.Expires}, {"AsOf", &a.AsOf},
	}
}

// own replaces everything that a shares with its maker by copies.
func (a *Attributes) own() {
	lists, n := a.lists(), 0
	for _, list := range lists {
		n += len(*list.value)
	}
	if n > 0 {
		all := make([]string, 0, n) // one backing array for all lists
		for _, list := range lists {
			start := len(all)
			all = append(all, *list.value...)
			*list.value = all[start:len(all):len(all)]
		}
	}
	a.Actors = slices.Clone(a.Actors)
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
	for _, text := range a.texts() {
		if !validUTF8(*text.value) {
			bad("%s is not valid UTF-8", text.name)
		}
	}
	for _, list := range a.lists() {
		if err := validateList(*list.value); err != nil {
			bad("%s has %w", list.name, err)
		}
	}
	for _, t := range a.times() {
		if u := t.value.Unix(); !t.value.IsZero() && (u < 0 || u > maxTime) {
			bad("%s is before 1970 or after 9999", t.name)
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

func validText(s string) bool { return s != "" && validUTF8(s) }

// exactRule is what errors say of a name that exactName refuses.
const exactRule = "must be UTF-8 without characters that cannot be seen and without a space at either end"

// exactName reports whether somebody can mean a name that is compared byte by byte.
// A line break or a space that came along from a file would match nothing.
func exactName(s string) bool {
	unseen := func(r rune) bool { return !strconv.IsPrint(r) }
	return s == strings.TrimSpace(s) && validUTF8(s) && !strings.ContainsFunc(s, unseen)
}

// validUTF8 is [utf8.ValidString], faster for what is short and mostly ASCII.
func validUTF8(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return utf8.ValidString(s[i:])
		}
	}
	return true
}

func validateList(list []string) error {
	for _, s := range list {
		switch {
		case s == "":
			return errors.New("an empty element")
		case !validUTF8(s):
			return errors.New("an element that is not valid UTF-8")
		}
	}
	return nil
}

// normalize gives equal meanings one form: absent and empty are the same, and
// times are whole seconds in UTC.
func (a *Attributes) normalize() {
	for _, list := range a.lists() {
		if len(*list.value) == 0 {
			*list.value = nil
		}
	}
	for _, t := range a.times() {
		if !t.value.IsZero() {
			*t.value = time.Unix(t.value.Unix(), 0).UTC()
		}
	}
	if len(a.Actors) == 0 {
		a.Actors = nil
	}
	maps.DeleteFunc(a.Extra, func(_ string, v []string) bool { return len(v) == 0 })
	if len(a.Extra) == 0 {
		a.Extra = nil
	}
}

// equal compares normalized attributes.
func (a *Attributes) equal(b *Attributes) bool {
	texts, otherTexts := a.texts(), b.texts()
	lists, otherLists := a.lists(), b.lists()
	times, otherTimes := a.times(), b.times()
	return a.Kind == b.Kind && a.Provenance == b.Provenance && a.GroupsIncomplete == b.GroupsIncomplete &&
		equalSlots(texts[:], otherTexts[:], func(x, y string) bool { return x == y }) &&
		equalSlots(lists[:], otherLists[:], slices.Equal[[]string]) &&
		equalSlots(times[:], otherTimes[:], time.Time.Equal) &&
		slices.Equal(a.Actors, b.Actors) && maps.EqualFunc(a.Extra, b.Extra, slices.Equal) &&
		a.Claims == b.Claims
}

func equalSlots[V any](a, b []slot[V], equal func(x, y V) bool) bool {
	return slices.EqualFunc(a, b, func(x, y slot[V]) bool { return equal(*x.value, *y.value) })
}
