package examples_test

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func TestGatewayRefusesBadFlags(t *testing.T) {
	t.Parallel()
	good := []string{"-listen", "127.0.0.1:0", "-issuer", "https://idp.example.com", "-audience", "a", "-upstream", "http://127.0.0.1:1"}
	with := func(args ...string) []string { return slices.Concat(good, args) }
	for name, test := range map[string]struct {
		args []string
		says []string
	}{
		"nothing at all":  {nil, []string{"-issuer", "-audience", "-upstream"}},
		"no audience":     {[]string{"-issuer", "https://idp.example.com", "-upstream", "http://127.0.0.1:1"}, []string{"-audience"}},
		"an empty issuer": {with("-issuer", ""), []string{"issuer"}},
		"an issuer without TLS": {with("-issuer", "http://keycloak:8080/realms/shop"),
			[]string{"Issuer", "http://keycloak:8080/realms/shop", "https", "loopback"}},
		"no issuer, and a bad algorithm": {[]string{"-audience", "a", "-upstream", "http://127.0.0.1:1", "-algorithms", "none", "-claims", "nobody"},
			[]string{"-issuer", "none", "nobody"}},
		"an unknown algorithm":    {with("-algorithms", "RS256,none"), []string{"none"}},
		"an empty algorithm":      {with("-algorithms", ""), []string{"lgorithm"}},
		"an algorithm of secrets": {with("-algorithms", "HS256"), []string{"Algorithms has HS256"}},
		"an unknown forward":      {with("-forward", "everything"), []string{"-forward", "everything"}},
		"keys that never rest":    {with("-forward", "txn", "-rotate", "1ms"), []string{"-rotate"}},
		"tokens for hours":        {with("-forward", "txn", "-txn-life", "5h"), []string{"-txn-life", "10m"}},
		"tokens without a life":   {with("-forward", "txn", "-txn-life", "0"), []string{"-txn-life", "1s"}},
		"flags of another forward": {with("-forward", "fields", "-rotate", "30s", "-txn-life", "1m", "-trust-domain", "d"),
			[]string{"-rotate needs -forward txn", "-txn-life needs", "-trust-domain needs"}},
		"an upstream of no URL": {with("-upstream", "127.0.0.1:1"), []string{"-upstream"}},
		"a gRPC upstream URL":   {with("-grpc-upstream", "http://127.0.0.1:1"), []string{"-grpc-upstream"}},
		"upstreams elsewhere": {with("-upstream", "http://orders.internal:8081", "-grpc-upstream", "10.0.0.1:9091"),
			[]string{"-upstream orders.internal:8081", "-grpc-upstream 10.0.0.1:9091", "-allow-plaintext"}},
		"no credentials to ask":  {with("-introspect", "http://127.0.0.1:1"), []string{"GATEWAY_CLIENT_SECRET"}},
		"clients, nobody to ask": {with("-introspect-clients"), []string{"-introspect-clients needs -introspect"}},
		"a bad URL to ask":       {with("-introspect", "http://id:s3cret@["), []string{"-introspect"}},
		"a negative leeway":      {with("-leeway", "-1ns"), []string{"-leeway"}},
		"times without a unit":   {with("-leeway", "10", "-forward", "txn", "-txn-life", "3"), []string{`"10" for flag -leeway: want a time with its unit`, `"3" for flag -txn-life: want`}},
		"keys loaded all along":  {with("-keys-refresh", "0s"), []string{"-keys-refresh"}},
		"no cool-down":           {with("-keys-cooldown", "0s"), []string{"-keys-cooldown"}},
		"a negative cool-down":   {with("-keys-cooldown", "-1s"), []string{"-keys-cooldown"}},
		"Transaction Tokens":     {with("-typ", "at+jwt,txntoken+jwt"), []string{"txntoken+jwt"}},
		"nonces for nothing":     {with("-dpop-nonce"), []string{"-dpop-nonce needs -external-url"}},
		"a resource of no URL":   {with("-resource", "api"), []string{"Resource must have a scheme"}},
		"scopes of nothing":      {with("-scopes", "a"), []string{"-scopes needs -resource"}},
		"two resources":          {with("-resource", "https://a", "-resource", "https://b"), []string{"-resource is given 2 times"}},
		"an unknown flag":        {with("-nonsense"), []string{"-nonsense"}},
		"what counts once, twice": {with("-claims", "okta", "-claims", "auth0", "-external-url", "https://a", "-external-url", "https://b",
			"-introspect", "http://id:s3cret@127.0.0.1:1", "-introspect", "http://id:s3cret@127.0.0.1:2"),
			[]string{"-claims is given 2 times", "-external-url is given 2 times", "-introspect is given 2 times"}},
		"much of it": {[]string{"-listen", "x", "-upstream", "y", "-nonsense", "-leeway", "z"},
			[]string{`"x" for flag -listen`, `"y" for flag -upstream`, "-nonsense", `"z" for flag -leeway`}},
		"a value of no flag":          {with("-nonsense", "http://id:s3cret@", "-listen", "x"), []string{"-nonsense"}},
		"no flag at all":              {with("---", "-listen", "x"), []string{"---"}},
		"SPIFFE claims of a provider": {with("-claims", "spiffe"), []string{"spiffe://", "https://idp.example.com"}},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := runToEnd(t, "gateway", test.args...)
			if code != 2 || stdout != "" || strings.Contains(stderr, "s3cret") {
				t.Errorf("exit status %d, standard output %q, standard error %q", code, stdout, stderr)
			}
			for _, s := range test.says {
				if !strings.Contains(stderr, s) {
					t.Errorf("standard error lacks %q:\n%s", s, stderr)
				}
			}
		})
	}
}

func TestHelpExplainsEveryFlag(t *testing.T) {
	t.Parallel()
	for program, flags := range map[string][]string{
		"gateway": {"listen", "issuer", "audience", "jwks", "algorithms", "upstream", "grpc-upstream", "allow-plaintext", "forward",
			"introspect", "introspect-clients", "external-url", "dpop-nonce", "resource", "scopes", "typ", "claims", "leeway", "keys-refresh", "keys-cooldown", "trust-domain", "internal-listen", "txn-life", "rotate"},
		"quickstart": {"serve", "token-life"},
		"whoami":     {"http", "grpc", "trust", "trust-domain", "cert", "key"},
		"mtls":       nil,
		"events":     nil,
	} {
		t.Run(program, func(t *testing.T) {
			code, stdout, stderr := runToEnd(t, program, "-h")
			if code != 0 || stderr != "" || !strings.HasPrefix(stdout, program+" ") || strings.Contains(stdout, "Flags:") != (flags != nil) {
				t.Errorf("exit status %d, standard error %q, standard output:\n%s", code, stderr, stdout)
			}
			for _, name := range flags {
				if !strings.Contains(stdout, "  -"+name) {
					t.Errorf("-%s is not explained:\n%s", name, stdout)
				}
			}
		})
	}
}

func TestHelpOfTheGatewaySaysWhatElseAFlagMeans(t *testing.T) {
	t.Parallel()
	_, help, _ := runToEnd(t, "gateway", "-h")
	for flag, says := range map[string][]string{
		"audience":   {"cognito", "client_id", "clerk", "azp"},
		"introspect": {"the first -issuer", `"iss"`},
		"leeway":     {"DPoP"},
	} {
		_, rest, _ := strings.Cut(help, "  -"+flag+" ")
		explained, _, _ := strings.Cut(rest, "\n  -")
		for _, s := range says {
			if !strings.Contains(explained, s) {
				t.Errorf("-%s: %q is not said:\n%s", flag, s, explained)
			}
		}
	}
}

func TestWhoamiRefusesBadFlags(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args []string
		says string
	}{
		"no trust":                                      {nil, "-trust"},
		"trust of an unknown kind":                      {[]string{"-trust", "everybody"}, "everybody"},
		"trust with an empty CIDR":                      {[]string{"-trust", "cidr:"}, "CIDR"},
		"trust that is not a CIDR":                      {[]string{"-trust", "cidr:localhost"}, "localhost"},
		"trust in every address":                        {[]string{"-trust", "cidr:0.0.0.0/0"}, "0.0.0.0/0"},
		"CVE-2026-27586 an authority that is not there": {[]string{"-trust", "mtls:/nonexistent.pem,spiffe://prod.example/gateway", "-cert", "c", "-key", "k"}, "no such file"},
		"CVE-2026-54762 an authority of no certificate": {[]string{"-trust", "mtls:" + os.DevNull + ",spiffe://prod.example/gateway", "-cert", "c", "-key", "k"}, "no certificate"},
		"mTLS with nothing named":                       {[]string{"-trust", "mtls:"}, "SPIFFE-ID"},
		"network with an argument":                      {[]string{"-trust", "network:10.0.0.0/8"}, "network"},
		"an address without a port":                     {[]string{"-trust", "network", "-http", "nonsense"}, "HOST:PORT"},
		"an unknown flag":                               {[]string{"-trust", "network", "-nonsense"}, "-nonsense"},
		"something that is no flag":                     {[]string{"-trust", "network", "nonsense"}, "nonsense"},
		"mTLS without a certificate":                    {[]string{"-trust", "mtls:/nonexistent/ca.pem,spiffe://prod.example/gateway"}, "needs -cert and -key"},
		"mTLS without a key":                            {[]string{"-trust", "mtls:/nonexistent/ca.pem,spiffe://prod.example/gateway", "-cert", "c"}, "needs -cert and -key"},
		"a certificate without mTLS":                    {[]string{"-trust", "cidr:127.0.0.0/8", "-cert", "c"}, "-cert needs -trust mtls:"},
		"a key, and no trust":                           {[]string{"-key", "k"}, "-trust is required"},
		"a trust domain without tokens":                 {[]string{"-trust", "network", "-trust-domain", "d"}, "-trust-domain needs -trust txn:"},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := runToEnd(t, "whoami", append([]string{"-http", "127.0.0.1:0", "-grpc", "127.0.0.1:0"}, test.args...)...)
			if code != 2 || !strings.Contains(stderr, test.says) || stdout != "" {
				t.Errorf("exit status %d, standard output %q, standard error %q", code, stdout, stderr)
			}
		})
	}
}
