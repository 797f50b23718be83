package main

import (
	"context"
	"net"
	"net/http"
	"testing"

	"google.golang.org/grpc"

	"github.com/authctx/authctx/jwtauth"
)

// What has come to the gateway may not have been passed on yet.
func TestTheServicesAreThereUntilTheGatewayHasDrained(t *testing.T) {
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	s := &system{
		gatewayListener: listen(), authListener: listen(), ordersListener: listen(), usersListener: listen(),
		authHandler: http.NotFoundHandler(), ordersHandler: http.NotFoundHandler(), usersServer: grpc.NewServer(),
		gateway: &gateway{},
	}
	var err error
	if s.keys, err = jwtauth.NewRemoteKeys(jwtauth.RemoteKeysConfig{Issuer: "http://" + s.authListener.Addr().String()}); err != nil {
		t.Fatal(err)
	}
	takes := func(l net.Listener) bool {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err == nil {
			conn.Close()
		}
		return err == nil
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	s.gatewayHandler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		stop()
		for takes(s.gatewayListener) { // until it is told
		}
		for name, l := range map[string]net.Listener{"auth": s.authListener, "orders": s.ordersListener, "users": s.usersListener} {
			if !takes(l) {
				t.Errorf("the %s service takes no requests any more", name)
			}
		}
	})
	served := make(chan error, 1)
	go func() { served <- s.serve(ctx) }()
	res, err := http.Get(s.gatewayURL())
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if err := <-served; err != nil {
		t.Error(err)
	}
}
