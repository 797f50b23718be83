package authctx

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Authenticator says who is calling. Implementations are safe for concurrent
// use, do not change the request, and keep none of it.
type Authenticator interface {
	// Authenticate has three kinds of answer that never mix:
	//
	//   - no credentials of this authenticator's kind: [NoCredentials];
	//   - bad credentials: another [Reason], never a Principal. Credentials that
	//     only another authenticator could accept are bad too, see
	//     [Error.NotMine];
	//   - could not check: [Unavailable]. An error that names no reason counts as
	//     this, and so does one that names it among others.
	//
	// Result.Principal counts only with a nil error. It must not be zero then, nor
	// past its effective end, which is [TokenExpired]: httpctx, grpcctx and a
	// [Consumer] check the end once more by their own clocks, [ExtractHeaders] does
	// not. Result.Response and Result.Read count with an error, too.
	Authenticate(ctx context.Context, r *Request) (Result, error)

	// Fields returns what the authenticator reads. It is constant. Transports
	// remove these fields from what they pass on.
	Fields() FieldSet
}

// Presenter is an optional interface of an [Authenticator] whose fields may be
// there without being credentials for it: another scheme in the authorization
// field, or identity fields from a peer that is not trusted.
//
// An authenticator that wraps a Presenter must be one too, or [OneOf] takes such
// fields for credentials of a second kind. Embedding the concrete type, and not an
// Authenticator, keeps the method, as in the example.
type Presenter interface {
	// Presents reports whether the request presents credentials of this
	// authenticator's kind, good or bad. It is cheap and verifies nothing. An error
	// means that nobody can tell: it counts as [Unavailable], whatever its reason.
	Presents(ctx context.Context, r *Request) (bool, error)
}

// Result is what authentication found out. It is a struct so that it can grow.
type Result struct {
	// Principal is the caller.
	Principal Principal
	// Response holds fields that the response must carry, such as a DPoP nonce.
	Response []Field
	// Forward holds fields that outgoing calls made for this caller must carry as they
	// came, such as a Transaction Token. They must not be used once the request is over:
	// in a server that reuses its memory, such as the adaptor of fasthttp, they may then
	// hold what another caller came with. Work that goes on after the answer needs a
	// context by [Result.NewContext] in which Forward has copies ([strings.Clone]).
	Forward []Field
	// ForwardUntil is when the fields in Forward come to an end, perhaps before
	// the caller does; zero leaves that to whoever receives them.
	ForwardUntil time.Time
	// Read says which fields the answer was read from, good or bad; zero means all
	// of the authenticator's Fields, or none if the answer is [NoCredentials].
	Read FieldSet
	// Known names further fields that whoever wrote those in Read is known to write as
	// well, such as a token that nobody here reads; nil names none. [Event.Ignored]
	// leaves them out, and they are never kept for a handler. Beside an error, Known does
	// not count.
	Known *FieldSet
	// Recheck, when it is not nil, checks again whether the credential is still
	// good, for streams that outlive a request. It returns what Authenticate would.
	Recheck func(ctx context.Context) error
	// Cached reports that verification was answered from a cache.
	Cached bool
}

// NewContext returns a copy of ctx that carries the caller and what must be
// forwarded with it. Transports call it; code that only changes the caller
// calls [NewContext].
func (r Result) NewContext(ctx context.Context) context.Context {
	return &callerContext{Context: ctx, principal: r.Principal, forward: r.Forward, until: r.ForwardUntil}
}

// NewAuthenticator makes an [Authenticator] of a function and the fields that it
// reads. A nil function always answers [Unavailable].
func NewAuthenticator(fields FieldSet, authenticate func(context.Context, *Request) (Result, error)) Authenticator {
	return funcAuthenticator{fields: fields, authenticate: authenticate}
}

type funcAuthenticator struct {
	fields       FieldSet
	authenticate func(context.Context, *Request) (Result, error)
}

func (f funcAuthenticator) Authenticate(ctx context.Context, r *Request) (Result, error) {
	if f.authenticate == nil {
		return Result{}, &Error{Reason: Unavailable, Cause: errors.New("authenticator function is nil")}
	}
	return f.authenticate(ctx, r)
}

func (f funcAuthenticator) Fields() FieldSet { return f.fields }

// OneOf returns an authenticator for callers that may identify themselves in
// different ways. It asks its members in order until one answers anything but
// [NoCredentials] or an error that is [Error.NotMine].
//
// Before asking, it refuses with [InvalidRequest] a request that presents
// credentials of two kinds, that is, in fields that no single member reads.
// Fields that are no credentials for the member that reads them, see [Presenter],
// do not count.
//
// Members may read the same field if each answers NotMine or NoCredentials to what
// is not its own. A member that takes whatever is in its field for its own must be
// the only one that reads it. Two authenticators of Transaction Tokens, for example,
// would refuse each other's tokens: make them one with jwtauth.JoinKeys.
//
// A member that is nil, that holds a nil pointer, or that is the zero value of a
// type of this module which needs its constructor, answers [Unavailable].
func OneOf(first Authenticator, rest ...Authenticator) Authenticator {
	members := append([]Authenticator{first}, rest...)
	sets := make([]FieldSet, len(members))
	for i, m := range members {
		if isUnmade(m) {
			members[i] = NewAuthenticator(FieldSet{}, nil)
		}
		sets[i] = members[i].Fields()
	}
	return &oneOf{members: members, fields: FieldSet{}.Union(sets...)}
}

// isNil reports whether an interface is nil, or holds a nil function or a nil pointer,
// which is what a constructor leaves behind whose error was dropped.
func isNil[V any](held V) bool {
	switch v := reflect.ValueOf(held); v.Kind() {
	case reflect.Invalid:
		return true
	case reflect.Pointer, reflect.Func, reflect.Chan:
		return v.IsNil()
	default:
		return false
	}
}

// isUnmade also reports the zero value of a type of this module that only constructors
// make. It is for constructors: isNil is cheap enough for every request.
func isUnmade(a any) bool {
	if isNil(a) {
		return true
	}
	v := reflect.Indirect(reflect.ValueOf(a))
	if v.Kind() != reflect.Struct || v.NumField() == 0 || !isOurs(v.Type().PkgPath()) {
		return false
	}
	for i := range v.NumField() { // and no further than to the first that is set: others may be in use
		if v.Type().Field(i).IsExported() || !v.Field(i).IsZero() {
			return false
		}
	}
	return true
}

var module = reflect.TypeFor[Principal]().PkgPath()

// isOurs reports whether path is that of a package of this module which is no test.
func isOurs(path string) bool {
	return (path == module || strings.HasPrefix(path, module+"/")) && !strings.HasSuffix(path, "_test")
}

type oneOf struct {
	members []Authenticator
	fields  FieldSet
}

func (o *oneOf) Fields() FieldSet { return o.fields }

// ReadsTopic is for [NewConsumer].
func (o *oneOf) ReadsTopic(topic string) bool {
	return slices.ContainsFunc(o.members, func(m Authenticator) bool { return readsTopic(m, topic) })
}

func (o *oneOf) Presents(ctx context.Context, r *Request) (bool, error) {
	var usual [8]bool
	to, _, _, err := o.presented(ctx, r, usual[:0])
	return slices.Contains(to, true), err
}

func (o *oneOf) Authenticate(ctx context.Context, r *Request) (Result, error) {
	var usual [8]bool
	to, presented, single, err := o.presented(ctx, r, usual[:0])
	if err != nil {
		return Result{Read: presented}, err
	}
	if !single {
		return Result{Read: presented}, &Error{Reason: InvalidRequest, Cause: errors.New("credentials of two kinds in one request")}
	}
	var passed Result // of the first member that answered NotMine
	var refusal, none error
	for i, m := range o.members {
		res, err := Authenticate(ctx, m, r)
		switch {
		case err == nil:
			return res, nil
		case notMine(err):
			if refusal == nil {
				passed, refusal = res, err
			}
		case !errors.Is(err, NoCredentials):
			return res, err
		case none == nil || to[i] || !saysWhy(none) && saysWhy(err):
			none = err
		}
	}
	if refusal != nil {
		return passed, refusal // credentials were there, and nobody took them
	}
	return Result{}, none
}

// saysWhy reports whether err tells an operator more than its reason.
func saysWhy(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e != nil && e.Cause != nil
}

func notMine(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e != nil && e.NotMine && e.Reason.blamesToken()
}

// presented appends to each, for every member, whether r presents credentials to it.
// It returns the fields that do, and whether a single member reads them all. The error
// is [Unavailable], from the first member of which nobody can tell.
func (o *oneOf) presented(ctx context.Context, r *Request, each []bool) (_ []bool, presented FieldSet, single bool, unknown error) {
	var usual [4]FieldSet
	found := usual[:0]
	for _, m := range o.members {
		fields, ok, err := presentedTo(ctx, m, r)
		if ok && !fields.empty() {
			found = append(found, fields)
		}
		each = append(each, ok)
		if err != nil && unknown == nil {
			unknown = err
		}
	}
	presented = FieldSet{}.Union(found...)
	return each, presented, presented.empty() ||
		slices.ContainsFunc(o.members, func(m Authenticator) bool { return m.Fields().covers(presented) }), unknown
}

// presentedTo returns the fields with which r presents credentials to m, and
// whether it does; with an error, which says that nobody can tell, it may. A
// Presenter's word counts for all prefixes, which cannot be looked up.
func presentedTo(ctx context.Context, m Authenticator, r *Request) (found FieldSet, ok bool, unknown error) {
	p, asked := m.(Presenter)
	if asked {
		ok, unknown = p.Presents(ctx, r)
		if unknown != nil {
			unknown = untold(unknown)
		} else if !ok {
			return FieldSet{}, false, nil
		}
	}
	found = m.Fields().in(r)
	if asked {
		found.Prefixes = m.Fields().Prefixes
	}
	return found, asked || !found.empty(), unknown
}

// untold returns err as [Unavailable] and nothing else, whatever it names.
func untold(err error) error {
	if errors.Is(err, Unavailable) {
		return withReason(err, Unavailable)
	}
	return &Error{Reason: Unavailable, Cause: err}
}

// Authenticate asks a and holds it to its contract: a nil authenticator and a
// success without a principal are [Unavailable], a failure loses its principal, an
// error of several reasons has one (see [ReasonOf]), and Result.Read is filled in,
// except that with [NoCredentials] nothing was read. Transports call this instead of
// the method.
func Authenticate(ctx context.Context, a Authenticator, r *Request) (Result, error) {
	if isNil(a) {
		return Result{}, &Error{Reason: Unavailable, Cause: errors.New("no authenticator")}
	}
	res, err := a.Authenticate(ctx, r)
	if err == nil && res.Principal.IsZero() {
		err = &Error{Reason: Unavailable, Cause: errors.New("authenticator named no principal")}
	}
	if err != nil {
		res = Result{Response: res.Response, Read: res.Read}
		err = withReason(err, Unavailable)
		if errors.Is(err, NoCredentials) {
			res.Read = FieldSet{}
			return res, err
		}
	}
	if res.Read.empty() {
		res.Read = a.Fields()
	}
	return res, err
}
