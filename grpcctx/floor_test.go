package grpcctx_test

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

func BenchmarkFloor(b *testing.B) {
	callers := benchCallers(b, 1)
	out, _ := plainFields(b)
	var kv []string
	out.Inject(context.Background(), callers[0], func(n, v string) { kv = append(kv, n, v) })
	b.Log(len(kv)/2, kv)
	floor := setting{name: "floor", client: []grpc.DialOption{grpc.WithUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		return invoke(metadata.AppendToOutgoingContext(ctx, kv...), method, req, reply, cc, opts...)
	})}, context: func(int) context.Context { return context.Background() }}
	one := floor
	one.name = "one"
	var all string
	for i := 0; i < len(kv); i += 2 {
		all += kv[i] + "=" + kv[i+1] + ";"
	}
	one.client = []grpc.DialOption{grpc.WithUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		return invoke(metadata.AppendToOutgoingContext(ctx, "x-user", all), method, req, reply, cc, opts...)
	})}
	for _, s := range []setting{bare(callers), floor, one, plain(b, callers)} {
		benchUnary(b, 1, s)
	}
}
