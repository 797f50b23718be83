package grpcctx

import (
	"context"
	"slices"

	"google.golang.org/grpc/metadata"
)

// inboundKey is the context key of the credentials that a handler was let see.
type inboundKey struct{}

// withInbound returns ctx with the fields of md in kept, for removeInbound.
func withInbound(ctx context.Context, md metadata.MD, kept []string) context.Context {
	credentials := metadata.MD{}
	for _, name := range kept {
		if values, ok := md[name]; ok {
			credentials[name] = values
		}
	}
	return context.WithValue(ctx, inboundKey{}, credentials)
}

// removeInbound removes from outgoing metadata the credentials that the call
// being handled came with: forwarding metadata wholesale must not spread them.
func removeInbound(ctx context.Context, md metadata.MD) {
	credentials, _ := ctx.Value(inboundKey{}).(metadata.MD)
	for name, inbound := range credentials {
		left := slices.DeleteFunc(slices.Clone(md[name]), func(v string) bool { return slices.Contains(inbound, v) })
		if len(left) == 0 {
			delete(md, name)
		} else {
			md[name] = left
		}
	}
}
