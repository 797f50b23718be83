package httpctx

import (
	"context"
	"fmt"
	"io"
	"net/http"
)

// proxied is the context of a request to an upstream, with the one that came in.
type proxied struct {
	context.Context
	in        *http.Request
	upstream  string      // its authority, empty if that is left to the transport
	body      *clientBody // nil if it cannot be sent anew
	answered  bool        // by the upstream
	preflight bool        // whose answer has no body, and no preflightWriter may have seen to that
	call      call        // if it is one of gRPC
}

type proxiedKey struct{}

func (p *proxied) Value(key any) any {
	if _, ok := key.(proxiedKey); ok {
		return p
	}
	return p.Context.Value(key)
}

func proxiedFrom(ctx context.Context) (*proxied, bool) {
	p, ok := ctx.Value(proxiedKey{}).(*proxied)
	return p, ok
}

// answer notes that the upstream has begun to answer.
func (p *proxied) answer() {
	p.answered = true
	if p.body != nil {
		p.body.release()
	}
}

// String names the parent only.
func (p *proxied) String() string { return fmt.Sprintf("%v.Proxied", p.Context) }

// Format implements [fmt.Formatter], so that no verb shows more than String.
func (p *proxied) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, p.String()) }
