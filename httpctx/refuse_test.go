package httpctx_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
)

// What a client goes by is not the format that Refuse answers in: RFC 9110 section
// 15.5.2 wants a challenge with any 401, and the challenge of RFC 9449 section 9 is how
// a client learns that a nonce is missing.
func TestWhoAnswersInsteadHasTheChallengeThatTheServerWouldSend(t *testing.T) {
	answers := func(w http.ResponseWriter, _ *http.Request, err error) bool {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusTeapot)
		return true
	}
	instead, itself := newServer(t, httpctx.ServerConfig{Refuse: answers}), newServer(t, httpctx.ServerConfig{})
	for name, err := range map[string]error{
		"no credentials": authctx.NoCredentials,
		"nonce":          authctx.NonceRequired,
		"scope":          &authctx.Error{Reason: authctx.InsufficientScope, Scopes: []string{"orders.write"}},
		"denied":         authctx.PermissionDenied,
		"unavailable":    &authctx.Error{Reason: authctx.Unavailable, RetryAfter: time.Minute},
		"no reason":      errors.New("secret detail"),
	} {
		ask := func(s *httpctx.Server) http.Header {
			w := httptest.NewRecorder()
			w.Header().Set("WWW-Authenticate", "Basic") // of somebody who began another answer
			s.WriteError(w, httptest.NewRequest("GET", "/", nil), err)
			return w.Result().Header
		}
		got, want := ask(instead), ask(itself)
		for _, field := range []string{"Www-Authenticate", "Retry-After"} {
			if !reflect.DeepEqual(got[field], want[field]) {
				t.Errorf("%s: %s is %q, want %q", name, field, got[field], want[field])
			}
		}
	}
}

// All that gRPC has is trailers, where nobody looks for a challenge.
func TestAnAnswerOfGRPCHasNoChallenge(t *testing.T) {
	s := newServer(t, httpctx.ServerConfig{Refuse: statusOnly})
	for _, err := range []error{authctx.NoCredentials, authctx.Unavailable} {
		r := httptest.NewRequest("POST", "/shop.v1.Orders/Get", nil)
		r.ProtoMajor = 2
		r.Header.Set("Content-Type", "application/grpc")
		w := httptest.NewRecorder()
		s.WriteError(w, r, err)
		if h := w.Result().Header; h.Get("Grpc-Status") == "" || h["Www-Authenticate"] != nil || h["Retry-After"] != nil {
			t.Errorf("%v: header %v", err, h)
		}
	}
}

func TestWhoDeclinesToAnswerChangesNoChallenge(t *testing.T) {
	itself := newServer(t, httpctx.ServerConfig{})
	for name, decline := range map[string]func(http.Header){
		"at once":             func(http.Header) {},
		"after another field": func(h http.Header) { h.Add("WWW-Authenticate", "Basic") },
		"after taking it out": func(h http.Header) { h.Del("WWW-Authenticate"); h.Del("Retry-After") },
	} {
		s := newServer(t, httpctx.ServerConfig{Refuse: func(w http.ResponseWriter, _ *http.Request, _ error) bool {
			decline(w.Header())
			return false
		}})
		for _, contentType := range []string{"", "application/grpc"} {
			for _, err := range []error{authctx.NoCredentials, authctx.PermissionDenied, authctx.Unavailable} {
				ask := func(s *httpctx.Server) *httptest.ResponseRecorder {
					r := httptest.NewRequest("POST", "/", nil)
					r.ProtoMajor, r.Header = 2, http.Header{"Content-Type": {contentType}}
					w := httptest.NewRecorder()
					s.WriteError(w, r, err)
					return w
				}
				got, want := ask(s), ask(itself)
				if got.Code != want.Code || got.Body.String() != want.Body.String() || !reflect.DeepEqual(got.Result().Header, want.Result().Header) {
					t.Errorf("%s, %s, %v: %d %v, want %v", name, contentType, err, got.Code, got.Result().Header, want.Result().Header)
				}
			}
		}
	}
}
