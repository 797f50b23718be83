package conformance

import (
	"errors"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/grpcctx"
	"github.com/authctx/authctx/httpctx"
)

func TestBothTransportsGiveTheSameHints(t *testing.T) {
	_, auth := plainFields(t)
	server := must[*httpctx.Server](t)(httpctx.NewServer(httpctx.ServerConfig{Authenticator: auth, Policy: authctx.DefaultPolicy(authctx.Authenticated())}))
	age, negative := 90*time.Second, -time.Second
	stepUp := authctx.All(authctx.ACR("gold", "silver"), authctx.MaxAuthAge(age, nil), authctx.Scope("s"))
	refused, _ := errors.AsType[*authctx.Error](stepUp.Check(t.Context(), must[authctx.Principal](t)(authctx.New(authctx.Attributes{Issuer: "i", Subject: "alice", ACR: "silver"}))))
	for name, test := range map[string]struct {
		err  *authctx.Error
		http string // parameters of the challenge
		grpc map[string]string
	}{
		"scopes": {&authctx.Error{Reason: authctx.InsufficientScope, Scopes: []string{"a", "b"}},
			`, scope="a b"`, map[string]string{"requiredScope": "a b"}},
		"a scope with a space": {&authctx.Error{Reason: authctx.InsufficientScope, Scopes: []string{"a b", "c"}},
			`, scope="c"`, map[string]string{"requiredScope": "c"}},
		"not UTF-8": {&authctx.Error{Reason: authctx.InsufficientScope, Scopes: []string{"\xff", "c"}},
			`, scope="c"`, map[string]string{"requiredScope": "c"}},
		"quotes and line breaks": {&authctx.Error{Reason: authctx.InsufficientScope, Scopes: []string{`"`, "\r\nx", `\`, ""}}, "", nil},
		"all for a login": {&authctx.Error{Reason: authctx.InsufficientAuthentication, ACRValues: []string{"gold", "silver"}, Scopes: []string{"s"}, MaxAge: &age},
			`, acr_values="gold silver", scope="s", max_age="90"`, map[string]string{"acrValues": "gold silver", "requiredScope": "s", "maxAge": "90"}},
		"what a rule wants in all": {refused,
			`, acr_values="gold silver", scope="s", max_age="90"`, map[string]string{"acrValues": "gold silver", "requiredScope": "s", "maxAge": "90"}},
		"a negative age": {&authctx.Error{Reason: authctx.InsufficientAuthentication, MaxAge: &negative},
			`, max_age="0"`, map[string]string{"maxAge": "0"}},
		"of another reason":          {&authctx.Error{Reason: authctx.InsufficientScope, ACRValues: []string{"x"}, MaxAge: &age}, "", nil},
		"for a reason that has none": {&authctx.Error{Reason: authctx.TokenExpired, ACRValues: []string{"x"}, Scopes: []string{"s"}, MaxAge: &age}, "", nil},
		"a rule's refusal":           {&authctx.Error{Reason: authctx.PermissionDenied, Scopes: []string{"s"}}, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			server.WriteError(w, httptest.NewRequest("GET", "/", nil), test.err)
			_, parameters, _ := strings.Cut(w.Header().Get("WWW-Authenticate"), `error_description="`+test.err.Reason.Description()+`"`)
			if parameters != test.http {
				t.Errorf("HTTP: %q, want %q", w.Header()["Www-Authenticate"], test.http)
			}
			details := grpcctx.Status(test.err).Details()
			if len(details) != 1 {
				t.Fatalf("details %v", details)
			}
			if info := details[0].(*errdetails.ErrorInfo); !reflect.DeepEqual(info.GetMetadata(), test.grpc) {
				t.Errorf("gRPC: %v, want %v", info.GetMetadata(), test.grpc)
			}
		})
	}
}
