package httpctx_test

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
)

// hijackable is a response writer over a pipe.
type hijackable struct {
	http.ResponseWriter
	conn net.Conn
}

func (h hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) { return h.conn, nil, nil }

// open hijacks a request of the caller through a server for cfg, on the clock of
// the bubble, and returns both ends of the connection.
func open(t *testing.T, cfg httpctx.ServerConfig, res authctx.Result) (service, client net.Conn) {
	t.Helper()
	cfg.Authenticator = authctx.NewAuthenticator(authctx.FieldSet{}, func(context.Context, *authctx.Request) (authctx.Result, error) {
		return res, nil
	})
	cfg.Now = time.Now
	h := newServer(t, cfg).Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		service, _, _ = http.NewResponseController(w).Hijack()
	}))
	mine, client := net.Pipe()
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Upgrade", "websocket")
	h.ServeHTTP(hijackable{httptest.NewRecorder(), mine}, r)
	if service == nil {
		t.Fatal("the connection was not hijacked")
	}
	return service, client
}

func endedIn(j *journal) (ended []authctx.Event) {
	for _, e := range j.all() {
		if e.Outcome == authctx.Ended {
			ended = append(ended, e)
		}
	}
	return ended
}

func TestAConnectionThatIsClosedDuringARecheckWasNotEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		asked := 0
		service, _ := open(t, httpctx.ServerConfig{Observer: &j, RecheckInterval: time.Minute}, authctx.Result{
			Principal: caller(t, "alice"),
			Recheck: func(ctx context.Context) error {
				asked++
				<-ctx.Done()
				return ctx.Err()
			},
		})
		time.Sleep(time.Minute + time.Second)
		_ = service.Close()
		synctest.Wait()
		if ended := endedIn(&j); asked != 1 || len(ended) > 0 {
			t.Errorf("asked %d times, told of %v", asked, ended)
		}
	})
}

func TestARecheckThatTakesForeverEndsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		_, client := open(t, httpctx.ServerConfig{Observer: &j, RecheckInterval: time.Minute}, authctx.Result{
			Principal: caller(t, "alice"),
			Recheck: func(ctx context.Context) error {
				<-ctx.Done()
				return ctx.Err()
			},
		})
		opened := time.Now()
		if n, err := client.Read(make([]byte, 1)); n > 0 || err == nil {
			t.Errorf("read %d bytes, %v", n, err)
		}
		if took := time.Since(opened); took != 2*time.Minute {
			t.Errorf("closed after %v", took)
		}
		synctest.Wait()
		if ended := endedIn(&j); len(ended) != 1 || ended[0].Reason != authctx.Unavailable {
			t.Errorf("told of %v", ended)
		}
	})
}

func TestRule9_AConnectionIsClosedAtTheVeryEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		attrs := callers["carol"]
		attrs.Expires = time.Now().Add(24 * time.Hour)
		carol, err := authctx.New(attrs)
		if err != nil {
			t.Fatal(err)
		}
		_, client := open(t, httpctx.ServerConfig{}, authctx.Result{Principal: carol})
		opened := time.Now()
		if n, err := client.Read(make([]byte, 1)); n > 0 || err == nil {
			t.Errorf("read %d bytes, %v", n, err)
		}
		if took := time.Since(opened); took != 24*time.Hour {
			t.Errorf("closed after %v", took)
		}
	})
}
