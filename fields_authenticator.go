package authctx

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// FieldsAuthenticatorConfig configures [NewFieldsAuthenticator].
type FieldsAuthenticatorConfig struct {
	// Trust says whose fields are believed. It is required, and so is each member
	// of a combined one ([TrustAnyOf], [TrustAllOf]).
	Trust Trust
	// Issuer is the issuer of a subject that comes without one, for gateways that
	// write only an ID. When it is empty, such a caller is refused. When it is set,
	// Layout is required.
	Issuer string
	// Layout names the fields; nil means [PlainLayout].
	//
	// All of them are believed. If the trusted gateway neither writes nor removes
	// one of them, such as x-user-roles, its clients can write it. So name exactly
	// what the gateway writes: FieldLayout{Subject: "x-user-id"} for an ID.
	Layout *FieldLayout
	// Now is the clock; nil means [time.Now].
	Now func() time.Time
}

// FieldsAuthenticator reads a caller from the plain fields that a trusted peer
// wrote. It is safe for concurrent use.
//
// It remembers up to 4,096 callers whom it decoded, of at most 8 KiB and about a
// thousand values each, until others take their places. Whether the peer is trusted and
// whether the caller's end has come is asked every time. A caller whom it does not
// remember, for being larger or because the layout has Repeat or ExtraPrefix, must not
// outlive the request in servers that reuse their memory, see [Result].Forward.
//
// A trusted peer vouches for the header of a request and not for what it passes
// on unread. Do not use plain fields in a server that takes fields from messages,
// as gRPC-Web does over a WebSocket: the client writes those. A service that dials
// itself through a grpc-gateway of its own is its own peer, and that gateway passes on
// what clients write: the documentation of package grpcctx says what belongs around it.
//
// A zero FieldsAuthenticator counts as missing where it is configured, and its
// Authenticate always answers [NoCredentials].
type FieldsAuthenticator struct {
	trust  Trust
	issuer string
	layout FieldLayout
	names  []string
	fields FieldSet
	reads  FieldSet // of fields, without what is only claimed
	known  FieldSet // what trusted peers write besides
	memo   *fieldsMemo
	now    func() time.Time
}

// NewFieldsAuthenticator returns an authenticator for cfg, or an error that
// names every setting that is missing or wrong.
func NewFieldsAuthenticator(cfg FieldsAuthenticatorConfig) (*FieldsAuthenticator, error) {
	layout, err := layoutOrPlain(cfg.Layout)
	if isNil(cfg.Trust) {
		err = errors.Join(err, errors.New("authctx: fields authenticator: Trust is required, and so is each of its members"))
	}
	if !exactName(cfg.Issuer) {
		err = errors.Join(err, fmt.Errorf("authctx: fields authenticator: Issuer: %.200q "+exactRule, cfg.Issuer))
	}
	if cfg.Issuer != "" && cfg.Layout == nil { // a gateway without issuers hardly writes the rest of PlainLayout
		err = errors.Join(err, errors.New("authctx: fields authenticator: Layout is required with Issuer: it names what the trusted peers write, and nothing that they would pass on for a client"))
	}
	if layout.Issuer == "" && cfg.Issuer == "" {
		err = errors.Join(err, errors.New("authctx: fields authenticator: Issuer is required, for the layout has no field for it"))
	}
	if err != nil {
		return nil, err
	}
	f := &FieldsAuthenticator{
		trust: cfg.Trust, issuer: cfg.Issuer, now: cfg.Now,
		layout: layout, names: layout.names(), fields: layout.Fields(),
	}
	f.reads.Names = f.names
	if layout.ExtraPrefix != "" {
		f.reads.Prefixes = []string{layout.ExtraPrefix}
	}
	f.known.Names = layout.Also
	f.memo = newFieldsMemo(&f.layout)
	if f.now == nil {
		f.now = time.Now
	}
	return f, nil
}

// Fields returns everything that the layout owns.
func (f *FieldsAuthenticator) Fields() FieldSet { return f.fields }

// Presents reports whether a trusted peer wrote any identity field. Fields from
// anybody else count as absent, and so do those whose subject is the layout's Nobody.
// Where the Trust cannot tell, the error is [Unavailable].
func (f *FieldsAuthenticator) Presents(ctx context.Context, r *Request) (bool, error) {
	if !f.anyField(r) || f.layout.namesNobody(r) {
		return false, nil
	}
	err := f.believed(ctx, r)
	if errors.Is(err, Unavailable) {
		return false, err
	}
	return err == nil, nil
}

// believed returns nil when the fields of r count, and otherwise why not.
func (f *FieldsAuthenticator) believed(ctx context.Context, r *Request) error {
	err := f.trust.Trusts(ctx, r)
	if err == nil {
		return nil
	}
	refusal := &Error{Reason: NoCredentials, Cause: fmt.Errorf("identity fields not believed: %w", err)}
	if errors.Is(err, Unavailable) {
		c := counting(err, Unavailable)
		refusal.Reason, refusal.RetryAfter = Unavailable, c.refusal().RetryAfter
	}
	return refusal
}

func (f *FieldsAuthenticator) anyField(r *Request) bool {
	return slices.ContainsFunc(f.names, func(name string) bool { return len(r.Values(name)) > 0 }) ||
		f.layout.ExtraPrefix != "" && f.anyExtra(r)
}

// anyExtra reports whether a field carries an extra attribute in its name.
func (f *FieldsAuthenticator) anyExtra(r *Request) bool {
	if r.Fields == nil {
		return false
	}
	for name := range r.Fields.Names() {
		if _, ok := f.layout.extraKey(name); ok && len(r.Values(name)) > 0 {
			return true
		}
	}
	return false
}

// Authenticate reads the caller. Its principal is [Asserted].
//
// It fails with
//
//   - [NoCredentials] when there are no fields, when the peer is not trusted, and when
//     the subject is the layout's Nobody;
//   - [Unavailable] when the Trust cannot tell;
//   - [InvalidRequest] for a doubled field, a subject without its issuer or the other
//     way round, a value outside the grammar, and for fields beside a Transaction Token
//     or a token for deferred work;
//   - [TokenExpired] when the caller's effective end has come.
func (f *FieldsAuthenticator) Authenticate(ctx context.Context, r *Request) (Result, error) {
	if !f.anyField(r) {
		return Result{}, NoCredentials
	}
	if f.layout.namesNobody(r) { // trusted or not
		return Result{}, errNobody
	}
	if err := f.believed(ctx, r); err != nil {
		return Result{}, err
	}
	if len(r.Values(TxnTokenField)) > 0 || len(r.Values(deferredField)) > 0 {
		return Result{}, &Error{Reason: InvalidRequest, Cause: errTwoKinds}
	}
	p, err := f.memo.read(r, f.names, f.read)
	if err != nil {
		return Result{}, &Error{Reason: InvalidRequest, Cause: err}
	}
	if now := f.now(); p.ExpiredAt(now) {
		return Result{}, pastEnd(p, now)
	}
	return Result{Principal: p, Read: f.reads, Known: &f.known}, nil
}

var errNobody = &Error{Reason: NoCredentials, Cause: errors.New("identity fields of the subject that stands for nobody")}

var errTwoKinds = errors.New("identity fields beside a caller who is signed for")

func (f *FieldsAuthenticator) read(r *Request) (Principal, error) {
	rec := new(record)
	a := &rec.body
	err := f.layout.decode(r, a)
	switch {
	case err != nil:
		return Principal{}, err
	case a.Subject == "":
		return Principal{}, errors.New("identity fields without " + f.layout.Subject)
	case a.Issuer == "" && f.issuer == "":
		return Principal{}, errors.New(f.layout.Subject + " without its issuer")
	case a.Issuer == "":
		a.Issuer = f.issuer
	}
	return rec.seal()
}
