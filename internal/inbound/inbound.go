// Package inbound remembers the credentials that a handler was left with, so that
// a handler which copies the fields of its request does not send them on, over
// whichever transport.
package inbound

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/elements"
	"github.com/authctx/authctx/internal/strip"
)

// credential is a context that answers key itself. Its own type, and not
// context.WithValue, keeps the credential out of what fmt prints of a context.
type credential struct {
	context.Context
	fields  map[string][]string // by name in lower case, those that are read by name
	cookies map[elements.Cookie]bool
	// Of what is read by prefix a peer may write any number of fields, so their
	// values are not told apart by name.
	prefixes authctx.FieldSet
	prefixed map[string]bool
	unread   bool // nobody read it here
}

// key is the context key of credential.
type key struct{}

// NewContext returns a copy of ctx that remembers those of fields, which a
// request came with, that are in read.
func NewContext(ctx context.Context, fields map[string][]string, read authctx.FieldSet) context.Context {
	c := &credential{
		Context: ctx, fields: map[string][]string{}, cookies: map[elements.Cookie]bool{},
		prefixes: authctx.FieldSet{Prefixes: read.Prefixes}, prefixed: map[string]bool{},
	}
	byName := authctx.FieldSet{Names: read.Names}
	for name, values := range fields {
		switch {
		case strip.Reads(&byName, name):
			c.fields[strings.ToLower(name)] = values
		case strip.Reads(&read, name):
			for _, v := range values {
				c.prefixed[v] = true
			}
		}
		if strings.EqualFold(name, "cookie") { // a look-alike was never read
			c.addCookies(values, read.Cookies)
		}
	}
	return c
}

// WithUnread returns a copy of ctx that remembers the values of an authorization
// field which nobody reads here, and ctx itself if there are none: behind a proxy
// that says who is calling, the client's token may be there still.
func WithUnread(ctx context.Context, authorization []string) context.Context {
	if len(authorization) == 0 {
		return ctx
	}
	return &credential{Context: ctx, fields: map[string][]string{"authorization": authorization}, unread: true}
}

func (c *credential) addCookies(lines, names []string) {
	for _, line := range lines {
		for element := range strings.SplitSeq(line, ";") {
			cookie := elements.ParseCookie(element)
			if slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, cookie.Name) }) {
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

// Remove deletes from fields, which are about to be sent, whatever is an inbound
// credential of ctx, under whichever name that is the same to some server: a
// grpc-gateway within the program writes Authorization under two. One of another
// value in the same field is the program's own, and stays. It does not change
// slices.
func Remove(ctx context.Context, fields map[string][]string) {
	for c := from(ctx); c != nil; c = from(c.Context) { // servers may stand behind one another
		c.remove(fields)
	}
}

// RemoveRead is Remove for a proxy, behind which may be who reads what nobody has
// read before it, in proxied or outside of that: that stays.
func RemoveRead(ctx, proxied context.Context, fields map[string][]string) {
	outermost, before := from(proxied), false
	for c := from(ctx); c != nil; c = from(c.Context) {
		before = before || c == outermost
		if !before || !c.unread {
			c.remove(fields)
		}
	}
}

func from(ctx context.Context) *credential {
	c, _ := ctx.Value(key{}).(*credential)
	return c
}

// remove takes a time that grows with how much there is on either side, and not
// with the product, since a peer may choose both.
func (c *credential) remove(fields map[string][]string) {
	for field, inbound := range c.fields {
		known := make(map[string]bool, len(inbound))
		for _, v := range inbound {
			known[credentialIn(field, v)] = true
		}
		set := authctx.FieldSet{Names: []string{field}}
		removeValues(fields, func(name, v string) bool { return known[credentialIn(field, v)] && set.Owns(name) })
	}
	if len(c.prefixed) > 0 {
		removeValues(fields, func(name, v string) bool { return c.prefixed[v] && c.prefixes.Owns(name) })
	}
	if len(c.cookies) == 0 {
		return
	}
	for name, values := range fields {
		if elements.IsCookie(name) {
			left, cut := elements.Remove(values, ";", func(element string) bool { return c.cookies[elements.ParseCookie(element)] })
			replace(fields, name, left, cut)
		}
	}
}

// removeValues takes unwanted values out of fields, and fields with no others.
func removeValues(fields map[string][]string, unwanted func(name, value string) bool) {
	for name, values := range fields {
		no := func(v string) bool { return unwanted(name, v) }
		if slices.ContainsFunc(values, no) {
			replace(fields, name, slices.DeleteFunc(slices.Clone(values), no), true)
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
	if _, rest, ok := strings.Cut(value, " "); ok {
		return strings.TrimLeft(rest, " \t")
	}
	return value
}
