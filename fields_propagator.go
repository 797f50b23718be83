package authctx

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// defaultFieldsBudget leaves room for other fields in the 8 KiB that many servers
// allow for all of them.
const defaultFieldsBudget = 4 << 10

// FieldsPropagatorConfig configures [NewFieldsPropagator]. The zero value is
// complete.
type FieldsPropagatorConfig struct {
	// Layout names the fields; nil means [PlainLayout].
	Layout *FieldLayout
	// SoleIssuer is the one issuer whose callers are carried on; others are
	// refused. When it is empty, callers of all issuers are. It is required for a
	// layout without a field for the issuer, where callers of two issuers could be
	// taken for one another.
	SoleIssuer string
	// Budget is the most bytes that names and values may take together; zero
	// means 4 KiB. It may be up to the 64 KiB that a [FieldsAuthenticator] reads.
	Budget int
	// Now is the clock; nil means [time.Now].
	Now func() time.Time
}

// FieldsPropagator writes a caller as plain fields. It proves nothing: the next
// service believes the fields only because it trusts whoever connects to it,
// see [Trust]. Where services can be reached by anybody else, use a Transaction
// Token instead.
//
// It is safe for concurrent use. A nil or zero FieldsPropagator counts as missing where
// it is configured, and its Inject panics.
type FieldsPropagator struct {
	layout FieldLayout
	fields FieldSet
	issuer string // empty for all
	budget int
	now    func() time.Time
}

// NewFieldsPropagator returns a propagator for cfg, or an error that names what
// is wrong in it.
func NewFieldsPropagator(cfg FieldsPropagatorConfig) (*FieldsPropagator, error) {
	layout, err := layoutOrPlain(cfg.Layout)
	if !exactName(cfg.SoleIssuer) {
		err = errors.Join(err, fmt.Errorf("authctx: fields propagator: SoleIssuer: %.200q "+exactRule, cfg.SoleIssuer))
	}
	if layout.Issuer == "" && cfg.SoleIssuer == "" {
		err = errors.Join(err, errors.New("authctx: fields propagator: SoleIssuer is required, for the layout has no field for the issuer"))
	}
	if cfg.Budget < 0 || cfg.Budget > maxFieldsRead {
		err = errors.Join(err, fmt.Errorf("authctx: fields propagator: Budget must lie between 0 and the %d bytes that readers take", maxFieldsRead))
	}
	if err != nil {
		return nil, err
	}
	p := &FieldsPropagator{layout: layout, fields: layout.Fields(), issuer: cfg.SoleIssuer, budget: cfg.Budget, now: cfg.Now}
	if p.budget == 0 {
		p.budget = defaultFieldsBudget
	}
	if p.now == nil {
		p.now = time.Now
	}
	return p, nil
}

// Fields returns everything that the layout owns.
func (f *FieldsPropagator) Fields() FieldSet { return f.fields }

// Inject writes p. It fails with [NoCredentials] when p is zero, with [TokenExpired]
// when p's effective end has come, and with [PermissionDenied] when SoleIssuer excludes
// p. It fails without a [Reason], naming the attribute, when p exceeds the budget and
// when the layout cannot write p, see [FieldLayout]. Nothing is ever cut.
//
// Verified claims and provenance do not travel. The encoded form is kept with p
// for the two propagators that encoded it last, so that a caller who makes many
// calls is encoded once for each.
func (f *FieldsPropagator) Inject(_ context.Context, p Principal, set func(name, value string)) error {
	if p.IsZero() {
		return NoCredentials
	}
	if now := f.now(); p.ExpiredAt(now) {
		return pastEnd(p, now)
	}
	if f.issuer != "" && f.issuer != p.Issuer() {
		return errOtherIssuer
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

var errOtherIssuer = &Error{Reason: PermissionDenied, Cause: errors.New("the caller's issuer is not SoleIssuer")}

// pastEnd is why p counts no longer. A long time since its end may be the difference
// of two clocks.
func pastEnd(p Principal, now time.Time) error {
	ago := now.Sub(p.Expires()).Round(time.Second)
	return &Error{Reason: TokenExpired, Cause: fmt.Errorf("the caller's effective end came %v ago", ago)}
}

// encodedFields is the encoded form of a principal by one propagator.
type encodedFields struct {
	by     *FieldsPropagator
	fields []Field
}

func (f *FieldsPropagator) encoded(a *attributes) ([]Field, error) {
	for i := range a.encoded {
		if memo := a.encoded[i].Load(); memo != nil && memo.by == f {
			return memo.fields, nil
		}
	}
	fields, err := f.layout.encode(a.Attributes)
	if err == nil {
		err = withinBudget(fields, f.budget)
	}
	if err != nil {
		return nil, err
	}
	a.encoded[1].Store(a.encoded[0].Swap(&encodedFields{f, fields}))
	return fields, nil
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
