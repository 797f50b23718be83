package jwtauth_test

import (
	"slices"
	"testing"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

func readActors(act string) ([]authctx.Actor, error) {
	a, err := jwtauth.ReadClaims(jwtauth.RFC9068Claims(), `{"iss":"i","sub":"s","client_id":"web","act":`+act+`}`)
	return a.Actors, err
}

// Duende IdentityServer has actors with a client_id and no sub in its documentation.
func TestAnActorOfWhomOnlyTheClientIsSaidIsThatClient(t *testing.T) {
	for act, want := range map[string][]authctx.Actor{
		`{"client_id":"api1"}`: {{Issuer: "i", Subject: "api1"}},
		`{"sub":null,"username":null,"client_id":"api1","act":null}`:    {{Issuer: "i", Subject: "api1"}},
		`{"iss":"o","client_id":"api1"}`:                                {{Issuer: "o", Subject: "api1"}},
		`{"client_id":"api2","act":{"client_id":"api1"}}`:               {{Issuer: "i", Subject: "api2"}, {Issuer: "i", Subject: "api1"}},
		`{"client_id":"api2","iss":"o","act":{"sub":"bob"}}`:            {{Issuer: "o", Subject: "api2"}, {Issuer: "i", Subject: "bob"}},
		`{"sub":"bob","iss":"o","act":{"act":null,"client_id":"api1"}}`: {{Issuer: "o", Subject: "bob"}, {Issuer: "i", Subject: "api1"}},
		`{"sub":"bob","client_id":"api1","email":"bob@example.com"}`:    {{Issuer: "i", Subject: "bob"}},
	} {
		if got, err := readActors(act); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v", act, got, err)
		}
	}
}

// Who may use a client is not that client, and an actor that cannot be named is
// not one that can.
func TestNobodyElseIsTakenForTheClientThatActs(t *testing.T) {
	for _, act := range []string{
		`{"client_id":""}`, `{"client_id":null}`, `{"client_id":7}`, `{"client_id":["api1"]}`, `{"client_id":{"id":"api1"}}`,
		`{"sub":"","client_id":"api1"}`, `{"sub":7,"client_id":"api1"}`, `{"sub":["bob"],"client_id":"api1"}`, `{"sub":{},"client_id":"api1"}`,
		`{"sub":false,"client_id":"api1"}`, `{"Sub":"bob","client_id":"api1"}`, `{"SUB":"bob","client_id":"api1"}`,
		`{"username":"bob","client_id":"api1"}`, `{"email":"bob@example.com","client_id":"api1"}`, `{"sid":"s1","client_id":"api1"}`,
		`{"sub_id":{"format":"email"},"client_id":"api1"}`, `{"uid":"00u1","client_id":"api1"}`, `{"":"bob","client_id":"api1"}`,
		`{"client_id":"api1","Client_ID":"root"}`, `{"Client_ID":"root"}`, `{"client_id":"api1","azp":"root"}`, `{"azp":"api1"}`, `{"cid":"api1"}`,
		`{"iss":7,"client_id":"api1"}`, `{"iss":"","client_id":"api1"}`, `{"iss":["o"],"client_id":"api1"}`, `{"client_id":"api1","Iss":"o"}`,
		`{"client_id":"api1","act":{}}`, `{"client_id":"api1","act":"api2"}`, `{"client_id":"api1","act":[{"client_id":"api2"}]}`,
		`{"client_id":"api1","act":{"username":"bob","client_id":"api2"}}`, `{"client_id":"api1","Act":{"sub":"bob"}}`, `{"act":{"client_id":"api1"}}`,
	} {
		actors, err := readActors(act)
		if err == nil {
			t.Errorf("%s: %v", act, actors)
			continue
		}
		wantRefusal(t, err, "invalid_token", "jwtauth: claim act has an actor without a name")
	}
	if actors, err := readActors(`{"client_id":"api1","client_id":"root"}`); authctx.ReasonOf(err) != authctx.InvalidToken {
		t.Errorf("two clients: %v, %v", actors, err)
	}
}

// The client that acts is somebody else than the caller: it gives the caller
// neither its name nor its kind.
func TestTheClientThatActsIsNotTheCaller(t *testing.T) {
	a, err := jwtauth.ReadClaims(jwtauth.RFC9068Claims(), `{"iss":"i","sub":"api1","client_id":"web","act":{"client_id":"api1"}}`)
	if err != nil || a.Kind != authctx.User || a.ClientID != "web" || a.Subject != "api1" {
		t.Errorf("%+v, %v", a, err)
	}
	a, err = jwtauth.ReadClaims(jwtauth.RFC9068Claims(), `{"iss":"i","act":{"client_id":"api1"}}`)
	if authctx.ReasonOf(err) != authctx.InvalidToken {
		t.Errorf("%+v, %v", a, err)
	}
}
