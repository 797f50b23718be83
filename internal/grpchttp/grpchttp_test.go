package grpchttp_test

import (
	"net/http"
	"testing"

	"github.com/authctx/authctx/internal/grpchttp"
)

func TestARequestOfGRPCIsKnownByItsProtocolAndContentType(t *testing.T) {
	for _, c := range []struct {
		major       int
		contentType string
		want        bool
	}{
		{2, "application/grpc", true}, {2, "application/grpc+proto", true}, {2, "application/grpc;x=y", true}, {2, "Application/gRPC", true},
		{1, "application/grpc", false}, {2, "application/grpc-web", false}, {2, "application/grpc-web+proto", false}, {2, "application/grpcs", false},
		{2, "application/grp", false}, {2, "text/plain", false}, {2, "", false},
	} {
		r := &http.Request{ProtoMajor: c.major, Header: http.Header{"Content-Type": {c.contentType}}}
		if got := grpchttp.IsRequest(r); got != c.want {
			t.Errorf("HTTP/%d, %q: %v", c.major, c.contentType, got)
		}
	}
}

func TestWhatSomeServerMayTakeForGRPC(t *testing.T) {
	for _, c := range []struct {
		contentType []string
		want        bool
	}{
		{[]string{"application/grpc"}, true},
		{[]string{"application/grpc+proto"}, true},
		{[]string{"application/grpc; charset=utf-8"}, true},
		{[]string{"Application/GRPC"}, true},
		{[]string{" \tapplication/grpc"}, true},
		{[]string{"application/grpc-web+proto"}, true},
		{[]string{"text/plain", "application/grpc"}, true},
		{[]string{"application/grpc", "text/plain"}, true},
		{[]string{"text/plain, application/grpc"}, true},
		{[]string{"text/plain,application/grpc,text/html"}, true},
		{[]string{"", "application/grpc"}, true},
		{nil, false},
		{[]string{""}, false},
		{[]string{"application/json"}, false},
		{[]string{"application/grp"}, false},
		{[]string{"text/application/grpc"}, false},
	} {
		if got := grpchttp.MayBe(http.Header{"Content-Type": c.contentType}); got != c.want {
			t.Errorf("%q: %v", c.contentType, got)
		}
	}
}
