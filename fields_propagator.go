package authctx

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// DefaultFieldsBudget is how many bytes of names and values a caller may take
// in plain fields: 4 KiB, which leaves room for other fields in the 8 KiB that
// many servers allow for all of them.
const DefaultFieldsBudget = 4 << 10

// FieldsPropagatorConfig configures [NewFieldsPropagator]. The zero value is
// complete.
type FieldsPropagatorConfig struct {
	// Layout names the fields; nil means [PlainLayout].
	Layout *FieldLayout
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
	layout FieldLayout
	fields FieldSet
	budget int
	now    func() time.Time
}

// NewFieldsPropagator returns a propagator for cfg, or an error that names what
// is wrong in it.
func NewFieldsPropagator(cfg FieldsPropagatorConfig) (*FieldsPropagator, error) {
	layout, err := layoutOrPlain(cfg.Layout)
	if cfg.Budget < 0 {
		err = errors.Join(err, errors.New("authctx: fields propagator: Budget is negative"))
	}
	if err != nil {
		return nil, err
	}
	p := &FieldsPropagator{layout: layout, fields: layout.fieldSet(), budget: cfg.Budget, now: cfg.Now}
	if p.budget == 0 {
		p.budget = DefaultFieldsBudget
	}
	if p.now == nil {
		p.now = time.Now
	}
	return p, nil
}

// Fields returns everything that the layout owns.
func (f *FieldsPropagator) Fields() FieldSet { return f.fields }

// Inject writes p. It fails with [NoCredentials] when p is zero, with
// [TokenExpired] when p's effective end has come, and with an error that names
// the attribute when p cannot be written in full: when it does not fit the
// budget, or not the layout. Nothing is ever cut.
//
// Verified claims and provenance do not travel. The encoded form is kept with
// p, so that a caller who makes many calls is encoded once.
func (f *FieldsPropagator) Inject(_ context.Context, p Principal, set func(name, value string)) error {
	if p.IsZero() {
		return NoCredentials
	}
	if p.ExpiredAt(f.now()) {
		return &Error{Reason: TokenExpired, Cause: errPastEnd}
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

var errPastEnd = errors.New("the caller's effective end has come")

// encodedFields is the encoded form of a principal by one propagator.
type encodedFields struct {
	by     *FieldsPropagator
	fields []Field
}

func (f *FieldsPropagator) encoded(a *attributes) ([]Field, error) {
	if memo := a.encoded.Load(); memo != nil && memo.by == f {
		return memo.fields, nil
	}
	fields, err := f.layout.encode(a.Attributes)
	if err == nil {
		err = withinBudget(fields, f.budget)
	}
	if err != nil {
		return nil, err
	}
	a.encoded.Store(&encodedFields{f, fields})
	return fields, nil
}

// fieldEncoder collects fields and the first error.
type fieldEncoder struct {
	layout *FieldLayout
	fields []Field
	err    error
}

// encode returns the fields of a in the order of the layout.
func (l *FieldLayout) encode(a *Attributes) ([]Field, error) {
	e := fieldEncoder{layout: l, fields: make([]Field, 0, 16)}
	for _, s := range l.texts(a) {
		e.text(s.name, *s.value)
	}
	if a.Kind != User {
		e.add(l.Kind, a.Kind.String())
	}
	for _, s := range l.lists(a) {
		e.list(s.name, *s.value)
	}
	if a.GroupsIncomplete {
		e.add(l.GroupsIncomplete, "true")
	}
	for _, s := range l.times(a) {
		if !s.value.IsZero() {
			e.add(s.name, strconv.FormatInt(s.value.Unix(), 10))
		}
	}
	e.add(l.Actor, joinPairs(' ', a.actorPairs))
	e.extra(a)
	return e.fields, e.err
}

// add adds a value in the grammar. What is absent, and what the layout has no
// field for, is left out.
func (e *fieldEncoder) add(name, value string) {
	if name != "" && value != "" {
		e.fields = append(e.fields, Field{name, value})
	}
}

func (e *fieldEncoder) text(name, value string) {
	if !e.layout.Verbatim {
		value = escape(value)
	} else if err := verbatim(value); err != nil && name != "" && e.err == nil {
		e.err = fmt.Errorf("authctx: %s %w", name, err)
	}
	e.add(name, value)
}

func (e *fieldEncoder) list(name string, list []string) {
	switch {
	case e.layout.Repeat:
		for _, s := range list {
			e.text(name, s)
		}
	case e.layout.Verbatim:
		if slices.ContainsFunc(list, notInList) && name != "" && e.err == nil {
			e.err = fmt.Errorf("authctx: %s %w", name, errVerbatim)
		}
		e.text(name, strings.Join(list, ","))
	default:
		e.add(name, joinList(list))
	}
}

// notInList reports an element that a comma-separated list without encoding
// would change.
func notInList(s string) bool {
	return strings.Contains(s, ",") || strings.Trim(s, " \t") != s
}

func (e *fieldEncoder) extra(a *Attributes) {
	if e.layout.ExtraPrefix == "" {
		e.add(e.layout.Extra, joinPairs('=', a.extraPairs))
		return
	}
	for key, value := range a.extraPairs {
		e.text(e.layout.ExtraPrefix+escapeKey(key), value)
	}
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
	for _, key := range slices.Sorted(maps.Keys(a.Extra)) {
		for _, value := range a.Extra[key] {
			if !yield(key, value) {
				return
			}
		}
	}
}

func withinBudget(fields []Field, budget int) error {
	total, sizes := 0, map[string]int{}
	for _, f := range fields {
		total += len(f.Name) + len(f.Value)
	}
	if total <= budget {
		return nil
	}
	largest := ""
	for _, f := range fields {
		sizes[f.Name] += len(f.Value)
		if largest == "" || sizes[f.Name] > sizes[largest] {
			largest = f.Name
		}
	}
	return fmt.Errorf("authctx: the caller takes %d bytes in identity fields and the budget is %d; the largest is %s with %d",
		total, budget, largest, sizes[largest])
}
