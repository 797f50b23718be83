package authctx

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// DefaultFieldsBudget is how many bytes of names and values a caller may take
// in plain fields: 4 KiB, which leaves room for other fields in the 8 KiB that
// many servers allow for all of them.
const DefaultFieldsBudget = 4 << 10

// FieldsPropagatorConfig configures [NewFieldsPropagator]. The zero value is
// complete.
type FieldsPropagatorConfig struct {
	// Names is the layout; nil means [PlainFieldNames].
	Names *FieldNames
	// Budget is the most bytes that names and values may take together; zero
	// means [DefaultFieldsBudget].
	Budget int
	// Now is the clock; nil means [time.Now].
	Now func() time.Time
}

// FieldsPropagator writes a caller as plain fields. It proves nothing: the next
// service believes the fields only because it trusts whoever connects to it,
// see [Trust]. Where services can be reached by anybody else, use a Transaction
// Token instead.
//
// It is safe for concurrent use.
type FieldsPropagator struct {
	names  FieldNames
	fields FieldSet
	budget int
	now    func() time.Time
}

// NewFieldsPropagator returns a propagator for cfg, or an error that names what
// is wrong in it.
func NewFieldsPropagator(cfg FieldsPropagatorConfig) (*FieldsPropagator, error) {
	p := &FieldsPropagator{names: PlainFieldNames(), budget: cfg.Budget, now: cfg.Now}
	var errs []error
	if cfg.Names != nil {
		p.names = *cfg.Names
		errs = append(errs, p.names.validate())
	}
	switch {
	case cfg.Budget < 0:
		errs = append(errs, errors.New("authctx: fields propagator: Budget is negative"))
	case cfg.Budget == 0:
		p.budget = DefaultFieldsBudget
	}
	if p.now == nil {
		p.now = time.Now
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	p.fields = p.names.fieldSet()
	return p, nil
}

// Fields returns every name of the layout.
func (f *FieldsPropagator) Fields() FieldSet { return f.fields }

// Inject writes p. It fails with [NoCredentials] when p is zero, with
// [TokenExpired] when p's effective end has come, and with an error that names
// the largest attribute when p does not fit the budget; nothing is ever cut.
//
// Verified claims and provenance do not travel. The encoded form is kept with
// p, so that a caller who makes many calls is encoded once.
func (f *FieldsPropagator) Inject(_ context.Context, p Principal, set func(name, value string)) error {
	if p.IsZero() {
		return NoCredentials
	}
	if p.ExpiredAt(f.now()) {
		return &Error{Reason: TokenExpired, Cause: errors.New("the caller's effective end has come")}
	}
	fields, err := f.encoded(p.a)
	if err != nil {
		return err
	}
	for _, field := range fields {
		set(field.Name, field.Value)
	}
	return nil
}

// encodedFields is the encoded form of a principal by one propagator.
type encodedFields struct {
	by     *FieldsPropagator
	fields []Field
}

func (f *FieldsPropagator) encoded(a *attributes) ([]Field, error) {
	if memo := a.encoded.Load(); memo != nil && memo.by == f {
		return memo.fields, nil
	}
	fields := f.names.encode(&a.Attributes)
	if err := withinBudget(fields, f.budget); err != nil {
		return nil, err
	}
	a.encoded.Store(&encodedFields{f, fields})
	return fields, nil
}

// encode returns the fields of a in the order of the layout.
func (n *FieldNames) encode(a *Attributes) []Field {
	fields := make([]Field, 0, 16)
	add := func(name, value string) {
		if name != "" && value != "" {
			fields = append(fields, Field{name, value})
		}
	}
	for _, f := range n.texts(a) {
		add(f.name, escape(*f.value))
	}
	if a.Kind != User {
		add(n.Kind, a.Kind.String())
	}
	for _, f := range n.lists(a) {
		add(f.name, joinList(*f.value))
	}
	if a.GroupsIncomplete {
		add(n.GroupsIncomplete, "true")
	}
	for _, f := range n.times(a) {
		if !f.value.IsZero() {
			add(f.name, strconv.FormatInt(f.value.Unix(), 10))
		}
	}
	add(n.Actor, joinPairs(' ', a.actorPairs))
	add(n.Extra, joinPairs('=', a.extraPairs))
	return fields
}

func (a *Attributes) actorPairs(yield func(issuer, subject string) bool) {
	for _, actor := range a.Actors {
		if !yield(actor.Issuer, actor.Subject) {
			return
		}
	}
}

// extraPairs yields keys in order, so that one caller has one encoded form.
func (a *Attributes) extraPairs(yield func(key, value string) bool) {
	if len(a.Extra) == 0 {
		return
	}
	keys := make([]string, 0, len(a.Extra))
	for key := range a.Extra {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		for _, value := range a.Extra[key] {
			if !yield(key, value) {
				return
			}
		}
	}
}

func withinBudget(fields []Field, budget int) error {
	total, largest := 0, Field{}
	for _, f := range fields {
		total += len(f.Name) + len(f.Value)
		if len(f.Value) > len(largest.Value) {
			largest = f
		}
	}
	if total <= budget {
		return nil
	}
	return fmt.Errorf("authctx: the caller takes %d bytes in identity fields and the budget is %d; the largest is %s with %d",
		total, budget, largest.Name, len(largest.Value))
}
