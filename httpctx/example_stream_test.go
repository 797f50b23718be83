package httpctx_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
)

// A handler that waits for what its client sends does not look at a context. Deadlines
// wake it at its caller's end.
func ExampleServer_StreamContext_reading() {
	server, err := httpctx.NewServer(httpctx.ServerConfig{Authenticator: authctx.NewAuthenticator(authctx.FieldSet{},
		func(context.Context, *authctx.Request) (authctx.Result, error) { // everybody, for a second or less
			p, err := authctx.New(authctx.Attributes{Issuer: "https://login.example", Subject: "alice", Expires: time.Now().Add(time.Second)})
			return authctx.Result{Principal: p}, err
		}), Policy: authctx.DefaultPolicy(authctx.Authenticated())})
	if err != nil {
		log.Fatal(err)
	}
	service := httptest.NewServer(server.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 1 {
			w.Header().Set("Connection", "close") // which is good for no request after this
		}
		ctx, c := server.StreamContext(r), http.NewResponseController(w)
		defer context.AfterFunc(ctx, func() {
			_ = c.SetReadDeadline(time.Now())
			_ = c.SetWriteDeadline(time.Now().Add(10 * time.Second)) // to say why
		})()
		_, _ = io.Copy(io.Discard, r.Body) // or a framework, given r.WithContext(ctx)
		if ctx.Err() != nil {
			server.WriteError(w, r, context.Cause(ctx))
		}
	})))
	defer service.Close()
	body, client := io.Pipe() // that sends nothing, and does not end
	defer client.Close()
	res, err := http.Post(service.URL, "application/octet-stream", body)
	if err != nil {
		log.Fatal(err)
	}
	defer res.Body.Close()
	fmt.Println(res.Status)
	// Output:
	// 401 Unauthorized
}
