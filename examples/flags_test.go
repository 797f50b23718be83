package examples_test

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestGatewayRefusesBadFlags(t *testing.T) {
	t.Parallel()
	good := []string{"-listen", "127.0.0.1:0", "-issuer", "https://idp.example.com", "-audience", "a"}
	to := func(args ...string) []string { return slices.Concat(good, args) }
	with := func(args ...string) []string {
		return slices.Concat(good, []string{"-upstream", "http://127.0.0.1:1"}, args)
	}
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
		"an empty algorithm":      {with("-algorithms", ""), []string{"-algorithms", "lgorithm"}},
		"an empty type":           {with("-typ", ""), []string{"for flag -typ: one of its names is empty"}},
		"an issuer twice":         {with("-issuer", "https://idp.example.com"), []string{"-issuer is given twice for the same issuer"}},
		"a password twice":        {with("-issuer", "https://id:s3cret@idp.example.com", "-issuer", "https://id:s3cret@idp.example.com"), []string{"-issuer is given twice for the same issuer"}},
		"an algorithm of secrets": {with("-algorithms", "HS256"), []string{"-algorithms: HS256"}},
		"an unknown forward":      {with("-forward", "everything"), []string{"-forward", "everything"}},
		"keys that never rest":    {with("-forward", "txn", "-rotate", "1ms"), []string{"-rotate"}},
		"tokens for hours":        {with("-forward", "txn", "-txn-life", "5h"), []string{"-txn-life", "10m"}},
		"tokens without a life":   {with("-forward", "txn", "-txn-life", "0"), []string{"-txn-life", "1s"}},
		"flags of another forward": {with("-forward", "fields", "-rotate", "30s", "-txn-life", "1m", "-trust-domain", "d"),
			[]string{"-rotate needs -forward txn", "-txn-life needs", "-trust-domain needs"}},
		"a trust domain of no name": {with("-forward", "txn", "-trust-domain", "spiffe://prod.example"), []string{"-trust-domain", "without a scheme"}},
		"upstreams that cannot be": {to("-upstream", "127.0.0.1:1", "-grpc-upstream", "http://127.0.0.1:1", "-leeway", "-1s"),
			[]string{"-upstream: want http://HOST:PORT", "-grpc-upstream: want HOST:PORT", "-leeway"}},
		"upstreams elsewhere": {to("-upstream", "http://orders.internal:8081", "-grpc-upstream", "10.0.0.1:9091"),
			[]string{"-upstream: orders.internal:8081", "-grpc-upstream: 10.0.0.1:9091", "-allow-plaintext"}},
		"an address without a host": {with("-issuer", "http://:8080"), []string{"-issuer", "http://:8080"}},
		"keys at no URL":            {with("-jwks", "keys"), []string{"-jwks", `"keys" is not an absolute URL`}},
		"what is empty": {to("-upstream", "", "-grpc-upstream", "", "-jwks", "", "-external-url", "", "-introspect", "", "-resource", ""),
			[]string{"-upstream: it is empty", "-grpc-upstream: it is empty", "-jwks: it is empty", "-external-url: it is empty", "-introspect: it is empty", "-resource: it is empty"}},
		"an address of no URL":   {with("-external-url", "https://:443"), []string{"-external-url"}},
		"no credentials to ask":  {with("-introspect", "http://127.0.0.1:1"), []string{"GATEWAY_CLIENT_SECRET"}},
		"clients, nobody to ask": {with("-introspect-clients"), []string{"-introspect-clients needs -introspect"}},
		"a bad URL to ask":       {with("-introspect", "http://id:s3cret@["), []string{"-introspect"}},
		"a negative leeway":      {with("-leeway", "-1ns"), []string{"-leeway"}},
		"a leeway too long":      {with("-leeway", "10m"), []string{"-leeway 10m0s: want whole seconds between 0s and 5m0s"}},
		"times without a unit":   {with("-leeway", "10", "-forward", "txn", "-txn-life", "3"), []string{`"10" for flag -leeway: want a time with its unit`, `"3" for flag -txn-life: want`}},
		"keys loaded all along":  {with("-keys-refresh", "0s"), []string{"-keys-refresh"}},
		"keys loaded too often":  {with("-keys-refresh", "99ms"), []string{"-keys-refresh must be at least 100ms"}},
		"no cool-down":           {with("-keys-cooldown", "0s"), []string{"-keys-cooldown"}},
		"a negative cool-down":   {with("-keys-cooldown", "-1s"), []string{"-keys-cooldown"}},
		"Transaction Tokens":     {with("-typ", "at+jwt,txntoken+jwt"), []string{"txntoken+jwt"}},
		"nonces for nothing":     {with("-dpop-nonce"), []string{"-dpop-nonce needs -external-url"}},
		"a resource of no URL":   {with("-resource", "api"), []string{"-resource", "Resource must have a scheme"}},
		"scopes of nothing":      {with("-scopes", "a"), []string{"-scopes needs -resource"}},
		"two resources":          {with("-resource", "https://a", "-resource", "https://b"), []string{"-resource is given 2 times"}},
		"an unknown flag":        {with("-nonsense"), []string{"-nonsense"}},
		"a type with a space":    {with("-typ", "at+jwt, JWT"), []string{`Types: " jwt"`}},
		"fractions of a second": {with("-leeway", "1500ms", "-forward", "txn", "-txn-life", "2500ms"),
			[]string{"-leeway 1.5s: want whole seconds", "-txn-life 2.5s: want whole seconds between 1s and 10m0s"}},
		"what counts once, twice": {with("-upstream", "http://id:s3cret@127.0.0.1:1", "-claims", "okta", "-claims", "auth0", "-external-url", "https://a", "-external-url", "https://b",
			"-introspect", "http://id:s3cret@127.0.0.1:1", "-introspect", "http://id:s3cret@127.0.0.1:2"),
			[]string{"-upstream is given 2 times", "-claims is given 2 times", "-external-url is given 2 times", "-introspect is given 2 times"}},
		"much of it": {[]string{"-listen", "x", "-internal-listen", "127.0.0.1:65536", "-nonsense", "-leeway", "z"},
			[]string{`"x" for flag -listen`, `"127.0.0.1:65536" for flag -internal-listen: want HOST:PORT, with a port up to 65535`, "-nonsense", `"z" for flag -leeway`}},
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

// What is no upstream is said without repeating it: it may hold a password.
func TestGatewayRefusesUpstreamsThatCannotBe(t *testing.T) {
	t.Parallel()
	for flag, values := range map[string]map[string]string{
		"-upstream": {
			"ftp://127.0.0.1":                "want http://HOST:PORT",
			"http:127.0.0.1:1":               "want http://HOST:PORT",
			"http://":                        "want http://HOST:PORT",
			"http://id:s3cret@[":             "want http://HOST:PORT",
			"http://127.0.0.1:http":          "want http://HOST:PORT",
			"http://127.0.0.1:-1":            "want http://HOST:PORT",
			"http://127.0.0.1:0":             "want a port from 1 to 65535",
			"http://127.0.0.1:":              "want a port from 1 to 65535",
			"http://:":                       "want a port from 1 to 65535",
			"https://orders.example:65536":   "want a port from 1 to 65535",
			"http://id:s3cret@127.0.0.1:1":   "it holds a user name",
			"http://s3cret@:1":               "it holds a user name",
			"https://orders.example/#s3cret": "it has a fragment",
		},
		"-grpc-upstream": {
			"127.0.0.1":            "want HOST:PORT",
			":9091":                "want HOST:PORT",
			"127.0.0.1:":           "want HOST:PORT",
			"::1:9091":             "want HOST:PORT",
			"id:s3cret@host:9091":  "want HOST:PORT",
			"s3cret@host:9091":     "want HOST:PORT",
			"host/path:9091":       "want HOST:PORT",
			" 127.0.0.1:9091":      "want HOST:PORT",
			"unix:/run/orders":     "want HOST:PORT",
			"127.0.0.1:0":          "want a port from 1 to 65535",
			"127.0.0.1:-1":         "want HOST:PORT",
			"127.0.0.1:grpc":       "want HOST:PORT",
			"orders.example:65536": "want a port from 1 to 65535",
		},
	} {
		for value, says := range values {
			code, stdout, stderr := runToEnd(t, "gateway", "-listen", "127.0.0.1:0", "-issuer", "https://idp.example.com", "-audience", "a", "-allow-plaintext", flag, value)
			if code != 2 || stdout != "" || !strings.Contains(stderr, flag+": "+says) || strings.Contains(stderr, "s3cret") {
				t.Errorf("%s %s: exit status %d, standard output %q, standard error %q", flag, value, code, stdout, stderr)
			}
		}
	}
}

// It would refuse everybody, since it passes no token on.
func TestGatewayIsNotItsOwnUpstream(t *testing.T) {
	t.Parallel()
	type try struct{ host, flag, upstream string }
	tries := []try{
		{"127.0.0.1", "-upstream", "http://127.0.0.1:%s"},
		{"127.0.0.1", "-upstream", "http://[::ffff:127.0.0.1]:%s"},
		{"127.0.0.1", "-grpc-upstream", "127.0.0.1:%s"},
		{"", "-upstream", "http://localhost:%s"},
		{"", "-grpc-upstream", "127.0.0.2:%s"},
		{"", "-grpc-upstream", "0.0.0.0:%s"},
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range addrs { // by which others know this machine
		if ip := addr.(*net.IPNet).IP; ip.To4() != nil && ip.IsGlobalUnicast() {
			tries = append(tries, try{"", "-grpc-upstream", ip.String() + ":%s"})
		}
	}
	for _, c := range tries {
		_, port, _ := net.SplitHostPort(freeAddress(t))
		upstream := fmt.Sprintf(c.upstream, port)
		code, stdout, stderr := runToEnd(t, "gateway", "-listen", c.host+":"+port, "-issuer", "http://127.0.0.1:1", "-audience", "a", "-allow-plaintext", c.flag, upstream)
		if code != 2 || stdout != "" || !strings.Contains(stderr, c.flag) || !strings.Contains(stderr, "where the gateway itself listens") {
			t.Errorf("%s %s: exit status %d, standard output %q, standard error %q", c.flag, upstream, code, stdout, stderr)
		}
	}
}

// Another program may have the same port at another address of this machine.
func TestGatewayTakesAnUpstreamWithItsOwnPort(t *testing.T) {
	t.Parallel()
	own := freeAddress(t)
	other := strings.Replace(own, "127.0.0.1", "127.0.0.2", 1)
	l, err := net.Listen("tcp", other)
	if err != nil {
		t.Skip(err)
	}
	defer l.Close()
	start(t, "gateway", "-listen", own, "-issuer", "http://127.0.0.1:1", "-audience", "a", "-grpc-upstream", other).address("listening on")
}

func TestProgramsNameTheFlagOfAnAddressThatIsTaken(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := l.Addr().String()
	gateway := []string{"-issuer", "http://127.0.0.1:1", "-audience", "a", "-upstream", "http://127.0.0.1:1"}
	for _, test := range []struct {
		program, flag string
		args          []string
	}{
		{"gateway", "-listen", gateway},
		{"gateway", "-internal-listen", append(gateway, "-listen", "127.0.0.1:0")},
		{"whoami", "-http", []string{"-trust", "network"}},
		{"whoami", "-grpc", []string{"-trust", "network", "-http", "127.0.0.1:0"}},
	} {
		code, stdout, stderr := runToEnd(t, test.program, append(test.args, test.flag, taken)...)
		if code != 1 || stdout != "" || !strings.Contains(stderr, test.flag+": ") || !strings.Contains(stderr, taken) {
			t.Errorf("%s %s: exit status %d, standard output %q, standard error %q", test.program, test.flag, code, stdout, stderr)
		}
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
		"audience":      {"cognito", "client_id", "clerk", "azp"},
		"introspect":    {"the first -issuer", `"iss"`},
		"leeway":        {"DPoP", "(default 30s)"},
		"keys-refresh":  {"(default 15m0s)"},
		"keys-cooldown": {"(default 10s)"},
		"txn-life":      {"whole seconds", "(default 2m0s)"},
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
		"trust of an unknown kind":                      {[]string{"-trust", "everybody"}, "-trust: want cidr:PREFIX"},
		"a token for trust":                             {[]string{"-trust", "s3cret"}, "-trust: want"},
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
		"a trust domain of no name":                     {[]string{"-trust", "txn:http://127.0.0.1:1", "-trust-domain", "spiffe://d"}, "without a scheme"},
		"tokens of nobody":                              {[]string{"-trust", "txn:"}, "want cidr:PREFIX"},
		"keys with a password":                          {[]string{"-trust", "txn:https://id:s3cret@keys.example"}, "-trust: "},
		"an address of keys alone":                      {[]string{"-trust", "https://id:s3cret@keys.example"}, "-trust: want"},
		"two trusts":                                    {[]string{"-trust", "network", "-trust", "cidr:127.0.0.0/8"}, "-trust is given 2 times"},
		"an empty trust":                                {[]string{"-trust", ""}, "-trust: it is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := runToEnd(t, "whoami", append([]string{"-http", "127.0.0.1:0", "-grpc", "127.0.0.1:0"}, test.args...)...)
			if code != 2 || !strings.Contains(stderr, test.says) || stdout != "" || strings.Contains(stderr, "s3cret") {
				t.Errorf("exit status %d, standard output %q, standard error %q", code, stdout, stderr)
			}
		})
	}
}
