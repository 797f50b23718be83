package examples_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pb "github.com/authctx/authctx/examples/internal/examplespb"
)

type object = map[string]any

// absent, as a claim, is one that is not there.
const absent = "absent"

// fromNow, as a claim, is a time so many seconds after the token was made.
type fromNow int64

// change sets a claim, or one of its members as in "tctx.roles", and nothing for
// an empty name.
func change(claims object, name string, value any) {
	if outer, inner, ok := strings.Cut(name, "."); ok {
		change(claims[outer].(object), inner, value)
	} else if value == absent {
		delete(claims, name)
	} else if name != "" {
		claims[name] = value
	}
}

// txnToken returns a Transaction Token for an admin, with one thing changed, which
// is a claim or, as in "header.kid", something of the header.
func (p *provider) txnToken(t *testing.T, name string, value any) string {
	t.Helper()
	key, keyID := p.current()
	now := time.Now().Unix()
	if seconds, ok := value.(fromNow); ok {
		value = now + int64(seconds)
	}
	all := object{
		"header": object{"alg": "EdDSA", "kid": keyID, "typ": "txntoken+jwt"},
		"iss":    "authctx.local", "aud": "authctx.local", "sub": "testuser", "scope": "orders profile", "txn": "t-1",
		"req_wl": "spiffe://authctx.local/gateway", "iat": now - 60, "exp": now + 60,
		"tctx": object{"src_iss": "https://idp.example", "roles": []any{"admin"}},
	}
	change(all, name, value)
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims(all))
	token.Header = all["header"].(object)
	delete(all, "header")
	signed, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// A key that is right says nothing about what it signed: a claim that both do not
// read in the same way makes somebody of nobody in one of them.
func TestRule8_NodeServicesReadTheClaimsThatGoServicesRead(t *testing.T) {
	t.Parallel()
	p := startProvider(t)
	s := startTxnServices(t, p.issuer+"/keys")
	s.answer(t, "a good token", p.txnToken(t, "", nil), 200, codes.OK)
	actor := object{"iss": "https://idp.example", "sub": "support"}
	for _, c := range []struct {
		name  string
		value any
		want  int
	}{
		{"header.kid", absent, 401},
		{"header.kid", "", 401},
		{"header.kid", 1, 401},
		{"sub", absent, 401},
		{"sub", "", 401},
		{"sub", 5, 401},
		{"txn", absent, 401},
		{"txn", "", 401},
		{"txn", 1, 401},
		{"req_wl", absent, 401},
		{"req_wl", "", 401},
		{"req_wl", 1, 401},
		{"req_wl", []any{"x"}, 401},
		{"scope", absent, 401},
		{"scope", "", 200},
		{"scope", []any{"orders"}, 401},
		{"scope", nil, 401},
		{"iat", absent, 401},
		{"iat", "1", 401},
		{"iat", fromNow(10), 200},
		{"iat", fromNow(100), 401},
		{"exp", absent, 401},
		{"exp", fromNow(-1), 200}, // within the leeway
		{"exp", fromNow(-40), 401},
		{"exp", fromNow(500), 200},
		{"exp", fromNow(600), 401}, // for longer than ten minutes
		{"exp", fromNow(86400), 401},
		{"nbf", fromNow(100), 401},
		{"nbf", "1", 401},
		{"cnf", object{"jkt": "x"}, 401},
		{"cnf", object{}, 401},
		{"cnf", nil, 401},
		{"act", actor, 200},
		{"act", object{"iss": "i", "sub": "s", "act": actor}, 200},
		{"act", object{"iss": "i", "sub": "s", "act": object{"iss": "i"}}, 401},
		{"act", object{"sub": "s"}, 401},
		{"act", object{"iss": "i"}, 401},
		{"act", object{"iss": "i", "sub": 5}, 401},
		{"act", object{"iss": "i", "sub": ""}, 401},
		{"act", "s", 401},
		{"act", nil, 401},
		{"act", []any{actor}, 401},
		{"rctx", object{"req_ip": "192.0.2.1"}, 200},
		{"rctx", "x", 401},
		{"rctx", []any{}, 401},
		{"tctx", "x", 401},
		{"tctx", 1, 401},
		{"tctx", []any{}, 401},
		{"tctx.src_iss", absent, 200}, // the trust domain's own
		{"tctx.src_iss", "", 200},
		{"tctx.src_iss", 5, 401},
		{"tctx.src_iss", nil, 401},
		{"tctx.src_sub", "another", 200},
		{"tctx.src_sub", "", 200},
		{"tctx.src_sub", 5, 401},
		{"tctx.src_jti", 5, 401},
		{"tctx.src_iat", "1", 401},
		{"tctx.src_exp", fromNow(3600), 200},
		{"tctx.src_exp", fromNow(-1), 401},
		{"tctx.src_exp", 0, 401},
		{"tctx.src_exp", -1, 401},
		{"tctx.src_exp", fmt.Sprint(time.Now().Unix() + 3600), 401},
		{"tctx.src_exp", int64(253402300800), 401},
		{"tctx.src_exp", nil, 401},
		{"tctx.as_of", "x", 401},
		{"tctx.auth_time", "x", 401},
		{"tctx.kind", "user", 200},
		{"tctx.kind", "service", 200},
		{"tctx.kind", "robot", 401},
		{"tctx.kind", "Service", 401},
		{"tctx.kind", 1, 401},
		{"tctx.kind", nil, 401},
		{"tctx.name", "Zoë", 200},
		{"tctx.name", "", 200},
		{"tctx.name", 5, 401},
		{"tctx.email", object{}, 401},
		{"tctx.tenant", 5, 401},
		{"tctx.tenant", nil, 401},
		{"tctx.client_id", 5, 401},
		{"tctx.sid", 5, 401},
		{"tctx.acr", 5, 401},
		{"tctx.amr", "otp", 401},
		{"tctx.amr", []any{"pwd", "otp"}, 200},
		{"tctx.roles", "notadmin", 401},
		{"tctx.roles", 5, 401},
		{"tctx.roles", object{}, 401},
		{"tctx.roles", nil, 401},
		{"tctx.roles", []any{"admin", 5}, 401},
		{"tctx.roles", []any{"admin", ""}, 401},
		{"tctx.roles", []any{"admin", nil}, 401},
		{"tctx.roles", []any{"admin", []any{"admin"}}, 401},
		{"tctx.entitlements", "x", 401},
		{"tctx.entitlements", []any{"x", "y"}, 200},
		{"tctx.groups", "x", 401},
		{"tctx.groups", []any{}, 200},
		{"tctx.groups_incomplete", true, 200},
		{"tctx.groups_incomplete", "true", 401},
		{"tctx.groups_incomplete", nil, 401},
		{"tctx.extra", object{"k": []any{"v"}}, 200},
		{"tctx.extra", object{"k": "v"}, 401},
		{"tctx.extra", object{"k": []any{""}}, 401},
		{"tctx.extra", object{"": []any{"v"}}, 401},
		{"tctx.extra", "x", 401},
		{"tctx.unknown", 5, 200},
		{"", nil, 200}, // and all of them are still there
	} {
		s.agree(t, fmt.Sprintf("%s %v", c.name, c.value), p.txnToken(t, c.name, c.value), c.want)
	}
}

// agree asks every service once who the admin of a token is.
func (s txnServices) agree(t *testing.T, what, token string, want int) {
	t.Helper()
	callers := map[string]body{}
	for service, url := range s.http {
		r := send(t, "GET", url+"/admin", "Txn-Token: "+token)
		if r.status != want {
			t.Errorf("%s in %s: status %d, want %d; body %s", what, service, r.status, want, r.body)
		} else if want == 200 {
			caller := decode(t, r)
			caller.Received = nil
			callers[service] = caller
		}
	}
	if !reflect.DeepEqual(callers["Node"], callers["Go"]) {
		t.Errorf("%s: callers %+v", what, callers)
	}
	wantCode := map[int]codes.Code{200: codes.OK, 401: codes.Unauthenticated}[want]
	for service, address := range s.grpc {
		ctx := metadata.AppendToOutgoingContext(t.Context(), "txn-token", token)
		if _, err := pb.NewWhoAmIClient(dial(t, address)).Admin(ctx, &pb.AdminRequest{}); status.Code(err) != wantCode {
			t.Errorf("%s over gRPC in %s: %v, want %v", what, service, err, wantCode)
		}
	}
}
