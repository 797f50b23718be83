package jwtauth

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/strictjson"
)

// This file is all that knows the names of
// draft-ietf-oauth-transaction-tokens-09 and of what this module puts into
// "tctx" beside them.

const (
	txnType      = "txntoken+jwt" // section 9.1
	txnTypeOlder = "txn_token"    // until draft 03

	// deferredType is ours: the draft leaves work that waits to others.
	deferredType = "authctx-deferred+jwt"
)

// txnClaims are the claims of a Transaction Token (section 9.2).
type txnClaims struct {
	txnCall
	txnCaller
}

// txnCall is what tokens for the same caller do not share.
type txnCall struct {
	IssuedAt int64  `json:"iat"`
	Expires  int64  `json:"exp"`
	ID       string `json:"txn"`
	// Request is the environment of the request that the transaction began with
	// (section 9.2.2), an object.
	Request json.RawMessage `json:"rctx,omitempty"`
}

// txnCaller is what they share.
type txnCaller struct {
	Issuer   string     `json:"iss"`
	Audience string     `json:"aud"`
	Subject  string     `json:"sub"`
	Scope    string     `json:"scope"`
	Workload string     `json:"req_wl"`
	Actor    *actor     `json:"act,omitempty"`
	Details  txnDetails `json:"tctx,omitzero"`
}

// txnDetails is "tctx" (section 9.2.3): what a principal holds and the draft has
// no claim for, under registered claim names where there are any. What begins
// with src_ is about the credential that the token was minted from.
type txnDetails struct {
	SourceIssuer     string              `json:"src_iss,omitempty"`
	SourceSubject    string              `json:"src_sub,omitempty"` // when "sub" is another
	SourceTokenID    string              `json:"src_jti,omitempty"`
	SourceIssuedAt   numericDate         `json:"src_iat,omitzero"`
	SourceExpires    numericDate         `json:"src_exp,omitzero"` // the effective end
	AsOf             numericDate         `json:"as_of,omitzero"`
	Kind             string              `json:"kind,omitempty"` // absent means user
	Name             string              `json:"name,omitempty"`
	Email            string              `json:"email,omitempty"`
	Tenant           string              `json:"tenant,omitempty"`
	ClientID         string              `json:"client_id,omitempty"`
	SessionID        string              `json:"sid,omitempty"`
	ACR              string              `json:"acr,omitempty"`
	AMR              []string            `json:"amr,omitempty"`
	AuthTime         numericDate         `json:"auth_time,omitzero"`
	Roles            []string            `json:"roles,omitempty"`
	Entitlements     []string            `json:"entitlements,omitempty"`
	Groups           []string            `json:"groups,omitempty"`
	GroupsIncomplete bool                `json:"groups_incomplete,omitempty"`
	Extra            map[string][]string `json:"extra,omitempty"`
	// Replaced are the workloads that requested the tokens which this one
	// replaces, the first one first (section 13.15).
	Replaced []string `json:"replaced,omitempty"`
}

// newTxnCaller says everything about a caller that a Transaction Token can say,
// but for the scopes; subject is what the trust domain calls it.
func newTxnCaller(a *authctx.Attributes, subject string) *txnCaller {
	c := &txnCaller{
		Subject: subject, Actor: newActor(a.Actors),
		Details: txnDetails{
			SourceIssuer: a.Issuer, SourceTokenID: a.TokenID,
			SourceIssuedAt: numericDate{a.IssuedAt}, SourceExpires: numericDate{a.Expires}, AsOf: numericDate{a.AsOf},
			Name: a.Name, Email: a.Email, Tenant: a.Tenant, ClientID: a.ClientID, SessionID: a.SessionID,
			ACR: a.ACR, AMR: a.AMR, AuthTime: numericDate{a.AuthTime},
			Roles: a.Roles, Entitlements: a.Permissions, Groups: a.Groups, GroupsIncomplete: a.GroupsIncomplete,
			Extra: a.Extra,
		},
	}
	if subject != a.Subject {
		c.Details.SourceSubject = a.Subject
	}
	if a.Kind != authctx.User {
		c.Details.Kind = a.Kind.String()
	}
	return c
}

func (c *txnClaims) marshal() ([]byte, error) { return json.Marshal(c) }

// encode returns the first part of a token's claims, filled up with spaces to
// where base64url begins anew, so that an encoded txnCaller can follow.
func (c *txnCall) encode() ([]byte, error) {
	head, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	head = head[:len(head)-1] // without the brace
	for len(head)%3 != 2 {
		head = append(head, ' ')
	}
	return append(head, ','), nil
}

// encode returns what follows a txnCall, in base64url.
func (c *txnCaller) encode() (string, error) {
	tail, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(tail[1:]), nil // without the brace
}

// largestClaim returns which of the encoded claims of a call and its caller takes the
// most bytes of a token. What is in "tctx" counts by itself.
func largestClaim(call []byte, caller string) (name string, size int) {
	tail, _ := base64.RawURLEncoding.DecodeString(caller) // both are from encode
	var claims, details map[string]json.RawMessage
	_ = json.Unmarshal(slices.Concat(call, tail), &claims)
	_ = json.Unmarshal(claims["tctx"], &details)
	delete(claims, "tctx")
	maps.Copy(claims, details)
	for _, claim := range slices.Sorted(maps.Keys(claims)) {
		if n := base64.RawURLEncoding.EncodedLen(len(claims[claim])); n > size {
			name, size = claim, n
		}
	}
	return name, size
}

// decode reads the claims that p came with. Written again they must be the same:
// what has no place in c would be lost, and what only encoding/json takes for a
// claim, because it does not look at case, would become one.
func (c *txnClaims) decode(p authctx.Principal) error {
	var claims json.RawMessage
	if err := p.DecodeClaims(&claims); err != nil {
		return err
	}
	if err := json.Unmarshal(claims, c); err != nil {
		return err
	}
	again, err := c.marshal()
	if err != nil {
		return err
	}
	before, err1 := inOrder(claims)
	after, err2 := inOrder(again)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if before != after {
		return errTxnClaims
	}
	return nil
}

// inOrder sorts the members of objects, so that the same claims are the same
// text.
func inOrder(claims []byte) (string, error) {
	var v any
	if err := json.Unmarshal(claims, &v); err != nil {
		return "", err
	}
	sorted, err := json.Marshal(v)
	return string(sorted), err
}

// txnMapping reads the claims of a Transaction Token.
type txnMapping struct {
	olderDrafts bool // reads the names that changed until draft 08 too
	deferred    bool // the token's time of issue stands in for an as_of that is not there
}

// names are the claims that no other spelling may shadow.
func (m txnMapping) names() []string {
	return []string{"txn", "scope", "req_wl", "tctx", "rctx", "act", "purp", "azd"}
}

// attributes fills in everything that the claims say of the caller. The issuer of
// the token is the caller's too unless "tctx" names another, and the caller ends
// with the token unless "tctx" knows the end of the source. Lists are appended to
// *all and are parts of it.
func (m txnMapping) attributes(a *authctx.Attributes, doc *strictjson.Doc, iss string, life lifetime, all *[]string) error {
	r := txnReader{all: *all}
	defer func() { *all = r.all }()
	tctx, scope, workload := doc.Get("tctx"), doc.Get("scope"), doc.Get("req_wl")
	if m.olderDrafts {
		tctx, scope = firstOf(tctx, doc.Get("azd")), firstOf(scope, doc.Get("purp"))
		workload = firstOf(workload, doc.Get("rctx").Get("req_wl"))
	}
	subject, _ := doc.Get("sub").Text()
	txn, _ := doc.Get("txn").Text()
	requester, _ := workload.Text()
	if subject == "" || txn == "" || doc.Get("iat").Kind() == strictjson.Missing || scope.Kind() != strictjson.String ||
		requester == "" && !(m.olderDrafts && workload.Kind() == strictjson.Array) {
		return errTxnClaims
	}
	a.Provenance, a.IssuedAt, a.Expires = authctx.Signed, life.issued, life.end
	a.Issuer, a.Subject = iss, subject
	a.Scopes, a.Actors = r.words(scope), r.actors(doc.Get("act"))
	if tctx.Exists() {
		r.details(tctx, a)
	}
	if rctx := doc.Get("rctx"); rctx.Exists() && rctx.Kind() != strictjson.Object {
		r.bad = true
	}
	if m.deferred && a.AsOf.IsZero() {
		a.AsOf = life.issued
	}
	if r.bad {
		return errTxnClaims
	}
	return nil
}

func (r *txnReader) details(tctx strictjson.Value, a *authctx.Attributes) {
	get := tctx.Get
	if tctx.Kind() != strictjson.Object {
		r.bad = true
		return
	}
	if source := r.text(get("src_iss")); source != "" {
		a.Issuer, a.TokenID, a.IssuedAt = source, r.text(get("src_jti")), r.date(get("src_iat"))
	}
	if source := r.text(get("src_sub")); source != "" {
		a.Subject = source
	}
	if end := r.date(get("src_exp")); !end.IsZero() {
		a.Expires = end
	}
	switch r.text(get("kind")) {
	case "", authctx.User.String():
	case authctx.Service.String():
		a.Kind = authctx.Service
	default:
		r.bad = true
	}
	a.AsOf, a.AuthTime = r.date(get("as_of")), r.date(get("auth_time"))
	a.Name, a.Email, a.Tenant = r.text(get("name")), r.text(get("email")), r.text(get("tenant"))
	a.ClientID, a.SessionID, a.ACR = r.text(get("client_id")), r.text(get("sid")), r.text(get("acr"))
	a.AMR, a.Roles, a.Groups = r.list(get("amr")), r.list(get("roles")), r.list(get("groups"))
	a.Permissions, a.GroupsIncomplete = r.list(get("entitlements")), r.flag(get("groups_incomplete"))
	a.Extra = r.lists(get("extra"))
}

// firstOf returns v when it is there, and otherwise what an older draft had in
// its place.
func firstOf(v, older strictjson.Value) strictjson.Value {
	if v.Kind() == strictjson.Missing {
		return older
	}
	return v
}

// txnReader reads claims of fixed types. What is absent is zero; one claim of
// another type spoils all.
type txnReader struct {
	all []string // backs every list
	bad bool
}

func (r *txnReader) text(v strictjson.Value) string {
	text, ok := v.Text()
	r.bad = r.bad || !ok && v.Kind() != strictjson.Missing
	return text
}

func (r *txnReader) date(v strictjson.Value) time.Time {
	if v.Kind() == strictjson.Missing {
		return time.Time{}
	}
	t, ok := v.Date()
	r.bad = r.bad || !ok
	return t
}

func (r *txnReader) flag(v strictjson.Value) bool {
	switch v.Kind() {
	case strictjson.True:
		return true
	case strictjson.Missing, strictjson.False:
	default:
		r.bad = true
	}
	return false
}

// words reads a text that spaces divide.
func (r *txnReader) words(v strictjson.Value) []string {
	start := len(r.all)
	for word := range strings.FieldsSeq(r.text(v)) {
		r.all = append(r.all, word)
	}
	return r.since(start)
}

func (r *txnReader) list(v strictjson.Value) []string {
	r.bad = r.bad || v.Kind() != strictjson.Missing && v.Kind() != strictjson.Array
	start := len(r.all)
	for e := range v.Elements() {
		r.all = append(r.all, r.text(e))
	}
	return r.since(start)
}

// since returns the list that began at start, which is never appended to.
func (r *txnReader) since(start int) []string { return r.all[start:len(r.all):len(r.all)] }

func (r *txnReader) lists(v strictjson.Value) (lists map[string][]string) {
	r.bad = r.bad || v.Kind() != strictjson.Missing && v.Kind() != strictjson.Object
	for name, value := range v.Members() {
		if lists == nil {
			lists = map[string][]string{}
		}
		lists[name] = r.list(value)
	}
	return lists
}

// actors reads a chain; strictjson bounds its depth.
func (r *txnReader) actors(v strictjson.Value) (chain []authctx.Actor) {
	for ; v.Kind() != strictjson.Missing; v = v.Get("act") {
		r.bad = r.bad || v.Kind() != strictjson.Object
		chain = append(chain, authctx.Actor{Issuer: r.text(v.Get("iss")), Subject: r.text(v.Get("sub"))})
	}
	return chain
}

var errTxnClaims = refusal(authctx.InvalidToken, "a claim that a transaction token must have is missing or of another type")
