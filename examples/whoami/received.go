package main

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
)

// receivedKey is the context key of the names that came in.
type receivedKey struct{}

func withReceived(ctx context.Context, fields map[string][]string, names ...string) context.Context {
	for name := range maps.Keys(fields) {
		if !strings.HasPrefix(name, ":") { // HTTP/2 pseudo-header
			names = append(names, strings.ToLower(name))
		}
	}
	slices.Sort(names)
	return context.WithValue(ctx, receivedKey{}, slices.Compact(names))
}

// receivedNames returns the lower-case names of all fields that came in.
func receivedNames(ctx context.Context) []string {
	names, _ := ctx.Value(receivedKey{}).([]string)
	return names
}

// recordReceived notes the names of the headers before next can strip any. Some
// of HTTP/1 are kept elsewhere by net/http.
func recordReceived(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var names []string
		if r.ProtoMajor == 1 && r.Host != "" {
			names = append(names, "host")
		}
		if len(r.TransferEncoding) > 0 {
			names = append(names, "transfer-encoding")
		}
		if len(r.Trailer) > 0 {
			names = append(names, "trailer")
		}
		next.ServeHTTP(w, r.WithContext(withReceived(r.Context(), r.Header, names...)))
	})
}

// receivedRecorder does the same for gRPC. A stats handler is asked before any
// interceptor. What gRPC keeps for itself, such as te and grpc-timeout, it tells
// nobody.
type receivedRecorder struct{}

func (receivedRecorder) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	md, _ := metadata.FromIncomingContext(ctx)
	return withReceived(ctx, md)
}

func (receivedRecorder) HandleRPC(context.Context, stats.RPCStats) {}

func (receivedRecorder) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context {
	return ctx
}

func (receivedRecorder) HandleConn(context.Context, stats.ConnStats) {}
