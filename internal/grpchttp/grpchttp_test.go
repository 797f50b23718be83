package grpchttp_test

import (
	"net/http"
	"testing"

	"github.com/authctx/authctx/internal/grpchttp"
)

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
