package httpctx_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/authctx/authctx/httpctx"
)

// streams answers as a stream of gin does, which takes every writer for one like
// that of net/http.
func streams(w http.ResponseWriter, _ *http.Request) {
	//lint:ignore SA1019 gin asks for it
	gone := w.(http.CloseNotifier).CloseNotify()
	w.Header().Set("Content-Length", "21")
	for range 3 {
		select {
		case <-gone:
			return
		default:
			w.(http.Flusher).Flush()
			_, _ = io.WriteString(w, "payroll")
		}
	}
}

// watchedRequest is one that gets a writer of this package: "Upgrade: h2c" is what
// curl --http2 offers.
var watchedRequest = map[string]string{
	"an upgrade":  request("GET /", "Authorization: Bearer carol", "Connection: Upgrade", "Upgrade: h2c"),
	"a preflight": request("OPTIONS /", "Origin: https://a.example", "Access-Control-Request-Method: PUT"),
}

// around is the writer of middleware that knows [http.ResponseController].
type around struct{ http.ResponseWriter }

func (a around) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func TestAStreamOfGinIsServedWhateverTheClientOffers(t *testing.T) {
	h := newServer(t, httpctx.ServerConfig{}).Handler(http.HandlerFunc(streams))
	server := serve(t, h)
	for name, want := range map[string]string{"an upgrade": "payrollpayrollpayroll", "a preflight": ""} {
		if res, body := raw(t, server, watchedRequest[name]); res.StatusCode != 200 || body != want {
			t.Errorf("%s: %d %q", name, res.StatusCode, body)
		}
	}
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil) // which notifies nobody
	r.Header = with(token("carol"), "Upgrade", "h2c")
	if h.ServeHTTP(w, r); w.Body.String() != "payrollpayrollpayroll" {
		t.Errorf("a recorder: %d %q", w.Code, w.Body)
	}
}

func TestAHandlerIsNotifiedWhenItsClientHasGone(t *testing.T) {
	for name, request := range watchedRequest {
		t.Run(name, func(t *testing.T) {
			notified := make(chan bool)
			inner := newServer(t, httpctx.ServerConfig{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				defer close(notified)
				//lint:ignore SA1019 gin asks for it
				gone := w.(http.CloseNotifier).CloseNotify()
				notified <- false
				select {
				case <-gone:
					notified <- true
				case <-time.After(10 * time.Second):
				}
			}))
			server := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { inner.ServeHTTP(around{w}, r) }))
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(conn, request); err != nil {
				t.Fatal(err)
			}
			<-notified
			_ = conn.Close()
			if !<-notified {
				t.Error("not notified")
			}
		})
	}
}

func TestAFlushThatIsNotSupportedSaysSo(t *testing.T) {
	flushed := make(chan error, 1)
	h := newServer(t, httpctx.ServerConfig{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		flushed <- http.NewResponseController(w).Flush()
	}))
	inTime := serve(t, http.TimeoutHandler(h, time.Minute, ""))
	server := serve(t, h)
	for name, request := range watchedRequest {
		raw(t, inTime, request)
		if err := <-flushed; !errors.Is(err, http.ErrNotSupported) {
			t.Errorf("%s: %v", name, err)
		}
		raw(t, server, request)
		if err := <-flushed; err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
