package authctx

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"
)

// requestOf returns a request that carries attrs in plain fields.
func requestOf(t testing.TB, attrs Attributes) *Request {
	t.Helper()
	p, err := New(attrs)
	if err != nil {
		t.Fatal(err)
	}
	layout := PlainLayout()
	fields, err := layout.encode(p.a.Attributes)
	if err != nil {
		t.Fatal(err)
	}
	m := lowerCaseFields{}
	for _, f := range fields {
		m[f.Name] = []string{f.Value}
	}
	return &Request{Fields: m}
}

func TestARememberedCallerIsTheSameAndFree(t *testing.T) {
	auth, err := NewFieldsAuthenticator(FieldsAuthenticatorConfig{Trust: TrustNetworkAlone()})
	if err != nil {
		t.Fatal(err)
	}
	r := requestOf(t, realistic())
	first, err := auth.Authenticate(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	again, err := auth.Authenticate(context.Background(), r)
	if err != nil || again.Principal.a != first.Principal.a {
		t.Errorf("the caller was decoded again, %v", err)
	}
	if fresh, err := auth.read(r); err != nil || !fresh.Equal(again.Principal) {
		t.Errorf("remembered %v, decoded %v, %v", again.Principal.Attributes(), fresh.Attributes(), err)
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = auth.Authenticate(context.Background(), r) }); n != 0 {
		t.Errorf("a remembered caller costs %v allocations", n)
	}
}

func TestRule5_ARememberedCallerIsStillJudged(t *testing.T) {
	now := time.Unix(1000, 0)
	var distrust error
	auth, err := NewFieldsAuthenticator(FieldsAuthenticatorConfig{
		Trust: TrustFunc(func(context.Context, *Request) error { return distrust }),
		Now:   func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	attrs := realistic()
	attrs.Expires = time.Unix(2000, 0)
	r := requestOf(t, attrs)
	ask := func() error {
		_, err := auth.Authenticate(context.Background(), r)
		return err
	}
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	distrust = errors.New("another peer")
	if err := ask(); !errors.Is(err, NoCredentials) {
		t.Errorf("from a peer that is not trusted: %v", err)
	}
	distrust, now = nil, time.Unix(2000, 0)
	if err := ask(); !errors.Is(err, TokenExpired) {
		t.Errorf("after the end: %v", err)
	}
}

// Requests that differ anywhere are different callers, whether or not one was
// remembered before.
//
// Caches whose keys could be made equal answered for somebody else: so did those of
// CVE-2026-34972, by what divides a key, and of CVE-2026-48096, by lists.
func TestCVE_2026_33729_TheMemoTellsCallersApart(t *testing.T) {
	auth, err := NewFieldsAuthenticator(FieldsAuthenticatorConfig{Trust: TrustNetworkAlone()})
	if err != nil {
		t.Fatal(err)
	}
	base := lowerCaseFields{"x-user-id": {"alice"}, "x-user-issuer": {"https://i"}, "x-user-name": {"ab"}, "x-user-tenant": {"c"}}
	variants := []func(m lowerCaseFields){
		func(lowerCaseFields) {},
		func(m lowerCaseFields) { m["x-user-id"] = []string{"alic"} },
		func(m lowerCaseFields) { m["x-user-name"], m["x-user-tenant"] = []string{"a"}, []string{"bc"} },
		func(m lowerCaseFields) { m["x-user-name"], m["x-user-tenant"] = []string{"c"}, []string{"ab"} },
		func(m lowerCaseFields) { m["x-user-roles"] = []string{"admin"} },
		func(m lowerCaseFields) { m["x-user-permissions"] = []string{"admin"} },
		func(m lowerCaseFields) { m["x-user-roles"] = []string{"a,b"} },
		func(m lowerCaseFields) { m["x-user-roles"] = []string{"a%2Cb"} },
		func(m lowerCaseFields) { m["x-user-roles"] = []string{"a", "b"} },
		func(m lowerCaseFields) { m["x-user-roles"], m["x-user-groups"] = []string{"a"}, []string{"b"} },
		func(m lowerCaseFields) { delete(m, "x-user-name") },
		func(m lowerCaseFields) { m["x-user-id"] = []string{"alice", "alice"} },
		func(m lowerCaseFields) { delete(m, "x-user-issuer") },
		func(m lowerCaseFields) { delete(m, "x-user-roles") },
		func(m lowerCaseFields) { m["x-user-roles"] = []string{""} },
		func(m lowerCaseFields) { m["x-user-tenant"] = []string{""} },
		func(m lowerCaseFields) { m["x-user-extra"] = []string{strings.Repeat("k=v,", 3000) + "k=v"} },
	}
	for range 2 { // the second time everything has been seen
		for i, change := range variants {
			m := lowerCaseFields{}
			for name, values := range base {
				m[name] = values
			}
			change(m)
			got, gotErr := auth.Authenticate(context.Background(), &Request{Fields: m})
			want, wantErr := auth.read(&Request{Fields: m})
			if (gotErr == nil) != (wantErr == nil) || !got.Principal.Equal(want) {
				t.Errorf("variant %d: got %v, %v, want %v, %v", i, got.Principal, gotErr, want, wantErr)
			}
		}
	}
}

// The strings of some servers, such as fasthttp, lie in a buffer that the next
// request of the connection overwrites.
func TestCallersAreToldApartWhereAServerOverwritesItsStrings(t *testing.T) {
	auth, err := NewFieldsAuthenticator(FieldsAuthenticatorConfig{Trust: TrustNetworkAlone()})
	if err != nil {
		t.Fatal(err)
	}
	buffers := map[string][]byte{}
	for round := range 3 {
		for i := range 500 {
			m, want := lowerCaseFields{}, map[string]string{
				"x-user-id": fmt.Sprintf("user-%03d", i), "x-user-issuer": "https://idp.example", "x-user-name": fmt.Sprintf("N%%20%03d", i),
				"x-user-roles": fmt.Sprintf("a%02d,b", i%50),
			}
			for name, value := range want {
				buffers[name] = append(buffers[name][:0], value...)
				m[name] = []string{unsafe.String(&buffers[name][0], len(value))}
			}
			res, err := auth.Authenticate(context.Background(), &Request{Fields: m})
			p := res.Principal
			if err != nil || p.Subject() != want["x-user-id"] || p.Name() != fmt.Sprintf("N %03d", i) || !p.HasRole(fmt.Sprintf("a%02d", i%50)) {
				t.Fatalf("round %d: %v is taken for %v %q %v, %v", round, want, p, p.Name(), p.Attributes().Roles, err)
			}
		}
	}
}

// Far more callers than there is room for, at once.
func TestTheMemoIsBoundedAndSharedSafely(t *testing.T) {
	auth, err := NewFieldsAuthenticator(FieldsAuthenticatorConfig{Trust: TrustNetworkAlone()})
	if err != nil {
		t.Fatal(err)
	}
	const callers = 2 * memoPlaces * memoWays
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := range callers {
				subject := fmt.Sprint((worker + i) % callers)
				r := &Request{Fields: lowerCaseFields{"x-user-id": {subject}, "x-user-issuer": {"https://i"}}}
				if res, err := auth.Authenticate(context.Background(), r); err != nil || res.Principal.Subject() != subject {
					t.Errorf("asked for %s, got %v, %v", subject, res.Principal, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// A memo with room for four times as many forgets none of a thousand callers, or
// next to none: some places have more than memoWays of them.
func TestAThousandCallersInTurnAreRemembered(t *testing.T) {
	auth, err := NewFieldsAuthenticator(FieldsAuthenticatorConfig{Trust: TrustNetworkAlone()})
	if err != nil {
		t.Fatal(err)
	}
	principals := make([]*attributes, 1000)
	forgotten := 0
	for range 2 {
		for i := range principals {
			r := &Request{Fields: lowerCaseFields{"x-user-id": {fmt.Sprint(i)}, "x-user-issuer": {"https://i"}}}
			res, err := auth.Authenticate(context.Background(), r)
			if err != nil {
				t.Fatal(err)
			}
			if principals[i] != nil && principals[i] != res.Principal.a {
				forgotten++
			}
			principals[i] = res.Principal.a
		}
	}
	if forgotten > 50 {
		t.Errorf("%d of %d callers were decoded again", forgotten, len(principals))
	}
}

func TestCallersThatAreNotSingleValuesAreNotRemembered(t *testing.T) {
	layout := PlainLayout()
	layout.Repeat = true
	if newFieldsMemo(&layout) != nil {
		t.Error("a layout with repeated fields has a memo")
	}
}

// remembered is how many callers a memo holds.
func (m *fieldsMemo) remembered() (n int) {
	for i := range m.places {
		for j := range m.places[i] {
			if m.places[i][j].Load() != nil {
				n++
			}
		}
	}
	return n
}

// The memo has places for 4,096 callers, each of which may not be larger than said.
func TestALargeCallerIsNotRemembered(t *testing.T) {
	auth, err := NewFieldsAuthenticator(FieldsAuthenticatorConfig{Trust: TrustNetworkAlone()})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ size, want int }{{maxMemoized + 1, 0}, {maxMemoized, 1}} {
		id, issuer := "7", "https://i"
		r := &Request{Fields: lowerCaseFields{
			"x-user-id": {id}, "x-user-issuer": {issuer}, "x-user-name": {strings.Repeat("x", c.size-len(id)-len(issuer))},
		}}
		if _, err := auth.Authenticate(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if n := auth.memo.remembered(); n != c.want {
			t.Errorf("%d bytes: %d callers are remembered, want %d", c.size, n, c.want)
		}
	}
}

// Lists of next to nothing take far more memory than the fields that they come in,
// and whoever chooses the roles of a caller, say, chooses them so.
func TestRule4_TheMemoOfFieldsIsBoundedByBytes(t *testing.T) {
	many := func(n int, format string) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf(format, i))
		}
		return strings.Join(list, ",")
	}
	for name, c := range map[string]struct {
		field, value string
		want         int
	}{
		"a thousand roles":           {"x-user-roles", many(1000, "%x"), 1},
		"two thousand":               {"x-user-roles", many(2000, "%x"), 0},
		"a hundred extra attributes": {"x-user-extra", many(100, "%x=b"), 1},
		"a thousand":                 {"x-user-extra", many(1000, "%x=b"), 0},
		"a thousand values of one":   {"x-user-extra", many(1000, "k=%x"), 1},
	} {
		auth, err := NewFieldsAuthenticator(FieldsAuthenticatorConfig{Trust: TrustNetworkAlone()})
		if err != nil {
			t.Fatal(err)
		}
		r := &Request{Fields: lowerCaseFields{"x-user-id": {"7"}, "x-user-issuer": {"https://i"}, c.field: {c.value}}}
		for range 2 {
			if res, err := auth.Authenticate(t.Context(), r); err != nil || res.Principal.Subject() != "7" {
				t.Fatal(res.Principal, err)
			}
		}
		if n := auth.memo.remembered(); n != c.want {
			t.Errorf("%s: %d callers are remembered, want %d", name, n, c.want)
		}
	}
}
