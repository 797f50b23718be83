package conformance

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/authctx/authctx"
)

const soleIssuer = "https://idp.test"

// foreign is the layout of another system, whom it can carry, and what forgers
// of it send.
var foreign = map[string]struct {
	layout authctx.FieldLayout
	caller authctx.Attributes
	forged map[string]string
	begins []string // names that must not reach a handler, punctuation folded
}{
	"Kubernetes": {
		authctx.KubernetesLayout(),
		authctx.Attributes{Issuer: soleIssuer, Subject: "system:serviceaccount:ns:sa", Groups: []string{"system:authenticated", "a,b", "100%"},
			Extra: map[string][]string{"scopes": {"a", "b"}}},
		map[string]string{"X-Remote-User": "admin", "x_remote_group": "system:masters", "X-Remote-Extra-Scopes": "all",
			"X.Remote.Uid": "0", "X-Remote-Group-Bin": "x", "Grpc-Metadata-X-Remote-User": "admin"},
		[]string{"x-remote-", "grpc-metadata-"},
	},
	"oauth2-proxy": {
		authctx.OAuth2ProxyLayout(),
		authctx.Attributes{Issuer: soleIssuer, Subject: "u1", Name: "alice", Email: "a@example.com", Groups: []string{"x", "y z"}},
		map[string]string{"X-Forwarded-User": "admin", "x_forwarded_groups": "admins", "X.Forwarded.Email": "root@example.com",
			"X-Forwarded-Access-Token": "t", "X-Forwarded-Preferred-Username": "root"},
		[]string{"x-forwarded-user", "x-forwarded-groups", "x-forwarded-email", "x-forwarded-access-token", "x-forwarded-preferred-username"},
	},
}

func TestLayoutsOfOtherSystemsTravel(t *testing.T) {
	for name, c := range foreign {
		prop := must[*authctx.FieldsPropagator](t)(authctx.NewFieldsPropagator(authctx.FieldsPropagatorConfig{Layout: &c.layout, SoleIssuer: soleIssuer}))
		auth := must[*authctx.FieldsAuthenticator](t)(authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{
			Trust: authctx.TrustNetworkAlone(), Layout: &c.layout, Issuer: soleIssuer,
		}))
		p := must[authctx.Principal](t)(authctx.New(c.caller))
		check := func(t *testing.T, far *far, err error) {
			t.Helper()
			got, fields, told := far.last()
			if err != nil || !got.Equal(p) {
				t.Fatalf("the service saw %+v, %v; it says %v", got.Attributes(), err, told)
			}
			if left := slices.DeleteFunc(fields, func(name string) bool { return !identity(name, c.begins) }); len(left) > 0 {
				t.Errorf("the handler was left with %q", left)
			}
		}
		for _, route := range routes {
			if name == "Kubernetes" && route.name == "message" {
				continue // one header per group does not fit a map
			}
			t.Run(name+"/"+route.name, func(t *testing.T) {
				far := route.open(t, auth)
				check(t, far, far.carry(authctx.NewContext(t.Context(), p), prop, c.forged))
			})
		}
		t.Run(name+"/through a gateway", func(t *testing.T) {
			far := openHTTP(t, auth)
			ours, known := plainFields(t)
			header := http.Header{"Connection": {"x-remote-user, x-forwarded-user"}}
			for name, value := range c.forged {
				header[name] = []string{value}
			}
			if err := ours.Inject(t.Context(), p, header.Set); err != nil {
				t.Fatal(err)
			}
			_, call := openGateway(t, far.url, known, prop)
			check(t, far, call(header))
		})
	}
}

// Other systems write UTF-8 as it is, and whoever is called by one calls the next
// service so.
func TestWhatALayoutWithoutEncodingReadsItWrites(t *testing.T) {
	for name, c := range foreign {
		prop := must[*authctx.FieldsPropagator](t)(authctx.NewFieldsPropagator(authctx.FieldsPropagatorConfig{Layout: &c.layout, SoleIssuer: soleIssuer}))
		auth := must[*authctx.FieldsAuthenticator](t)(authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{
			Trust: authctx.TrustNetworkAlone(), Layout: &c.layout, Issuer: soleIssuer,
		}))
		for _, route := range routes {
			if route.name == "gRPC" {
				continue // carries printable ASCII only, see the tests of grpcctx.Client
			}
			t.Run(name+"/"+route.name, func(t *testing.T) {
				far := route.open(t, auth)
				err := far.send(t.Context(), map[string][]string{c.layout.Subject: {"jürgen"}, c.layout.Groups: {"käse"}})
				p, _, told := far.last()
				if err != nil || p.Subject() != "jürgen" || !slices.Equal(p.Groups(), []string{"käse"}) {
					t.Fatalf("the first service saw %v, %v; it says %v", p, err, told)
				}
				err = far.carry(authctx.NewContext(t.Context(), p), prop, nil)
				if got, _, told := far.last(); err != nil || far.reached() != 2 || !got.Equal(p) {
					t.Errorf("the next one saw %v, %v; it says %v", got, err, told)
				}
			})
		}
	}
}

// HTTP/2 and gRPC carry space that HTTP/1 takes away. Two users must not become one.
func TestACallerIsNotReadAsOneWhoseNameLacksASpace(t *testing.T) {
	for name, c := range foreign {
		auth := must[*authctx.FieldsAuthenticator](t)(authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{
			Trust: authctx.TrustNetworkAlone(), Layout: &c.layout, Issuer: soleIssuer,
		}))
		for transport, send := range sentTo {
			for _, subject := range []string{"alice ", " alice"} {
				var last lastEvent
				send(t, auth, &last, map[string]string{c.layout.Subject: subject})
				if e := last.get(); e.Reason != authctx.InvalidRequest || !e.Principal.IsZero() {
					t.Errorf("%s over %s: %q is read as %v, %v", name, transport, subject, e.Principal, e.Err)
				}
			}
		}
	}
}

// identity reports whether a lax server could take a field for one of those.
func identity(name string, begins []string) bool {
	name = strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(name))
	return slices.ContainsFunc(begins, func(b string) bool { return strings.HasPrefix(name, b) })
}
