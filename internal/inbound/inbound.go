// Package inbound remembers the credentials that a handler can see, so that a handler
// which copies the fields of its request does not send them on, over any transport.
package inbound

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/elements"
	"github.com/authctx/authctx/internal/fieldname"
	"github.com/authctx/authctx/internal/strip"
)

// credential is a context that answers key itself. Its own type, and not
// context.WithValue, keeps the credential out of what fmt prints of a context.
type credential struct {
	context.Context
	fields  map[string]map[string]bool // values by canonical name
	cookies map[elements.Cookie]bool
	unread  bool // nobody read it here
}

// key is the context key of credential.
type key struct{}

// NewContext returns a copy of ctx that remembers those fields of a request that are
// in read. It keeps none of the slices.
func NewContext(ctx context.Context, fields map[string][]string, read authctx.FieldSet) context.Context {
	c := &credential{Context: ctx, fields: map[string]map[string]bool{}, cookies: map[elements.Cookie]bool{}}
	for name, values := range fields {
		whole := strip.Reads(&read, name)
		if whole {
			c.add(name, values)
		}
		if strings.EqualFold(name, "cookie") { // a look-alike was never read
			c.addCookies(values, func(n string) bool {
				return whole || slices.ContainsFunc(read.Cookies, func(r string) bool { return strings.EqualFold(r, n) })
			})
		}
	}
	return c
}

// WithUnread returns a copy of ctx that remembers the value of an authorization field
// that nobody reads here: behind a proxy that says who is calling, it may still hold the
// client's token. It is one value: a client that could present many would learn, by which
// are removed, which one is the program's own.
func WithUnread(ctx context.Context, authorization string) context.Context {
	c := &credential{Context: ctx, fields: map[string]map[string]bool{}, unread: true}
	c.add("authorization", []string{authorization})
	return c
}

func (c *credential) add(field string, values []string) {
	field = fieldname.Canonical(field)
	known := c.fields[field]
	if known == nil {
		known = make(map[string]bool, len(values))
		c.fields[field] = known
	}
	for _, v := range values {
		known[credentialIn(field, v)] = true
	}
}

func (c *credential) addCookies(lines []string, read func(name string) bool) {
	for _, line := range lines {
		for element := range strings.SplitSeq(line, ";") {
			if cookie := elements.ParseCookie(element); read(cookie.Name) {
				c.cookies[cookie] = true
			}
		}
	}
}

// Value answers key.
func (c *credential) Value(k any) any {
	if _, ok := k.(key); ok {
		return c
	}
	return c.Context.Value(k)
}

// String names the parent and nothing of the credential.
func (c *credential) String() string { return fmt.Sprintf("%v.WithInbound", c.Context) }

// Format implements [fmt.Formatter], so that no verb shows more than String, but
// for those of which fmt does not ask, see [authctx.Field].
func (c *credential) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// Remove deletes from fields, which are about to be sent, every inbound credential of
// ctx, under any name that some server takes for the same: a grpc-gateway within the
// program writes Authorization under two. Another value in the same field is the
// program's own, and stays. It does not change slices.
func Remove(ctx context.Context, fields map[string][]string) {
	for c := from(ctx); c != nil; c = from(c.Context) { // servers may stand behind one another
		c.remove(fields)
	}
}

// RemoveRead is Remove for a proxy to which the request came with the context proxied.
// What nobody had read until then stays, because the upstream may read it.
func RemoveRead(ctx, proxied context.Context, fields map[string][]string) {
	last, known := from(proxied), false // the last credential that was known then
	for c := from(ctx); c != nil; c = from(c.Context) {
		known = known || c == last
		if !known || !c.unread {
			c.remove(fields)
		}
	}
}

func from(ctx context.Context) *credential {
	c, _ := ctx.Value(key{}).(*credential)
	return c
}

// remove takes a time that grows with what is about to be sent and not with what came
// in, since a peer may choose both.
func (c *credential) remove(fields map[string][]string) {
	for name, values := range fields {
		canonical := fieldname.Canonical(name)
		if known := c.fields[canonical]; known != nil {
			inbound := func(v string) bool { return known[credentialIn(canonical, v)] }
			if slices.ContainsFunc(values, inbound) {
				replace(fields, name, slices.DeleteFunc(slices.Clone(values), inbound), true)
			}
		}
		if len(c.cookies) > 0 && elements.IsCookie(name) {
			left, cut := elements.Remove(fields[name], ";", func(element string) bool { return c.cookies[elements.ParseCookie(element)] })
			replace(fields, name, left, cut)
		}
	}
}

func replace(fields map[string][]string, name string, left []string, changed bool) {
	switch {
	case changed && len(left) == 0:
		delete(fields, name)
	case changed:
		fields[name] = left
	}
}

// credentialIn returns the credential in a value. In an authorization field that is
// what follows the scheme, which a handler that puts its field together may write in
// another way than the client did, or leave out.
func credentialIn(field, value string) string {
	if field == "authorization" {
		return withoutScheme(value)
	}
	return value
}

func withoutScheme(value string) string {
	value = strings.Trim(value, " \t")
	if end := strings.IndexAny(value, " \t"); end >= 0 {
		return strings.TrimLeft(value[end:], " \t")
	}
	return value
}
