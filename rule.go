package authctx

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Rule decides whether a caller may do something. Implementations are safe for
// concurrent use. The rules of this package print as the calls that make them, see
// [Policy.String].
type Rule interface {
	// Check returns nil to allow p. A rule that cannot decide returns
	// [Unavailable]; an error that names no [Reason], an [Error] without one
	// included, counts as [PermissionDenied].
	//
	// To apply a rule, call [Authorize] and not Check. Authorize, policies, [All] and
	// [Any] never pass the zero Principal: they answer it with [NoCredentials], as a
	// [RuleFunc] and every rule of this package do. In servers, in a [Consumer] and in
	// Authorize, ctx carries p, so that a rule may call Authorize itself.
	Check(ctx context.Context, p Principal) error
}

// RuleFunc makes a function a [Rule]. A nil RuleFunc denies, and [NewPolicy]
// refuses it.
type RuleFunc func(ctx context.Context, p Principal) error

// Check calls f, unless p is zero: that is [NoCredentials].
func (f RuleFunc) Check(ctx context.Context, p Principal) error {
	if p.IsZero() {
		return NoCredentials
	}
	if f == nil {
		return deny("the rule is nil or has a nil member")
	}
	return f(ctx, p)
}

// Authorize reports whether the caller of ctx may pass rule: nil to go on,
// [NoCredentials] when ctx has no caller, otherwise what the rule said. A nil
// rule, or one that holds a nil pointer, denies.
//
// The text of the error says what the caller lacks and is for operators. To send
// the client no more than the reason, a handler
//
//   - behind a grpcctx.Server returns the error;
//   - of net/http passes it to WriteError of its httpctx.Server;
//   - of gRPC without a grpcctx.Server returns grpcctx.Status(err).Err();
//   - of Connect or another framework makes an error of [Reason.Public], as in the
//     example: a framework that does not know this package would send the whole text.
//
// In the first two cases, the observer of that server is told the whole error.
func Authorize(ctx context.Context, rule Rule) error {
	p, known := FromContext(ctx)
	if !known {
		return errNoCaller
	}
	return checkRule(ctx, rule, p)
}

var errNoCaller = &Error{Reason: NoCredentials, Cause: errors.New("no caller in the context: there is no Server of httpctx or grpcctx around this, or it let the request in without one")}

// checkRule is the one place where a rule meets a caller.
func checkRule(ctx context.Context, rule Rule, p Principal) error {
	if p.IsZero() {
		return NoCredentials
	}
	if isNil(rule) {
		return deny("rule is nil")
	}
	if err := rule.Check(ctx, p); err != nil {
		return withReason(err, PermissionDenied)
	}
	return nil
}

// Authenticated returns a rule that allows every caller who is known.
func Authenticated() Rule {
	return authenticatedRule{}
}

type authenticatedRule struct{}

func (authenticatedRule) Check(_ context.Context, p Principal) error {
	if p.IsZero() {
		return NoCredentials
	}
	return nil
}

// Role returns a rule that allows callers with exactly this role. The empty role
// matches no caller.
func Role(role string) Rule {
	return require("Role", role, Principal.HasRole)
}

// Group returns a rule that allows callers in exactly this group. The empty group
// matches no caller. A caller whose list of groups is incomplete (see
// [Principal.GroupsIncomplete]) counts as being only in the groups on the list.
func Group(group string) Rule {
	return require("Group", group, Principal.HasGroup)
}

// Permission returns a rule that allows callers with exactly this permission.
// The empty permission matches no caller.
func Permission(name string) Rule {
	return require("Permission", name, Principal.HasPermission)
}

// Tenant returns a rule that allows callers who act in exactly this tenant. The empty
// tenant matches no caller, so that what belongs to no tenant is not for callers of none.
// Each issuer says which tenant its callers act in: where not all are believed alike, ask
// for the [Issuer] as well.
func Tenant(tenant string) Rule {
	return require("Tenant", tenant, func(p Principal, tenant string) bool { return tenant != "" && p.Tenant() == tenant })
}

// Issuer returns a rule that allows callers of exactly this issuer, see
// [Principal.Issuer]. Names are compared byte by byte. The empty issuer matches no
// caller.
func Issuer(issuer string) Rule {
	return require("Issuer", issuer, func(p Principal, issuer string) bool { return issuer != "" && p.Issuer() == issuer })
}

// Scope returns a rule that allows callers whose client was granted exactly
// this scope. Others get [InsufficientScope], which tells the client which scope
// to ask for (RFC 6750 section 3.1), unless it has a character that challenges
// cannot carry, such as a space. The empty scope matches no caller.
func Scope(scope string) Rule { return scopeRule{scope: scope}.naming(needs{}) }

type scopeRule struct {
	scope   string
	refusal *Error
}

func (s scopeRule) addTo(n needs) needs {
	n.scopes = appendNew(slices.Clip(n.scopes), []string{s.scope})
	return n
}

func (s scopeRule) naming(n needs) Rule {
	s.refusal = s.addTo(n).refusal(InsufficientScope, fmt.Errorf("scope %q required", s.scope))
	return s
}

func (s scopeRule) Check(_ context.Context, p Principal) error {
	switch {
	case p.IsZero():
		return NoCredentials
	case p.HasScope(s.scope):
		return nil
	}
	return s.refusal
}

// attributeRule is a rule about one attribute. Its refusal is ready before the first
// request.
type attributeRule struct {
	attribute, want string
	has             func(Principal, string) bool
	refusal         *Error
}

func require(attribute, want string, has func(Principal, string) bool) Rule {
	cause := fmt.Errorf("%s %q required", strings.ToLower(attribute), want)
	return &attributeRule{attribute, want, has, &Error{Reason: PermissionDenied, Cause: cause}}
}

func (a *attributeRule) Check(_ context.Context, p Principal) error {
	switch {
	case p.IsZero():
		return NoCredentials
	case a.has(p, a.want):
		return nil
	}
	return a.refusal
}

// All returns a rule that allows what every one of its rules allows. It stops
// at the first that refuses. With a nil member it allows nothing, and
// [NewPolicy] refuses it.
//
// A refusal also names what would be missing next. The client will ask for a token with
// exactly what is named (RFC 6750 section 3, RFC 9470 section 4), and if that were only the
// first thing that is missing, the token would be refused for the next, over and over. So
//
//   - a [Scope] names every Scope of All, even those that the client has;
//   - an [ACR] or a [MaxAuthAge] names these scopes, the smallest age, and the classes that
//     every ACR of All accepts, in the order of the first; if no class is accepted by every
//     ACR, an ACR names its own;
//   - a member of an [Any] inside All names all this and what it wants itself. The rules
//     beside that Any do not name what its members want, since the caller may get in by
//     any of them.
//
// For that last reason, a client can go round in circles after All(a, Any(b, c)) where a
// is about the login. Write Any(All(a, b), All(a, c)): there it follows the first All and
// gets in.
func All(first Rule, rest ...Rule) Rule {
	rules := append([]Rule{first}, rest...)
	if slices.ContainsFunc(rules, isNil) {
		return RuleFunc(nil)
	}
	var a allRule
	for _, rule := range rules {
		if inner, ok := rule.(allRule); ok {
			a = append(a, inner...)
		} else {
			a = append(a, rule)
		}
	}
	return a.naming(needs{})
}

// allRule has no member that is one itself.
type allRule []Rule

func (a allRule) addTo(n needs) needs {
	for _, rule := range a {
		if h, ok := rule.(hintingRule); ok {
			n = h.addTo(n)
		}
	}
	return n
}

func (a allRule) naming(n needs) Rule { return allRule(allNaming(a, a.addTo(n))) }

func (a allRule) Check(ctx context.Context, p Principal) error {
	for _, rule := range a {
		if err := checkRule(ctx, rule, p); err != nil {
			return err
		}
	}
	return nil
}

// Any returns a rule that allows what at least one of its rules allows. When
// none does, a rule that could not decide wins over those that refused, since
// the caller might have been let in; otherwise the first refusal is returned.
// With a nil member it allows nothing, and [NewPolicy] refuses it.
//
// The first refusal is returned even if it is final and a new token could cure a later
// one. So put first the member whose challenge clients should follow. (If the challenges
// of several members were sent in turn, a client could go round in circles.)
func Any(first Rule, rest ...Rule) Rule {
	rules := append([]Rule{first}, rest...)
	if slices.ContainsFunc(rules, isNil) {
		return RuleFunc(nil)
	}
	return anyRule(rules)
}

type anyRule []Rule

// addTo adds nothing, for no member must allow.
func (a anyRule) addTo(n needs) needs { return n }

func (a anyRule) naming(n needs) Rule { return anyRule(allNaming(a, n)) }

func (a anyRule) Check(ctx context.Context, p Principal) error {
	var refusal error
	for _, rule := range a {
		err := checkRule(ctx, rule, p)
		if err == nil {
			return nil
		}
		if refusal == nil || errors.Is(err, Unavailable) && !errors.Is(refusal, Unavailable) {
			refusal = err
		}
	}
	return refusal
}

func deny(cause string) error {
	return &Error{Reason: PermissionDenied, Cause: errors.New(cause)}
}
