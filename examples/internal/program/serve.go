package program

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

// grace is how long requests may go on after the program was told to stop.
const grace = 3 * time.Second

// Server is a server that [Serve] runs.
type Server struct {
	serve func() error
	stop  func(ctx context.Context) // returns when everything ended, or was ended with ctx
	last  bool
}

// Last returns s as a server that others need until they have ended, such as one that
// publishes the keys of what they sign: it takes requests until then.
func Last(s Server) Server {
	s.last = true
	return s
}

// HTTP serves h on l: HTTP/1.1 and, with prior knowledge, HTTP/2 without TLS.
// A client that is slow with the head of a request, or idle between two, is cut off. A
// body and a response may stream for as long as their handler likes.
func HTTP(l net.Listener, h http.Handler) Server {
	s := &http.Server{
		Handler:           hastened(h),
		Protocols:         new(http.Protocols),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       maxIdle,
		MaxHeaderBytes:    maxHead,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          maxStreams,
			MaxReceiveBufferPerStream:     streamBuffer,
			MaxReceiveBufferPerConnection: maxStreams * streamBuffer,
		},
	}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	return Server{
		serve: func() error { return s.Serve(l) },
		stop: func(ctx context.Context) {
			if s.Shutdown(ctx) != nil {
				s.Close()
			}
		},
	}
}

// hastened gives clients maxRest to send the rest of a request that h has answered,
// which net/http reads first over HTTP/1, and to take the rest of the answer. Over
// HTTP/2, a deadline keeps a stream that its client has reset, and must not keep what
// has come of its body.
func hastened(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r)
		if r.ProtoMajor == 2 {
			_ = r.Body.Close()
		}
		c, end := http.NewResponseController(w), time.Now().Add(maxRest)
		if r.ProtoMajor == 1 && r.ContentLength != 0 {
			_ = c.SetReadDeadline(end)
			end = end.Add(maxRest)
		}
		_ = c.SetWriteDeadline(end) // both are known to all writers of net/http
	})
}

// maxRest is how long a client is waited for when its handler has returned.
const maxRest = 30 * time.Second

// A connection takes what all its streams may send before a handler reads it:
// otherwise one upload that waits for a slow handler holds up all other bodies on
// its connection.
const (
	maxStreams   = 1000 // long gRPC streams add up
	streamBuffer = 64 << 10
)

// maxHead is how large the head of a request may be.
const maxHead = 64 << 10

// maxIdle is how long a connection stays open on which nothing is under way.
const maxIdle = 2 * time.Minute

// BoundConnections makes a gRPC server bound its clients as HTTP does. Without it, a
// client that never finishes its first request is waited for for ever, and nothing
// limits how many calls it begins, each of which waits for its message before anybody
// is asked who calls, or how large their heads are: 16 MiB each. Connections in use
// end as EndWithCertificate ends them, but by their age: nothing else bounds for how
// long a certificate counts that has ended.
func BoundConnections() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionIdle: maxIdle, MaxConnectionAge: maxAge, MaxConnectionAgeGrace: maxCall,
		}),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxHeaderListSize(maxHead),
	}
}

// maxAge is for how long connections take new calls. Those that are under way go
// on, for maxCall: one whose message never comes would do so for ever.
const (
	maxAge  = 10 * time.Minute
	maxCall = time.Hour
)

// EndWithCertificate ends connections of clients whose certificates have ended
// since they were verified, which TLS does not do again: these come back and show
// their next one.
func EndWithCertificate(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 && time.Now().After(r.TLS.PeerCertificates[0].NotAfter) {
			w.Header().Set("Connection", "close") // which is what it means over HTTP/2 too
		}
		h.ServeHTTP(w, r)
	})
}

// GRPC serves s on l.
func GRPC(l net.Listener, s *grpc.Server) Server {
	return Server{
		serve: func() error { return s.Serve(l) },
		stop: func(ctx context.Context) {
			defer context.AfterFunc(ctx, s.Stop)()
			s.GracefulStop()
		},
	}
}

// Serve runs the servers until ctx ends or one of them fails, and then stops
// them all, those that are [Last] after the others. It returns when they have stopped.
func Serve(ctx context.Context, servers ...Server) error {
	failed := make(chan error, len(servers))
	for _, s := range servers {
		go func() { failed <- s.serve() }()
	}
	var err error
	running := len(servers)
	select {
	case <-ctx.Done():
	case err = <-failed:
		running--
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	for _, last := range []bool{false, true} {
		stop(ctx, servers, last)
	}
	for range running {
		<-failed
	}
	return err
}

// stop stops those servers that are last, or those that are not, at once: none takes
// new requests while another waits.
func stop(ctx context.Context, servers []Server, last bool) {
	var all sync.WaitGroup
	for _, s := range servers {
		if s.last == last {
			all.Go(func() { s.stop(ctx) })
		}
	}
	all.Wait()
}
