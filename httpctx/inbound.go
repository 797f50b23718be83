package httpctx

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/authctx/authctx"
)

// inbound remembers the credential that a handler was left with, so that a
// handler that copies its request's header does not send it on.
type inbound struct {
	context.Context
	header http.Header
	read   authctx.FieldSet
}

// inboundKey is the context key of inbound.
type inboundKey struct{}

func withInbound(ctx context.Context, h http.Header, read authctx.FieldSet) context.Context {
	return &inbound{Context: ctx, header: h, read: read}
}

// Value answers inboundKey itself; a type of its own keeps the credential out
// of what fmt prints of a context.
func (c *inbound) Value(key any) any {
	if _, ok := key.(inboundKey); ok {
		return c
	}
	return c.Context.Value(key)
}

// String names the parent and nothing of the credential.
func (c *inbound) String() string { return fmt.Sprintf("%v.WithInbound", c.Context) }

// Format implements [fmt.Formatter], so that no verb shows more than String.
func (c *inbound) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// removeInbound deletes from h whatever is the inbound credential of ctx. A
// credential of another value in the same field is the program's own, and stays.
func removeInbound(ctx context.Context, h http.Header) {
	in, _ := ctx.Value(inboundKey{}).(*inbound)
	if in == nil {
		return
	}
	for _, name := range in.read.Names {
		key := http.CanonicalHeaderKey(name)
		left := slices.DeleteFunc(slices.Clone(h[key]), func(v string) bool { return slices.Contains(in.header[key], v) })
		if len(left) < len(h[key]) {
			replace(h, key, left)
		}
	}
	if len(in.read.Cookies) > 0 && len(h["Cookie"]) > 0 {
		in.removeCookies(h)
	}
}

// removeCookies removes the cookies that were the credential.
func (c *inbound) removeCookies(h http.Header) {
	presented := map[[2]string]bool{}
	for _, line := range c.header["Cookie"] {
		for element := range strings.SplitSeq(line, ";") {
			name, value := splitCookie(element)
			if slices.ContainsFunc(c.read.Cookies, func(n string) bool { return strings.EqualFold(n, name) }) {
				presented[[2]string{name, value}] = true
			}
		}
	}
	left, changed := removeElements(h["Cookie"], ";", func(element string) bool {
		name, value := splitCookie(element)
		return presented[[2]string{name, value}]
	})
	if changed {
		replace(h, "Cookie", left)
	}
}

// splitCookie returns what identifies a cookie, whether or not its value is
// quoted.
func splitCookie(element string) (name, value string) {
	name, value, _ = strings.Cut(element, "=")
	return strings.ToLower(strings.Trim(name, space)), strings.Trim(value, space+`"`)
}
