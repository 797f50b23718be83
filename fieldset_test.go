package authctx_test

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"

	"github.com/authctx/authctx"
)

func TestRule6_EverySpellingOfAnIdentityFieldIsOwned(t *testing.T) {
	set := authctx.IdentityFields()
	for _, name := range []string{
		"x-user-id", "X-User-Id", "X-USER-ID", "x_user_id", "X_User-Id", "x.user.id", "X.User_Id", "x user id",
		"X!User#Id", "x~user~roles", "X$User%Id", "x&user'id", "x*user+id", "x^user`id", "x|user|id", "Txn!Token", "Grpc~Metadata~Txn|Token",
		"x-user-anything-new", "X-User-", "txn-token", "Txn_Token", "TXN.TOKEN",
		"x-user-id-bin", "txn-token-bin", "txn_token_bin", "txn-token-bin-bin", "x-user-bin",
		"Grpc-Metadata-X-User-Id", "grpc-metadata-txn-token", "Grpc_Metadata_X_User_Id", "grpc-metadata-grpc-metadata-txn-token-bin",
		"grpcgateway-x-user-id", "Grpcgateway-Txn-Token", "GrpcGateway_X.User.Id", "grpcgateway-txn-token-bin", "grpcgateway-x-user-",
		"grpcgateway-grpc-metadata-x-user-id", "grpc-metadata-grpcgateway-txn-token", "grpcgateway.grpcgateway_txn!token-bin-bin",
		"Trailer-X-User-Id", "trailer_txn_token-bin", "Grpc-Trailer-X-User-Roles", "grpc.trailer.txn.token", "Trailer-Grpc-Metadata-Txn-Token",
		"Grpc-Trailer-Grpcgateway-X-User-Id",
	} {
		if !set.Owns(name) {
			t.Errorf("%q passes", name)
		}
	}
	for _, name := range []string{"", "x-user", "user-agent", "x-users-id", "txn-token-2", "x-txn-token", "authorization", "-bin", "grpc-metadata-", "bin", "grpcgateway-", "grpcgatewayx-user-id", "grpc-gateway-txn-token", "grpcgateway", "trailer", "trailer-", "grpc-trailer-", "grpc-x-user-id", "x-trailer-txn-token", "grpcgateway-authorization", "x-request-id", "x-usér-id"} {
		if set.Owns(name) {
			t.Errorf("%q is taken for identity", name)
		}
	}
}

// What clients themselves send is owned by whoever reads it, and so is what
// grpc-gateway makes of it.
func TestRule6_TheTwinsThatGRPCGatewayWritesAreOwned(t *testing.T) {
	set := authctx.FieldSet{Names: []string{"authorization"}}
	for _, name := range []string{"Grpcgateway-Authorization", "grpcgateway-authorization", "grpcgateway_authorization-bin", "Grpc-Metadata-Grpcgateway-Authorization"} {
		if !set.Owns(name) {
			t.Errorf("%q passes", name)
		}
	}
}

// Whoever names a field with such a prefix or suffix means that field.
func TestRule6_AFieldIsOwnedAsItIsNamed(t *testing.T) {
	set := authctx.FieldSet{Names: []string{"x-token-bin", "grpc-metadata-x-role"}, Prefixes: []string{"grpc-metadata-acme-"}}
	for _, name := range []string{"x-token-bin", "X-Token-Bin", "x-token-bin-bin", "grpc-metadata-x-token-bin",
		"grpc-metadata-x-role", "Grpc-Metadata-Grpc-Metadata-X-Role", "grpc-metadata-x-role-bin", "Grpc-Metadata-Acme-Id"} {
		if !set.Owns(name) {
			t.Errorf("%q passes", name)
		}
	}
	for _, name := range []string{"x-token", "x-role", "acme-id", "grpc-metadata-"} {
		if set.Owns(name) {
			t.Errorf("%q is taken for another", name)
		}
	}
}

func TestRule1_ASetThatTakesWhatARequestNeedsIsAnError(t *testing.T) {
	for name, c := range map[string]struct {
		set  authctx.FieldSet
		says string // empty for a good one
	}{
		"nothing":                           {authctx.FieldSet{}, ""},
		"our own":                           {authctx.IdentityFields(), ""},
		"of another system":                 {authctx.FieldSet{Names: []string{"X-Forwarded-User", "x_team"}, Prefixes: []string{"x-remote-", "x-"}}, ""},
		"a credential":                      {authctx.FieldSet{Names: []string{"authorization", "cookie"}, Cookies: []string{"session"}, Subprotocols: []string{"bearer."}}, ""},
		"twins of gRPC":                     {authctx.FieldSet{Names: []string{"x-token-bin"}, Prefixes: []string{"grpc-metadata-"}}, ""},
		"every field":                       {authctx.FieldSet{Prefixes: []string{""}}, `the prefix "" `},
		"a field without a name":            {authctx.FieldSet{Names: []string{""}}, `the name "" `},
		"a name that is needed":             {authctx.FieldSet{Names: []string{"x-a", "Content-Type"}}, `the name "Content-Type" is that of content-type, `},
		"its other spelling":                {authctx.FieldSet{Names: []string{"content_type"}}, `"content_type"`},
		"a prefix of one":                   {authctx.FieldSet{Prefixes: []string{"content-"}}, `the prefix "content-" `},
		"a prefix of most of gRPC":          {authctx.FieldSet{Prefixes: []string{"grpc-"}}, `"grpc-"`},
		"a prefix of WebSockets":            {authctx.FieldSet{Prefixes: []string{"sec-"}}, `"sec-"`},
		"a list that was cut at the commas": {authctx.FieldSet{Names: []string{"x-a", " x-b"}}, `" x-b"`},
		"a pattern":                         {authctx.FieldSet{Prefixes: []string{"x-team-*"}}, `"x-team-*"`},
		"a cookie without a name":           {authctx.FieldSet{Cookies: []string{""}}, "a cookie"},
		"a scheme":                          {authctx.FieldSet{Schemes: []string{"Bearer", `DPoP algs="ES256 EdDSA"`}}, ""},
		"no scheme":                         {authctx.FieldSet{Schemes: []string{"Bearer", ""}}, `the scheme "" `},
		"parameters without a scheme":       {authctx.FieldSet{Schemes: []string{` realm="x"`}}, `the scheme " realm`},
		"a scheme that is no word":          {authctx.FieldSet{Schemes: []string{`Bearer,DPoP`}}, `"Bearer,DPoP"`},
		"a scheme of two lines":             {authctx.FieldSet{Schemes: []string{"DPoP a=1\r\nX: y"}}, `the scheme "DPoP a=1\r\nX: y" `},
		"a version of WebSockets":           {authctx.FieldSet{Names: []string{"Sec_WebSocket_Version"}}, "sec-websocket-version"},
		"every subprotocol":                 {authctx.FieldSet{Subprotocols: []string{""}}, "every subprotocol"},
	} {
		err := c.set.Validate()
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
	err := authctx.FieldSet{Names: []string{"te"}, Prefixes: []string{""}}.Validate()
	if err == nil || strings.Count(err.Error(), "authctx: field set: ") != 2 {
		t.Errorf("not everything is named: %v", err)
	}
}

func TestOwnsAllocatesNothing(t *testing.T) {
	set := authctx.IdentityFields()
	if n := testing.AllocsPerRun(100, func() { set.Owns("Grpc-Metadata-X-User-Id-Bin"); set.Owns("Accept-Encoding") }); n > 0 {
		t.Errorf("Owns allocates %v times", n)
	}
}

func TestUnionOwnsWhatItsPartsOwn(t *testing.T) {
	a := authctx.FieldSet{Names: []string{"authorization"}, Schemes: []string{"DPoP", "Bearer"}}
	b := authctx.FieldSet{Names: []string{"authorization", "dpop"}, Prefixes: []string{"x-"}, Cookies: []string{"session"}, Schemes: []string{"Bearer"}}
	u := a.Union(b)
	for _, name := range []string{"Authorization", "DPoP", "x-anything"} {
		if !u.Owns(name) {
			t.Errorf("the union does not own %q", name)
		}
	}
	if len(u.Names) != 2 || len(u.Schemes) != 2 || u.Schemes[0] != "DPoP" || len(u.Cookies) != 1 {
		t.Errorf("union has doubles or lost order: %+v", u)
	}
	u.Names[0] = "changed"
	if a.Names[0] != "authorization" {
		t.Error("the union shares memory with its parts")
	}
	if (authctx.FieldSet{}).Owns("authorization") {
		t.Error("the zero set owns something")
	}
}

// FuzzOwns holds Owns against a slow and obvious oracle.
func FuzzOwns(f *testing.F) {
	for _, s := range []string{"x-user-id", "GRPC_METADATA_x.user-id-bin", "txn-token", "x-us\u017fer-id", "-bin-bin", "x-user-bin",
		"grpcgateway-grpc-metadata-x.user-id", "GRPCGATEWAY_txn-token-bin", "trailer-txn-token", "grpc-trailer-x-user-id", "grpcgateway-",
		"trailer-trailer-trailer-trailer-grpc-trailer-trailer-trailer_trailer-a", "trailer-trailer-trailer-trailer-grpc-trailer-trailer-trailer_trailer-trailer-a"} {
		f.Add(s)
	}
	set := authctx.IdentityFields()
	punctuation := regexp.MustCompile(`[^A-Za-z0-9\x{80}-\x{10ffff}]`)
	gateways := regexp.MustCompile(`^(grpc-metadata-|grpcgateway-|(grpc-)?trailer-)+`)
	nobodys := regexp.MustCompile(`^(grpc-metadata-|grpcgateway-|(grpc-)?trailer-){9}`)
	f.Fuzz(func(t *testing.T, name string) {
		folded := strings.Map(func(r rune) rune {
			if 'A' <= r && r <= 'Z' {
				return r + 'a' - 'A'
			}
			return r
		}, punctuation.ReplaceAllString(strings.ToValidUTF8(name, "\uFFFD"), "-"))
		many := nobodys.MatchString(folded)
		folded = gateways.ReplaceAllString(folded, "")
		want := many || strings.HasPrefix(folded, "x-user-")
		for len(folded) > 4 && strings.HasSuffix(folded, "-bin") {
			folded = strings.TrimSuffix(folded, "-bin")
		}
		want = want || folded == "txn-token"
		if got := set.Owns(name); got != want {
			t.Errorf("Owns(%q) = %v, want %v", name, got, want)
		}
	})
}

// Peers choose the names of fields. With work that grows with the square of their
// length, this would take minutes.
func TestLongNamesAreNoWork(t *testing.T) {
	bins := strings.Repeat("-Bin", 1<<17)
	set := authctx.IdentityFields().Union(authctx.FieldSet{Names: []string{"x-token-bin", "grpc-metadata-a"}})
	if set.Owns(strings.Repeat("Grpc-Metadata-Grpcgateway-", 4) + "x" + bins) {
		t.Error("owned")
	}
	if !set.Owns(strings.Repeat("Grpc-Metadata-", 1<<15) + "Txn_Token" + bins) {
		t.Error("not owned")
	}
}

// Were the set looked at for each of them, this would take minutes.
func TestRule6_ANameOfManyGatewayPrefixesIsNobodys(t *testing.T) {
	var set authctx.FieldSet
	for i := range 1000 {
		set.Names = append(set.Names, fmt.Sprint("x-", i))
	}
	for _, prefix := range []string{"Trailer-", "grpc_metadata-", "grpcgateway-", "Grpc-Trailer-"} {
		for n, want := range map[int]bool{8: false, 9: true, 1 << 17: true} {
			name := strings.Repeat(prefix, n) + "A"
			for range 100 {
				if set.Owns(name) != want {
					t.Fatalf("of %d times %q: %v", n, prefix, !want)
				}
			}
			for _, c := range []struct {
				set  authctx.FieldSet
				want bool
			}{
				{authctx.FieldSet{Names: []string{"x-a"}}, want}, {authctx.FieldSet{Prefixes: []string{"x-"}}, want}, {authctx.FieldSet{Cookies: []string{"sid"}}, false},
			} {
				if c.set.Owns(name) != c.want {
					t.Errorf("%v owns %d times %q: %v", c.set, n, prefix, !c.want)
				}
			}
		}
	}
}

func TestRule11_AFieldShowsItsNameAlone(t *testing.T) {
	field := authctx.Field{Name: authctx.TxnTokenField, Value: "t0ken"}
	list := []authctx.Field{field}
	for _, v := range []any{field, &field, list, struct{ Forward []authctx.Field }{list}, map[string]authctx.Field{"f": field}} {
		var printed strings.Builder
		slog.New(slog.NewJSONHandler(&printed, nil)).Info("json", "v", v)
		slog.New(slog.NewTextHandler(&printed, nil)).Info("text", "v", v)
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%c", "%t"} {
			fmt.Fprintf(&printed, verb, v)
		}
		text, err := json.Marshal(v)
		printed.Write(text)
		if _, isMap := v.(map[string]authctx.Field); !isMap {
			text, _ = xml.Marshal(v)
			printed.Write(text)
		}
		if out := printed.String(); err != nil || strings.Contains(out, "t0ken") || strings.Contains(out, "74306b656e") || !strings.Contains(out, field.Name) {
			t.Errorf("%v, %s", err, out)
		}
	}
	text, _ := json.Marshal(list)
	if err := json.Unmarshal(text, &list); err == nil {
		t.Errorf("%s is read back, as a field without its value", text)
	}
}
