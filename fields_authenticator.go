package authctx

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// maxFieldsRead bounds what a reader decodes. It is far above any sensible
// budget, so that a writer's larger budget is not an outage.
const maxFieldsRead = 64 << 10

// FieldsAuthenticatorConfig configures [NewFieldsAuthenticator].
type FieldsAuthenticatorConfig struct {
	// Trust says whose fields are believed. It is required.
	Trust Trust
	// Issuer is what a subject without an issuer belongs to, for gateways that
	// write only an ID. When it is empty, such a caller is refused.
	Issuer string
	// Names is the layout; nil means [PlainFieldNames].
	Names *FieldNames
	// Now is the clock; nil means [time.Now].
	Now func() time.Time
}

// FieldsAuthenticator reads a caller from the plain fields that a trusted peer
// wrote. It is safe for concurrent use.
type FieldsAuthenticator struct {
	trust  Trust
	issuer string
	names  FieldNames
	all    []string
	fields FieldSet
	now    func() time.Time
}

// NewFieldsAuthenticator returns an authenticator for cfg, or an error that
// names every setting that is missing or wrong.
func NewFieldsAuthenticator(cfg FieldsAuthenticatorConfig) (*FieldsAuthenticator, error) {
	f := &FieldsAuthenticator{trust: cfg.Trust, issuer: cfg.Issuer, names: PlainFieldNames(), now: cfg.Now}
	var errs []error
	if cfg.Trust == nil {
		errs = append(errs, errors.New("authctx: fields authenticator: Trust is required"))
	}
	if cfg.Names != nil {
		f.names = *cfg.Names
		errs = append(errs, f.names.validate())
	}
	if f.now == nil {
		f.now = time.Now
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	f.all, f.fields = f.names.all(), f.names.fieldSet()
	return f, nil
}

// Fields returns every name of the layout.
func (f *FieldsAuthenticator) Fields() FieldSet { return f.fields }

// Presents reports whether a trusted peer wrote any identity field. Fields from
// anybody else are absent.
func (f *FieldsAuthenticator) Presents(r *Request) bool {
	return f.anyField(r) && f.trust.Trusts(r) == nil
}

func (f *FieldsAuthenticator) anyField(r *Request) bool {
	return slices.ContainsFunc(f.all, func(name string) bool { return len(r.Values(name)) > 0 })
}

// Authenticate reads the caller. Its principal is [Asserted].
//
// Fields are absent, and the answer [NoCredentials], when there are none or
// when the peer is not trusted. A doubled field, a subject without its issuer
// or the other way round, and a value outside the grammar are
// [InvalidRequest]; a caller whose effective end has come is [TokenExpired].
func (f *FieldsAuthenticator) Authenticate(_ context.Context, r *Request) (Result, error) {
	if !f.anyField(r) {
		return Result{}, NoCredentials
	}
	if err := f.trust.Trusts(r); err != nil {
		return Result{}, &Error{Reason: NoCredentials, Cause: fmt.Errorf("identity fields not believed: %w", err)}
	}
	p, err := f.read(r)
	if err != nil {
		return Result{}, &Error{Reason: InvalidRequest, Cause: err}
	}
	if p.ExpiredAt(f.now()) {
		return Result{}, &Error{Reason: TokenExpired, Cause: errors.New("the caller's effective end has come")}
	}
	return Result{Principal: p}, nil
}

func (f *FieldsAuthenticator) read(r *Request) (Principal, error) {
	d := fieldDecoder{request: r}
	var a Attributes
	for _, field := range f.names.texts(&a) {
		*field.value = d.text(field.name)
	}
	for _, field := range f.names.lists(&a) {
		*field.value = d.list(field.name)
	}
	for _, field := range f.names.times(&a) {
		*field.value = d.time(field.name)
	}
	a.Kind = d.kind(f.names.Kind)
	a.GroupsIncomplete = d.flag(f.names.GroupsIncomplete)
	d.pairs(f.names.Actor, ' ', func(issuer, subject string) {
		a.Actors = append(a.Actors, Actor{issuer, subject})
	})
	d.pairs(f.names.Extra, '=', func(key, value string) {
		if a.Extra == nil {
			a.Extra = map[string][]string{}
		}
		a.Extra[key] = append(a.Extra[key], value)
	})
	switch {
	case d.err != nil:
		return Principal{}, d.err
	case a.Subject == "":
		return Principal{}, errors.New("identity fields without " + f.names.Subject)
	case a.Issuer == "" && f.issuer == "":
		return Principal{}, errors.New(f.names.Subject + " without its issuer")
	case a.Issuer == "":
		a.Issuer = f.issuer
	}
	return newOwned(a)
}

// fieldDecoder decodes single fields and keeps the first error, which names the
// field and never its value.
type fieldDecoder struct {
	request *Request
	size    int
	err     error
}

// raw returns the one value of a field, empty when it is absent.
func (d *fieldDecoder) raw(name string) string {
	if name == "" {
		return ""
	}
	values := d.request.Values(name)
	switch len(values) {
	case 0:
		return ""
	case 1:
		if d.size += len(values[0]); d.size > maxFieldsRead {
			d.fail(name, fmt.Errorf("identity fields exceed %d bytes", maxFieldsRead))
			return ""
		}
		return strings.Trim(values[0], " \t")
	}
	d.fail(name, errors.New("it occurs more than once"))
	return ""
}

func (d *fieldDecoder) fail(name string, err error) {
	if d.err == nil {
		d.err = fmt.Errorf("%s: %w", name, err)
	}
}

// decoded applies a parser to a field that is there.
func decoded[V any](d *fieldDecoder, name string, parse func(string) (V, error)) V {
	var zero V
	value := d.raw(name)
	if value == "" {
		return zero
	}
	v, err := parse(value)
	if err != nil {
		d.fail(name, err)
		return zero
	}
	return v
}

func (d *fieldDecoder) text(name string) string { return decoded(d, name, unescape) }

func (d *fieldDecoder) list(name string) []string { return decoded(d, name, splitList) }

func (d *fieldDecoder) time(name string) time.Time {
	return decoded(d, name, func(value string) (time.Time, error) {
		n, err := parseSeconds(value)
		return time.Unix(n, 0), err
	})
}

func (d *fieldDecoder) kind(name string) Kind {
	return decoded(d, name, func(value string) (Kind, error) {
		switch value {
		case User.String():
			return User, nil
		case Service.String():
			return Service, nil
		}
		return 0, errGrammar
	})
}

func (d *fieldDecoder) flag(name string) bool {
	return decoded(d, name, func(value string) (bool, error) {
		if value != "true" {
			return false, errGrammar
		}
		return true, nil
	})
}

func (d *fieldDecoder) pairs(name string, sep byte, add func(left, right string)) {
	if value := d.raw(name); value != "" {
		if err := splitPairs(value, sep, add); err != nil {
			d.fail(name, err)
		}
	}
}
